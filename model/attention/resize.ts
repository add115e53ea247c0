/**
 * Resizing of attention maps, in two kinds that other people's numbers depend on: PyTorch's antialiased bilinear,
 * which our own maps use, and its bicubic, which DAAM uses. (`image/heat.ts` resizes for the eye, with other taps.)
 *
 * A map is [H, W], row by row. Both kinds put sample i at (i + ½)·scale, so a grid of 8×8 and one of 64×64 cover the
 * same picture, and every row of taps sums to 1: a constant map stays what it is.
 *
 * Source: torch.nn.functional.interpolate(align_corners=False), modes 'bilinear' with antialias=True and 'bicubic'
 * without; written from its documentation and checked against its numbers (test/fixtures/make/attention_maps.py).
 */
import { AttuneError } from '../contract/errors.ts'

/** Positions across and down. */
export interface Grid {
  readonly width: number
  readonly height: number
}

/** The inputs that make one output, and their weights; an input repeats where the border does. */
interface Taps {
  readonly indices: readonly number[]
  readonly weights: readonly number[]
}

/**
 * Linear where the map grows, a triangle as wide as the covered area where it shrinks, so that no position is lost.
 * Values stay within the source's range.
 * @param data [H, W] of `from`
 * @returns [H', W'] of `to`, in double precision
 * @throws AttuneError `bad-argument` when a side is no whole number above 0, or the data does not fill the grid
 */
export function resizeBilinear(data: ArrayLike<number>, from: Grid, to: Grid): Float64Array {
  return resize(data, from, to, triangleTaps)
}

/**
 * Cubic convolution with a = −0.75 over four positions each way, no antialiasing, the border repeated. It overshoots:
 * results may be negative where the source is not.
 * @param data [H, W] of `from`
 * @returns [H', W'] of `to`, in double precision
 * @throws AttuneError `bad-argument` when a side is no whole number above 0, or the data does not fill the grid
 */
export function resizeBicubic(data: ArrayLike<number>, from: Grid, to: Grid): Float64Array {
  return resize(data, from, to, cubicTaps)
}

/** Throws `bad-argument` unless both sides are whole numbers above 0. */
export function checkGrid({ width, height }: Grid): void {
  if (Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0) return
  throw new AttuneError(
    'bad-argument',
    `A map cannot be ${width} positions wide and ${height} high.`,
    'Give a width and a height that are whole numbers above 0.',
  )
}

function resize(
  data: ArrayLike<number>,
  from: Grid,
  to: Grid,
  tapsOf: (from: number, to: number) => Taps[],
): Float64Array {
  checkGrid(from)
  checkGrid(to)
  if (data.length !== from.width * from.height) {
    throw new AttuneError(
      'bad-argument',
      `${data.length} numbers do not fill a map of ${from.width}×${from.height}.`,
      'Give one number for each position.',
    )
  }
  // Both kinds leave a map of the wanted size alone, to the bit.
  if (from.width === to.width && from.height === to.height) return Float64Array.from(data)
  const across = new Float64Array(from.height * to.width)
  tapsOf(from.width, to.width).forEach(({ indices, weights }, x) => {
    for (let y = 0; y < from.height; y++) {
      let sum = 0
      for (let i = 0; i < indices.length; i++) {
        sum += (weights[i] as number) * (data[y * from.width + (indices[i] as number)] as number)
      }
      across[y * to.width + x] = sum
    }
  })
  const result = new Float64Array(to.height * to.width)
  tapsOf(from.height, to.height).forEach(({ indices, weights }, y) => {
    for (let i = 0; i < indices.length; i++) {
      const [origin, weight] = [(indices[i] as number) * to.width, weights[i] as number]
      const target = y * to.width
      for (let x = 0; x < to.width; x++) {
        result[target + x] = (result[target + x] as number) + weight * (across[origin + x] as number)
      }
    }
  })
  return result
}

function triangleTaps(from: number, to: number): Taps[] {
  const scale = from / to
  // Narrower than one position the triangle would miss samples: where the map grows it stays plain linear.
  const reach = Math.max(1, scale)
  return Array.from({ length: to }, (_, at) => {
    const centre = scale * (at + 0.5)
    const first = Math.max(0, Math.trunc(centre - reach + 0.5))
    const end = Math.min(from, Math.trunc(centre + reach + 0.5))
    const indices = Array.from({ length: end - first }, (_, i) => first + i)
    const raw = indices.map(index => Math.max(0, 1 - Math.abs((index + 0.5 - centre) / reach)))
    const total = raw.reduce((sum, weight) => sum + weight, 0)
    return { indices, weights: raw.map(weight => weight / total) }
  })
}

function cubicTaps(from: number, to: number): Taps[] {
  const a = -0.75
  const near = (x: number): number => ((a + 2) * x - (a + 3)) * x * x + 1
  const far = (x: number): number => ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
  return Array.from({ length: to }, (_, at) => {
    const source = (from / to) * (at + 0.5) - 0.5
    const base = Math.floor(source)
    const t = source - base
    return {
      indices: [-1, 0, 1, 2].map(offset => Math.min(from - 1, Math.max(0, base + offset))),
      weights: [far(t + 1), near(t), near(1 - t), far(2 - t)],
    }
  })
}
