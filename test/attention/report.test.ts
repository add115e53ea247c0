/** Reports, rankings and live maps on captures whose numbers can be worked out by hand. */
import { describe, expect, it } from 'vitest'
import type { CapturedAttention, CapturedLayer } from '../../model/attention/captured.ts'
import { LiveWordMaps } from '../../model/attention/live.ts'
import { finestGrid, wordMaps } from '../../model/attention/maps.ts'
import { rankHeads, wordsAtPixel } from '../../model/attention/ranking.ts'
import { attentionReport, measureWord, overlapOf, percent } from '../../model/attention/report.ts'
import { draw, largestDifference } from '../fixtures/attention-maps/draw.ts'

/** Rows of the drawing: the value of a word is 0.1 × the digit there. */
const pictureOf = (...rows: string[]) =>
  rows
    .join('')
    .split('')
    .map(digit => Number(digit) / 10)

/** One layer of one head, 4 steps, a token a word; 4×2 positions over 80×40 pixels. */
function capture(maps: Readonly<Record<string, readonly number[]>>): CapturedAttention {
  const names = Object.keys(maps)
  const steps = 4
  const sums = Float32Array.from({ length: 8 * names.length }, (_, i) => {
    return steps * (maps[names[i % names.length] as string]?.[Math.floor(i / names.length)] as number)
  })
  return {
    prompt: names.join(' '),
    width: 80,
    height: 40,
    steps,
    half: 'cond',
    tokens: names.map((text, i) => ({ index: i + 1, chunk: 0, position: i + 1, id: i, text, word: i })),
    words: names.map((text, i) => ({ text, span: [0, 1] as const, columns: [i] })),
    layers: [{ path: 'up_blocks.0.attn2', numHeads: 1, height: 2, width: 4, sums }],
  }
}

const scene = capture({
  cat: pictureOf('8000', '0000'),
  dog: pictureOf('0004', '0003'),
  hat: pictureOf('0006', '0000'),
  of: pictureOf('1111', '1111'),
})
const [cat, dog, hat, of] = attentionReport(scene).words

