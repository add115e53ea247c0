/** Resizing against torch's numbers (test/fixtures/make/attention_maps.py), word maps against sums done by hand. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { CapturedAttention } from '../../model/attention/captured.ts'
import {
  finestGrid,
  wordMaps,
  wordMapsByHead,
  wordMapsByLayer,
  wordMapsByResolution,
} from '../../model/attention/maps.ts'
import { type Grid, resizeBicubic, resizeBilinear } from '../../model/attention/resize.ts'
import { draw, largestDifference, unpack } from '../fixtures/attention-maps/draw.ts'

interface ResizeCase {
  readonly seed: number
  readonly from: Grid
  readonly to: Grid
  readonly bilinear: string
  readonly bicubic: string
}
const resizeCases = JSON.parse(
  readFileSync(new URL('../fixtures/attention-maps/resize.json', import.meta.url), 'utf8'),
) as ResizeCase[]
const sizes = ({ width, height }: Grid) => `${width}×${height}`

describe('resize', () => {
  it.each(resizeCases.map(each => [sizes(each.from), sizes(each.to), each] as const))(
    "gives torch's numbers from %s to %s",
    (_, __, { seed, from, to, bilinear, bicubic }) => {
      const data = draw(seed, from.width * from.height)
      // Stored in single precision, values up to about 1.
      expect(largestDifference(resizeBilinear(data, from, to), unpack(bilinear))).toBeLessThan(1e-7)
      expect(largestDifference(resizeBicubic(data, from, to), unpack(bicubic))).toBeLessThan(2e-7)
    },
  )

  it('keeps a constant constant, and leaves a map of the wanted size alone', () => {
    const from = { width: 12, height: 8 }
    for (const resize of [resizeBilinear, resizeBicubic]) {
      const flat = resize(new Float32Array(96).fill(0.25), from, { width: 5, height: 11 })
      expect(largestDifference(flat, new Float32Array(55).fill(0.25))).toBeLessThan(1e-12)
    }
    expect(resizeBilinear(draw(3, 96), from, from)).toEqual(Float64Array.from(draw(3, 96)))
  })

  it('refuses sides that are no whole numbers and data that does not fill them', () => {
    expect(() => resizeBilinear([1], { width: 1, height: 1 }, { width: 0, height: 2 })).toThrow(
      /0 positions wide/,
    )
    expect(() => resizeBicubic([1], { width: 2, height: 1 }, { width: 2, height: 2 })).toThrow(/do not fill/)
  })
})

/** "red cat": `red` is column 0, `cat` columns 1 and 2; a wide layer of two heads and a coarser one of one head. */
function capture(): CapturedAttention {
  const token = { chunk: 0, id: 7 }
  return {
    prompt: 'red cat',
    width: 96,
    height: 64,
    steps: 4,
    half: 'cond',
    tokens: [
      { ...token, index: 1, position: 1, text: 'red', span: [0, 3], word: 0 },
      { ...token, index: 2, position: 2, text: 'c', span: [4, 5], word: 1 },
      { ...token, index: 3, position: 3, text: 'at', span: [5, 7], word: 1 },
    ],
    words: [
      { text: 'red', span: [0, 3], columns: [0] },
      { text: 'cat', span: [4, 7], columns: [1, 2] },
    ],
    layers: [
      { path: 'down.attn2', numHeads: 2, height: 4, width: 6, sums: draw(11, 2 * 24 * 3) },
      { path: 'mid.attn2', numHeads: 1, height: 2, width: 3, sums: draw(12, 6 * 3) },
      { path: 'up.attn2', numHeads: 3, height: 4, width: 6, sums: draw(13, 3 * 24 * 3) },
    ],
  }
}

/** The mean over heads and steps, of a word's summed tokens, as the docstring says it: one position at a time. */
function byHand(
  captured: CapturedAttention,
  layerIndex: number,
  columns: readonly number[],
  heads: readonly number[],
) {
  const layer = captured.layers[layerIndex]
  if (!layer) throw new Error('no such layer')
  return Array.from({ length: layer.height * layer.width }, (_, at) => {
    let sum = 0
    for (const head of heads) {
      for (const column of columns) {
        sum += layer.sums[
          (head * layer.height * layer.width + at) * captured.tokens.length + column
        ] as number
      }
    }
    return sum / heads.length / captured.steps
  })
}

