import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { swapPrompts } from '../../model/attention/edit/swap.ts'
import { editedPrompt, parseReplacement, parseWeight } from '../../model/attention/edit/words.ts'
import { parseCompel } from '../../model/prompt/compel.ts'
import type { ParsedPrompt, PromptSwap, TextPiece } from '../../model/prompt/types.ts'

const replace = (prompt: string, ...pairs: string[]) =>
  editedPrompt(prompt, { replace: pairs.map(parseReplacement) }).prompt
const add = (prompt: string, ...texts: string[]) => editedPrompt(prompt, { add: texts }).prompt

describe('editedPrompt', () => {
  it('replaces whole words, large or small, at every place', () => {
    expect(replace('a cat and a CAT, no catfish', 'cat=dog')).toBe('a dog and a Dog, no catfish')
    expect(replace('Red  car in rain', 'red car=blue van', 'rain=Paris')).toBe('Blue van in Paris')
    expect(replace('(cat:1.2), [cat|fox]', 'cat=dog')).toBe('(dog:1.2), [dog|fox]')
    expect(replace('Élan vital', 'élan=über')).toBe('Über vital')
  })

  it('looks all words up in the original, and prefers longer ones', () => {
    expect(replace('a cat and a dog', 'cat=dog', 'dog=cat')).toBe('a dog and a cat')
    expect(replace('a red car, a car', 'car=van', 'red car=blue bus')).toBe('a blue bus, a van')
  })

  it('leaves tags alone', () => {
    expect(replace('a cat <lora:cat:0.8>', 'cat=dog')).toBe('a dog <lora:cat:0.8>')
    expect(() => replace('a dog <lora:cat:0.8>', 'cat=fox')).toThrow(/"cat" are not in the prompt/)
  })

  it.each([
    ['a red cat', 'red=', 'a cat'],
    ['red cat', 'red=', 'cat'],
    ['a cat, red, big', 'red=', 'a cat, big'],
    ['red, big', 'red=', 'big'],
    ['a cat, red', 'red=', 'a cat'],
    ['a cat red.', 'red=', 'a cat.'],
    ['a (red cat)', 'red=', 'a (cat)'],
    ['a "cat"', 'cat=', 'a ""'],
  ])('takes words out of %j', (prompt, edit, expected) => {
    expect(replace(prompt, edit)).toBe(expected)
  })

  it('adds words behind a comma', () => {
    expect(add('a cat', 'in the snow', ' at night ')).toBe('a cat, in the snow, at night')
    expect(add('a cat, ', 'snow')).toBe('a cat, snow')
    expect(add('A cat.', 'Snow', '')).toBe('A cat. Snow')
    expect(add('a cat', '; snow')).toBe('a cat; snow')
    expect(add('', 'snow')).toBe('snow')
  })

  it('tells of words that stand twice, and of edits that change nothing', () => {
    const { problems } = editedPrompt('a cat and a cat, a dog', {
      replace: [
        { from: 'cat', to: 'fox' },
        { from: 'dog', to: 'Dog' },
      ],
    })
    expect(problems.map(({ message }) => message)).toEqual([
      '"cat" stands in the prompt 2 times; all are replaced.',
      '"dog" is replaced by itself.',
    ])
  })

  it('refuses words that are not there, and names those that are', () => {
    try {
      replace('a cat on 2 mats <lora:x:1>', 'horse=cow')
      expect.unreachable()
    } catch (error) {
      expect(error).toMatchObject({ code: 'bad-argument', remedy: 'Choose among: a, cat, on, mats.' })
    }
    expect(() => replace('a red cat', 'red cat=dog', 'cat=fox')).toThrow(
      /another replacement takes the words/,
    )
    expect(() => replace('a cat', 'cat=dog', 'cat=fox')).toThrow(/"cat" cannot be replaced by "fox"/)
  })
})

describe('the words of the command line', () => {
  it('are read, or refused', () => {
    expect(parseReplacement(' red car = a=b ')).toEqual({ from: 'red car', to: 'a=b' })
    expect(parseWeight('a=b=-1.5')).toEqual({ phrase: 'a=b', factor: -1.5 })
    for (const text of ['cat', '=dog', ' = ', ''])
      expect(() => parseReplacement(text)).toThrow(/replaced by what/)
    for (const text of ['car', 'car=', '=1', 'car=x', 'car=1e3', 'car=NaN']) {
      expect(() => parseWeight(text)).toThrow(/which words count/)
    }
  })
})

