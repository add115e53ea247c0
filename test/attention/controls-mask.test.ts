/** Masks at the grids of layers: NumPy's numbers (test/fixtures/make/attention_controls.py), and what must hold of any. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import {
  emptyWindow,
  maskAt,
  prepareMask,
  preparedMaskAt,
  quoted,
  regionMaskAt,
} from '../../model/attention/controls/mask.ts'
import { averageTo, maximumTo, poolByTwo, soften } from '../../model/attention/controls/mask-resample.ts'
import type { Grid } from '../../model/attention/resize.ts'
import { type ControlMask, isInWindow, maskSchema } from '../../model/contract/controls.ts'
import { largestDifference, unpack } from '../fixtures/attention-maps/draw.ts'

interface MaskCase {
  readonly shape: string
  readonly feather: number
  readonly grid: Grid
  readonly picture: Grid
  readonly mean: string
  readonly max: string
}
const read = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../fixtures/attention-controls/${name}.json`, import.meta.url), 'utf8'))
const shapes = read('shapes') as Record<string, ControlMask>
const cases = read('masks') as MaskCase[]

const rect = (x: number, y: number, width: number, height: number): ControlMask => ({
  kind: 'rect',
  x,
  y,
  width,
  height,
})

/** A bitmap of bytes. */
function bitmap(width: number, height: number, byteAt: (x: number, y: number) => number): ControlMask {
  const codes = Array.from({ length: width * height }, (_, i) => byteAt(i % width, Math.floor(i / width)))
  return maskSchema.parse({
    kind: 'bitmap',
    width,
    height,
    data: btoa(String.fromCharCode(...codes)),
  })
}

const mean = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0) / values.length
const countSoft = (values: Iterable<number>) => [...values].filter(value => value > 0 && value < 1).length

