/**
 * The arithmetic below masks: values on a grid, brought to another grid, softened, pooled. Everything is separable, so
 * each function does the rows and then the columns. All grids cover the same picture: cell i of n covers the share
 * i/n … (i+1)/n of a side, whether or not the number of cells divides anything.
 */
import { invariant } from '../../contract/errors.ts'
import type { Grid } from '../resize.ts'

/** Values on a grid, [H, W], row by row. */
export interface Field extends Grid {
  readonly values: Float32Array
}

/** The inputs that make one output: from `first` on, one for each weight. */
interface Taps {
  readonly first: number
  readonly weights: readonly number[]
}

/**
 * Exact area average along a side that shrinks, linear along one that grows (the border repeated).
 * @returns [H', W'] of `to`, within the range of the source
 */
export function averageTo(source: Field, to: Grid): Field {
  return apply(source, to, averageTaps, (sum, value, weight) => sum + value * weight)
}

/** The largest value of all the source's cells that a cell touches: max-pooling with ceil, for any two grids. */
export function maximumTo(source: Field, to: Grid): Field {
  return apply(source, to, areaTaps, (most, value) => Math.max(most, value))
}

/** Max-pooling 2×2 whose last row and column may be half outside: ⌈H/2⌉×⌈W/2⌉. */
export function poolByTwo({ width, height, values }: Field): Field {
  const to = { width: Math.ceil(width / 2), height: Math.ceil(height / 2) }
  const result = new Float32Array(to.width * to.height)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = (y >> 1) * to.width + (x >> 1)
      result[at] = Math.max(result[at] as number, values[y * width + x] as number)
    }
  }
  return { ...to, values: result }
}

/**
 * Softens edges: convolved with a triangle whose foot is `across` cells wide and `down` cells high, so that a hard edge
 * becomes an S-curve of that width, half of it on either side. Beyond the border the field goes on as it ends there:
 * a mask that reaches the picture's edge has no edge there.
 */
export function soften(source: Field, across: number, down: number): Field {
  const { width, height } = source
  const values = Float64Array.from(source.values)
  // A triangle is a box convolved with itself.
  for (let pass = 0; pass < 2; pass++) {
    for (let y = 0; y < height; y++) boxBlur(values, y * width, 1, width, across / 2)
    for (let x = 0; x < width; x++) boxBlur(values, x, width, height, down / 2)
  }
  return { width, height, values: Float32Array.from(values) }
}

/** Each value becomes the mean over `reach` cells around its middle, in place; `reach` need not be whole. */
function boxBlur(values: Float64Array, start: number, pitch: number, count: number, reach: number): void {
  // Below one cell the box never leaves the cell.
  if (reach <= 1) return
  const sums = new Float64Array(count + 1)
  for (let i = 0; i < count; i++) sums[i + 1] = (sums[i] as number) + (values[start + i * pitch] as number)
  const [first, last] = [values[start] as number, values[start + (count - 1) * pitch] as number]
  const total = sums[count] as number
  /** The integral from the border to x. */
  const integral = (x: number): number => {
    if (x <= 0) return first * x
    if (x >= count) return total + last * (x - count)
    const cell = Math.floor(x)
    const sum = sums[cell] as number
    return sum + ((sums[cell + 1] as number) - sum) * (x - cell)
  }
  for (let i = 0; i < count; i++) {
    const mean = (integral(i + 0.5 + reach / 2) - integral(i + 0.5 - reach / 2)) / reach
    // Differences of sums are off by their last bits.
    values[start + i * pitch] = Math.min(1, Math.max(0, mean))
  }
}

/**
 * How much of each cell of a side the range covers, 0 to 1.
 * @param from and `to` are shares of the side
 */
export function coverage(from: number, to: number, cells: number): Float64Array {
  const [start, end] = [settle(from * cells), settle(to * cells)]
  return Float64Array.from({ length: cells }, (_, i) =>
    Math.max(0, Math.min(i + 1, end) - Math.max(i, start)),
  )
}

/** 0.1 + 0.2 is a hair above 0.3: no cell is touched by such a hair. */
function settle(value: number): number {
  const whole = Math.round(value)
  return Math.abs(value - whole) < 1e-9 ? whole : value
}

function apply(
  source: Field,
  to: Grid,
  tapsOf: (from: number, to: number) => Taps[],
  join: (so: number, value: number, weight: number) => number,
): Field {
  const { width, height, values } = source
  invariant(values.length === width * height, `a field of ${values.length} values is not ${width}×${height}`)
  if (width === to.width && height === to.height) return source
  const rows = new Float64Array(height * to.width)
  tapsOf(width, to.width).forEach(({ first, weights }, x) => {
    for (let y = 0; y < height; y++) {
      let so = 0
      for (let i = 0; i < weights.length; i++) {
        so = join(so, values[y * width + first + i] as number, weights[i] as number)
      }
      rows[y * to.width + x] = so
    }
  })
  const result = new Float32Array(to.height * to.width)
  tapsOf(height, to.height).forEach(({ first, weights }, y) => {
    for (let x = 0; x < to.width; x++) {
      let so = 0
      for (let i = 0; i < weights.length; i++) {
        so = join(so, rows[(first + i) * to.width + x] as number, weights[i] as number)
      }
      result[y * to.width + x] = so
    }
  })
  return { width: to.width, height: to.height, values: result }
}

function averageTaps(from: number, to: number): Taps[] {
  return to <= from ? areaTaps(from, to) : linearTaps(from, to)
}

/** Every source cell that an output cell touches, by the share of the output cell that it fills. */
function areaTaps(from: number, to: number): Taps[] {
  return Array.from({ length: to }, (_, at) => {
    const [start, end] = [(at * from) / to, ((at + 1) * from) / to]
    const first = Math.floor(start)
    const weights: number[] = []
    for (let i = first; i < end; i++) {
      weights.push(((Math.min(i + 1, end) - Math.max(i, start)) * to) / from)
    }
    return { first, weights }
  })
}

function linearTaps(from: number, to: number): Taps[] {
  return Array.from({ length: to }, (_, at) => {
    const centre = Math.min(from - 1, Math.max(0, ((at + 0.5) * from) / to - 0.5))
    const first = Math.min(Math.floor(centre), Math.max(0, from - 2))
    const share = centre - first
    return { first, weights: from === 1 ? [1] : [1 - share, share] }
  })
}
