/**
 * What the attention kernels share: sizes, where the operands lie, and the WGSL that finds a query's optional data.
 */
import { invariant } from '../contract/errors.ts'
import type { AttentionOp, Tensor } from '../graph/ops.ts'
import { roundUp } from '../tensor/shape.ts'
import type { LoweringContext, TensorView } from './lowering.ts'
import type { Shader } from './shader.ts'

export interface AttentionPlan {
  readonly path: string
  readonly batch: number
  /** L, the queries. */
  readonly length: number
  /** S, the keys. */
  readonly keys: number
  readonly heads: number
  /** D. */
  readonly headSize: number
  readonly scale: number
  readonly causal: boolean
  readonly query: TensorView
  readonly key: TensorView
  readonly value: TensorView
  /** Rows from one batch element's keys to the next one's: S, or 0 where all share the same keys. */
  readonly keyBatchRows: number
  readonly logitBias:
    | { readonly view: TensorView; readonly batchRows: number; readonly queryRows: number }
    | undefined
  /** Per-token factors; `batchRows` is 1, or 0 where all batch elements share one row. */
  readonly tokenScale: { readonly view: TensorView; readonly batchRows: number } | undefined
  readonly valueGain: { readonly view: TensorView; readonly batchRows: number } | undefined
  readonly y: TensorView
  /** [B·N·L rows, S columns], when capture is asked for. */
  readonly probabilities: TensorView | undefined
}

export function planAttention(op: AttentionOp, context: LoweringContext): AttentionPlan {
  const { query, key, value, logitBias, tokenScale, valueGain } = op.inputs
  const [batch = 0, length = 0, width = 0] = query.shape
  const [keyBatch = 0, keys = 0] = key.shape
  invariant(
    keys > 0 && width % op.numHeads === 0,
    `${op.path}: attention over ${keys} keys, ${op.numHeads} heads`,
  )
  const perToken = (tensor: Tensor | undefined): AttentionPlan['tokenScale'] =>
    tensor && { view: context.view(tensor), batchRows: tensor.shape[0] === 1 ? 0 : 1 }
  const [biasBatch = 1, biasLength = 1] = logitBias?.shape ?? []
  return {
    path: op.path,
    batch,
    length,
    keys,
    heads: op.numHeads,
    headSize: width / op.numHeads,
    scale: op.softmaxScale,
    causal: op.causal,
    query: context.view(query),
    key: context.view(key),
    value: context.view(value),
    keyBatchRows: keyBatch === 1 ? 0 : keys,
    logitBias: logitBias && {
      view: context.view(logitBias),
      batchRows: biasBatch === 1 ? 0 : biasLength,
      queryRows: biasLength === 1 ? 0 : 1,
    },
    tokenScale: perToken(tokenScale),
    valueGain: perToken(valueGain),
    y: context.view(op.outputs.y),
    probabilities: op.outputs.probabilities && context.view(op.outputs.probabilities),
  }
}

/** Declares the sizes that every attention kernel reads. */
export function declareSizes(shader: Shader, plan: AttentionPlan): Shader {
  return shader
    .param('length', 'u32', plan.length)
    .param('keys', 'u32', plan.keys)
    .param('heads', 'u32', plan.heads)
    .param('key_batch_rows', 'u32', plan.keyBatchRows)
    .param('causal', 'u32', plan.causal ? 1 : 0)
}

/**
 * Declares functions over groups of four keys (or, with scalar access, single keys):
 *   `biased(logit, batch, query, keys)`  logit + logitBias,
 *   `scaled(p, batch, keys)`             p · tokenScale, a probability as it is captured,
 *   `gained(p, batch, keys)`             p · valueGain, the weight of a value vector.
 * An absent operand leaves its argument alone, so that neutral data (0, 1, 1) gives the same bits as none.
 */
export function declareControls(
  shader: Shader,
  plan: AttentionPlan,
  uses: { readonly bias?: boolean; readonly scale?: boolean; readonly gain?: boolean },
  access: 'vec4' | 'scalar' = 'vec4',
): Shader {
  const type = access === 'vec4' ? 'vec4f' : 'f32'
  const { logitBias, tokenScale, valueGain } = plan
  let bias = 'logit'
  if (uses.bias && logitBias) {
    shader
      .tensor('bias', logitBias.view, access)
      .param('bias_batch_rows', 'u32', logitBias.batchRows)
      .param('bias_query_rows', 'u32', logitBias.queryRows)
    bias = 'logit + load_bias(bias_at(batch * P.bias_batch_rows + query * P.bias_query_rows, keys))'
  }
  let scale = 'p'
  if (uses.scale && tokenScale) {
    shader
      .tensor('token_scale', tokenScale.view, access)
      .param('token_scale_batch_rows', 'u32', tokenScale.batchRows)
    scale = 'p * load_token_scale(token_scale_at(batch * P.token_scale_batch_rows, keys))'
  }
  let gain = 'p'
  if (uses.gain && valueGain) {
    shader
      .tensor('value_gain', valueGain.view, access)
      .param('value_gain_batch_rows', 'u32', valueGain.batchRows)
    gain = 'p * load_value_gain(value_gain_at(batch * P.value_gain_batch_rows, keys))'
  }
  return shader.declare(`
// Finite, and below every logit: the maximum of no keys.
const lowest = -3.4028234e38;
// The number of keys that a query sees.
fn visible_keys(query: u32) -> u32 { return select(P.keys, min(query + 1u, P.keys), P.causal == 1u); }
fn biased(logit: ${type}, batch: u32, query: u32, keys: u32) -> ${type} { return ${bias}; }
fn scaled(p: ${type}, batch: u32, keys: u32) -> ${type} { return ${scale}; }
fn gained(p: ${type}, batch: u32, keys: u32) -> ${type} { return ${gain}; }`)
}

/** Vec4s in a row of scores. */
export function keyQuads(plan: AttentionPlan): number {
  return roundUp(plan.keys, 4) / 4
}
