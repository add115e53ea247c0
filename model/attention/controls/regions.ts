/**
 * Texts for parts of the picture (conventions C14), in two laws that trade differently:
 *
 * - `mix` (attention couple): every text has a softmax of its own, and a position takes from each by its mask. Texts do
 *   not compete, so a region with few or weak words is drawn all the same, and soft edges are soft; it costs another walk
 *   over the text in each cross-attention layer for every region.
 * - `isolate` (InvokeAI): one softmax over all texts, in which a position does not see the tokens of other regions. One
 *   walk, but texts that a position does see compete inside the softmax: a long base text can starve a short region, and
 *   masks are hard. Weights, soft edges and the base's weight have no place in it.
 *
 * Neither keeps LoRAs apart or stops the picture's attention to itself from carrying things across an edge; mixing the
 * predictions of several passes would, at the price of those passes.
 *
 * Axis letters: L = h·w positions, G = 1 + R sources (the request's own prompt, "base", then the regions in order),
 * S tokens of all sources, B samples.
 */
import type { Region, RegionsControl } from '../../contract/controls.ts'
import { invariant } from '../../contract/errors.ts'
import type { AttentionSource } from '../../graph/ops.ts'
import type { Grid } from '../resize.ts'
import {
  type ControlWarning,
  emptyWindow,
  type PreparedMask,
  prepareMask,
  preparedMaskAt,
  quoted,
  regionMaskAt,
  smallRegion,
} from './mask.ts'
import { type Field, poolByTwo } from './mask-resample.ts'

/** What a position gets on the logit of a token that it must not see: e^−10000 is 0, and f16 holds it. */
export const hiddenBias = -10_000

export interface PreparedRegions {
  readonly control: RegionsControl
  /** R. */
  readonly masks: readonly PreparedMask[]
}

/**
 * Decodes and checks the masks of all regions.
 * @throws AttuneError `bad-argument` for a mask with nothing inside
 */
export function prepareRegions(control: RegionsControl, picture: Grid): PreparedRegions {
  const masks = control.regions.map(region =>
    prepareMask(region.mask, {
      // A hard mask has no soft edge.
      feather: control.law === 'mix' ? region.feather : 0,
      picture,
      name: nameOf(region),
    }),
  )
  return { control, masks }
}

/**
 * The law `mix`: how much of each text a position takes.
 *
 * With the masks m_r and weights w_r of the regions and the base's weight b, the regions cover c = min(1, Σ m) of a
 * position (neighbours share an edge, so their parts add up). That part is divided between the base, b / (b + W), and
 * the regions, W / (b + W) in proportion to w_r · m_r, where W = Σ w·m / Σ m; the rest, 1 − c, is the base's. So a soft
 * edge goes over into the base, overlapping regions share by weight, and every position's row sums to 1.
 *
 * @returns [L, G], the base and then the regions
 */
export function regionMasks(
  { control: { regions, baseWeight }, masks }: PreparedRegions,
  grid: Grid,
): Float32Array {
  const found = masks.map(mask => regionMaskAt(mask, grid).values)
  const [positions, sources] = [grid.width * grid.height, 1 + regions.length]
  const result = new Float32Array(positions * sources)
  for (let position = 0; position < positions; position++) {
    let [inside, claimed] = [0, 0]
    for (let r = 0; r < regions.length; r++) {
      const value = found[r]?.[position] as number
      inside += value
      claimed += value * (regions[r] as Region).weight
    }
    const row = position * sources
    let base = 1
    // Regions that claim nothing leave everything to the base, also one that would count nothing.
    if (claimed > 0) {
      const weight = claimed / inside
      const share = (Math.min(1, inside) * weight) / (baseWeight + weight)
      for (let r = 0; r < regions.length; r++) {
        const value = found[r]?.[position] as number
        result[row + 1 + r] = (share * value * (regions[r] as Region).weight) / claimed
      }
      base = 1 - share
    }
    result[row] = base
    invariant(base >= 0 && base <= 1, `the masks of position ${position} sum to 1`)
  }
  return result
}

/** Where the texts stand among the tokens. */
export interface IsolationLayout {
  /** S. */
  readonly tokens: number
  /** The base and then the regions in order. Sources behind them are seen from everywhere, tokens of none nowhere. */
  readonly sources: readonly AttentionSource[]
}

