/** The attention operations of `ops.ts` written out as their docstrings say, in f64: part of the oracle. */
import { lastAxis, type Shape } from '../tensor/shape.ts'
import type { Values } from './interpreter-ops.ts'
import {
  type AttentionOp,
  type AttentionPeakOp,
  type AttentionRowOp,
  type AttentionSource,
  type HeadMeanOp,
  sourcesOf,
} from './ops.ts'

/** The values of an attention's inputs, by role. */
export type AttentionValues = { readonly [Role in keyof AttentionOp['inputs']]: Values }

/** The formula of `AttentionOp`, one query of one head at a time. */
export function attention(
  op: AttentionOp,
  inputs: AttentionValues,
): { y: Values; probabilities?: Values; captured?: Values } {
  const { query, key, value, logitBias, biasScale, tokenScale, valueGain, outputMask, querySample } = inputs
  const [batch = 0, length = 0, width = 0] = op.inputs.query.shape
  const [keyBatch = 0, keyLength = 0] = op.inputs.key.shape
  const heads = op.numHeads
  const headDim = width / heads
  const sources = sourcesOf(op)
  const y = new Float64Array(batch * length * width)
  const probabilities = op.outputs.probabilities && new Float64Array(batch * heads * length * keyLength)
  const captured = inputs.accumulated?.slice()
  const keyRow = (sample: number): number => (keyBatch === 1 ? 0 : sample * keyLength * width)
  for (let b = 0; b < batch; b++) {
    const scaleStart = perToken(op.inputs.tokenScale?.shape, b)
    const gainStart = perToken(op.inputs.valueGain?.shape, b)
    const factor = biasScale ? (biasScale[b] as number) : 1
    for (let head = 0; head < heads; head++) {
      for (let l = 0; l < length; l++) {
        const biasStart = rowStart(op.inputs.logitBias?.shape, b, l)
        const maskStart = rowStart(op.inputs.outputMask?.shape, b, l)
        const row = new Float64Array(keyLength)
        const yStart = (b * length + l) * width + head * headDim
        for (const [g, source] of sources.entries()) {
          const sample = querySample ? (querySample[b * sources.length + g] as number) : b
          const queryStart = (sample * length + l) * width + head * headDim
          const keyStart = keyRow(op.keysFollowQuery ? sample : b) + head * headDim
          // A causal query sees the keys up to its own position.
          const end = source.start + (op.causal ? Math.min(l + 1, source.length) : source.length)
          for (let s = source.start; s < end; s++) {
            let dot = 0
            for (let d = 0; d < headDim; d++) {
              dot += (query[queryStart + d] as number) * (key[keyStart + s * width + d] as number)
            }
            const bias = logitBias ? factor * (logitBias[biasStart + s] as number) : 0
            row[s] = op.softmaxScale * dot + bias
          }
          softmax(row, source.start, end)
          const mask = outputMask ? (outputMask[maskStart + g] as number) : 1
          for (let s = source.start; s < end; s++) {
            row[s] = (row[s] as number) * (tokenScale ? (tokenScale[scaleStart + s] as number) : 1)
            const weight = mask * (row[s] as number) * (valueGain ? (valueGain[gainStart + s] as number) : 1)
            const start = keyRow(b) + s * width + head * headDim
            for (let d = 0; d < headDim; d++) {
              y[yStart + d] = (y[yStart + d] as number) + weight * (value[start + d] as number)
            }
          }
        }
        probabilities?.set(row, ((b * heads + head) * length + l) * keyLength)
        if (captured) capture(op, inputs, captured, row, { b, head, l })
      }
    }
  }
  return { y, ...(probabilities && { probabilities }), ...(captured && { captured }) }
}

