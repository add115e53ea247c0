/** What both forms of the attention seam share in ONNX: the additive bias, and repetition over samples. */
import type { AttentionOp } from '../graph/ops.ts'
import type { OnnxValue } from '../onnx/graph.ts'
import type { EmitContext } from './onnx-context.ts'

/** Added to the logit of a key that a query must not see: its exponential is 0 in f32, and no infinity is formed. */
const hidden = -1e30

/** The additive bias of the data and of causality as [B or 1, 1, L, S]. */
export function logitBias(context: EmitContext, op: AttentionOp): OnnxValue | undefined {
  const { graph, values } = context
  const [, length = 0] = op.inputs.query.shape
  const [, keyLength = 0] = op.inputs.key.shape
  let bias: OnnxValue | undefined
  const given = op.inputs.logitBias
  if (given) {
    const [batch = 1, rows = 1] = given.shape
    bias = values.last(given, [batch, 1, rows, keyLength])
    const { biasScale } = op.inputs
    if (biasScale) bias = graph.op('Mul', [bias, values.last(biasScale, [biasScale.shape[0] ?? 1, 1, 1, 1])])
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
export function repeated(
  { graph }: EmitContext,
  x: OnnxValue,
  have: number,
  want: number,
  rest: readonly number[],
): OnnxValue {
  return have === want ? x : graph.op('Expand', [x, graph.integers([want, ...rest])])
}