/**
 * The law `isolate`: the bias of one softmax over all tokens. 0 where a position may look: at the base's tokens from
 * everywhere, at a region's from inside of it; `hiddenBias` elsewhere. A position of no region sees the base only.
 *
 * As in InvokeAI, a position of the latent is inside where at least half of it is, and every coarser grid is a 2×2
 * max-pooling with ceil of the one before, so that no region vanishes. A region that has half of no position takes all
 * that it touches.
 *
 * @param finest the latent's grid (or that of the network's finest layer), of which `grid` is ⌈h/2ⁿ⌉×⌈w/2ⁿ⌉
 * @returns [L, S]
 */
export function isolationBias(
  { control: { regions }, masks }: PreparedRegions,
  { tokens, sources }: IsolationLayout,
  grid: Grid,
  finest: Grid,
): Float32Array {
  invariant(sources.length > regions.length, `${sources.length} texts for ${regions.length} regions`)
  const positions = grid.width * grid.height
  const bias = new Float32Array(positions * tokens).fill(hiddenBias)
  sources.forEach(({ start, length }, source) => {
    invariant(start + length <= tokens, `${tokens} tokens are too few for ${length} at ${start}`)
    const mask = source > 0 ? masks[source - 1] : undefined
    const inside = mask && poolTo(hardMask(mask, finest).field, grid).values
    for (let position = 0; position < positions; position++) {
      if (inside && !inside[position]) continue
      bias.fill(0, position * tokens + start, position * tokens + start + length)
    }
  })
  return bias
}

/**
 * Output masks of a batch, [B, L, G]: rows that have masks take them, rows without take from the base only.
 * @param rows for each sample its masks [L, G], such as those of the conditional and the unconditional half; a sample
 *   outside the regions' window has none
 */
export function rowMasks(
  rows: readonly (Float32Array | undefined)[],
  positions: number,
  sources: number,
): Float32Array {
  const size = positions * sources
  const result = new Float32Array(rows.length * size)
  rows.forEach((masks, row) => {
    if (masks) {
      invariant(masks.length === size, `${masks.length} values are not masks of ${positions}×${sources}`)
      result.set(masks, row * size)
    } else {
      for (let position = 0; position < positions; position++) result[row * size + position * sources] = 1
    }
  })
  return result
}

/**
 * What is odd about regions, for a run of `count` evaluations and the grids of the network's layers: a window that holds
 * nothing, regions smaller than a position, and what the law `isolate` does not know.
 */
export function regionWarnings(
  { control, masks }: PreparedRegions,
  count: number,
  grids: readonly Grid[],
): ControlWarning[] {
  const { regions, law, window } = control
  const warnings: ControlWarning[] = []
  const empty = emptyWindow('regions', window, count)
  if (empty) warnings.push(empty)
  const coarser = grids.toSorted((a, b) => b.width * b.height - a.width * a.height)
  for (const [r, mask] of masks.entries()) {
    const small =
      law === 'mix'
        ? coarser.filter(grid => regionMaskAt(mask, grid).warning)
        : // The coarser grids are made from the finest.
          coarser.slice(0, 1).filter(grid => hardMask(mask, grid).isWidened)
    if (small.length > 0) warnings.push(smallRegion(mask.name, small))
    if (law === 'mix') continue
    const { weight, feather } = regions[r] as Region
    const ignored = [
      ...(weight === 1 ? [] : [`weight ${weight}`]),
      ...(feather === 0 ? [] : [`feather ${feather}`]),
    ]
    if (ignored.length === 0) continue
    warnings.push({
      code: 'isolate-ignores',
      text: `The ${mask.name ?? 'region'} has ${ignored.join(' and ')}, which isolated regions do not know. Use the law mix for it.`,
    })
  }
  return warnings
}

function nameOf({ prompt }: Region): string {
  return `region ${quoted(prompt)}`
}

/** 0 and 1 at the finest grid, with at least one 1. */
function hardMask(mask: PreparedMask, finest: Grid): { readonly field: Field; readonly isWidened: boolean } {
  const { width, height } = finest
  const values = preparedMaskAt(mask, finest).map(value => (value >= 0.5 ? 1 : 0))
  if (values.includes(1)) return { field: { width, height, values }, isWidened: false }
  const touched = preparedMaskAt(mask, finest, 'max').map(value => (value > 0 ? 1 : 0))
  return { field: { width, height, values: touched }, isWidened: true }
}

/** Halves a field until it has the grid. */
function poolTo(from: Field, grid: Grid): Field {
  let field = from
  while (field.width !== grid.width || field.height !== grid.height) {
    invariant(
      field.width * field.height > 1 && field.width >= grid.width && field.height >= grid.height,
      `a grid of ${grid.width}×${grid.height} is no half of ${from.width}×${from.height}`,
    )
    field = poolByTwo(field)
  }
  return field
}
