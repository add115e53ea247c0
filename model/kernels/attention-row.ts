/**
 * What one position looks at: the row of an attention's probabilities, averaged over heads; and the mean over heads of
 * captured maps.
 *
 *   attentionRow  y[0, s] = mean_n softmax_s(scale · q[sample, position, n] · k[sample, s, n])        [1, S]
 *   headMean      y[c, l, t] = addend[c, l, t] + mean_n x[c, n, l, t]                                 [C, L, T]
 *
 * Work split of the row, three dispatches: a thread a logit; a thread a head for maximum and sum; a thread a key.
 * Of the mean: a thread four tokens. Precision: f32; no workgroup memory. They run only while somebody watches.
 */
import type { AttentionRowOp, HeadMeanOp } from '../graph/ops.ts'
import { lastAxis, roundUp } from '../tensor/shape.ts'
import { flatGrid } from './flat.ts'
import type { Lowering } from './lowering.ts'
import { Shader } from './shader.ts'

export const lowerAttentionRow: Lowering<AttentionRowOp> = (op, context) => {
  const { facts } = context
  const { query, key, position } = op.inputs
  const [, length = 0] = query.shape
  const [keyBatch = 0, keys = 0] = key.shape
  const heads = op.numHeads
  const headSize = lastAxis(query.shape) / heads
  const quads = headSize % 4 === 0
  const access = quads ? 'vec4' : 'scalar'
  const logits = context.scratch('logits', keys, heads)
  const statistics = context.scratch('statistics', heads, 4)
  const every = flatGrid(keys * heads)
  const one = flatGrid(heads)
  const columns = flatGrid(roundUp(keys, 4))
  return [
    new Shader('attention_row_logits', facts)
      .tensor('query', context.view(query), access)
      .tensor('key', context.view(key), access)
      .tensor('position', context.view(position))
      .tensor('logits', logits, 'scalar')
      .param('threads', 'u32', keys * heads)
      .param('heads', 'u32', heads)
      .param('length', 'u32', length)
      .param('width', 'u32', quads ? headSize / 4 : headSize)
      .param('sample', 'u32', op.sample)
      .param('key_row', 'u32', keyBatch === 1 ? 0 : op.sample * keys)
      .param('scale', 'f32', op.softmaxScale)
      .dispatch(
        op.path,
        every.workgroupSize,
        `
  ${every.index}
  if (index >= P.threads) { return; }
  let head = index % P.heads;
  let key = index / P.heads;
  let query = min(u32(load_position(position_at(0u, 0u)).x), P.length - 1u);
  let query_index = query_at(P.sample * P.length + query, head * P.width);
  let key_index = key_at(P.key_row + key, head * P.width);
  var sum = ${quads ? 'vec4f(0.0)' : '0.0'};
  for (var i = 0u; i < P.width; i++) {
    sum = fma(load_query(query_index + i) * P.scale, load_key(key_index + i), sum);
  }
  store_logits(logits_at(key, head), ${quads ? '(sum.x + sum.y) + (sum.z + sum.w)' : 'sum'});`,
        every.workgroups,
      ),
    new Shader('attention_row_statistics', facts)
      .tensor('logits', logits, 'scalar')
      .tensor('statistics', statistics)
      .param('heads', 'u32', heads)
      .param('keys', 'u32', keys)
      .dispatch(
        op.path,
        one.workgroupSize,
        `
  ${one.index}
  if (index >= P.heads) { return; }
  var top = -3.4028234e38;
  var sum = 0.0;
  for (var key = 0u; key < P.keys; key++) {
    let logit = load_logits(logits_at(key, index));
    let next = max(top, logit);
    sum = fma(sum, exp(top - next), exp(logit - next));
    top = next;
  }
  store_statistics(statistics_at(index, 0u), vec4f(top, sum, 0.0, 0.0));`,
        one.workgroups,
      ),
    new Shader('attention_row_mean', facts)
      .tensor('logits', logits, 'scalar')
      .tensor('statistics', statistics)
      .tensor('y', context.view(op.outputs.y), 'scalar')
      .param('heads', 'u32', heads)
      .param('keys', 'u32', keys)
      .param('threads', 'u32', roundUp(keys, 4))
      .dispatch(
        op.path,
        columns.workgroupSize,
        `
  ${columns.index}
  if (index >= P.threads) { return; }
  var sum = 0.0;
  for (var head = 0u; index < P.keys && head < P.heads; head++) {
    let statistics = load_statistics(statistics_at(head, 0u));
    sum += exp(load_logits(logits_at(index, head)) - statistics.x) / statistics.y;
  }
  // Also the padding behind the last key, which is zero.
  store_y(y_at(0u, index), sum / f32(P.heads));`,
        columns.workgroups,
      ),
  ]
}

export const lowerHeadMean: Lowering<HeadMeanOp> = (op, context) => {
  const { x, addend } = op.inputs
  const [samples = 0, heads = 0, length = 0, tokens = 0] = x.shape
  const quads = roundUp(tokens, 4) / 4
  const grid = flatGrid(samples * length * quads)
  const shader = new Shader('head_mean', context.facts)
    .tensor('x', context.view(x))
    .tensor('y', context.view(op.outputs.y))
    .param('threads', 'u32', samples * length * quads)
    .param('quads', 'u32', quads)
    .param('heads', 'u32', heads)
    .param('length', 'u32', length)
  if (addend) shader.tensor('addend', context.view(addend))
  return [
    shader.dispatch(
      op.path,
      grid.workgroupSize,
      `
  ${grid.index}
  if (index >= P.threads) { return; }
  let quad = index % P.quads;
  let row = index / P.quads;
  let sample = row / P.length;
  let query = row % P.length;
  var sum = vec4f(0.0);
  for (var head = 0u; head < P.heads; head++) {
    sum += load_x(x_at((sample * P.heads + head) * P.length + query, quad));
  }
  store_y(y_at(row, quad), ${addend ? 'load_addend(addend_at(row, quad)) + ' : ''}sum / f32(P.heads));`,
      grid.workgroups,
    ),
  ]
}
