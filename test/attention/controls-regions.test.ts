/** Regions and padding: NumPy's numbers (test/fixtures/make/attention_controls.py), sums, and what is never lost. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { addBias, hidePadding } from '../../model/attention/controls/padding.ts'
import {
  hiddenBias,
  isolationBias,
  prepareRegions,
  regionMasks,
  regionWarnings,
  rowMasks,
} from '../../model/attention/controls/regions.ts'
import type { Grid } from '../../model/attention/resize.ts'
import {
  type ControlMask,
  type ControlsInput,
  type RegionsControl,
  regionsSchema,
} from '../../model/contract/controls.ts'
import type { AttentionSource } from '../../model/graph/ops.ts'
import { chunkOf, packChunks, padChunks } from '../../model/text/chunks.ts'
import { largestDifference, unpack } from '../fixtures/attention-maps/draw.ts'

interface RegionCase {
  readonly regions: readonly { prompt: string; shape: string; weight: number; feather: number }[]
  readonly baseWeight: number
  readonly picture: Grid
  readonly finest: Grid
  readonly grid: Grid
  readonly mix: string
  readonly tokens: number
  readonly sources: readonly AttentionSource[]
  readonly isolate: string
}
const read = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../fixtures/attention-controls/${name}.json`, import.meta.url), 'utf8'))
const shapes = read('shapes') as Record<string, ControlMask>
const cases = (read('regions') as RegionCase[]).map(
  (each, i) => [i, `${each.grid.width}×${each.grid.height}`, each] as const,
)
const controlOf = ({ regions, baseWeight }: RegionCase, law: RegionsControl['law']): RegionsControl =>
  regionsSchema.parse({
    regions: regions.map(({ shape, ...region }) => ({ ...region, mask: shapes[shape] })),
    baseWeight,
    law,
  })

const rect = (x: number, y: number, width: number, height: number) =>
  ({ kind: 'rect', x, y, width, height }) as const
const left = { prompt: 'a dog', mask: rect(0, 0, 0.5, 1) }
const right = { prompt: 'a cat', mask: rect(0.5, 0, 0.5, 1) }
const picture = { width: 512, height: 512 }
const control = (value: ControlsInput['regions']) => regionsSchema.parse(value)

describe('the law mix', () => {
  it.each(cases)("gives NumPy's masks, case %d at %s, and rows that sum to 1", (_, __, each) => {
    const masks = regionMasks(prepareRegions(controlOf(each, 'mix'), each.picture), each.grid)
    expect(largestDifference(masks, unpack(each.mix))).toBeLessThan(1e-6)
    const sources = 1 + each.regions.length
    for (let row = 0; row < masks.length; row += sources) {
      const sum = masks.subarray(row, row + sources).reduce((a, b) => a + b, 0)
      expect(Math.abs(sum - 1)).toBeLessThan(1e-6)
    }
    expect(Math.min(...masks)).toBeGreaterThanOrEqual(0)
  })

  it('gives a region the share w / (w + base) of its inside, and the rest to the base', () => {
    const prepared = prepareRegions(control({ regions: [left], baseWeight: 0.25 }), picture)
    const masks = regionMasks(prepared, { width: 4, height: 1 })
    expect([...masks]).toEqual([0.2, 0.8, 0.2, 0.8, 1, 0, 1, 0].map(value => expect.closeTo(value, 6)))
  })

  it('lets neighbours share the position on their edge without a part for the base', () => {
    const prepared = prepareRegions(control({ regions: [left, right], baseWeight: 0 }), picture)
    expect([...regionMasks(prepared, { width: 3, height: 1 })]).toEqual([0, 1, 0, 0, 0.5, 0.5, 0, 0, 1])
  })

  it('shares by weight where regions lie over each other', () => {
    const both = [left, { ...left, prompt: 'a cat', weight: 3 }]
    const prepared = prepareRegions(control({ regions: both, baseWeight: 0 }), picture)
    expect([...regionMasks(prepared, { width: 2, height: 1 })]).toEqual([0, 0.25, 0.75, 1, 0, 0])
  })

  it('has no NaN where neither base nor region counts', () => {
    const idle = { ...left, weight: 0 }
    const prepared = prepareRegions(control({ regions: [idle], baseWeight: 0 }), picture)
    expect([...regionMasks(prepared, { width: 2, height: 1 })]).toEqual([1, 0, 1, 0])
    const soft = prepareRegions(
      control({
        regions: [
          { ...left, feather: 0.6 },
          { ...right, weight: 0, feather: 0.3 },
        ],
        baseWeight: 0,
      }),
      picture,
    )
    const masks = regionMasks(soft, { width: 32, height: 3 })
    expect(masks.every(value => value >= 0 && value <= 1)).toBe(true)
  })

  it('goes over into the base along a soft edge', () => {
    const prepared = prepareRegions(control({ regions: [{ ...left, feather: 0.5 }], baseWeight: 0 }), picture)
    const masks = regionMasks(prepared, { width: 16, height: 1 })
    const region = Array.from({ length: 16 }, (_, x) => masks[2 * x + 1] as number)
    expect(region).toEqual(region.toSorted((a, b) => b - a))
    for (let x = 0; x < 8; x++) {
      expect((region[x] as number) + (region[15 - x] as number)).toBeCloseTo(1, 6)
    }
  })
})

describe('the law isolate', () => {
  it.each(cases)('gives what pooling with ceil gives, case %d at %s', (_, __, each) => {
    const bias = isolationBias(
      prepareRegions(controlOf(each, 'isolate'), each.picture),
      each,
      each.grid,
      each.finest,
    )
    const [positions, G] = [each.grid.width * each.grid.height, each.sources.length]
    const expected = new Float32Array(positions * each.tokens).fill(hiddenBias)
    const columns = unpack(each.isolate)
    for (let position = 0; position < positions; position++) {
      each.sources.forEach(({ start, length }, source) => {
        const at = position * each.tokens + start
        expected.fill(columns[position * G + source] as number, at, at + length)
      })
    }
    expect(bias).toEqual(expected)
    // Every position sees the base, and every region is seen from somewhere.
    each.sources.forEach(({ start }, source) => {
      const seen = Array.from({ length: positions }, (_, l) => bias[l * each.tokens + start] === 0)
      expect(seen.includes(true)).toBe(true)
      if (source === 0) expect(seen.includes(false)).toBe(false)
    })
  })

  it('hides tokens between texts from everybody, and leaves sources behind the regions alone', () => {
    const prepared = prepareRegions(control({ regions: [left], law: 'isolate' }), picture)
    const sources = [
      { start: 0, length: 2 },
      { start: 4, length: 1 },
      { start: 8, length: 1 },
    ]
    const grid = { width: 2, height: 1 }
    const h = hiddenBias
    expect([...isolationBias(prepared, { tokens: 9, sources }, grid, grid)]).toEqual(
      [
        [0, 0, h, h, 0, h, h, h, 0],
        [0, 0, h, h, h, h, h, h, 0],
      ].flat(),
    )
    expect(() => isolationBias(prepared, { tokens: 8, sources }, grid, grid)).toThrow(/too few/)
    expect(() => isolationBias(prepared, { tokens: 9, sources: [] }, grid, grid)).toThrow(/0 texts/)
    expect(() => isolationBias(prepared, { tokens: 9, sources }, grid, { width: 3, height: 7 })).toThrow(
      /no half of/,
    )
  })
})

describe('rows and warnings', () => {
  it('assembles masks for rows that have them, the base for others', () => {
    const masks = Float32Array.of(0.2, 0.8, 1, 0)
    expect([...rowMasks([undefined, masks], 2, 2)]).toEqual([1, 0, 1, 0, ...masks])
    expect(() => rowMasks([masks], 3, 2)).toThrow(/no masks|not masks/)
  })

  it('names what is small, what is ignored, and what never happens', () => {
    const tiny = { prompt: 'a bee', mask: rect(0.3, 0.3, 0.02, 0.02), weight: 2, feather: 0.1 }
    const window = { start: 0.5, end: 0.51 }
    const grids = [64, 32, 16, 8].map(side => ({ width: side, height: side }))
    const codes = (law: RegionsControl['law'], count: number) =>
      regionWarnings(
        prepareRegions(
          control({ regions: [left, { ...tiny, feather: law === 'mix' ? 0 : 0.1 }], law, window }),
          picture,
        ),
        count,
        grids,
      ).map(({ code }) => code)
    expect(codes('mix', 20)).toEqual(['empty-window', 'small-region'])
    expect(codes('mix', 100)).toEqual(['small-region'])
    expect(codes('isolate', 100)).toEqual(['isolate-ignores'])
    const [small] = regionWarnings(
      prepareRegions(control({ regions: [{ ...tiny, feather: 0 }] }), picture),
      20,
      grids,
    )
    expect(small?.text).toContain(
      'The region "a bee" is smaller than one position of the layers of 32×32, 16×16, 8×8:',
    )
  })

  it('refuses empty regions by name', () => {
    const empty = { prompt: 'a dog', mask: rect(0.2, 0.2, 0, 1) }
    expect(() => prepareRegions(control({ regions: [empty] }), picture)).toThrow(
      /The mask of the region "a dog" is empty/,
    )
  })
})

describe('padding', () => {
  const special = { bosId: 1, eosId: 2, padId: 2 }
  const token = { id: 7, text: 'x', start: 0, end: 1, word: 0 }

  it('hides what lies behind the first EOS of each chunk', () => {
    const chunks = padChunks(
      packChunks(
        Array.from({ length: 76 }, () => token),
        special,
      ),
      3,
      special,
    )
    const bias = hidePadding([{ chunks }], 231)
    const visible = [...bias.keys()].filter(i => bias[i] === 0)
    // 75 tokens fill the first chunk; the second has one; the third none.
    expect(visible).toEqual([...Array.from({ length: 77 }, (_, i) => i), 77, 78, 79, 154, 155])
    expect(new Set(bias)).toEqual(new Set([0, hiddenBias]))
  })

  it('begins where a text begins, and leaves other tokens alone', () => {
    const chunks = [chunkOf([token, token], special)]
    const bias = hidePadding([{ chunks }, { chunks, start: 80 }], 160)
    const at = (...tokens: number[]) => tokens.map(each => bias[each])
    expect(at(3, 4, 76, 77, 79)).toEqual([0, hiddenBias, hiddenBias, 0, 0])
    expect(at(80, 83, 84, 156, 157)).toEqual([0, 0, hiddenBias, hiddenBias, 0])
    expect(() => hidePadding([{ chunks, start: 80 }], 156)).toThrow(/too few/)
  })

  it('adds parts to one sample, by position or to all alike', () => {
    const shape = { rows: 2, positions: 2, tokens: 3 }
    const bias = new Float32Array(12)
    addBias(bias, shape, 1, Float32Array.of(0, 5, 1))
    addBias(bias, shape, 1, Float32Array.of(1, 2, 3, 4, 5, 6))
    addBias(bias, shape, 0, undefined)
    expect([...bias]).toEqual([0, 0, 0, 0, 0, 0, 1, 7, 4, 4, 10, 7])
    expect(() => addBias(bias, shape, 2, Float32Array.of(1, 2, 3))).toThrow(/row 2/)
    expect(() => addBias(bias, shape, 0, Float32Array.of(1, 2))).toThrow(/a bias of 2/)
  })
})