/** Adds the chosen tokens of one row of probabilities to what was captured. */
function capture(
  op: AttentionOp,
  { captureTokens }: AttentionValues,
  captured: Values,
  row: Values,
  { b, head, l }: { b: number; head: number; l: number },
): void {
  const [, , length = 0, count = 0] = op.inputs.accumulated?.shape ?? []
  for (const [c, sample] of (op.captureSamples ?? []).entries()) {
    if (sample !== b) continue
    const start = ((c * op.numHeads + head) * length + l) * count
    for (let t = 0; t < count; t++) {
      const token = captureTokens?.[t] ?? -1
      if (token >= 0) captured[start + t] = (captured[start + t] as number) + (row[token] ?? 0)
    }
  }
}

/** The softmax of row[start, end), in place. */
function softmax(row: Values, start: number, end: number): void {
  let largest = -Infinity
  for (let s = start; s < end; s++) largest = Math.max(largest, row[s] as number)
  let sum = 0
  for (let s = start; s < end; s++) {
    row[s] = Math.exp((row[s] as number) - largest)
    sum += row[s] as number
  }
  for (let s = start; s < end; s++) row[s] = (row[s] as number) / sum
}

/** [B, 1]. */
export function attentionPeak(op: AttentionPeakOp, query: Values, key: Values): Values {
  const [batch = 0, length = 0] = op.inputs.query.shape
  const y = new Float64Array(batch).fill(-Infinity)
  for (let b = 0; b < batch; b++) {
    for (let head = 0; head < op.numHeads; head++) {
      for (let l = 0; l < length; l++) {
        for (const logit of logits(op, query, key, { b, head, l, source: op.source })) {
          y[b] = Math.max(y[b] as number, logit)
        }
      }
    }
  }
  return y
}

/** [1, S]. */
export function attentionRow(op: AttentionRowOp, query: Values, key: Values, position: Values): Values {
  const keys = op.inputs.key.shape[1] ?? 0
  const y = new Float64Array(keys)
  const source = { start: 0, length: keys }
  for (let head = 0; head < op.numHeads; head++) {
    const row = logits(op, query, key, { b: op.sample, head, l: position[0] as number, source })
    softmax(row, 0, keys)
    for (const [s, p] of row.entries()) y[s] = (y[s] as number) + p / op.numHeads
  }
  return y
}

/** The logits of one query of one head over a source. */
function logits(
  op: AttentionPeakOp | AttentionRowOp,
  query: Values,
  key: Values,
  at: { b: number; head: number; l: number; source: AttentionSource },
): Values {
  const [, length = 0, width = 0] = op.inputs.query.shape
  const [keyBatch = 0, keys = 0] = op.inputs.key.shape
  const headDim = width / op.numHeads
  const queryStart = (at.b * length + at.l) * width + at.head * headDim
  const keyStart = (keyBatch === 1 ? 0 : at.b * keys * width) + at.head * headDim
  return Float64Array.from({ length: at.source.length }, (_, s) => {
    let dot = 0
    for (let d = 0; d < headDim; d++) {
      dot += (query[queryStart + d] as number) * (key[keyStart + (at.source.start + s) * width + d] as number)
    }
    return op.softmaxScale * dot
  })
}

/** [C, N, L, T] → [C, L, T]. */
export function headMean(op: HeadMeanOp, x: Values, addend: Values | undefined): Values {
  const [samples = 0, heads = 0, length = 0, tokens = 0] = op.inputs.x.shape
  const plane = length * tokens
  return Float64Array.from({ length: samples * plane }, (_, i) => {
    const start = Math.floor(i / plane) * heads * plane + (i % plane)
    let sum = 0
    for (let head = 0; head < heads; head++) sum += x[start + head * plane] as number
    return sum / heads + (addend ? (addend[i] as number) : 0)
  })
}

/** Where sample `b` begins in a [B or 1, S] tensor. */
function perToken(shape: Shape | undefined, b: number): number {
  return !shape || shape[0] === 1 ? 0 : b * lastAxis(shape)
}

/** Where the row of sample `b`, position `l` begins in a [B or 1, L or 1, X] tensor. */
function rowStart(shape: Shape | undefined, b: number, l: number): number {
  if (!shape) return 0
  const [batch = 1, length = 1, columns = 0] = shape
  return ((batch === 1 ? 0 : b) * length + (length === 1 ? 0 : l)) * columns
}
