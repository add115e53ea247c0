/**
 * What the attention kernels share: sizes, where the operands lie, and the WGSL that finds a query's optional data.
 */
import { invariant } from '../contract/errors.ts'
import { type AttentionOp, type AttentionSource, sourcesOf, type Tensor } from '../graph/ops.ts'
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
  readonly sources: readonly AttentionSource[]
  /** One source over all keys, neither masked nor asked by another sample: the plain form. */
  readonly plain: boolean
  readonly logitBias: PerQuery | undefined
  readonly biasScale: TensorView | undefined
  /** Per-token factors; `batchRows` is 1, or 0 where all batch elements share one row. */
  readonly tokenScale: { readonly view: TensorView; readonly batchRows: number } | undefined
  readonly valueGain: { readonly view: TensorView; readonly batchRows: number } | undefined
  readonly outputMask: PerQuery | undefined
  readonly querySample: TensorView | undefined
  readonly keysFollowQuery: boolean
  readonly y: TensorView
  /** [B·N·L rows, S columns], when all of it is to be seen. */
  readonly probabilities: TensorView | undefined
  readonly capture: AttentionCapture | undefined
}

/** A row a query, or one for all queries or samples. */
interface PerQuery {
  readonly view: TensorView
  readonly batchRows: number
  readonly queryRows: number
}

/** A running sum of chosen tokens' probabilities. */
export interface AttentionCapture {
  /** [C·N·L rows, T columns] f32, read and written. */
  readonly captured: TensorView
  /** [1 row, T columns]. */
  readonly tokens: TensorView
  readonly samples: readonly number[]
}

export function planAttention(op: AttentionOp, context: LoweringContext): AttentionPlan {
  const { query, key, value, logitBias, tokenScale, valueGain, outputMask } = op.inputs
  const [batch = 0, length = 0, width = 0] = query.shape
  const [keyBatch = 0, keys = 0] = key.shape
  invariant(
    keys > 0 && width % op.numHeads === 0,
    `${op.path}: attention over ${keys} keys, ${op.numHeads} heads`,
  )
  const optional = (tensor: Tensor | undefined): TensorView | undefined => tensor && context.view(tensor)
  const perToken = (tensor: Tensor | undefined): AttentionPlan['tokenScale'] =>
    tensor && { view: context.view(tensor), batchRows: tensor.shape[0] === 1 ? 0 : 1 }
  const perQuery = (tensor: Tensor | undefined): PerQuery | undefined => {
    if (!tensor) return undefined
    const [samples = 1, rows = 1] = tensor.shape
    return {
      view: context.view(tensor),
      batchRows: samples === 1 ? 0 : rows,
      queryRows: rows === 1 ? 0 : 1,
    }
  }
  const sources = sourcesOf(op)
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
    sources,
    plain: sources.length === 1 && sources[0]?.length === keys && !outputMask && !op.inputs.querySample,
    logitBias: perQuery(logitBias),
    biasScale: optional(op.inputs.biasScale),
    tokenScale: perToken(tokenScale),
    valueGain: perToken(valueGain),
    outputMask: perQuery(outputMask),
    querySample: optional(op.inputs.querySample),
    keysFollowQuery: op.keysFollowQuery === true,
    y: context.view(op.outputs.y),
    probabilities: optional(op.outputs.probabilities),
    capture: captureOf(op, context),
  }
}

