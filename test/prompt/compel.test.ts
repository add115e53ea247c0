import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parseCompel } from '../../model/prompt/compel.ts'
import type { PromptText, TextPiece } from '../../model/prompt/types.ts'
import { messages, pieces } from './support.ts'

type Fragment = readonly [text: string, weight: number]
interface Swapped {
  readonly original: readonly Fragment[]
  readonly edited: readonly Fragment[]
  readonly options: { readonly s_start: number; s_end: number; t_start: number; t_end: number }
}
interface Case {
  readonly text: string
  readonly parts: readonly {
    readonly weight: number
    readonly normalized: boolean
    readonly texts: readonly (readonly [number, readonly (Fragment | Swapped)[]])[]
  }[]
  readonly loras: readonly (readonly [string, number])[]
}
const cases = JSON.parse(
  readFileSync(new URL('../fixtures/prompt/compel.json', import.meta.url), 'utf8'),
) as Case[]

/** Words and signs with their weights: compel parts fragments with spaces of its own, which no tokenizer sees. */
const words = (fragments: readonly Fragment[]): string[] =>
  fragments.flatMap(([text, weight]) =>
    (text.match(/[\p{L}\p{N}']+|[^\s\p{L}\p{N}']/gu) ?? []).map(word => `${word}@${weight.toFixed(9)}`),
  )
const fragmentsOf = (list: readonly TextPiece[]): Fragment[] => list.map(({ text, weight }) => [text, weight])

function compareText(text: PromptText, expected: readonly (Fragment | Swapped)[]): void {
  const mine = text.pieces.filter(piece => piece.kind === 'text')
  const swapped = expected.filter((each): each is Swapped => !Array.isArray(each))
  const original = expected.flatMap(each => ('original' in each ? each.original : [each as Fragment]))
  expect(words(fragmentsOf(mine))).toEqual(words(original))
  expect(text.swaps.length).toBe(swapped.length)
  for (const [index, { at, edited, sStart, sEnd, tStart, tEnd }] of text.swaps.entries()) {
    const theirs = swapped[index] as Swapped
    expect(words(fragmentsOf(mine.slice(...at)))).toEqual(words(theirs.original))
    expect(words(fragmentsOf(edited))).toEqual(words(theirs.edited))
    const { s_start, s_end, t_start, t_end } = theirs.options
    expect([sStart, sEnd, tStart, tEnd]).toEqual([s_start, expect.closeTo(s_end, 12), t_start, t_end])
  }
}

describe(`compel 2.5.1 itself, ${cases.length} prompts`, () => {
  it.each(cases.map(each => [each.text, each] as const))('%j', (text, expected) => {
    const parsed = parseCompel(text)
    expect(parsed.parts.length).toBe(expected.parts.length)
    for (const [index, part] of parsed.parts.entries()) {
      const theirs = expected.parts[index] as Case['parts'][number]
      expect([part.weight, part.normalized, part.texts.length]).toEqual([
        theirs.weight,
        theirs.normalized,
        theirs.texts.length,
      ])
      for (const [which, mine] of part.texts.entries()) {
        const [weight, fragments] = theirs.texts[which] as Case['parts'][number]['texts'][number]
        expect(mine.weight).toBe(weight)
        compareText(mine, fragments)
      }
    }
    const loras = parsed.tags.map(({ args }) => [args[0], Number(args[1])])
    expect(loras).toEqual(expected.loras)
  })
})

const swapOf = (options: string) => parseCompel(`a cat.swap(dog, ${options})`).parts[0]?.texts[0]?.swaps[0]

describe('what conventions and documentation say', () => {
  it.each([
    ['word+', 1.1],
    ['word++', 1.21],
    ['word-', 0.9],
    ['word--', 0.81],
    ['(two words)1.3', 1.3],
    ['((x)1.5)1.2', 1.8],
    ['(x)0', 0],
  ])('%s is %d', (text, weight) => {
    expect(pieces(parseCompel(text))[0]?.[1]).toBeCloseTo(weight, 12)
  })

  it('a backslash makes signs text', () => {
    expect(pieces(parseCompel('a\\+ b \\(c\\) \\"d\\" hot\\- dog'))).toEqual([['a+ b (c) "d" hot- dog', 1]])
  })

  it('shape_freedom sets the end of the self-attention window, unless that is given', () => {
    expect(swapOf('shape_freedom=0.5')).toMatchObject({
      sStart: 0,
      sEnd: 1 - Math.cbrt(0.5),
      tStart: 0.2,
      tEnd: 1,
    })
    expect(swapOf('shape_freedom=0.5, s_end=0.3')).toMatchObject({ sEnd: 0.3 })
  })
})

describe('malformed text is reported at its column, and drawn literally', () => {
  it.each([
    ['a (b', 'warning 3', 'never closed', 'a (b'],
    ['a) b', 'warning 2', 'Nothing opens', 'a) b'],
    ['x.attend(loud)', 'error 9', 'cannot use "loud"', 'x'],
    ['("a", "b").blend(1)', 'error 1', '2 texts and 1 weights', 'a|b'],
    ['("a", "b").blend(1, -1)', 'error 1', 'add up to 0', 'a|b'],
    ['("a", "b").and() more', 'error 18', 'Words behind .and()', 'a|b|more'],
    ['well ("a", "b").and()', 'error 16', 'very beginning', 'well a|, b|.and()'],
    ['a cat.swap(dog, t=2)', 'error 17', 'cannot use "t=2"', 'a|cat'],
    ['("a.swap(b)", "c").blend()', 'error 1', 'cannot hold a .swap()', 'a|c'],
    ['🦊 (b', 'warning 3', 'never closed', '🦊 (b'],
    ['hot- dog', 'note 4', 'hyphen', 'hot|dog'],
    ['(x)99999', 'error 2', 'no number to draw with', 'x'],
  ])('%s', (text, where, message, drawn) => {
    const parsed = parseCompel(text)
    expect(messages(parsed).some(each => each.startsWith(where) && each.includes(message))).toBe(true)
    const texts = parsed.parts.flatMap(part => part.texts.flatMap(each => each.pieces))
    expect(texts.map(piece => (piece.kind === 'text' ? piece.text : '')).join('|')).toBe(drawn)
  })
})
