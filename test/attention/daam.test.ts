/** DAAM's rule against torch on the same probabilities (test/fixtures/make/attention_maps.py). */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { CapturedAttention, CapturedToken } from '../../model/attention/captured.ts'
import { daamMaps, daamWordMap } from '../../model/attention/daam.ts'
import { reduceHeads } from '../../model/attention/recording.ts'
import { draw, largestDifference, unpack } from '../fixtures/attention-maps/draw.ts'

interface Fixture {
  readonly layers: readonly {
    readonly path: string
    readonly numHeads: number
    readonly side: number
    readonly seed: number
  }[]
  readonly cases: readonly {
    readonly side: number
    readonly merged: number
    readonly words: Readonly<Record<string, string>>
    readonly normalized: Readonly<Record<string, string>>
  }[]
}
const fixture = JSON.parse(
  readFileSync(new URL('../fixtures/attention-maps/daam.json', import.meta.url), 'utf8'),
) as Fixture

// "a cat and a catfish", between <|startoftext|> and one place of padding.
const texts = ['<|startoftext|>', 'a', 'cat', 'and', 'a', 'cat', 'fish', '<|endoftext|>']
const ids = [49406, 320, 2368, 537, 320, 2267, 2759, 49407]
const wordOf = [undefined, 0, 1, 2, 3, 4, 4, undefined]
const tokens = texts.map((text, position): CapturedToken => {
  const word = wordOf[position]
  return {
    index: position,
    chunk: 0,
    position,
    id: ids[position] ?? 0,
    text,
    ...(word === undefined ? {} : { word }),
  }
})
const captured: CapturedAttention = {
  prompt: 'a cat and a catfish',
  width: 512,
  height: 512,
  steps: 4,
  half: 'cond',
  tokens,
  words: [
    { text: 'a', span: [0, 1], columns: [1] },
    { text: 'cat', span: [2, 5], columns: [2] },
    { text: 'and', span: [6, 9], columns: [3] },
    { text: 'a', span: [10, 11], columns: [4] },
    { text: 'catfish', span: [12, 19], columns: [5, 6] },
  ],
  layers: fixture.layers.map(({ path, numHeads, side, seed }) => ({
    path,
    numHeads,
    width: side,
    height: side,
    sums: draw(seed, numHeads * side * side * tokens.length),
  })),
}

/** Rises from left to right in every row. */
const layer = (path: string, width: number, height: number) => ({
  path: `up_blocks.1.${path}`,
  numHeads: 2,
  width,
  height,
  sums: new Float32Array(2 * width * height * tokens.length).map(
    (_, i) => Math.floor(i / tokens.length) % width,
  ),
})

describe('DAAM', () => {
  it.each(fixture.cases.map(each => [each.side, each] as const))(
    "gives torch's numbers with a reference grid of side %i",
    (side, { merged, words, normalized }) => {
      const maps = daamMaps(captured, { side })
      const shares = daamMaps(captured, { side, normalize: true })
      expect(maps).toMatchObject({ width: side, height: side, merged })
      for (const [word, data] of Object.entries(words)) {
        // Both are computed in double precision and kept in single; values up to about 1.
        expect(largestDifference(daamWordMap(maps, word).data, unpack(data)), word).toBeLessThan(2e-7)
        const expected = unpack(normalized[word] ?? '')
        expect(largestDifference(daamWordMap(shares, word).data, expected), word).toBeLessThan(2e-7)
      }
    },
  )

  it('finds words as runs of tokens at all their places, phrases too', () => {
    const maps = daamMaps(captured, { factors: [4] })
    expect(maps.merged).toBe(3)
    const columns = (word: string | readonly number[]) => daamWordMap(maps, word).columns
    expect(columns('A')).toEqual([1, 4])
    expect(columns('cat')).toEqual([2])
    expect(columns('fish')).toEqual([6])
    expect(columns('a Cat')).toEqual([1, 2])
    expect(columns([320])).toEqual([1, 4])
    expect(columns([2267, 2759])).toEqual([5, 6])
    expect(() => columns('cat fish')).toThrow(/"cat fish" is not among/)
    expect(() => columns('dog')).toThrow(/"dog"/)
    expect(() => columns('')).toThrow(/not among/)
  })

  it('keeps the aspect of grids that are not square, and skips what is 8 times coarser', () => {
    const wide = { ...captured, layers: [layer('fine', 24, 16), layer('half', 12, 8), layer('eighth', 3, 2)] }
    const maps = daamMaps(wide)
    expect(maps).toMatchObject({ width: 24, height: 16, merged: 4 })
    // Every layer rises from left to right; with the sides swapped rows would differ.
    const { data } = daamWordMap(maps, 'cat')
    expect(data.slice(0, 24)).toEqual(data.slice(15 * 24))
    expect(data[23]).toBeGreaterThan(data[0] ?? Infinity)
  })

  it('refuses what DAAM has no answer for', () => {
    expect(() => daamMaps(reduceHeads(captured))).toThrow(/heads of this capture were averaged/)
    expect(() => daamMaps(captured, { heads: 'mean' })).toThrow(/averaged/)
    expect(daamMaps(reduceHeads(captured), { heads: 'all', factors: [1] }).merged).toBe(1)
    expect(() => daamMaps({ ...captured, half: 'uncond' })).toThrow(/negative prompt/)
    const long = { ...captured, tokens: tokens.map(token => ({ ...token, chunk: 1 })) }
    expect(() => daamMaps(long)).toThrow(/one chunk of 77/)
    const mid = { ...captured, layers: captured.layers.filter(({ path }) => path.startsWith('mid')) }
    expect(() => daamMaps(mid)).toThrow(/merges none/)
    const gap = {
      ...captured,
      tokens: tokens.map((token, i) => (i === 3 ? { ...token, position: 9 } : token)),
    }
    expect(() => daamMaps(gap, { normalize: true })).toThrow(/some were not captured/)
    expect(() => daamMaps(captured, { side: 0 })).toThrow(/side 0/)
  })
})
