/**
 * The attention seam as ONNX. Without capture it is onnxruntime's MultiHeadAttention; with capture the probabilities
 * have to be seen, so it is spelt out.
 */
import type { AttentionOp, Tensor } from '../graph/ops.ts'
import type { OnnxValue } from '../onnx/graph.ts'
import { type EmitContext, emitSlice } from './onnx-context.ts'

/** Added to the logit of a key that a query must not see: its exponential is 0 in f32, and no infinity is formed. */
const hidden = -1e30

export function emitAttention(context: EmitContext, op: AttentionOp): void {
  const { graph, values, options } = context
  const { query, key, value, tokenScale, valueGain } = op.inputs
  const { y, probabilities } = op.outputs
  const [batch = 0, length = 0, width = 0] = query.shape
  const [, keyLength = 0] = key.shape
  const perToken = (factor: Tensor): OnnxValue => values.last(factor, [factor.shape[0] ?? 1, keyLength, 1])
  const weighted = (x: OnnxValue, factor: Tensor | undefined): OnnxValue =>
    factor ? graph.op('Mul', [x, perToken(factor)]) : x
  let v = weighted(values.last(value), valueGain)
  // Σ (P · scale) · v = Σ P · (scale · v): only a captured P has to be scaled itself.
  if (!probabilities) v = weighted(v, tokenScale)
  const k = repeated(context, values.last(key), key.shape[0] ?? 1, batch, [keyLength, width])
  // A gain of its own for each sample has repeated the one value already.
  const valueBatch = Math.max(
    value.shape[0] ?? 1,
    valueGain?.shape[0] ?? 1,
    probabilities ? 1 : (tokenScale?.shape[0] ?? 1),
  )
  v = repeated(context, v, valueBatch, batch, [keyLength, width])
  const q = values.last(query)
  const bias = logitBias(context, op)
  const inputs: Pieces = { q, k, v, ...(bias && { bias }) }
  if (probabilities) {
    const result = spelledOut(context, op, inputs)
    values.setLast(y, result.y)
    values.setLast(probabilities, result.probabilities)
    return
  }
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

/** Softmax(scale · q · kᵀ + bias) · tokenScale, and its product with v. */
function spelledOut(
  context: EmitContext,
  op: AttentionOp,
  { q, k, v, bias }: Pieces,
): { y: OnnxValue; probabilities: OnnxValue } {
  const { graph, values } = context
  const [batch = 0, length = 0, width = 0] = op.inputs.query.shape
  const [, keyLength = 0] = op.inputs.key.shape
  const headDim = width / op.numHeads
  const heads = (x: OnnxValue, count: number, perm: readonly number[]): OnnxValue => {
    const split = graph.op('Reshape', [x, graph.integers([batch, count, op.numHeads, headDim])])
    return graph.op('Transpose', [split], { perm: [...perm] })
  }
  const products = graph.op('MatMul', [heads(q, length, [0, 2, 1, 3]), heads(k, keyLength, [0, 2, 3, 1])])
  let logits = graph.op('Mul', [products, graph.scalar(op.softmaxScale)])
  if (bias) logits = graph.op('Add', [logits, bias])
  let probabilities = graph.op('Softmax', [logits], { axis: -1 })
  const { tokenScale } = op.inputs
  if (tokenScale) {
    const scale = values.last(tokenScale, [tokenScale.shape[0] ?? 1, 1, 1, keyLength])
    probabilities = graph.op('Mul', [probabilities, scale])
  }
  const mixed = graph.op('MatMul', [probabilities, heads(v, keyLength, [0, 2, 1, 3])])
  const turned = graph.op('Transpose', [mixed], { perm: [0, 2, 1, 3] })
  return { y: graph.op('Reshape', [turned, graph.integers([batch, length, width])]), probabilities }
}

/** The additive bias of the data and of causality as [B or 1, 1, L, S]. */
function logitBias(context: EmitContext, op: AttentionOp): OnnxValue | undefined {
  const { graph, values } = context
  const [, length = 0] = op.inputs.query.shape
  const [, keyLength = 0] = op.inputs.key.shape
  let bias: OnnxValue | undefined
  const given = op.inputs.logitBias
  if (given) {
    const [batch = 1, rows = 1] = given.shape
    bias = values.last(given, [batch, 1, rows, keyLength])
    if (rows !== length) bias = graph.op('Expand', [bias, graph.integers([batch, 1, length, keyLength])])
  }
  if (!op.causal) return bias
  const mask = new Float32Array(length * keyLength)
  for (let l = 0; l < length; l++)
    mask.fill(hidden, l * keyLength + Math.min(l + 1, keyLength), (l + 1) * keyLength)
  const causal = graph.floats([1, 1, length, keyLength], mask)
  return bias ? graph.op('Add', [bias, causal]) : causal
}

/** x [have, ...rest] → [want, ...rest], where `have` is `want` or 1. */
function repeated(
  { graph }: EmitContext,
  x: OnnxValue,
  have: number,
  want: number,
  rest: readonly number[],
): OnnxValue {
  return have === want ? x : graph.op('Expand', [x, graph.integers([want, ...rest])])
}