const layerWeights = (path: string) => (path.startsWith('mid') ? 3 : 1)

describe('wordMaps', () => {
  const captured = capture()

  it('means probabilities over steps, heads and weighted layers, and sums tokens', () => {
    const [, cat] = wordMaps(captured, { width: 6, height: 4, layerWeights })
    const mid = resizeBilinear(
      byHand(captured, 1, [1, 2], [0]),
      { width: 3, height: 2 },
      { width: 6, height: 4 },
    )
    const [down, up] = [byHand(captured, 0, [1, 2], [0, 1]), byHand(captured, 2, [1, 2], [0, 1, 2])]
    const expected = down.map((value, at) => (value + (up[at] as number) + 3 * (mid[at] as number)) / 5)
    expect(cat).toMatchObject({ word: 'cat', index: 1, width: 6, height: 4 })
    expect(largestDifference(cat?.data ?? [], expected)).toBeLessThan(1e-7)
  })

  it('chooses words, layers and heads', () => {
    const [only, ...others] = wordMaps(captured, {
      width: 6,
      height: 4,
      words: ['RED '],
      layers: path => path !== 'mid.attn2',
      heads: (path, head) => path === 'up.attn2' && head > 0,
    })
    expect(others).toEqual([])
    expect(largestDifference(only?.data ?? [], byHand(captured, 2, [0], [1, 2]))).toBeLessThan(1e-7)
  })

  it('gives a word that stands twice two maps', () => {
    const twice = {
      ...captured,
      words: [...captured.words, { text: 'Red', span: [0, 3] as const, columns: [2] }],
    }
    expect(wordMaps(twice, { width: 3, height: 2, words: ['red'] }).map(map => map.index)).toEqual([0, 2])
    expect(wordMaps(twice, { width: 3, height: 2, words: [2] }).map(map => map.word)).toEqual(['Red'])
  })

  it('takes apart by layer, head and resolution what adds up to the whole', () => {
    expect(wordMapsByLayer(captured).map(({ path, width, height }) => [path, width, height])).toEqual([
      ['down.attn2', 6, 4],
      ['mid.attn2', 3, 2],
      ['up.attn2', 6, 4],
    ])
    const heads = wordMapsByHead(captured, { words: ['cat'] })
    expect(heads.map(({ path, head }) => `${path} ${head}`)).toEqual([
      'down.attn2 0',
      'down.attn2 1',
      'mid.attn2 0',
      'up.attn2 0',
      'up.attn2 1',
      'up.attn2 2',
    ])
    expect(largestDifference(heads[4]?.maps[0]?.data ?? [], byHand(captured, 2, [1, 2], [1]))).toBeLessThan(
      1e-7,
    )
    const [fine, coarse] = wordMapsByResolution(captured)
    expect([fine?.paths, coarse?.paths]).toEqual([['down.attn2', 'up.attn2'], ['mid.attn2']])
    const mean = byHand(captured, 0, [0], [0, 1]).map(
      (v, at) => (v + (byHand(captured, 2, [0], [0, 1, 2])[at] as number)) / 2,
    )
    expect(largestDifference(fine?.maps[0]?.data ?? [], mean)).toBeLessThan(1e-7)
    expect(finestGrid(captured)).toEqual({ width: 6, height: 4 })
  })

  it('refuses what cannot be shown, and says what can', () => {
    const size = { width: 6, height: 4 }
    expect(() => wordMaps(captured, { ...size, words: ['dog'] })).toThrow(/words: "dog"/)
    expect(() => wordMaps(captured, { ...size, words: [] })).toThrow(/No word was chosen/)
    expect(() => wordMaps(captured, { ...size, layers: () => false })).toThrow(/No captured layer/)
    expect(() => wordMaps(captured, { ...size, layerWeights: () => 0 })).toThrow(/weight 0/)
    expect(() => wordMaps(captured, { ...size, layerWeights: () => -1 })).toThrow(/weight -1/)
    expect(() => wordMaps(captured, { width: 6.5, height: 4 })).toThrow(/6\.5 positions wide/)
  })
})