function captureOf(op: AttentionOp, context: LoweringContext): AttentionCapture | undefined {
  const { captureTokens, accumulated } = op.inputs
  const { captured } = op.outputs
  if (!captureTokens || !accumulated || !captured) return undefined
  const view = context.view(captured)
  invariant(view.buffer === context.view(accumulated).buffer, `${op.path}: a capture works in place`)
  return { captured: view, tokens: context.view(captureTokens), samples: op.captureSamples ?? [] }
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
 * Declares what a source is to a query:
 *   `source_start(g)`, `source_end(g)`     its keys, [start, end),
 *   `mask_of(batch, query, g)`             the factor on what it brings,
 *   `sample_of(batch, g)`                  the sample whose query is asked with,
 *   `key_sample_of(batch, g)`              the sample whose keys are asked.
 */
export function declareSources(shader: Shader, plan: AttentionPlan): Shader {
  const { sources, outputMask, querySample, keysFollowQuery } = plan
  for (const [g, { start, length }] of sources.entries()) {
    shader.param(`source${g}_start`, 'u32', start).param(`source${g}_end`, 'u32', start + length)
  }
  const pick = (end: 'start' | 'end'): string => `fn source_${end}(g: u32) -> u32 {
  ${sources
    .slice(1)
    .map((_, g) => `if (g == ${g + 1}u) { return P.source${g + 1}_${end}; }`)
    .join(' ')}
  return P.source0_${end};
}`
  let mask = '1.0'
  if (outputMask) {
    shader
      .tensor('mask', outputMask.view)
      .param('mask_batch_rows', 'u32', outputMask.batchRows)
      .param('mask_query_rows', 'u32', outputMask.queryRows)
    mask = 'load_mask(mask_at(batch * P.mask_batch_rows + query * P.mask_query_rows, g / 4u))[g % 4u]'
  }
  let sample = 'batch'
  if (querySample) {
    shader.tensor('query_sample', querySample)
    sample = 'u32(load_query_sample(query_sample_at(batch, g / 4u))[g % 4u])'
  }
  return shader.declare(`
${pick('start')}
${pick('end')}
fn mask_of(batch: u32, query: u32, g: u32) -> f32 { return ${mask}; }
fn sample_of(batch: u32, g: u32) -> u32 { return ${sample}; }
fn key_sample_of(batch: u32, g: u32) -> u32 { return ${keysFollowQuery ? sample : 'batch'}; }`)
}

/**
 * Declares what a capture needs: `capture_slot(batch)` (the place of a sample among those that are captured, or -1)
 * and its inverse `capture_sample(slot)`, `capture_token(t)` and `capture(slot, head, query, t, p)`, which adds to what was captured before.
 */
export function declareCapture(shader: Shader, plan: AttentionPlan, capture: AttentionCapture): Shader {
  shader
    .tensor('captured', capture.captured, 'scalar')
    .tensor('capture_tokens', capture.tokens)
    .param('capture_count', 'u32', capture.tokens.columns)
  for (const [c, sample] of capture.samples.entries()) shader.param(`capture_sample${c}`, 'u32', sample)
  return shader.declare(`
fn capture_slot(batch: u32) -> i32 {
  ${capture.samples.map((_, c) => `if (batch == P.capture_sample${c}) { return ${c}; }`).join('\n  ')}
  return -1;
}
fn capture_sample(slot: u32) -> u32 {
  ${capture.samples.map((_, c) => `if (slot == ${c}u) { return P.capture_sample${c}; }`).join('\n  ')}
  return 0u;
}
fn capture_token(t: u32) -> i32 { return i32(load_capture_tokens(capture_tokens_at(0u, t / 4u))[t % 4u]); }
fn capture(slot: u32, head: u32, query: u32, t: u32, p: f32) {
  let index = captured_at((slot * P.heads + head) * P.length + query, t);
  store_captured(index, load_captured(index) + p);
}`)
}

/**
 * Declares functions over groups of four keys (or, with scalar access, single keys):
 *   `controls_of(batch, query)`     where a query's optional data begin: taken once, before the loops over keys. What
 *                                   the uniform holds is a load at every reading on a software adapter;
 *   `biased(logit, controls, keys)` logit + biasScale · logitBias,
 *   `scaled(p, controls, keys)`     p · tokenScale, a probability as it is captured,
 *   `gained(p, controls, keys)`     p · valueGain, the weight of a value vector.
 * An absent operand leaves its argument alone, so that neutral data (0, 1, 1) gives the same bits as none.
 */
export function declareControls(
  shader: Shader,
  plan: AttentionPlan,
  uses: { readonly bias?: boolean; readonly scale?: boolean; readonly gain?: boolean },
  access: 'vec4' | 'scalar' = 'vec4',
): Shader {
  const type = access === 'vec4' ? 'vec4f' : 'f32'
  const { logitBias, biasScale, tokenScale, valueGain } = plan
  const fields: { readonly name: string; readonly type: 'u32' | 'f32'; readonly value: string }[] = []
  let bias = 'logit'
  if (uses.bias && logitBias) {
    shader
      .tensor('bias', logitBias.view, access)
      .param('bias_batch_rows', 'u32', logitBias.batchRows)
      .param('bias_query_rows', 'u32', logitBias.queryRows)
    const value = 'bias_at(batch * P.bias_batch_rows + query * P.bias_query_rows, 0u)'
    fields.push({ name: 'bias', type: 'u32', value })
    bias = 'logit + load_bias(controls.bias + keys)'
    if (biasScale) {
      shader.tensor('bias_scale', biasScale)
      fields.push({ name: 'bias_scale', type: 'f32', value: 'load_bias_scale(bias_scale_at(batch, 0u)).x' })
      bias = 'logit + controls.bias_scale * load_bias(controls.bias + keys)'
    }
  }
  let scale = 'p'
  if (uses.scale && tokenScale) {
    shader
      .tensor('token_scale', tokenScale.view, access)
      .param('token_scale_batch_rows', 'u32', tokenScale.batchRows)
    const value = 'token_scale_at(batch * P.token_scale_batch_rows, 0u)'
    fields.push({ name: 'token_scale', type: 'u32', value })
    scale = 'p * load_token_scale(controls.token_scale + keys)'
  }
  let gain = 'p'
  if (uses.gain && valueGain) {
    shader
      .tensor('value_gain', valueGain.view, access)
      .param('value_gain_batch_rows', 'u32', valueGain.batchRows)
    const value = 'value_gain_at(batch * P.value_gain_batch_rows, 0u)'
    fields.push({ name: 'value_gain', type: 'u32', value })
    gain = 'p * load_value_gain(controls.value_gain + keys)'
  }
  // WGSL has no empty struct.
  if (fields.length === 0) fields.push({ name: 'none', type: 'u32', value: '0u' })
  return shader.declare(`
// Finite, and below every logit: the maximum of no keys.
const lowest = -3.4028234e38;
struct Controls { ${fields.map(field => `${field.name}: ${field.type}`).join(', ')} }
fn controls_of(batch: u32, query: u32) -> Controls {
  return Controls(${fields.map(field => field.value).join(', ')});
}
// The number of keys that a query sees.
fn visible_keys(query: u32) -> u32 { return select(P.keys, min(query + 1u, P.keys), P.causal == 1u); }
fn biased(logit: ${type}, controls: Controls, keys: u32) -> ${type} { return ${bias}; }
fn scaled(p: ${type}, controls: Controls, keys: u32) -> ${type} { return ${scale}; }
fn gained(p: ${type}, controls: Controls, keys: u32) -> ${type} { return ${gain}; }`)
}

/** Vec4s in a row of scores. */
export function keyQuads(plan: AttentionPlan): number {
  return roundUp(plan.keys, 4) / 4
}