describe('the report', () => {
  it('measures peak, place, spread and centre in the units that it says', () => {
    expect(cat).toMatchObject({ word: 'cat', index: 0, coveredArea: 1 / 8, entropy: 0 })
    expect(cat?.peak).toBeCloseTo(0.8, 6)
    expect(cat?.mean).toBeCloseTo(0.1, 6)
    expect(cat?.peakAt).toEqual({ x: 10, y: 10 })
    expect(cat?.centre).toEqual({ x: 10, y: 10 })
    expect(dog?.coveredArea).toBe(2 / 8)
    expect(dog?.centre.x).toBeCloseTo(70, 6)
    expect(dog?.centre.y).toBeCloseTo((4 * 10 + 3 * 30) / 7, 5)
    expect(of).toMatchObject({ coveredArea: 1, centre: { x: 40, y: 20 } })
    expect(of?.entropy).toBeCloseTo(1, 6)
  })

  it('says how words overlap: cosine the same both ways, place over place not', () => {
    const of = (word: typeof dog, index: number) => word?.overlaps.find(each => each.index === index)
    expect(of(dog, 2)?.cosine).toBeCloseTo(0.8, 6)
    expect(of(hat, 1)?.cosine).toBeCloseTo(0.8, 6)
    expect(of(dog, 2)?.ioa).toBe(0.5)
    expect(of(hat, 1)?.ioa).toBe(1)
    expect(of(cat, 1)).toEqual({ word: 'dog', index: 1, cosine: 0, ioa: 0 })
    expect(dog?.overlaps.map(each => each.word)).toEqual(['of', 'hat', 'cat'])
  })

  it('flags what is neglected and what leaks, by named thresholds, and words that belong together not', () => {
    // The others' median peak is 0.6 for "of" and 0.6 for "dog": 0.1 is below half of it, 0.4 is not.
    expect([cat, dog, hat, of].map(word => word?.neglected)).toEqual([false, false, false, true])
    // "hat" lies in the place of "dog", which is a quarter of the picture; all lie in that of "of", by chance.
    expect([cat, dog, hat, of].map(word => word?.leaksInto)).toEqual([[], [2], [1], []])
    const together = attentionReport(scene, { together: [[2, 1]] }).words
    expect(together.every(word => word.leaksInto.length === 0)).toBe(true)
    const strict = attentionReport(scene, { leakShare: 0.9, neglectShare: 0.01 })
    expect(strict.words.map(word => word.leaksInto)).toEqual([[], [], [1], []])
    expect(strict.thresholds).toEqual({ neglectShare: 0.01, leakShare: 0.9, leakLift: 1.5 })
    expect(strict.words.some(word => word.neglected)).toBe(false)
  })

  it('speaks in sentences and is plain JSON', () => {
    const report = attentionReport(scene)
    expect(JSON.parse(JSON.stringify(report))).toEqual(report)
    expect(cat?.sentence).toBe(
      '"cat" is looked at most at the upper left, with up to 80 % of the attention there; its place is 13 % of the picture.',
    )
    expect(hat?.sentence).toMatch(/Much of that is also the place of "dog"\.$/)
    expect(of?.sentence).toMatch(/it may be missing\.$/)
    expect(report.sentence).toBe('Little looked at: "of". Leaking: "dog" into "hat", "hat" into "dog".')
    expect(attentionReport(scene, { words: ['cat'] }).sentence).toMatch(/^Nothing stands out/)
    expect([percent(0), percent(0.00001), percent(0.123), percent(1)]).toEqual([
      '0 %',
      'less than 0.01 %',
      '12 %',
      '100 %',
    ])
  })

  it('has an answer for a word that was never looked at, and none for numbers that are none', () => {
    const [nothing] = attentionReport(
      capture({ gone: pictureOf('0000', '0000'), here: pictureOf('0100', '0000') }),
    ).words
    expect(nothing).toMatchObject({
      peak: 0,
      coveredArea: 0,
      entropy: 1,
      centre: { x: 40, y: 20 },
      neglected: true,
    })
    expect(nothing?.sentence).toBe('"gone" was not looked at.')
    const map = { word: 'x', index: 0, width: 2, height: 1, data: Float32Array.of(1, Number.NaN) }
    expect(() => measureWord(map, scene)).toThrow(/no numbers/)
    expect(() => overlapOf(map, { ...map, width: 1, height: 2 })).toThrow(
      /2×1 cannot be laid over one of 1×2/,
    )
  })
})

describe('rankings', () => {
  it('ranks the words of a pixel and says what the shares are of', () => {
    const maps = wordMaps(scene, finestGrid(scene))
    // The centre of the upper right position is between the pixels 69 and 70.
    const ranking = wordsAtPixel(maps, scene, { x: 69.5, y: 9.5 })
    expect(ranking.words.map(each => each.word)).toEqual(['hat', 'dog', 'of', 'cat'])
    expect(ranking.words[0]?.probability).toBeCloseTo(0.6, 6)
    expect(ranking.words[0]?.share).toBeCloseTo(0.6 / 1.1, 6)
    expect(ranking.sentence).toMatch(/went to the 4 captured words here, 55 % went to "hat"/)
    // Halfway between two positions.
    const between = wordsAtPixel(maps, scene, { x: 19.5, y: 9.5 })
    expect(between.words[0]?.probability).toBeCloseTo(0.4, 6)
    expect(() => wordsAtPixel(maps, scene, { x: 80, y: 0 })).toThrow(/outside the picture/)
    expect(() => wordsAtPixel([], scene, { x: 0, y: 0 })).toThrow(/no maps/)
  })

  it('finds the head that knows where a word is', () => {
    // Head 0 looks everywhere, head 1 at the left half, which is where the mask is.
    const sums = Float32Array.from([...Array.from({ length: 8 }, () => 1), 1, 1, 0, 0, 1, 1, 0, 0])
    const layer: CapturedLayer = { path: 'mid_block.attn2', numHeads: 2, height: 2, width: 4, sums }
    const captured = { ...capture({ cat: pictureOf('0000', '0000') }), layers: [layer] }
    const mask = {
      width: 16,
      height: 3,
      data: Float32Array.from({ length: 48 }, (_, i) => (i % 16 < 8 ? 1 : 0)),
    }
    const { heads, sentence, maskArea } = rankHeads(captured, 0, mask)
    expect(maskArea).toBe(0.5)
    expect(heads.map(({ head }) => head)).toEqual([1, 0])
    expect(heads[1]?.lift).toBeCloseTo(1, 6)
    // The triangle of a shrinking mask reaches a little across its border.
    expect(heads[0]?.inside).toBeGreaterThan(0.9)
    expect(sentence).toMatch(/^Head 1 of mid_block\.attn2 knows best where "cat" is/)
    expect(() => rankHeads(captured, 0, { ...mask, data: mask.data.map(() => 1) })).toThrow(/no inside/)
    expect(() => rankHeads(captured, 3, mask)).toThrow(/number 3/)
  })
})

