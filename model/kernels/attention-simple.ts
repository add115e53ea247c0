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
import {
  type AttentionPlan,
  declareCapture,
  declareControls,
  declareSizes,
  declareSources,
} from './attention-plan.ts'
import { flatGrid } from './flat.ts'
import type { Dispatch, LoweringContext } from './lowering.ts'
import { Shader } from './shader.ts'

const block = 8

export function lowerSimpleAttention(plan: AttentionPlan, context: LoweringContext): Dispatch[] {
  const threads = plan.batch * plan.heads * plan.length
  const grid = flatGrid(threads)
  const { probabilities, capture } = plan
  const count = plan.sources.length
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
  if (probabilities) shader.tensor('probabilities', probabilities, 'scalar')
  declareSizes(shader, plan)
  declareControls(shader, plan, { bias: true, scale: true, gain: true }, 'scalar')
  declareSources(shader, plan)
  if (capture) declareCapture(shader, plan, capture)
  const columns = Array.from({ length: block }, (_, i) => i)
  const probability = `scaled(exp(logit(at, key) - top[g]) * inverse[g], controls, key)`
  return [
    shader
      .declare(`
struct Place { batch: u32, head: u32, query: u32, source: u32 }
fn logit(at: Place, key: u32) -> f32 {
  let query_index = query_at(sample_of(at.batch, at.source) * P.length + at.query, at.head * P.head_size);
  let key_index = key_at(key_sample_of(at.batch, at.source) * P.key_batch_rows + key, at.head * P.head_size);
  var sum = 0.0;
  for (var d = 0u; d < P.head_size; d++) {
    sum = fma(load_query(query_index + d) * P.scale, load_key(key_index + d), sum);
  }
  return biased(sum, controls_of(at.batch, at.query), key);
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
  let visible = visible_keys(query);
  let controls = controls_of(batch, query);
  var top: array<f32, ${count}>;
  var inverse: array<f32, ${count}>;
  for (var g = 0u; g < ${count}u; g++) {
    let at = Place(batch, head, query, g);
    var largest = lowest;
    var sum = 0.0;
    for (var key = source_start(g); key < min(source_end(g), visible); key++) {
      let value = logit(at, key);
      let next = max(largest, value);
      sum = fma(sum, exp(largest - next), exp(value - next));
      largest = next;
    }
    top[g] = largest;
    inverse[g] = 1.0 / sum;
  }
  for (var first = 0u; first < P.head_size; first += ${block}u) {
    ${columns.map(i => `var y${i} = 0.0;`).join(' ')}
    for (var g = 0u; g < ${count}u; g++) {
      let at = Place(batch, head, query, g);
      let mask = mask_of(batch, query, g);
      for (var key = source_start(g); key < min(source_end(g), visible); key++) {
        let weight = gained(${probability}, controls, key) * mask;
        let value_index = value_at(batch * P.key_batch_rows + key, head * P.head_size);
        ${columns
          .map(
            i =>
              `y${i} = fma(weight, load_value(value_index + min(first + ${i}u, P.head_size - 1u)), y${i});`,
          )
          .join('\n        ')}
      }
    }
    let y_index = y_at(batch * P.length + query, head * P.head_size);
    ${columns.map(i => `if (first + ${i}u < P.head_size) { store_y(y_index + first + ${i}u, y${i}); }`).join('\n    ')}
  }
  if (head == P.heads - 1u) {
    for (var column = P.heads * P.head_size; column < P.y_padded; column++) {
      store_y(y_at(batch * P.length + query, column), 0.0);
    }
  }
  ${
    probabilities
      ? `for (var key = 0u; key < P.keys_padded; key++) { store_probabilities(probabilities_at(index, key), 0.0); }
  for (var g = 0u; g < ${count}u; g++) {
    let at = Place(batch, head, query, g);
    for (var key = source_start(g); key < min(source_end(g), visible); key++) {
      store_probabilities(probabilities_at(index, key), ${probability});
    }
  }`
      : ''
  }
  ${
    capture
      ? `let slot = capture_slot(batch);
  for (var t = 0u; slot >= 0 && t < P.capture_count; t++) {
    let token = capture_token(t);
    for (var g = 0u; g < ${count}u; g++) {
      let at = Place(batch, head, query, g);
      if (token < i32(source_start(g)) || token >= i32(min(source_end(g), visible))) { continue; }
      let key = u32(token);
      capture(u32(slot), head, query, t, ${probability});
    }
  }`
      : ''
  }`,
        grid.workgroups,
      ),
  ]
}
