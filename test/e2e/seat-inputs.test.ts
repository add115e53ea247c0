/** Sources and masks at the size that is drawn, before and behind the engine (model/worker/inputs.ts). */
import { describe, expect, it } from 'vitest'
import type { Pixels } from '../../model/image/resample.ts'
import { fillInside, putBack, sizedPictures, soften, wholeCells } from '../../model/worker/inputs.ts'

const size = { width: 64, height: 48 }
const rgb = (paint: (x: number, y: number) => readonly [number, number, number]): Pixels => {
  const data = new Uint8Array(size.width * size.height * 3)
  for (let at = 0; at < size.width * size.height; at++)
    data.set(paint(at % size.width, Math.floor(at / size.width)), at * 3)
  return { ...size, channels: 3, data }
}
/** A rectangle of white from (16, 8) to (48, 40). */
const isIn = (x: number, y: number): boolean => x >= 16 && x < 48 && y >= 8 && y < 40
const mask: Pixels = {
  ...size,
  channels: 1,
  data: Uint8Array.from({ length: size.width * size.height }, (_, at) =>
    isIn(at % size.width, Math.floor(at / size.width)) ? 255 : 0,
  ),
}
const inpaint = { feather: 0.1, content: 'original' } as const
const init = rgb((x, y) => [x * 3, y * 4, 90])

describe('sizedPictures', () => {
  it('fits a source: stretched, cropped in the middle, padded with its border', () => {
    const wide: Pixels = {
      width: 128,
      height: 48,
      channels: 3,
      data: Uint8Array.from({ length: 128 * 48 * 3 }, (_, at) => (Math.floor(at / 3) % 128 < 64 ? 10 : 200)),
    }
    const at = (fit: 'stretch' | 'crop' | 'fill', x: number, y: number) =>
      sizedPictures({ init: wide, fit }, size, 8).init?.data[(y * size.width + x) * 3]
    for (const fit of ['stretch', 'crop', 'fill'] as const) {
      expect(at(fit, 4, 24), fit).toBe(10)
      expect(at(fit, 60, 24), fit).toBe(200)
    }
    // The median of the border, which is half 10 and half 200.
    expect(at('fill', 4, 0)).toBe(105)
    expect(sizedPictures({ init: wide }, size, 8).init).toEqual(
      sizedPictures({ init: wide, fit: 'stretch' }, size, 8).init,
    )
  })

  it('gives the mask as it came without settings, and whole cells with a soft edge with them', () => {
    const plain = sizedPictures({ init, mask }, size, 16)
    expect(plain.mask).toEqual(mask)
    expect(plain.alpha).toBeUndefined()
    const whole = sizedPictures({ init, mask, inpaint }, size, 16)
    // Rows 0-47 in cells of 16: the rectangle touches all three, columns 16-47 are two cells.
    expect(whole.mask?.data.filter(byte => byte === 255).length).toBe(32 * 48)
    expect(whole.alpha).toHaveLength(size.width * size.height)
  })

  it('refuses alpha, and a mask of which nothing is left', () => {
    const rgba: Pixels = { width: 1, height: 1, channels: 4, data: new Uint8Array(4) }
    expect(() => sizedPictures({ init: rgba }, size, 8)).toThrow(/not RGB/)
    const empty = { ...mask, data: new Uint8Array(mask.data.length) }
    expect(() => sizedPictures({ init, mask: empty, inpaint }, size, 8)).toThrow(/nothing to draw anew/)
  })
})

describe('edges and what is put back', () => {
  it('a soft edge lies inside of the mask, rises from its border, and is whole in the middle', () => {
    for (const radius of [1, 4, 8]) {
      const alpha = soften(mask.data, size, radius)
      const row = alpha.subarray(24 * size.width, 25 * size.width)
      for (let at = 0; at < alpha.length; at++) if (mask.data[at] === 0) expect(alpha[at]).toBe(0)
      expect(row[32]).toBe(255)
      for (let x = 17; x <= 32; x++) expect(row[x]).toBeGreaterThanOrEqual(row[x - 1] as number)
      // Over about as many pixels as were asked for, and over six at least: three blurs of one.
      const passing = row.filter((value, x) => x < 32 && value > 0 && value < 255).length
      expect(passing).toBeGreaterThanOrEqual(Math.floor(radius / 3))
      expect(passing).toBeLessThanOrEqual(Math.max(6, radius + 3))
    }
    expect(soften(mask.data, size, 0)).toEqual(mask.data)
  })

  it('a part thinner than its edge keeps a hard one rather than vanish', () => {
    const line = new Uint8Array(mask.data.length).fill(255, 24 * size.width, 25 * size.width)
    expect(soften(line, size, 12)).toEqual(line)
  })

  it('cells at the border of an odd size are cut, not left out', () => {
    const odd: Pixels = { width: 5, height: 5, channels: 1, data: new Uint8Array(25) }
    odd.data[24] = 255
    const cells = wholeCells(odd, 4)
    expect([...cells].map((byte, at) => (byte ? at : -1)).filter(at => at >= 0)).toEqual([24])
  })

  it('what is outside comes back to the bit, what is inside is what was drawn', () => {
    const drawn = rgb(() => [255, 0, 0])
    const alpha = soften(mask.data, size, 4)
    const { data } = putBack(drawn, init, alpha)
    for (let at = 0; at < alpha.length; at++) {
      const here = [...data.subarray(at * 3, at * 3 + 3)]
      if (alpha[at] === 0) expect(here).toEqual([...init.data.subarray(at * 3, at * 3 + 3)])
      if (alpha[at] === 255) expect(here).toEqual([255, 0, 0])
    }
  })

  it('a fill has nothing of what stood there, and passes smoothly between its surroundings', () => {
    // Red inside, a ramp of blue outside: the fill has no red and stays within the ramp.
    const marked = rgb((x, y) => (isIn(x, y) ? [255, 0, 0] : [0, 0, x * 4]))
    const { data } = fillInside(marked, mask.data)
    for (let y = 8; y < 40; y++) {
      for (let x = 16; x < 48; x++) {
        const [red, , blue] = data.subarray((y * size.width + x) * 3)
        expect(red).toBe(0)
        expect(blue).toBeGreaterThan(0)
        expect(blue).toBeLessThan(63 * 4)
      }
    }
    const blueAt = (x: number) => data[(24 * size.width + x) * 3 + 2] as number
    expect(blueAt(18)).toBeLessThan(blueAt(45))
    const all = new Uint8Array(mask.data.length).fill(255)
    expect(new Set(fillInside(marked, all).data)).toEqual(new Set([127]))
  })
})
