/**
 * Every operation of `ops.ts` written out as its docstring says, in f64. This is the oracle: where a formula can be
 * read off the page it is, and speed comes only from plain loops.
 */
import { lastAxis, rowCount } from '../tensor/shape.ts'
import { activateInPlace, gelu } from './interpreter-math.ts'
import type {
  BinaryOp,
  Conv2dOp,
  GroupNormOp,
  LayerNormOp,
  LinearOp,
  RmsNormOp,
  RowMomentsOp,
  SliceOp,
  UpsampleOp,
} from './ops.ts'

export type Values = Float64Array

/** x [..., K] · concat(weights)ᵀ + concat(biases), activation, residual → [..., ΣNi] or, with GEGLU, half of that. */
export function linear(
  op: LinearOp,
  x: Values,
  weights: readonly Float32Array[],
  biases: readonly (Float32Array | null)[],
  residual: Values | undefined,
): Values {
  const k = lastAxis(op.inputs.x.shape)
  const rows = rowCount(op.inputs.x.shape)
  const columns = op.weights.reduce((sum, weight) => sum + (weight.shape[0] ?? 0), 0)
  let y: Values = new Float64Array(rows * columns)
  let firstColumn = 0
  for (const [index, weight] of weights.entries()) {
    const n = op.weights[index]?.shape[0] ?? 0
    const bias = biases[index]
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < n; column++) {
        let sum = bias ? (bias[column] as number) : 0
        const xStart = row * k
        const weightStart = column * k
        for (let i = 0; i < k; i++) sum += (x[xStart + i] as number) * (weight[weightStart + i] as number)
        y[row * columns + firstColumn + column] = sum
      }
    }
    firstColumn += n
  }
  if (op.activation === 'geglu') y = geglu(y, columns)
  else activateInPlace(y, op.activation)
  addInPlace(y, residual)
  return y
}

/** value · gelu(gate) of rows [value | gate] of `columns` elements. */
export function geglu(x: Values, columns: number): Values {
  const half = columns / 2
  const y = new Float64Array(x.length / 2)
  for (let row = 0; row < x.length / columns; row++) {
    for (let i = 0; i < half; i++) {
      const value = x[row * columns + i] as number
      y[row * half + i] = value * gelu(x[row * columns + half + i] as number)
    }
  }
  return y
}

/** x [B, H, W, C] ∗ weight [N, C, kh, kw] → [B, H', W', N]; `shortcut` is its finished product. See `Conv2dOp`. */
export function conv2d(
  op: Conv2dOp,
  x: Values,
  weight: Float32Array,
  bias: Float32Array | null,
  batchBias: Values | undefined,
  residual: Values | undefined,
  shortcut?: Values,
): Values {
  const [batch = 0, height = 0, width = 0, channels = 0] = op.inputs.x.shape
  const [, outHeight = 0, outWidth = 0, n = 0] = op.outputs.y.shape
  const [, , kh = 0, kw = 0] = op.weight.shape
  const taps = kh * kw
  // Channels innermost, as they are in x: [N, kh·kw, C].
  const packed = new Float64Array(weight.length)
  for (let out = 0; out < n; out++) {
    for (let c = 0; c < channels; c++) {
      for (let tap = 0; tap < taps; tap++) {
        packed[(out * taps + tap) * channels + c] = weight[(out * channels + c) * taps + tap] as number
      }
    }
  }
  const perSample = batchBias && op.inputs.batchBias?.shape[0] !== 1
  const y = new Float64Array(batch * outHeight * outWidth * n)
  let index = 0
  for (let b = 0; b < batch; b++) {
    for (let oy = 0; oy < outHeight; oy++) {
      for (let ox = 0; ox < outWidth; ox++) {
        for (let out = 0; out < n; out++) {
          let sum = bias ? (bias[out] as number) : 0
          if (batchBias) sum += batchBias[(perSample ? b * n : 0) + out] as number
          for (let ky = 0; ky < kh; ky++) {
            const iy = oy * op.stride + ky - op.padding.top
            if (iy < 0 || iy >= height * op.upsample) continue
            for (let kx = 0; kx < kw; kx++) {
              const ix = ox * op.stride + kx - op.padding.left
              if (ix < 0 || ix >= width * op.upsample) continue
              const sourceY = op.upsample === 2 ? iy >> 1 : iy
              const sourceX = op.upsample === 2 ? ix >> 1 : ix
              const xStart = ((b * height + sourceY) * width + sourceX) * channels
              const weightStart = (out * taps + ky * kw + kx) * channels
              for (let c = 0; c < channels; c++) {
                sum += (x[xStart + c] as number) * (packed[weightStart + c] as number)
              }
            }
          }
          y[index++] = sum
        }
      }
    }
  }
  activateInPlace(y, op.activation)
  addInPlace(y, residual)
  addInPlace(y, shortcut)
  return y
}

