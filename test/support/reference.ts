/**
 * The operations in plain f64 loops, written from their formulas and independent of the graph interpreter: the oracle
 * of the kernel tests. Arrays are dense and row-major.
 */
type Values = ArrayLike<number>

const at = (values: Values, index: number): number => values[index] as number

/** x [B, P, C] in groups of channels, biased variance; weight and bias [C]. */
export function groupNorm(
  x: Values,
  [batch, positions, channels]: readonly [number, number, number],
  groups: number,
  weight: Values,
  bias: Values,
  eps: number,
): Float64Array {
  const y = new Float64Array(batch * positions * channels)
  const size = channels / groups
  for (let b = 0; b < batch; b++) {
    for (let g = 0; g < groups; g++) {
      const indices: number[] = []
      for (let p = 0; p < positions; p++) {
        for (let c = g * size; c < (g + 1) * size; c++) indices.push((b * positions + p) * channels + c)
      }
      const { mean, variance } = moments(indices.map(index => at(x, index)))
      for (const index of indices) {
        const c = index % channels
        y[index] = ((at(x, index) - mean) / Math.sqrt(variance + eps)) * at(weight, c) + at(bias, c)
      }
    }
  }
  return y
}

export function layerNorm(
  x: Values,
  columns: number,
  weight: Values,
  bias: Values,
  eps: number,
): Float64Array {
  const y = new Float64Array(x.length)
  for (let start = 0; start < x.length; start += columns) {
    const row = Array.from({ length: columns }, (_, c) => at(x, start + c))
    const { mean, variance } = moments(row)
    for (const [c, value] of row.entries()) {
      y[start + c] = ((value - mean) / Math.sqrt(variance + eps)) * at(weight, c) + at(bias, c)
    }
  }
  return y
}

export function rmsNorm(x: Values, columns: number, weight: Values, eps: number): Float64Array {
  const y = new Float64Array(x.length)
  for (let start = 0; start < x.length; start += columns) {
    let squares = 0
    for (let c = 0; c < columns; c++) squares += at(x, start + c) ** 2
    for (let c = 0; c < columns; c++) {
      y[start + c] = (at(x, start + c) / Math.sqrt(squares / columns + eps)) * at(weight, c)
    }
  }
  return y
}

function moments(values: readonly number[]): { mean: number; variance: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length
  return { mean, variance }
}

/** erf to 1e-15: Maclaurin series for small arguments, continued fraction of erfc for large ones. */
export function erf(x: number): number {
  const z = Math.abs(x)
  if (z > 6) return Math.sign(x)
  if (z < 3) {
    let term = z
    let sum = z
    for (let n = 1; n < 80; n++) {
      term *= (-z * z) / n
      sum += term / (2 * n + 1)
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI)
  }
  let fraction = 0
  for (let n = 60; n >= 1; n--) fraction = n / 2 / (z + fraction)
  return Math.sign(x) * (1 - Math.exp(-z * z) / (Math.sqrt(Math.PI) * (z + fraction)))
}

export const activations = {
  none: (x: number) => x,
  silu: (x: number) => x / (1 + Math.exp(-x)),
  gelu: (x: number) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  quick_gelu: (x: number) => x / (1 + Math.exp(-1.702 * x)),
} as const

/** x [R, 2C] → value · gelu(gate) [R, C]. */
export function geglu(x: Values, columns: number): Float64Array {
  return Float64Array.from({ length: x.length / 2 }, (_, index) => {
    const start = Math.floor(index / columns) * 2 * columns + (index % columns)
    return at(x, start) * activations.gelu(at(x, start + columns))
  })
}

export interface AttentionCase {
  readonly batch: number
  readonly length: number
  readonly keys: number
  readonly heads: number
  readonly headSize: number
  readonly softmaxScale: number
  readonly causal: boolean
  /** [B, L, N·D]. */
  readonly query: Values
  /** [B or 1, S, N·D]. */
  readonly key: Values
  readonly value: Values
  /** [B or 1, L or 1, S], as its two leading sizes say. */
  readonly logitBias?: { readonly batch: number; readonly length: number; readonly values: Values }
  /** [B or 1, S]. */
  readonly tokenScale?: Values
  readonly valueGain?: Values
}

/** y [B, L, N·D] and the probabilities after tokenScale [B, N, L, S], by the formula of `AttentionOp`. */
export function attention(given: AttentionCase): { y: Float64Array; probabilities: Float64Array } {
  const { batch, length, keys, heads, headSize, logitBias, tokenScale, valueGain } = given
  const width = heads * headSize
  const y = new Float64Array(batch * length * width)
  const probabilities = new Float64Array(batch * heads * length * keys)
  const keyBatches = given.key.length / (keys * width)
  for (let b = 0; b < batch; b++) {
    const keyStart = (keyBatches === 1 ? 0 : b) * keys * width
    const perToken = (values: Values | undefined, s: number): number =>
      values ? at(values, (values.length === keys ? 0 : b) * keys + s) : 1
    for (let n = 0; n < heads; n++) {
      for (let l = 0; l < length; l++) {
        const logits = Array.from({ length: keys }, (_, s) => {
          if (given.causal && s > l) return -Infinity
          let sum = 0
          for (let d = 0; d < headSize; d++) {
            sum +=
              at(given.query, (b * length + l) * width + n * headSize + d) *
              at(given.key, keyStart + s * width + n * headSize + d)
          }
          sum *= given.softmaxScale
          if (logitBias) {
            const row = (logitBias.batch === 1 ? 0 : b) * logitBias.length + (logitBias.length === 1 ? 0 : l)
            sum += at(logitBias.values, row * keys + s)
          }
          return sum
        })
        const top = Math.max(...logits)
        const weights = logits.map(logit => Math.exp(logit - top))
        const total = weights.reduce((sum, weight) => sum + weight, 0)
        for (let s = 0; s < keys; s++) {
          const p = ((weights[s] as number) / total) * perToken(tokenScale, s)
          probabilities[((b * heads + n) * length + l) * keys + s] = p
          const weighted = p * perToken(valueGain, s)
          for (let d = 0; d < headSize; d++) {
            const index = (b * length + l) * width + n * headSize + d
            y[index] =
              (y[index] as number) + weighted * at(given.value, keyStart + s * width + n * headSize + d)
          }
        }
      }
    }
  }
  return { y, probabilities }
}
