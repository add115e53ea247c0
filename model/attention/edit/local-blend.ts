/**
 * Local blend: an edit changes the picture only where its words are. The maps of the chosen words, summed over steps,
 * heads and layers, make a mask at latent size; outside of it the latents are the source's.
 *
 *   map of a text → sum over its words → 3×3 maximum → nearest neighbour to latent size → ÷ largest → > threshold
 *   mask = (source's or target's) and not (the same of the words to keep out, without the 3×3 maximum)
 *   x_t ← x_source + mask · (x_target − x_source)
 *
 * Differences from the reference: sizes are true heights and widths, and the nearest neighbour is exact (torch rounds
 * the scale to single precision, which moves a row in rare ratios). A text without chosen words adds nothing, where the
 * reference divides 0 by 0; when no text has any, the edit is everywhere, apart from the words to keep out.
 *
 * Axis letters: L = h·w positions of the maps' grid, T captured tokens, H·W positions of the latents.
 * Source: google/prompt-to-prompt `null_text_w_ptp.ipynb`, `LocalBlend` (behaviour).
 */
import { AttuneError, invariant } from '../../contract/errors.ts'
import { checkGrid, type Grid } from '../resize.ts'

/** Of the reference's maps. */
const usualSide = 16
const wanted = (side: number): number => Math.max(side / 4, Math.min(side, usualSide))

/** The maps of one text's words: one map, [L], or nothing where no word was chosen. */
export interface BlendMaps {
  readonly source?: ArrayLike<number> | undefined
  readonly target?: ArrayLike<number> | undefined
}

export interface BlendOptions {
  /** Of the maps. */
  readonly grid: Grid
  readonly latent: Grid
  readonly maps: BlendMaps
  /** Of words that are never changed. */
  readonly subtract?: BlendMaps
  /** Of the largest value; 0.3 is the reference's. */
  readonly threshold: number
}

/**
 * The sum over chosen columns.
 * @param sums [L, T], summed over steps; a mean over heads and layers (`LiveMaps.sums`)
 * @param columns of T; a column that is named twice counts once
 * @returns [L]
 */
export function sumOfColumns(
  sums: ArrayLike<number>,
  tokens: number,
  columns: readonly number[],
): Float64Array {
  const positions = sums.length / tokens
  invariant(Number.isInteger(positions), `sumOfColumns: ${sums.length} numbers of ${tokens} tokens`)
  const chosen = [...new Set(columns)]
  invariant(
    chosen.every(column => Number.isInteger(column) && column >= 0 && column < tokens),
    `sumOfColumns: columns ${columns.join(', ')} of ${tokens}`,
  )
  return Float64Array.from({ length: positions }, (_, at) =>
    chosen.reduce((sum, column) => sum + (sums[at * tokens + column] as number), 0),
  )
}

/** Where the edit may change the picture: 1 or 0 for each position of the latents, [H·W]. */
export function blendMask({ grid, latent, maps, subtract, threshold }: BlendOptions): Float32Array {
  checkGrid(grid)
  checkGrid(latent)
  const regionOf = (map: ArrayLike<number>, pools: boolean): Uint8Array => {
    invariant(map.length === grid.width * grid.height, `blendMask: ${map.length} numbers of a map`)
    return overThreshold(enlarge(pools ? maximum3x3(map, grid) : map, grid, latent), threshold)
  }
  const changed = present(maps).map(map => regionOf(map, true))
  const kept = present(subtract ?? {}).map(map => regionOf(map, false))
  return Float32Array.from({ length: latent.width * latent.height }, (_, at) => {
    const isInside = changed.length === 0 || changed.some(region => region[at] === 1)
    return isInside && !kept.some(region => region[at] === 1) ? 1 : 0
  })
}

/**
 * x_source + mask · (x_target − x_source), to the bit the one or the other where the mask is 0 or 1.
 * @param source latents, [C, H, W]
 * @param target latents, [C, H, W]
 * @param mask [H·W]
 * @returns [C, H, W]
 */
export function blendLatents(source: Float32Array, target: Float32Array, mask: Float32Array): Float32Array {
  const positions = mask.length
  invariant(
    source.length === target.length && source.length % positions === 0,
    `blendLatents: ${source.length} and ${target.length} numbers, ${positions} of the mask`,
  )
  return target.map((value, i) => {
    const base = source[i] as number
    const share = mask[i % positions] as number
    return share === 0 ? base : share === 1 ? value : base + share * (value - base)
  })
}

/**
 * The grid whose maps the blend takes. For a picture of 512×512 the reference's 16×16, a quarter of the latent; a larger
 * picture has a quarter as well. A small latent has finer layers with maps that are as sharp, and a quarter of it would
 * tell nothing: there it is the grid nearest to 16, or to the latent itself. Of two that are as near, the finer.
 * @throws AttuneError `bad-argument` when there is none
 */
export function chooseBlendGrid<G extends Grid>(grids: readonly G[], latent: Grid): G {
  const distance = ({ width, height }: Grid): number =>
    Math.abs(width - wanted(latent.width)) + Math.abs(height - wanted(latent.height))
  const [best] = grids.toSorted(
    (a, b) => distance(a) - distance(b) || b.width * b.height - a.width * a.height,
  )
  if (best) return best
  throw new AttuneError(
    'bad-argument',
    'No layer was captured whose maps could tell where the words of the edit are.',
    'Capture at least one cross-attention layer.',
  )
}

function present({ source, target }: BlendMaps): ArrayLike<number>[] {
  return [source, target].filter(map => map !== undefined)
}

/** The largest of each position and its neighbours, [L]. */
function maximum3x3(map: ArrayLike<number>, { width, height }: Grid): Float64Array {
  const result = new Float64Array(map.length)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let largest = -Infinity
      for (let ny = Math.max(0, y - 1); ny <= Math.min(height - 1, y + 1); ny++) {
        for (let nx = Math.max(0, x - 1); nx <= Math.min(width - 1, x + 1); nx++) {
          largest = Math.max(largest, map[ny * width + nx] as number)
        }
      }
      result[y * width + x] = largest
    }
  }
  return result
}

/** The position of the grid that covers the upper left corner of each position of the latents, [H·W]. */
function enlarge(map: ArrayLike<number>, grid: Grid, latent: Grid): Float64Array {
  const columns = Array.from({ length: latent.width }, (_, x) => Math.floor((x * grid.width) / latent.width))
  const result = new Float64Array(latent.width * latent.height)
  for (let y = 0; y < latent.height; y++) {
    const row = Math.floor((y * grid.height) / latent.height) * grid.width
    for (let x = 0; x < latent.width; x++) {
      result[y * latent.width + x] = map[row + (columns[x] as number)] as number
    }
  }
  return result
}

/** 1 where a value is larger than this share of the largest. A map of nothing is over no threshold. */
function overThreshold(map: Float64Array, threshold: number): Uint8Array {
  const largest = map.reduce((a, b) => Math.max(a, b), 0)
  return Uint8Array.from(map, value => (largest > 0 && value / largest > threshold ? 1 : 0))
}
