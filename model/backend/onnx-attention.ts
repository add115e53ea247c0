/**
 * The attention seam as ONNX: onnxruntime's MultiHeadAttention where nobody sees the probabilities and there is one
 * source, and spelt out (onnx-attention-spelled.ts) where that is not enough.
 */
import { type AttentionOp, sourcesOf, type Tensor } from '../graph/ops.ts'
import type { OnnxValue } from '../onnx/graph.ts'
import { logitBias, repeated } from './onnx-attention-parts.ts'
import { emitSpelledOut } from './onnx-attention-spelled.ts'
import { type EmitContext, emitSlice } from './onnx-context.ts'

export function emitAttention(context: EmitContext, op: AttentionOp): void {
  const { graph, values, options } = context
  const { query, key, value, tokenScale, valueGain, outputMask, querySample } = op.inputs
  const { y, probabilities, captured } = op.outputs
  const [batch = 0, length = 0, width = 0] = query.shape
  const [, keyLength = 0] = key.shape
  const whole = sourcesOf(op).every(source => source.length === keyLength)
  if (probabilities || captured || outputMask || querySample || !whole) {
    emitSpelledOut(context, op)
    return
  }
  const perToken = (factor: Tensor): OnnxValue => values.last(factor, [factor.shape[0] ?? 1, keyLength, 1])
  const weighted = (x: OnnxValue, factor: Tensor | undefined): OnnxValue =>
    factor ? graph.op('Mul', [x, perToken(factor)]) : x
  // Σ (P · scale) · v = Σ P · (scale · v): nobody sees P.
  let v = weighted(weighted(values.last(value), valueGain), tokenScale)
  const k = repeated(context, values.last(key), key.shape[0] ?? 1, batch, [keyLength, width])
  // A gain of its own for each sample has repeated the one value already.
  const valueBatch = Math.max(value.shape[0] ?? 1, valueGain?.shape[0] ?? 1, tokenScale?.shape[0] ?? 1)
  v = repeated(context, v, valueBatch, batch, [keyLength, width])
  const q = values.last(query)
  const bias = logitBias(context, op)
  const inputs: Pieces = { q, k, v, ...(bias && { bias }) }
  const logitBytes = 4 * batch * op.numHeads * keyLength
  const step = Math.max(1, Math.floor(options.attentionBytes / logitBytes))
  if (step >= length) {
    values.setLast(y, multiHead(context, op, inputs))
    return
  }
  const pieces: OnnxValue[] = []
  for (let start = 0; start < length; start += step) {
    const end = Math.min(start + step, length)
    pieces.push(
      multiHead(context, op, {
        q: emitSlice(context, q, 1, start, end),
        k,
        v,
        ...(bias && { bias: emitSlice(context, bias, 2, start, end) }),
      }),
    )
  }
  values.setLast(y, graph.op('Concat', pieces, { axis: 1 }))
}

interface Pieces {
  /** [B, L, N·D]. */
  readonly q: OnnxValue
  /** [B, S, N·D]. */
  readonly k: OnnxValue
  /** [B, S, N·D]. */
  readonly v: OnnxValue
  /** [B or 1, 1, L, S]. */
  readonly bias?: OnnxValue
}

function multiHead({ graph }: EmitContext, op: AttentionOp, { q, k, v, bias }: Pieces): OnnxValue {
  // The third and fourth inputs are a bias of the projections and a padding mask.
  const inputs = bias ? [q, k, v, undefined, undefined, bias] : [q, k, v]
  const [y] = graph.customOp(
    'MultiHeadAttention',
    inputs,
    {
      num_heads: { kind: 'int', value: op.numHeads },
      scale: { kind: 'float', value: op.softmaxScale },
    },
    { domain: 'com.microsoft' },
  )
  return y as OnnxValue
}
