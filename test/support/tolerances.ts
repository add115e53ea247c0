/**
 * How far a kernel may be from the f64 reference. The bound for an element is `absolute + relative · |expected|`.
 */
export interface Tolerance {
  readonly absolute: number
  readonly relative: number
}

/** Data is only moved. */
export const exact: Tolerance = { absolute: 0, relative: 0 }

/** A few roundings of f32 (2^-24 each) and WGSL's exp, which may be off by 3 + 2|x| ulp; gelu's erf by 1.2e-7. */
export const elementwiseF32: Tolerance = { absolute: 1e-6, relative: 4e-6 }

/** Two roundings of the result to a half: 2^-11 each, and the smallest normal half as the floor. */
export const storedF16: Tolerance = { absolute: 1e-4, relative: 1e-3 }

/** Sums of some thousand squares of order 1: each addition rounds by 2^-24, errors grow with the square root. */
export const normF32: Tolerance = { absolute: 1e-5, relative: 1e-5 }

/**
 * A norm of values near 1000 with deviation 1. f32 itself stores such inputs to 6e-5 and the mean to 3e-5; inputs are
 * compared as stored, so what remains is the rounding of the mean and of the difference.
 */
export const normLargeMeanF32: Tolerance = { absolute: 1e-4, relative: 1e-5 }

/** Logits of some units through exp, then a convex sum of values of order 1. */
export const attentionF32: Tolerance = { absolute: 5e-6, relative: 1e-5 }

/** The largest violation, as a factor of the bound (≤ 1 passes), and where it is. */
export function worst(
  found: Float32Array,
  expected: ArrayLike<number>,
  tolerance: Tolerance,
): { factor: number; index: number; found: number; expected: number } {
  if (found.length !== expected.length)
    throw new Error(`${found.length} elements instead of ${expected.length}`)
  let result = { factor: 0, index: -1, found: 0, expected: 0 }
  for (const [index, value] of found.entries()) {
    const wanted = expected[index] as number
    const difference = Math.abs(value - wanted)
    const bound = tolerance.absolute + tolerance.relative * Math.abs(wanted)
    // NaN and infinities are never close; a difference of 0 always is.
    const factor = difference === 0 ? 0 : Number.isFinite(difference) ? difference / bound : Infinity
    if (factor > result.factor) result = { factor, index, found: value, expected: wanted }
  }
  return result
}
