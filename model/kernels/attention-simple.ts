/**
 * Attention for head sizes that are not a multiple of 4, where heads do not start on a vec4.
 *
 * Shapes, letters and formula: attention.ts. Layout: single elements; any N, D, L and S.
 * Work split: a thread owns one query of one head. It walks the keys once for the maximum and the sum of the softmax
 * (online, as in flash attention) and once more for each block of 8 output columns, computing the logits again: no
 * memory grows with S or D. 64 threads a workgroup, no workgroup memory.
 * Precision: f32. Cost: (2 + D / 8) · L · S · N · D multiplications; meant for tests and odd models.
 * Limits: B · N · L < 2^31. Reference: torch.nn.functional.scaled_dot_product_attention.
 */
import { roundUp } from '../tensor/shape.ts'
import { declareControls, declareSizes, type AttentionPlan } from './attention-plan.ts'
import { flatGrid } from './flat.ts'
import type { Dispatch, LoweringContext } from './lowering.ts'
import { Shader } from './shader.ts'

const block = 8

export function lowerSimpleAttention(plan: AttentionPlan, context: LoweringContext): Dispatch[] {
  const threads = plan.batch * plan.heads * plan.length
  const grid = flatGrid(threads)
  const shader = new Shader('attention_simple', context.facts)
    .tensor('query', plan.query, 'scalar')
    .tensor('key', plan.key, 'scalar')
    .tensor('value', plan.value, 'scalar')
    .tensor('y', plan.y, 'scalar')
    .param('threads', 'u32', threads)
    .param('head_size', 'u32', plan.headSize)
    .param('scale', 'f32', plan.scale)
    .param('y_padded', 'u32', roundUp(plan.y.columns, 4))
    .param('keys_padded', 'u32', roundUp(plan.keys, 4))
  if (plan.probabilities) shader.tensor('probabilities', plan.probabilities, 'scalar')
  declareSizes(shader, plan)
  declareControls(shader, plan, { bias: true, scale: true, gain: true }, 'scalar')
  const columns = Array.from({ length: block }, (_, i) => i)
  return [
    shader
      .declare(`
fn logit(query_index: u32, batch: u32, query: u32, head: u32, key: u32) -> f32 {
  let key_index = key_at(batch * P.key_batch_rows + key, head * P.head_size);
  var sum = 0.0;
  for (var d = 0u; d < P.head_size; d++) {
    sum = fma(load_query(query_index + d) * P.scale, load_key(key_index + d), sum);
  }
  return biased(sum, batch, query, key);
}`)
      .dispatch(
        plan.path,
        grid.workgroupSize,
        `
  ${grid.index}
  if (index >= P.threads) { return; }
  let query = index % P.length;
  let head = (index / P.length) % P.heads;
  let batch = index / (P.length * P.heads);
  let row = batch * P.length + query;
  let query_index = query_at(row, head * P.head_size);
  let visible = visible_keys(query);
  var top = lowest;
  var sum = 0.0;
  for (var key = 0u; key < visible; key++) {
    let value = logit(query_index, batch, query, head, key);
    let next = max(top, value);
    sum = fma(sum, exp(top - next), exp(value - next));
    top = next;
  }
  let inverse = 1.0 / sum;
  for (var first = 0u; first < P.head_size; first += ${block}u) {
    ${columns.map(i => `var y${i} = 0.0;`).join(' ')}
    for (var key = 0u; key < visible; key++) {
      let p = exp(logit(query_index, batch, query, head, key) - top) * inverse;
      let weight = gained(scaled(p, batch, key), batch, key);
      let value_index = value_at(batch * P.key_batch_rows + key, head * P.head_size);
      ${columns
        .map(
          i => `y${i} = fma(weight, load_value(value_index + min(first + ${i}u, P.head_size - 1u)), y${i});`,
        )
        .join('\n      ')}
    }
    let y_index = y_at(row, head * P.head_size);
    ${columns.map(i => `if (first + ${i}u < P.head_size) { store_y(y_index + first + ${i}u, y${i}); }`).join('\n    ')}
  }
  if (head == P.heads - 1u) {
    for (var column = P.heads * P.head_size; column < P.y_padded; column++) { store_y(y_at(row, column), 0.0); }
  }
  ${
    plan.probabilities
      ? `for (var key = 0u; key < P.keys_padded; key++) {
    var p = 0.0;
    if (key < visible) {
      p = scaled(exp(logit(query_index, batch, query, head, key) - top) * inverse, batch, key);
    }
    store_probabilities(probabilities_at(index, key), p);
  }`
      : ''
  }`,
        grid.workgroups,
      ),
  ]
}