/** x [B, ..., C] with mean 0 and variance 1 in each sample's groups of channels, times weight plus bias. */
export function groupNorm(op: GroupNormOp, x: Values, weight: Float32Array, bias: Float32Array): Values {
  const [batch = 0] = op.inputs.x.shape
  const channels = lastAxis(op.inputs.x.shape)
  const positions = rowCount(op.inputs.x.shape) / batch
  const size = channels / op.groups
  const y = new Float64Array(x.length)
  for (let b = 0; b < batch; b++) {
    const start = b * positions * channels
    for (let group = 0; group < op.groups; group++) {
      const first = group * size
      let sum = 0
      for (let p = 0; p < positions; p++) {
        for (let c = first; c < first + size; c++) sum += x[start + p * channels + c] as number
      }
      const mean = sum / (positions * size)
      let squares = 0
      for (let p = 0; p < positions; p++) {
        for (let c = first; c < first + size; c++) {
          squares += ((x[start + p * channels + c] as number) - mean) ** 2
        }
      }
      const factor = 1 / Math.sqrt(squares / (positions * size) + op.eps)
      for (let p = 0; p < positions; p++) {
        for (let c = first; c < first + size; c++) {
          const i = start + p * channels + c
          y[i] = ((x[i] as number) - mean) * factor * (weight[c] as number) + (bias[c] as number)
        }
      }
    }
  }
  activateInPlace(y, op.activation)
  return y
}

/** Weighted mean and variance of each group over each row: [B, H, W, C] → [B, H, 2G]; see `RowMomentsOp`. */
export function rowMoments(op: RowMomentsOp, x: Values, columnWeights: Values): Values {
  const [batch = 0, height = 0, width = 0, channels = 0] = op.inputs.x.shape
  const size = channels / op.groups
  const weights = columnWeights.reduce((sum, weight) => sum + weight, 0) * size
  const y = new Float64Array(batch * height * 2 * op.groups)
  for (let row = 0; row < batch * height; row++) {
    for (let group = 0; group < op.groups; group++) {
      const over = (term: (value: number) => number): number => {
        let sum = 0
        for (let j = 0; j < width; j++) {
          const start = (row * width + j) * channels + group * size
          for (let c = start; c < start + size; c++)
            sum += (columnWeights[j] as number) * term(x[c] as number)
        }
        return sum / weights
      }
      const mean = over(value => value)
      y[row * 2 * op.groups + group] = mean
      y[row * 2 * op.groups + op.groups + group] = over(value => (value - mean) ** 2)
    }
  }
  return y
}

/** x [..., C] with mean 0 and variance 1 over the last axis, times weight plus bias. */
export function layerNorm(op: LayerNormOp, x: Values, weight: Float32Array, bias: Float32Array): Values {
  const channels = lastAxis(op.inputs.x.shape)
  const y = new Float64Array(x.length)
  for (let start = 0; start < x.length; start += channels) {
    let sum = 0
    for (let c = 0; c < channels; c++) sum += x[start + c] as number
    const mean = sum / channels
    let squares = 0
    for (let c = 0; c < channels; c++) squares += ((x[start + c] as number) - mean) ** 2
    const factor = 1 / Math.sqrt(squares / channels + op.eps)
    for (let c = 0; c < channels; c++) {
      y[start + c] = ((x[start + c] as number) - mean) * factor * (weight[c] as number) + (bias[c] as number)
    }
  }
  return y
}

