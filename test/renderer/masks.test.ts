/** Masks of the window: painting, inverting, other grids, masks of maps. */
import { describe, expect, it } from 'vitest'
import {
  coverage,
  dab,
  emptyMask,
  fromControlMask,
  invertMask,
  isEmpty,
  type Mask,
  maskOfMap,
  resizeMask,
  stroke,
  toControlMask,
} from '../../renderer/state/masks.ts'

const painted = (softness: number, radius = 0.25): Mask => {
  const mask = emptyMask(64, 64, 64)
  dab(mask, 0.5, 0.5, radius, false, softness)
  return mask
}

describe('masks', () => {
  it('have the picture’s shape, and at least one cell a side', () => {
    expect(emptyMask(1024, 512, 96)).toMatchObject({ width: 96, height: 48 })
    expect(emptyMask(4096, 8, 96)).toMatchObject({ width: 96, height: 1 })
  })

  it('a hard spot covers its circle, a soft one fades from the middle', () => {
    // The rim falls over one cell, inwards: half a cell less of radius.
    expect(coverage(painted(0))).toBeCloseTo(Math.PI * (0.25 - 0.5 / 64) ** 2, 2)
    // A cone has a third of its cylinder.
    expect(coverage(painted(1))).toBeCloseTo((Math.PI * 0.0625) / 3, 2)
    const erased = painted(0)
    dab(erased, 0.5, 0.5, 0.3, true, 0)
    expect(isEmpty(erased)).toBe(true)
  })

  it('a line has no gaps, whatever the size of the brush', () => {
    for (const radius of [0.02, 0.1]) {
      const mask = emptyMask(64, 64, 64)
      stroke(mask, { x: 0.1, y: 0.5 }, { x: 0.9, y: 0.5 }, radius, false, 0)
      const row = mask.data.subarray(32 * 64, 33 * 64)
      expect(Math.min(...row.subarray(8, 56))).toBeGreaterThan(100)
    }
  })

  it('inverted twice is itself; inverting gives a new mask', () => {
    const mask = painted(0.5)
    const before = mask.data.slice()
    const twice = invertMask(invertMask(mask))
    expect(twice.data).toEqual(before)
    expect(mask.data).toEqual(before)
    expect(coverage(mask) + coverage(invertMask(mask))).toBeCloseTo(1, 6)
  })

  it('keeps its area and its place on another grid', () => {
    const mask = emptyMask(64, 32, 64)
    dab(mask, 0.25, 0.5, 0.4, false, 0)
    for (const [width, height] of [
      [128, 64],
      [32, 16],
      [50, 25],
    ] as const) {
      const other = resizeMask(mask, width, height)
      expect(coverage(other)).toBeCloseTo(coverage(mask), 2)
      expect(other.data[(height >> 1) * width + (width >> 2)]).toBe(255)
      expect(other.data[(height >> 1) * width + Math.floor(width * 0.75)]).toBe(0)
    }
  })

  it('of a map takes what is near its peak, in the picture’s shape', () => {
    // A ramp from left to right: half of its peak is half of its width.
    const map = { width: 16, height: 8, data: Float32Array.from({ length: 128 }, (_, at) => at % 16) }
    const mask = maskOfMap(map, 0.5, { width: 256, height: 128 }, 96)
    expect(mask).toMatchObject({ width: 96, height: 48 })
    expect(coverage(mask)).toBeCloseTo(0.5, 1)
    expect(mask.data[0]).toBe(0)
    expect(mask.data.at(-1)).toBe(255)
    expect(coverage(maskOfMap(map, 0.9, { width: 256, height: 128 }))).toBeLessThan(0.15)
    expect(isEmpty(maskOfMap({ ...map, data: new Float32Array(128) }, 0, { width: 9, height: 9 }))).toBe(true)
  })

  it('goes into a request and comes back', () => {
    const mask = painted(0.5)
    expect(fromControlMask(toControlMask(mask), 1, 1)).toEqual(mask)
  })
})