/** Two samples of three tokens on two grids. */
const step = (seed: number) => [
  { width: 6, height: 4, layers: 2, data: draw(seed, 2 * 24 * 3) },
  { width: 3, height: 2, layers: 1, data: draw(seed + 100, 2 * 6 * 3) },
]

/** Sample 1 of a grid, summed over three steps. */
const total = (grid: number, length: number) =>
  Float32Array.from({ length }, (_, at) =>
    [1, 2, 3].reduce((sum, seed) => sum + (step(seed)[grid]?.data[length + at] as number), 0),
  )

describe('live maps', () => {
  const words = [
    { text: 'red', span: [0, 3] as const, columns: [0] },
    { text: 'catfish', span: [4, 11] as const, columns: [1, 2] },
  ]
  const size = { width: 9, height: 6 }

  it('are the word maps of the same steps', () => {
    const live = new LiveWordMaps(words, 3, size)
    expect(live.maps()).toEqual([])
    for (const seed of [1, 2, 3]) live.add(step(seed), 1)
    // The same as a capture whose two fine layers both have the mean as their sums.
    const fine = { numHeads: 1, width: 6, height: 4, sums: total(0, 72) }
    const layers = [
      { path: 'a', ...fine },
      { path: 'b', numHeads: 1, width: 3, height: 2, sums: total(1, 18) },
      { path: 'c', ...fine },
    ]
    const tokens = [0, 1, 2].map(i => ({ index: i, chunk: 0, position: i, id: i, text: '' }))
    const expected = wordMaps({ ...scene, steps: 3, words, tokens, layers }, size)
    const maps = live.maps()
    expect(maps.map(({ word, index }) => [word, index])).toEqual([
      ['red', 0],
      ['catfish', 1],
    ])
    maps.forEach((map, i) => expect(largestDifference(map.data, expected[i]?.data ?? [])).toBeLessThan(1e-7))
  })

  it('may be replaced by sums, and begin anew', () => {
    const live = new LiveWordMaps(words, 3, size)
    live.add(step(1))
    const once = live.maps()
    live.replace(
      step(1).map(grid => ({ ...grid, data: grid.data.map(value => 2 * value) })),
      2,
    )
    expect(live.steps).toBe(2)
    live
      .maps()
      .forEach((map, i) => expect(largestDifference(map.data, once[i]?.data ?? [])).toBeLessThan(1e-7))
    live.clear()
    expect([live.steps, live.maps()]).toEqual([0, []])
  })

  it('counts a damaged step not at all', () => {
    const live = new LiveWordMaps(words, 3, size)
    live.add(step(1))
    const before = live.maps()
    const [fine, coarse] = step(2)
    if (!fine || !coarse) throw new Error('a step has two grids')
    const damaged = { ...coarse, data: coarse.data.map(() => Number.NaN) }
    expect(() => live.add([fine, damaged])).toThrow(/3×2 holds values that are no numbers/)
    expect(() => live.add([{ ...fine, data: fine.data.slice(1) }])).toThrow(/sample 0/)
    expect(live.maps()).toEqual(before)
    expect(() => new LiveWordMaps(words, 3, { width: 0, height: 1 })).toThrow(/0 positions wide/)
  })
})
