/** Token maps against the dense ones of test/fixtures/make/prompt_to_prompt.py. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { CaptureText } from '../../model/attention/capture.ts'
import { type Alignment, alignPrompts, formatChange } from '../../model/attention/edit/align.ts'
import { alignAsReference } from '../../model/attention/edit/align-reference.ts'
import { findPhrase, phraseRows, readable, textWords } from '../../model/attention/edit/phrase.ts'
import { alignSequences } from '../../model/attention/edit/sequence.ts'
import { type StoredText, textOf, toyText } from '../fixtures/attention-edit/text.ts'

interface StoredMap {
  readonly map: readonly (readonly [row: number, from: number, share: number])[]
  readonly mask: readonly number[]
}
interface AlignCase {
  readonly name: string
  readonly kind: 'same' | 'replace' | 'refine'
  readonly chunks: number
  readonly source: StoredText
  readonly target: StoredText
  readonly ours: StoredMap
  readonly reference?: { readonly replace: StoredMap | null; readonly refine: StoredMap }
}
const cases = JSON.parse(
  readFileSync(new URL('../fixtures/attention-edit/align.json', import.meta.url), 'utf8'),
) as AlignCase[]
const byName = cases.map(each => [each.name, each] as const)
const referenced = byName.filter(([, { reference }]) => reference)

function stored({ from, mask }: Alignment): StoredMap {
  const map = from.flatMap((column, row) =>
    column
      .toSorted((a, b) => a.row - b.row)
      .map(({ row: source, share }) => [row, source, share] as [number, number, number]),
  )
  return { map, mask: [...mask] }
}

const changes = (source: string, target: string, rows = 77): string[] =>
  alignPrompts(toyText(source), toyText(target), rows).changes.map(formatChange)

describe('alignPrompts', () => {
  it.each(byName)('%s', (_, { source, target, kind, chunks, ours }) => {
    const alignment = alignPrompts(textOf(source), textOf(target), 77 * chunks)
    expect(alignment.kind).toBe(kind)
    expect(stored(alignment)).toEqual(ours)
  })

  it('hands on all of a probability where words replace words', () => {
    for (const { source, target, chunks, kind } of cases.filter(each => each.kind !== 'refine')) {
      const { from } = alignPrompts(textOf(source), textOf(target), 77 * chunks)
      const given = new Float64Array(77 * chunks)
      for (const { row, share } of from.flat()) given[row] = (given[row] as number) + share
      // Padding at the end of a longer text has nobody to give to; nothing is given twice.
      const longer = textOf(target).places.length - textOf(source).places.length
      expect(given.filter(each => Math.abs(each - 1) > 1e-12).length, kind).toBe(Math.max(0, longer))
      expect(Math.max(...given)).toBeCloseTo(1, 12)
    }
  })

  it('is the reference to the number where it has no quirk: as many tokens, or words added', () => {
    for (const [name, { source, target, kind, reference }] of referenced) {
      const [from, to] = [textOf(source), textOf(target)]
      const theirs = reference?.[kind === 'refine' ? 'refine' : 'replace']
      const hasQuirk = to.places.length < from.places.length || name.startsWith('pieces')
      if (kind !== 'refine' && from.places.length !== to.places.length) continue
      if (hasQuirk || name.startsWith('capitals')) continue
      expect(stored(alignPrompts(from, to, 77)), name).toEqual(theirs)
    }
  })

  it('tells the changes', () => {
    expect(changes('a cat on a mat', 'a dog on a mat')).toEqual(['cat → dog'])
    expect(changes('a red cat on a mat', 'a blue dog on a mat')).toEqual(['red → blue', 'cat → dog'])
    expect(changes('a cat', 'A big cat, in the snow')).toEqual(['+ big', '+ , in the snow'])
    expect(changes('a big, red cat', 'a cat')).toEqual(['− big, red'])
    expect(changes('a cat sitting', 'cat sitting down')).toEqual(['− a', '+ down'])
    expect(changes('a cat on a mat', 'a big dog on a mat')).toEqual(['cat → big dog'])
    expect(changes('Same', 'sAME')).toEqual([])
  })

  it('does as it is told', () => {
    const [cat, dog] = [toyText('a cat on a mat'), toyText('a dog on a mat in town')]
    const rows = (kind: 'refine' | 'mixed', row: number) =>
      alignPrompts(cat, dog, 77, { kind }).from[row]?.map(each => each.row)
    expect(alignPrompts(cat, dog, 77).kind).toBe('refine')
    expect(rows('refine', 2)).toEqual([])
    expect(alignPrompts(cat, dog, 77, { kind: 'mixed' })).toMatchObject({
      kind: 'mixed',
      changes: [
        { kind: 'replace', source: 'cat', target: 'dog' },
        { kind: 'add', target: 'in town' },
      ],
    })
    expect([rows('mixed', 2), rows('mixed', 6)]).toEqual([[2], []])
    expect(() => alignPrompts(cat, dog, 77, { kind: 'replace' })).toThrow(/has 5 words and signs.*one 7/)
    const moved = alignPrompts(toyText('a cat sitting'), toyText('cat sitting down'), 77, { kind: 'replace' })
    expect(moved.changes.length).toBe(3)
    expect(alignPrompts(cat, toyText('a dog on a mat'), 77, { kind: 'refine' })).toMatchObject({
      kind: 'refine',
      changes: [{ kind: 'replace', source: 'cat', target: 'dog' }],
    })
  })

  it('lets no padding take a word or an EOS', () => {
    const alignment = alignPrompts(toyText('a big red cat'), toyText('a cat'), 77)
    // BOS, a, cat, EOS; rows 4 and 5 were "cat" and EOS of the source.
    expect(alignment.from.slice(0, 7).map(column => column.map(({ row }) => row))).toEqual([
      [0],
      [1],
      [4],
      [5],
      [],
      [],
      [6],
    ])
    expect(alignment.mask.slice(0, 7)).toEqual(Float32Array.of(1, 1, 1, 1, 0, 0, 1))
  })

  it('refuses rows that do not hold the text', () => {
    expect(() => alignPrompts(toyText('a'), toyText('a'), 80)).toThrow(/80 rows/)
    const long = toyText('word '.repeat(80))
    expect(() => alignPrompts(long, long, 77)).toThrow(/behind row 77/)
  })
})

describe('alignAsReference', () => {
  it.each(referenced)('%s', (_, { source, target, reference }) => {
    const [from, to] = [textOf(source), textOf(target)]
    expect(stored(alignAsReference(from, to, 77, 'refine'))).toEqual(reference?.refine)
    if (reference?.replace) {
      expect(stored(alignAsReference(from, to, 77, 'replace'))).toEqual(reference.replace)
    } else {
      expect(() => alignAsReference(from, to, 77, 'replace')).toThrow(/equally many/)
    }
  })

  it('refuses what the reference cannot read', () => {
    const text = toyText('a cat')
    expect(() => alignAsReference(text, text, 154, 'refine')).toThrow(/one chunk/)
    expect(() => alignAsReference(toyText('a  cat'), toyText('a  dog'), 77, 'replace')).toThrow(
      /two in a row/,
    )
  })
})

describe('alignSequences', () => {
  it('aligns long texts that share their ends, and refuses those that share nothing', () => {
    const many = Array.from({ length: 6000 }, (_, i) => i)
    const changed = [-1, ...many.slice(1, -1), -2]
    expect([...alignSequences(many, [...many, -3])].at(-1)).toBe(-1)
    expect(alignSequences([-5, ...many], [-6, -7, ...many])[2]).toBe(1)
    expect(() => alignSequences(many, changed)).toThrow(/6000 and 6000 words/)
  })
})

describe('words of a text', () => {
  /** "a (red:1.2) car" as a prompt's pieces give it: the syntax has no tokens. */
  const weighted: CaptureText = (() => {
    const prompt = 'a (red:1.2) car'
    const token = (start: number, end: number, word: number) => ({
      id: word,
      text: prompt.slice(start, end),
      start,
      end,
      word,
    })
    const tokens = [token(0, 1, 0), token(3, 6, 1), token(12, 15, 2)]
    return {
      prompt,
      places: tokens.map((each, i) => ({ token: each, chunk: 0, position: i + 1, row: i + 1 })),
    }
  })()

  it('finds phrases across syntax', () => {
    expect(readable(textWords(weighted))).toBe('a red car')
    expect(phraseRows(weighted, 'Red Car')).toEqual([2, 3])
    expect(phraseRows(toyText('rhinoceros and rhinoceros'), 'rhinoceros')).toEqual([1, 2, 3, 5, 6, 7])
  })

  it('refuses a phrase that is not there, and names what is', () => {
    expect(findPhrase(weighted, 'ca')).toEqual([])
    expect(() => phraseRows(weighted, 'dog')).toThrow(/"dog" are not in the prompt/)
    try {
      phraseRows(weighted, 'ca')
    } catch (error) {
      expect(error).toMatchObject({ code: 'bad-argument', remedy: 'Choose among: a, red, car.' })
    }
    expect(() => phraseRows(toyText(''), 'dog')).toThrow(/not in the prompt/)
  })
})