/** x [..., C] over the root of its mean square along the last axis, times weight. */
export function rmsNorm(op: RmsNormOp, x: Values, weight: Float32Array): Values {
  const channels = lastAxis(op.inputs.x.shape)
  const y = new Float64Array(x.length)
  for (let start = 0; start < x.length; start += channels) {
    let squares = 0
    for (let c = 0; c < channels; c++) squares += (x[start + c] as number) ** 2
    const factor = 1 / Math.sqrt(squares / channels + op.eps)
    for (let c = 0; c < channels; c++)
      y[start + c] = (x[start + c] as number) * factor * (weight[c] as number)
  }
  return y
}

/** a + b or a · b; b of a's shape, or [1 or B, C] repeated over a's positions. */
export function binary(op: BinaryOp, a: Values, b: Values): Values {
  const y = new Float64Array(a.length)
  const [batch = 1] = op.inputs.a.shape
  const channels = lastAxis(op.inputs.a.shape)
  const sameSize = a.length === b.length
  const sampleSize = a.length / batch
  const sampleStep = op.inputs.b.shape[0] === 1 ? 0 : channels
  for (let i = 0; i < a.length; i++) {
    const j = sameSize ? i : Math.floor(i / sampleSize) * sampleStep + (i % channels)
    y[i] = op.operator === 'add' ? (a[i] as number) + (b[j] as number) : (a[i] as number) * (b[j] as number)
  }
  return y
}

/** Parts [..., Ci] → [..., ΣCi]. */
export function concat(parts: readonly Values[], channels: readonly number[]): Values {
  const total = channels.reduce((sum, each) => sum + each, 0)
  const rows = (parts[0]?.length ?? 0) / (channels[0] ?? 1)
  const y = new Float64Array(rows * total)
  let first = 0
  for (const [index, part] of parts.entries()) {
    const size = channels[index] ?? 0
    for (let row = 0; row < rows; row++)
      y.set(part.subarray(row * size, (row + 1) * size), row * total + first)
    first += size
  }
  return y
}

/** x[..., start : start + size]. */
export function slice(op: SliceOp, x: Values): Values {
  const channels = lastAxis(op.inputs.x.shape)
  const size = lastAxis(op.outputs.y.shape)
  const y = new Float64Array((x.length / channels) * size)
  for (let row = 0; row < x.length / channels; row++) {
    const start = row * channels + op.start
    y.set(x.subarray(start, start + size), row * size)
  }
  return y
}

/** [B, H, W, C] → [B, 2H or 2H − 1, 2W or 2W − 1, C], y[i, j] = x[floor(i / 2), floor(j / 2)]. */
export function upsample(op: UpsampleOp, x: Values): Values {
  const [batch = 0, height = 0, width = 0, channels = 0] = op.inputs.x.shape
  const [, outHeight = 0, outWidth = 0] = op.outputs.y.shape
  const y = new Float64Array(batch * outHeight * outWidth * channels)
  for (let b = 0; b < batch; b++) {
    for (let i = 0; i < outHeight; i++) {
      for (let j = 0; j < outWidth; j++) {
        const start = ((b * height + (i >> 1)) * width + (j >> 1)) * channels
        y.set(x.subarray(start, start + channels), ((b * outHeight + i) * outWidth + j) * channels)
      }
    }
  }
  return y
}

function addInPlace(y: Values, residual: Values | undefined): void {
  if (!residual) return
  for (let i = 0; i < y.length; i++) y[i] = (y[i] as number) + (residual[i] as number)
}
