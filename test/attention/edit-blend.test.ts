/** Local blend against torch's numbers (test/fixtures/make/prompt_to_prompt.py). */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import {
  blendLatents,
  blendMask,
  chooseBlendGrid,
  sumOfColumns,
} from '../../model/attention/edit/local-blend.ts'
import type { Grid } from '../../model/attention/resize.ts'
import { draw } from '../fixtures/attention-maps/draw.ts'

interface BlendCase {
  readonly seed: number
  readonly grid: Grid
  readonly latent: Grid
  readonly threshold: number
  readonly subtracts: boolean
  readonly mask: readonly string[]
}
const cases = JSON.parse(
  readFileSync(new URL('../fixtures/attention-edit/blend.json', import.meta.url), 'utf8'),
) as BlendCase[]
const sizes = ({ width, height }: Grid) => `${height}×${width}`

/** Three words' maps [L, T] that grow towards the end. */
function maps(seed: number, { width, height }: Grid): Float64Array {
  const last = width * height - 1
  return Float64Array.from(
    draw(seed, 3 * width * height),
    (value, i) => value * (Math.floor(i / 3) / last) ** 2,
  )
}

describe('blendMask', () => {
  it.each(cases.map(each => [sizes(each.grid), sizes(each.latent), each] as const))(
    'is torch’s from %s to %s',
    (_, __, { seed, grid, latent, threshold, subtracts, mask }) => {
      const texts = [maps(seed + 1, grid), maps(seed + 2, grid)]
      const [source, target] = texts.map(each => sumOfColumns(each, 3, [0, 2]))
      const [keptSource, keptTarget] = texts.map(each => sumOfColumns(each, 3, [1]))
      const mine = blendMask({
        grid,
        latent,
        threshold,
        maps: { source, target },
        ...(subtracts ? { subtract: { source: keptSource, target: keptTarget } } : {}),
      })
      const rows = mask.map((_row, y) => mine.slice(y * latent.width, (y + 1) * latent.width).join(''))
      expect(rows).toEqual(mask)
    },
  )

  const grid = { width: 3, height: 2 }
  const latent = { width: 6, height: 4 }
  const corner = [0, 0, 0, 0, 0, 1]
  const empty = [0, 0, 0, 0, 0, 0]
  const of = (options: Partial<Parameters<typeof blendMask>[0]>) =>
    [...blendMask({ grid, latent, threshold: 0.3, maps: {}, ...options })].join('')

  it('takes one text alone, and a map of nothing for nowhere', () => {
    expect(of({ maps: { target: corner } })).toBe('001111'.repeat(4))
    expect(of({ maps: { source: empty, target: corner } })).toBe('001111'.repeat(4))
    expect(of({ maps: { target: empty } })).toBe('000000'.repeat(4))
  })

  it('is everywhere without words, apart from what is kept', () => {
    expect(of({})).toBe('1'.repeat(24))
    expect(of({ subtract: { source: corner } })).toBe('111111'.repeat(2) + '111100'.repeat(2))
  })

  it('refuses a map that is not of the grid', () => {
    expect(() => of({ maps: { source: [1] } })).toThrow(/1 numbers of a map/)
    expect(() => of({ latent: { width: 0, height: 4 } })).toThrow(/0 positions wide/)
  })
})

describe('sumOfColumns', () => {
  it('counts a column once, and refuses what is no column', () => {
    expect([...sumOfColumns([1, 2, 3, 4, 5, 6], 3, [2, 0, 2])]).toEqual([4, 10])
    expect([...sumOfColumns([1, 2, 3, 4], 2, [])]).toEqual([0, 0])
    expect(() => sumOfColumns([1, 2, 3, 4], 2, [2])).toThrow(/columns 2 of 2/)
    expect(() => sumOfColumns([1, 2, 3], 2, [0])).toThrow(/3 numbers of 2 tokens/)
  })
})

describe('blendLatents', () => {
  it('takes source or target to the bit, and what lies between by its share', () => {
    const source = Float32Array.of(0.1, 1e30, 3, -0, NaN, 4)
    const target = Float32Array.of(0.7, 2, 5, 7, 8, 6)
    expect([...blendLatents(source, target, Float32Array.of(0, 1, 0.5))]).toEqual([source[0], 2, 4, -0, 8, 5])
    expect(() => blendLatents(source, target, new Float32Array(4))).toThrow(/4 of the mask/)
  })
})

const square = (side: number) => ({ width: side, height: side, layers: side })

describe('chooseBlendGrid', () => {
  it('is 16×16 for 512×512, and a quarter of the latents elsewhere', () => {
    const grids = [64, 32, 16, 8].map(square)
    expect(chooseBlendGrid(grids, square(64)).width).toBe(16)
    expect(chooseBlendGrid([128, 64, 32].map(square), square(128)).layers).toBe(32)
    expect(chooseBlendGrid([64, 32].map(square), square(64)).width).toBe(32)
    const wide = [
      { width: 83, height: 55 },
      { width: 42, height: 28 },
      { width: 21, height: 14 },
    ]
    expect(chooseBlendGrid(wide, { width: 83, height: 55 })).toEqual({ width: 21, height: 14 })
  })

  it('takes the finer of two that are as near, and refuses none', () => {
    expect(chooseBlendGrid([square(12), square(20)], square(64)).width).toBe(20)
    expect(() => chooseBlendGrid([], square(64))).toThrow(/No layer was captured/)
  })
})