describe('masks at a grid', () => {
  it.each(
    cases.map(each => [each.shape, each.feather, `${each.grid.width}×${each.grid.height}`, each] as const),
  )(
    "gives NumPy's numbers for %s, feather %d, at %s",
    (_, __, ___, { shape, feather, grid, picture, ...want }) => {
      const prepared = prepareMask(shapes[shape] as ControlMask, { feather, picture })
      expect(largestDifference(preparedMaskAt(prepared, grid), unpack(want.mean))).toBeLessThan(3e-7)
      expect(largestDifference(preparedMaskAt(prepared, grid, 'max'), unpack(want.max))).toBeLessThan(3e-7)
    },
  )

  it('covers the exact area of a rectangle, whatever the grid', () => {
    for (const grid of [
      { width: 8, height: 8 },
      { width: 13, height: 7 },
      { width: 1, height: 5 },
    ]) {
      expect(mean(maskAt(rect(0.15, 0.2, 0.33, 0.71), grid))).toBeCloseTo(0.33 * 0.71, 6)
    }
    // Half of the middle column of three.
    expect([...maskAt(rect(0, 0, 0.5, 1), { width: 3, height: 1 })]).toEqual([1, 0.5, 0])
  })

  it('makes of a rectangle what it makes of the same rectangle as a bitmap', () => {
    const [box, drawn] = [
      rect(0.25, 0.125, 0.5, 0.375),
      bitmap(32, 16, (x, y) => (x >= 8 && x < 24 && y >= 2 && y < 8 ? 255 : 0)),
    ]
    const picture = { width: 768, height: 384 }
    for (const grid of [
      { width: 24, height: 12 },
      { width: 12, height: 6 },
      { width: 5, height: 3 },
    ]) {
      for (const feather of [0, 0.1]) {
        // Softened after a linear enlargement the drawn edge is half a pixel softer: only hard edges are the same.
        const tolerance = feather === 0 ? 1e-6 : 0.12
        const options = { feather, picture }
        expect(largestDifference(maskAt(box, grid, options), maskAt(drawn, grid, options))).toBeLessThan(
          tolerance,
        )
      }
      const reduced = { picture, reduce: 'max' } as const
      expect(maskAt(box, grid, reduced)).toEqual(maskAt(drawn, grid, reduced))
    }
  })

  it('softens an edge evenly to both sides and over the given width', () => {
    const [grid, picture] = [
      { width: 64, height: 64 },
      { width: 512, height: 512 },
    ]
    const row = maskAt(rect(0.5, 0, 0.5, 1), grid, { feather: 0.25, picture }).subarray(0, 64)
    for (let i = 0; i < 32; i++) {
      expect((row[31 - i] as number) + (row[32 + i] as number)).toBeCloseTo(1, 6)
      expect(row[i + 1] as number).toBeGreaterThanOrEqual(row[i] as number)
    }
    // A quarter of 64 positions, half on either side; a parabola 2t² over the first half, here its first eighth.
    expect([row[23], row[24], row[39], row[40]]).toEqual([
      0,
      expect.closeTo(2 / 3 / 256, 3),
      expect.closeTo(1 - 2 / 3 / 256, 3),
      1,
    ])
  })

  it('softens by a share of the shorter side, alike across and down', () => {
    const picture = { width: 768, height: 384 }
    const wide = maskAt(rect(0.5, 0, 0.5, 1), { width: 96, height: 48 }, { feather: 0.25, picture })
    expect(countSoft(wide.subarray(0, 96))).toBe(12)
    const tall = maskAt(rect(0, 0.5, 1, 0.5), { width: 96, height: 48 }, { feather: 0.25, picture })
    expect(countSoft(Array.from({ length: 48 }, (_, y) => tall[y * 96] as number))).toBe(12)
  })

  it('has no edge where the mask ends with the picture', () => {
    const grid = { width: 16, height: 16 }
    expect(maskAt(rect(0, 0, 1, 1), grid, { feather: 0.5 })).toEqual(new Float32Array(256).fill(1))
  })

  it('means the same place at every layer: a coarser grid is the mean of a finer one', () => {
    const options = { feather: 0.2, picture: { width: 640, height: 512 } }
    for (const mask of [shapes['blot'], shapes['third']] as ControlMask[]) {
      const fine = { width: 80, height: 64, values: maskAt(mask, { width: 80, height: 64 }, options) }
      for (const grid of [
        { width: 40, height: 32 },
        { width: 20, height: 16 },
        { width: 10, height: 8 },
      ]) {
        expect(largestDifference(maskAt(mask, grid, options), averageTo(fine, grid).values)).toBeLessThan(
          1e-6,
        )
      }
    }
  })

  it('keeps at least half of a mask that is narrower than its soft edge', () => {
    const prepared = prepareMask(shapes['single'] as ControlMask, {
      feather: 0.3,
      picture: { width: 512, height: 512 },
    })
    expect(Math.max(...preparedMaskAt(prepared, { width: 256, height: 256 }))).toBeCloseTo(0.5, 6)
  })
})

describe('regions at a grid', () => {
  const picture = { width: 512, height: 512 }

  it('does not lose a region of one pixel, and says so', () => {
    const prepared = prepareMask(shapes['single'] as ControlMask, { picture, name: 'region "a bee"' })
    const { values, warning } = regionMaskAt(prepared, { width: 8, height: 8 })
    const expected = new Float32Array(64)
    // Column 40 and row 21 of 64.
    expected[2 * 8 + 5] = 1
    expect(values).toEqual(expected)
    expect(warning).toEqual({
      code: 'small-region',
      text: expect.stringMatching(/^The region "a bee" is smaller than one position of the layers of 8×8:/),
    })
    expect(regionMaskAt(prepared, { width: 64, height: 64 }).warning).toBeUndefined()
  })

  it('survives at every grid, wherever it lies', () => {
    for (const [x, y] of [
      [0, 0],
      [0.999, 0.999],
      [0.4999, 0.4999],
      [0.31, 0.77],
    ] as const) {
      const prepared = prepareMask(rect(x, y, 0.001, 0.001), { picture })
      for (const grid of [
        { width: 1, height: 1 },
        { width: 8, height: 8 },
        { width: 7, height: 5 },
      ]) {
        expect(Math.max(...regionMaskAt(prepared, grid).values)).toBe(1)
      }
    }
  })

  it('takes the mean of a region that is only grey, without a warning', () => {
    const prepared = prepareMask(
      bitmap(4, 4, () => 64),
      { picture },
    )
    const { values, warning } = regionMaskAt(prepared, { width: 2, height: 2 })
    expect(warning).toBeUndefined()
    expect(largestDifference(values, new Float32Array(4).fill(64 / 255))).toBeLessThan(1e-7)
  })
})

