/** Painted words: NumPy's numbers (test/fixtures/make/attention_controls.py), words and windows, refusals by name. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { CaptureText } from '../../model/attention/capture.ts'
import {
  activePaints,
  paintBias,
  paintScale,
  paintWarnings,
  phraseRows,
  preparePaint,
} from '../../model/attention/controls/paint.ts'
import type { Grid } from '../../model/attention/resize.ts'
import { type ControlMask, type PaintControl, paintSchema } from '../../model/contract/controls.ts'
import { largestDifference, unpack } from '../fixtures/attention-maps/draw.ts'

const read = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../fixtures/attention-controls/${name}.json`, import.meta.url), 'utf8'))
const shapes = read('shapes') as Record<string, ControlMask>
const fixture = read('paint') as {
  prompt: string
  tokens: { word: number; start: number; end: number; row: number }[]
  paints: { phrase: string; strength: number; shape: string; feather: number }[]
  picture: Grid
  grid: Grid
  size: number
  offset: number
  bias: string
}

function textOf(prompt: string, tokens: typeof fixture.tokens): CaptureText {
  return {
    prompt,
    places: tokens.map(({ row, ...token }) => ({
      token: { id: 1, text: prompt.slice(token.start, token.end), ...token },
      chunk: Math.floor(row / 77),
      position: row % 77,
      row,
    })),
  }
}
const text = textOf(fixture.prompt, fixture.tokens)
const everywhere = { kind: 'rect', x: 0, y: 0, width: 1, height: 1 } as const
const paint = (phrase: string, others: Partial<PaintControl> = {}): PaintControl =>
  paintSchema.parse({ phrase, strength: 1, mask: everywhere, ...others })
const picture = { width: 512, height: 512 }
const grid = { width: 2, height: 1 }
const layout = { tokens: 81 }

describe('painted bias', () => {
  it("gives NumPy's numbers for several words that overlap, at all their places", () => {
    const paints = fixture.paints.map(({ shape, ...each }) =>
      paintSchema.parse({ ...each, mask: shapes[shape] }),
    )
    const prepared = preparePaint(paints, [text], fixture.picture)
    const bias = paintBias(prepared, { tokens: fixture.size, offset: fixture.offset }, fixture.grid, 0, 20)
    expect(largestDifference(bias ?? [], unpack(fixture.bias))).toBeLessThan(1e-6)
  })

  it('lies on the tokens of the phrase and nowhere else', () => {
    expect(phraseRows('red CAR', text)).toEqual([2, 3, 4, 79, 80])
    expect(phraseRows(' a ', text)).toEqual([1, 78])
    expect(phraseRows('ca', text)).toEqual([])
    const half = paint('car', { strength: 2, mask: { ...everywhere, width: 0.5 } })
    const bias = paintBias(preparePaint([half], [text], picture), layout, grid, 0, 1)
    const expected = new Float32Array(162)
    for (const row of [3, 4, 80]) expected[row] = 2
    expect(bias).toEqual(expected)
  })

  it('counts only within its window, and is undefined where nothing counts', () => {
    const prepared = preparePaint(
      [paint('car', { window: { start: 0, end: 0.5 } }), paint('red', { window: { start: 0.25, end: 0.5 } })],
      [text],
      picture,
    )
    expect([0, 1, 2, 3].map(index => activePaints(prepared, index, 4))).toEqual([[0], [0, 1], [], []])
    const at = (index: number) => paintBias(prepared, layout, grid, index, 4)
    expect([at(0)?.[2], at(0)?.[3], at(1)?.[2], at(1)?.[3], at(2)]).toEqual([0, 1, 1, 1, undefined])
  })

  it('paints the words of each text of a prompt that changes', () => {
    const later = textOf('a dog', [
      { word: 0, start: 0, end: 1, row: 1 },
      { word: 1, start: 2, end: 5, row: 2 },
    ])
    const prepared = preparePaint([paint('dog')], [text, later], picture)
    expect(paintBias(prepared, layout, grid, 0, 1, 0)).toBeUndefined()
    expect(paintBias(prepared, layout, grid, 0, 1, 1)?.[2]).toBe(1)
  })

  it('is the same number as the program paint-with-words adds before its scaling', () => {
    // One head of four channels: scores (QKᵀ + A)/√d, A = w·ln(1 + σ)·max(QKᵀ).
    const [products, weight, sigma, d] = [[3, -2, 7.5, 0.25], 0.4, 6.3, 4]
    const largest = Math.max(...products)
    const theirs = products.map(each => (each + weight * Math.log(1 + sigma) * largest) / Math.sqrt(d))
    const peak = Math.max(...products.map(each => each / Math.sqrt(d)))
    const ours = products.map(each => each / Math.sqrt(d) + weight * paintScale(sigma) * peak)
    expect(largestDifference(ours, theirs)).toBeLessThan(1e-12)
    expect(paintScale(0)).toBe(0)
    expect(() => paintScale(Number.NaN)).toThrow(/sigma NaN/)
  })
})

describe('refusals', () => {
  it('names words that are not there, and those that are', () => {
    expect(() => preparePaint([paint('bus')], [text], picture)).toThrow(
      expect.objectContaining({
        code: 'bad-argument',
        message: 'The words "bus" cannot be painted: they are not in the prompt.',
        remedy: 'Write them as they stand there, without brackets and weights: a, red, car, Red.',
      }),
    )
    expect(() => preparePaint([paint('bus')], [{ prompt: '', places: [] }], picture)).toThrow(
      expect.objectContaining({ remedy: 'Write a prompt first.' }),
    )
  })

  it('refuses two laws at once, and a scaled law beside masks that must not be scaled', () => {
    const scaled = paint('car', { law: 'paint-with-words' })
    expect(preparePaint([scaled], [text], picture).law).toBe('paint-with-words')
    const unsupported = expect.objectContaining({ code: 'unsupported', remedy: expect.any(String) })
    expect(() => preparePaint([paint('red'), scaled], [text], picture)).toThrow(unsupported)
    expect(() => preparePaint([scaled], [text], picture, { isolate: true })).toThrow(/isolated regions/)
    expect(() => preparePaint([scaled], [text], picture, { hidePadding: true })).toThrow(/hidden padding/)
    expect(() => preparePaint([paint('red')], [text], picture, { hidePadding: true })).not.toThrow()
  })

  it('refuses empty masks and names the word', () => {
    const empty = paint('car', { mask: { ...everywhere, height: 0 } })
    expect(() => preparePaint([empty], [text], picture)).toThrow(
      /The mask of the painted word "car" is empty/,
    )
  })

  it('warns of windows that hold nothing', () => {
    const short = paint('car', { window: { start: 0.5, end: 0.51 } })
    expect(paintWarnings([paint('red'), short], 20)).toEqual([
      { code: 'empty-window', text: expect.stringContaining('painted word "car" holds none of the 20') },
    ])
    expect(paintWarnings([short], 200)).toEqual([])
  })
})
