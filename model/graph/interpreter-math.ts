/** The scalar functions of the interpreter, in f64. */
import type { Activation } from './ops.ts'

const twoOverSqrtPi = 2 / Math.sqrt(Math.PI)

/**
 * The error function to about 1e-15, by the series of positive terms erf x = 2/√π e^(-x²) Σ 2ⁿ x^(2n+1) / (2n+1)!!
 * (Abramowitz & Stegun 7.1.6): nothing cancels, so it is as exact as it is slow.
 */
export function erf(x: number): number {
  if (Number.isNaN(x)) return x
  // erf 6 differs from 1 by 2e-17, less than half a unit in the last place.
  if (Math.abs(x) >= 6) return Math.sign(x)
  const step = 2 * x * x
  let term = x
  let sum = x
  for (let n = 1; Math.abs(term) > Math.abs(sum) * 1e-17; n++) {
    term *= step / (2 * n + 1)
    sum += term
  }
  return twoOverSqrtPi * Math.exp(-x * x) * sum
}

/** x · Φ(x), exact (Hendrycks & Gimpel 2016). */
export function gelu(x: number): number {
  return 0.5 * x * (1 + erf(x * Math.SQRT1_2))
}

/** x · σ(x). */
export function silu(x: number): number {
  return x / (1 + Math.exp(-x))
}

/** x · σ(1.702 x), the approximation that CLIP was trained with. */
export function quickGelu(x: number): number {
  return x / (1 + Math.exp(-1.702 * x))
}

/** Applies the activation to all of `values` in place. */
export function activateInPlace(values: Float64Array, activation: Activation): void {
  if (activation === 'none') return
  const apply = activation === 'silu' ? silu : activation === 'gelu' ? gelu : quickGelu
  for (let i = 0; i < values.length; i++) values[i] = apply(values[i] as number)
}