describe('refusals', () => {
  it.each([
    ['a black bitmap', bitmap(3, 3, () => 0)],
    ['no width', rect(0.2, 0.2, 0, 0.5)],
    ['no height', rect(0.2, 0.2, 0.5, 0)],
    ['outside of the picture', rect(1, 0, 1, 1)],
  ])('refuses a mask with nothing inside: %s', (_, mask) => {
    expect(() => maskAt(mask, { width: 8, height: 8 }, { name: 'region "a dog"' })).toThrow(
      expect.objectContaining({
        code: 'bad-argument',
        message: expect.stringContaining('The mask of the region "a dog" is empty'),
        remedy: expect.any(String),
      }),
    )
  })

  it('refuses bitmaps that are not as large as they say, and what is not base64', () => {
    const damaged: ControlMask = { kind: 'bitmap', width: 4, height: 4, data: 'AAAA' }
    expect(() => maskAt(damaged, { width: 2, height: 2 })).toThrow(/3 bytes are not 4×4 pixels/)
    expect(() => maskAt({ ...damaged, data: '***' }, { width: 2, height: 2 })).toThrow(/not base64/)
  })

  it('refuses grids without positions', () => {
    expect(() => maskAt(rect(0, 0, 1, 1), { width: 0, height: 2 })).toThrow(/0 positions wide/)
  })

  it('names windows that hold nothing after rounding, exactly those', () => {
    for (const count of [1, 7, 20]) {
      for (const [start, end] of [
        [0, 1],
        [0, 0.04],
        [0.5, 0.5],
        [0.3, 0.34],
        [1, 1],
      ] as const) {
        const held = Array.from({ length: count }, (_, i) => isInWindow({ start, end }, i, count)).includes(
          true,
        )
        const warning = emptyWindow('regions', { start, end }, count)
        expect(warning === undefined).toBe(held)
        if (warning) expect(warning.text).toContain(`none of the ${count} evaluations`)
      }
    }
  })

  it('quotes texts on one line', () => {
    expect(quoted('a  dog\nruns')).toBe('"a dog runs"')
    expect(quoted('x'.repeat(100))).toHaveLength(62)
  })
})

describe('resampling', () => {
  it('pools by two with ceil', () => {
    const values = Float32Array.of(1, 2, 3, 4, 5, 9, 7, 8, 6, 0, 0, 1)
    expect(poolByTwo({ width: 3, height: 4, values })).toEqual({
      width: 2,
      height: 2,
      values: Float32Array.of(5, 9, 8, 6),
    })
    const odd = Float32Array.of(1, 2, 3)
    expect([...poolByTwo({ width: 3, height: 1, values: odd }).values]).toEqual([2, 3])
  })

  it('keeps a constant constant, and a field of the wanted size as it is', () => {
    const flat = { width: 9, height: 5, values: new Float32Array(45).fill(0.7) }
    for (const to of [
      { width: 4, height: 11 },
      { width: 1, height: 1 },
      { width: 20, height: 2 },
    ]) {
      const expected = new Float32Array(to.width * to.height).fill(0.7)
      expect(largestDifference(averageTo(flat, to).values, expected)).toBeLessThan(1e-6)
      expect(largestDifference(maximumTo(flat, to).values, expected)).toBe(0)
    }
    expect(largestDifference(soften(flat, 4.3, 20).values, flat.values)).toBeLessThan(1e-6)
    expect(averageTo(flat, { width: 9, height: 5 })).toBe(flat)
  })
})