/** Words and signs with their weights, part by part. */
function words(pieces: readonly TextPiece[]): string[] {
  return pieces.flatMap(({ text, weight }) =>
    (text.match(/[\p{L}\p{N}']+|[^\s\p{L}\p{N}']/gu) ?? []).map(word => `${word}@${weight.toFixed(6)}`),
  )
}
const within = (span: PromptSwap['span'], other: PromptSwap) =>
  span.start >= other.span.start && span.end < other.span.end
function wordsOf({ parts }: ParsedPrompt, side: 'original' | 'edited'): unknown {
  return parts.map(part =>
    part.texts.map(({ pieces, swaps }) => {
      const all = pieces.filter(piece => piece.kind === 'text')
      if (side === 'edited') {
        // One in the original of another goes with it.
        const isNested = ({ span }: PromptSwap) => swaps.some(other => within(span, other))
        for (const { at, edited } of swaps.filter(each => !isNested(each)).toReversed()) {
          all.splice(at[0], at[1] - at[0], ...edited)
        }
      }
      return words(all)
    }),
  )
}

describe('swapPrompts', () => {
  it.each([
    ['a cat.swap(dog) on a mat', 'a cat on a mat', 'a dog on a mat'],
    ['a ("red cat").swap("big blue dog"), snow', 'a red cat, snow', 'a big blue dog, snow'],
    ['"".swap("in the snow") a cat', 'a cat', 'in the snow a cat'],
    ['a (red).swap() cat', 'a red cat', 'a cat'],
    ['a cat.swap((dog)1.3)', 'a cat', 'a ((dog)1.3)'],
    ['(a cat.swap(dog, s_end=0.4))++ x', '(a cat)++ x', '(a dog)++ x'],
    [
      '("a cat.swap(dog)", "a (big).swap(small) hat").and()',
      '("a cat", "a big hat").and()',
      '("a dog", "a small hat").and()',
    ],
    ['cat.swap(dog)+ x', 'cat + x', 'dog + x'],
    ['a "smile".swap("frown :(") x', 'a smile x', 'a "frown :(" x'],
    ['a (hot\\-dog).swap(pie)', 'a (hot\\-dog)', 'a pie'],
    ['cat.swap(dog) .swap(fox) x', 'cat \\.swap(fox) x', 'dog \\.swap(fox) x'],
    ['("big cat.swap(dog)").swap("fox and hen")', 'big cat', 'fox and hen'],
    ['a cat.swap((dog.swap(hen)))', 'a cat', 'a (dog)'],
    ['a "(red) cat".swap(""), x', 'a "(red) cat", x', 'a , x'],
  ])('%s', (typed, source, target) => {
    const parsed = parseCompel(typed)
    const result = swapPrompts(parsed)
    expect(result).toMatchObject({
      source,
      target,
    })
    expect(wordsOf(parseCompel(result?.source ?? ''), 'original')).toEqual(wordsOf(parsed, 'original'))
    expect(wordsOf(parseCompel(result?.target ?? ''), 'original')).toEqual(wordsOf(parsed, 'edited'))
  })

  it("keeps the meaning of compel's own cases", () => {
    const cases = JSON.parse(
      readFileSync(new URL('../fixtures/prompt/compel.json', import.meta.url), 'utf8'),
    ) as { readonly text: string }[]
    let count = 0
    for (const { text } of cases) {
      const parsed = parseCompel(text)
      const result = swapPrompts(parsed)
      if (!result) continue
      count++
      expect(
        parseCompel(result.source).parts.flatMap(part => part.texts.flatMap(each => each.swaps)),
      ).toEqual([])
      expect(wordsOf(parseCompel(result.source), 'original'), text).toEqual(wordsOf(parsed, 'original'))
      expect(wordsOf(parseCompel(result.target), 'original'), text).toEqual(wordsOf(parsed, 'edited'))
    }
    expect(count).toBeGreaterThan(3)
  })

  // Lone quotes pair with those of a swap, and apart they may pair otherwise.
  it('keeps the meaning of whatever is typed with whole quotes', () => {
    const bits = [
      'a',
      ' ',
      ' ',
      '(',
      ')',
      ',',
      '.swap(',
      'dog)',
      'cat.swap(dog)',
      '+',
      '-',
      '1.3',
      '.',
      '\\(',
    ]
    bits.push(
      '("red cat").swap("x y")',
      '"big".swap((small)1.2, s_end=0.3)',
      '("").swap(z)',
      'hot-dog',
      '=',
      '\\.',
    )
    let state = 7
    const next = (count: number) => {
      state = (Math.imul(1664525, state) + 1013904223) >>> 0
      return Math.floor((state / 2 ** 32) * count)
    }
    let count = 0
    for (let i = 0; i < 5000; i++) {
      const text = Array.from({ length: 1 + next(9) }, () => bits[next(bits.length)]).join('')
      const parsed = parseCompel(text)
      const result = swapPrompts(parsed)
      if (!result) continue
      count++
      expect(wordsOf(parseCompel(result.source), 'original'), text).toEqual(wordsOf(parsed, 'original'))
      expect(wordsOf(parseCompel(result.target), 'original'), text).toEqual(wordsOf(parsed, 'edited'))
      expect(swapPrompts(parseCompel(result.source))).toBeUndefined()
      expect(swapPrompts(parseCompel(result.target))).toBeUndefined()
    }
    expect(count).toBeGreaterThan(500)
  })

  it('takes hostile lengths in its stride', () => {
    const many = swapPrompts(parseCompel('cat.swap(dog) '.repeat(8000)))
    expect(many?.target).toBe('dog '.repeat(8000))
    expect(many?.swaps.length).toBe(8000)
    const deep = swapPrompts(parseCompel(`${'('.repeat(150)}cat${').swap(dog)'.repeat(150)}`))
    expect(deep).toMatchObject({ target: 'dog', swaps: [{ edited: 'dog' }] })
    expect(deep?.source).toMatch(/^\(*cat\)*$/)
    const inward = swapPrompts(parseCompel(`${'a.swap('.repeat(100)}b${')'.repeat(100)}`))
    expect(inward).toMatchObject({ source: 'a', target: '(a)' })
  })

  it('has no prompts where there is no swap', () => {
    expect(swapPrompts(parseCompel('a cat, (dog)1.2'))).toBeUndefined()
  })

  it('takes s for self-attention and t for cross-attention', () => {
    const windows = 's_start=0.1, s_end=0.3, t_start=0.2, t_end=0.7'
    expect(swapPrompts(parseCompel(`a cat.swap(dog, ${windows})`))).toMatchObject({
      cross: { start: 0.2, end: 0.7 },
      self: { start: 0.1, end: 0.3 },
      crossWords: [],
      swaps: [{ original: 'cat', edited: 'dog', span: { start: 2 } }],
      problems: [],
    })
    // compel's defaults.
    expect(swapPrompts(parseCompel('a cat.swap(dog)'))).toMatchObject({
      cross: { start: 0.2, end: 1 },
      self: { start: 0, end: 0 },
    })
    expect(swapPrompts(parseCompel('a cat.swap(dog, shape_freedom=0.125)'))?.self).toEqual({
      start: 0,
      end: 0.5,
    })
  })

  it('gives swaps with windows of their own the window of their words', () => {
    const result = swapPrompts(
      parseCompel('a cat.swap("big dog", t_end=0.5) in a (hat).swap(cap, t_start=0.1, s_end=0.4)'),
    )
    expect(result).toMatchObject({
      target: 'a big dog in a cap',
      cross: { start: 0.1, end: 1 },
      self: { start: 0, end: 0.4 },
      crossWords: [{ phrase: 'big dog', window: { start: 0.2, end: 0.5 } }],
    })
    expect(result?.problems.map(({ message }) => message)).toEqual([
      expect.stringMatching(/different windows of self-attention.*0 to 0.4/),
    ])
  })

  it('tells of a window that ends before it starts', () => {
    const result = swapPrompts(parseCompel('a cat.swap(dog, t_start=0.5, t_end=0.2)'))
    expect(result?.cross).toEqual({ start: 0.5, end: 0.5 })
    expect(result?.problems[0]?.message).toMatch(/ends at 0.2, before it starts at 0.5/)
  })
})
