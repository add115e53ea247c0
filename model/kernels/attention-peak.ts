/**
 * The largest logit of each sample: y[b] = max over heads, queries and keys of scale · q·k, [B, 1].
 *
 * Shapes and formula: `AttentionPeakOp`. Work split, two dispatches: a thread finds the maximum of one query of one
 * head; then one workgroup a sample takes the maximum of those. Precision: f32. Cost: one product more of an attention;
 * it runs only where a control measures its strength in it (paint-with-words).
 */
import type { AttentionPeakOp } from '../graph/ops.ts'
import { lastAxis } from '../tensor/shape.ts'
import { flatGrid } from './flat.ts'
import type { Lowering } from './lowering.ts'
import { Shader } from './shader.ts'

export const lowerAttentionPeak: Lowering<AttentionPeakOp> = (op, context) => {
  const { facts } = context
  const { query, key } = op.inputs
  const [batch = 0, length = 0] = query.shape
  const [keyBatch = 0, keys = 0] = key.shape
  const headSize = lastAxis(query.shape) / op.numHeads
  const quads = headSize % 4 === 0
  const access = quads ? 'vec4' : 'scalar'
  const each = op.numHeads * length
  const grid = flatGrid(batch * each)
  const largest = context.scratch('peaks', batch * each, 1)
  const first = new Shader('attention_peak', facts)
    .tensor('query', context.view(query), access)
    .tensor('key', context.view(key), access)
    .tensor('largest', largest)
    .param('threads', 'u32', batch * each)
    .param('length', 'u32', length)
    .param('heads', 'u32', op.numHeads)
    .param('width', 'u32', quads ? headSize / 4 : headSize)
    .param('key_batch_rows', 'u32', keyBatch === 1 ? 0 : keys)
    .param('start', 'u32', op.source.start)
    .param('end', 'u32', op.source.start + op.source.length)
    .param('scale', 'f32', op.softmaxScale)
    .dispatch(
      op.path,
      grid.workgroupSize,
      `
  ${grid.index}
  if (index >= P.threads) { return; }
  let query = index % P.length;
  let head = index / P.length % P.heads;
  let batch = index / (P.length * P.heads);
  let query_index = query_at(batch * P.length + query, head * P.width);
  var top = -3.4028234e38;
  for (var key = P.start; key < P.end; key++) {
    let key_index = key_at(batch * P.key_batch_rows + key, head * P.width);
    var sum = ${quads ? 'vec4f(0.0)' : '0.0'};
    for (var i = 0u; i < P.width; i++) {
      sum = fma(load_query(query_index + i) * P.scale, load_key(key_index + i), sum);
    }
    top = max(top, ${quads ? '(sum.x + sum.y) + (sum.z + sum.w)' : 'sum'});
  }
  store_largest(largest_at(index, 0u), vec4f(top, 0.0, 0.0, 0.0));`,
      grid.workgroups,
    )
  const threads = facts.software ? 1 : 64
  const second = new Shader('attention_peak_of_all', facts)
    .tensor('largest', largest)
    .tensor('y', context.view(op.outputs.y))
    .param('each', 'u32', each)
    .declare(`var<workgroup> tops: array<f32, ${threads}>;`)
    .dispatch(
      op.path,
      [threads, 1, 1],
      `
  let base = workgroup.x * P.each;
  var top = -3.4028234e38;
  for (var i = local; i < P.each; i += ${threads}u) { top = max(top, load_largest(largest_at(base + i, 0u)).x); }
  tops[local] = top;
  workgroupBarrier();
  if (local == 0u) {
    for (var i = 1u; i < ${threads}u; i++) { top = max(top, tops[i]); }
    store_y(y_at(workgroup.x, 0u), vec4f(top, 0.0, 0.0, 0.0));
  }`,
      [batch, 1, 1],
    )
  return [first, second]
}
