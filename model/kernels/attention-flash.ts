/**
 * Attention without a score matrix (Dao et al. 2022, "FlashAttention"; online softmax of Milakov & Gimelshein 2018).
 *
 * Shapes, letters and formula: attention.ts. D a multiple of 4 up to 160; any L, S, N. Layout: vec4s along D.
 *
 * Work split: a thread owns one query of one head, 64 queries a workgroup; the grid is L/64 × N × B. The scaled query
 * and the output live in D/2 registers. Keys and values pass through workgroup memory in tiles of 16 rows (8 where
 * D > 128), converted to f32: at most 16 KiB, WebGPU's guaranteed limit. Keys are taken four at a time:
 *
 *   s = q·k + bias;  m' = max(m, s);  l = l · e^(m-m') + Σ e^(s-m');  o = o · e^(m-m') + Σ weight · e^(s-m') · v
 *
 * and y = o / l. tokenScale and valueGain are factors of `weight` only: they do not enter l. Several sources are walked
 * one after another, each with an m, l and o of its own: y = Σ outputMask · o / l.
 *
 * Probabilities: when they are asked for, the kernel also writes (m, l) of every query and source, and a second
 * dispatch computes logits again: all, four keys a thread, or those of chosen tokens, one a thread. The code that makes
 * y is the same text in both cases.
 *
 * Precision: f32. Limits: B and N ≤ 65535, L ≤ 64 · 65535.
 * Reference: torch.nn.functional.scaled_dot_product_attention.
 */
import {
  type AttentionCapture,
  type AttentionPlan,
  declareCapture,
  declareControls,
  declareSizes,
  declareSources,
  keyQuads,
} from './attention-plan.ts'
import { flatGrid } from './flat.ts'
import type { Dispatch, LoweringContext, TensorView } from './lowering.ts'
import { Shader } from './shader.ts'

/** The largest head whose query and output fit a thread's registers on common hardware (with some spilling). */
export const flashHeadLimit = 160

const threads = 64

export function lowerFlashAttention(plan: AttentionPlan, context: LoweringContext): Dispatch[] {
  const { probabilities, capture, sources } = plan
  if (!probabilities && !capture) return [output(plan, context, undefined)]
  const rows = plan.batch * plan.heads * plan.length
  const statistics = context.scratch(`${plan.path}.statistics`, rows, 4 * sources.length)
  const dispatches = [output(plan, context, statistics)]
  if (probabilities) dispatches.push(captureAll(plan, context, statistics, probabilities))
  if (capture) dispatches.push(captureTokens(plan, context, statistics, capture))
  return dispatches
}

/** WGSL of four dot products q·k as a vec4, keys at `key(j, i)`; the same order of additions in both kernels. */
function dots(quads: number, key: (j: number, i: number) => string): string {
  const one = (j: number): string => {
    const steps = Array.from({ length: quads }, (_, i) =>
      i === 0
        ? `let d${j}_0 = q0 * ${key(j, 0)};`
        : `let d${j}_${i} = fma(q${i}, ${key(j, i)}, d${j}_${i - 1});`,
    )
    const last = `d${j}_${quads - 1}`
    return `${steps.join('\n')}\nlet s${j} = (${last}.x + ${last}.y) + (${last}.z + ${last}.w);`
  }
  return `${[0, 1, 2, 3].map(one).join('\n')}\nlet dots = vec4f(s0, s1, s2, s3);`
}

function output(plan: AttentionPlan, context: LoweringContext, statistics: TensorView | undefined): Dispatch {
  const quads = plan.headSize / 4
  const tile = plan.headSize <= 128 ? 16 : 8
  const each = (code: (i: number) => string, separator = '\n'): string =>
    Array.from({ length: quads }, (_, i) => code(i)).join(separator)
  const shader = new Shader('attention_flash', context.facts)
    .tensor('query', plan.query)
    .tensor('key', plan.key)
    .tensor('value', plan.value)
    .tensor('y', plan.y)
    .param('scale', 'f32', plan.scale)
  if (statistics) shader.tensor('statistics', statistics)
  declareSizes(shader, plan)
  declareControls(shader, plan, { bias: true, scale: true, gain: true })
  const { plain } = plan
  if (!plain) declareSources(shader, plan)
  const row = plain ? 'batch' : 'sample'
  const loadQuery = `let query_index = query_at(${row} * P.length + query, head * ${quads}u);
  ${each(i => `let q${i} = load_query(query_index + ${i}u) * P.scale;`)}`
  const store = (column: string): string =>
    statistics
      ? `if (is_real) {
    store_statistics(statistics_at((batch * P.heads + head) * P.length + query, ${column}), vec4f(top, sum, 0.0, 0.0));
  }`
      : ''
  const walk = `
  ${each(i => `var o${i} = vec4f(0.0);`)}
  var top = lowest;
  var sum = 0.0;
  for (var begin = ${plain ? '0u' : 'source_start(g)'}; begin < end; begin += ${tile}u) {
    workgroupBarrier();
    for (var i = local; i < ${tile * quads}u; i += ${threads}u) {
      let row = min(begin + i / ${quads}u, end - 1u);
      let column = head * ${quads}u + i % ${quads}u;
      tile_keys[i] = load_key(key_at(${plain ? 'batch' : 'key_sample'} * P.key_batch_rows + row, column));
      tile_values[i] = load_value(value_at(batch * P.key_batch_rows + row, column));
    }
    workgroupBarrier();
    for (var part = 0u; part < ${tile / 4}u; part++) {
      let first = begin + part * 4u;
      if (first >= end) { break; }
      let base = part * ${4 * quads}u;
      ${dots(quads, (j, i) => `tile_keys[base + ${j * quads + i}u]`)}
      let seen = vec4u(first) + vec4u(0u, 1u, 2u, 3u) < vec4u(visible);
      let logits = select(vec4f(lowest), biased(dots, controls, first / 4u), seen);
      let next = max(top, max(max(logits.x, logits.y), max(logits.z, logits.w)));
      let fade = exp(top - next);
      let p = select(vec4f(0.0), exp(logits - next), seen);
      sum = fma(sum, fade, (p.x + p.y) + (p.z + p.w));
      top = next;
      let weight = select(vec4f(0.0), gained(scaled(p, controls, first / 4u), controls, first / 4u), seen);
      ${each(
        i => `o${i} = fma(vec4f(weight.w), tile_values[base + ${3 * quads + i}u],
        fma(vec4f(weight.z), tile_values[base + ${2 * quads + i}u],
        fma(vec4f(weight.y), tile_values[base + ${quads + i}u],
        fma(vec4f(weight.x), tile_values[base + ${i}u], o${i} * fade))));`,
      )}
    }
  }
  let inverse = 1.0 / sum;`
  return shader
    .declare(`
var<workgroup> tile_keys: array<vec4f, ${tile * quads}>;
var<workgroup> tile_values: array<vec4f, ${tile * quads}>;`)
    .dispatch(
      plan.path,
      [threads, 1, 1],
      `
  let head = workgroup.y;
  let batch = workgroup.z;
  // Threads past the last query work on it too, because all must reach the barriers; they store nothing.
  let query = min(workgroup.x * ${threads}u + local, P.length - 1u);
  let is_real = workgroup.x * ${threads}u + local < P.length;
  let y_index = y_at(batch * P.length + query, head * ${quads}u);
  let controls = controls_of(batch, query);
  ${
    plain
      ? `let end = P.keys;
  let visible = visible_keys(query);
  ${loadQuery}
  ${walk}
  if (is_real) { ${each(i => `store_y(y_index + ${i}u, o${i} * inverse);`)} }
  ${store('0u')}`
      : `${each(i => `var y${i} = vec4f(0.0);`)}
  for (var g = 0u; g < ${plan.sources.length}u; g++) {
    let end = source_end(g);
    let visible = min(end, visible_keys(query));
    let sample = sample_of(batch, g);
    let key_sample = key_sample_of(batch, g);
    ${loadQuery}
    ${walk}
    let mask = mask_of(batch, query, g);
    ${each(i => `y${i} = fma(o${i} * inverse, vec4f(mask), y${i});`)}
    ${store('g')}
  }
  if (is_real) { ${each(i => `store_y(y_index + ${i}u, y${i});`)} }`
  }`,
      [Math.ceil(plan.length / threads), plan.heads, plan.batch],
    )
}

/** The shader of a capture: declarations that both forms share. */
function captureShader(plan: AttentionPlan, context: LoweringContext, statistics: TensorView): Shader {
  const shader = new Shader('attention_capture', context.facts)
    .tensor('query', plan.query)
    .tensor('key', plan.key)
    .tensor('statistics', statistics)
    .param('scale', 'f32', plan.scale)
  declareSizes(shader, plan)
  declareControls(shader, plan, { bias: true, scale: true })
  declareSources(shader, plan)
  return shader.declare(`
// The source that a key belongs to, or the number of sources.
fn source_of_key(key: u32) -> u32 {
  for (var g = 0u; g < ${plan.sources.length}u; g++) {
    if (key >= source_start(g) && key < source_end(g)) { return g; }
  }
  return ${plan.sources.length}u;
}`)
}

/** WGSL: the query's vec4s as `q0`, `q1`, … */
const loadQueries = (quads: number): string =>
  Array.from({ length: quads }, (_, i) => `let q${i} = load_query(query_index + ${i}u) * P.scale;`).join('\n')

/** Probabilities [B·N·L, S] from the statistics: four keys a thread. */
function captureAll(
  plan: AttentionPlan,
  context: LoweringContext,
  statistics: TensorView,
  probabilities: TensorView,
): Dispatch {
  const quads = plan.headSize / 4
  const count = plan.batch * plan.heads * plan.length * keyQuads(plan)
  const grid = flatGrid(count)
  return captureShader(plan, context, statistics)
    .tensor('probabilities', probabilities)
    .param('count', 'u32', count)
    .param('quads', 'u32', keyQuads(plan))
    .dispatch(
      plan.path,
      grid.workgroupSize,
      `
  ${grid.index}
  if (index >= P.count) { return; }
  let quad = index % P.quads;
  let row = index / P.quads;
  let query = row % P.length;
  let head = (row / P.length) % P.heads;
  let batch = row / (P.length * P.heads);
  let target_index = probabilities_at(row, quad);
  let g = source_of_key(quad * 4u);
  if (g == ${plan.sources.length}u) { store_probabilities(target_index, vec4f(0.0)); return; }
  let query_index = query_at(sample_of(batch, g) * P.length + query, head * ${quads}u);
  let key_row = key_sample_of(batch, g) * P.key_batch_rows;
  ${loadQueries(quads)}
  ${[0, 1, 2, 3]
    .map(j => `let k${j} = key_at(key_row + min(quad * 4u + ${j}u, P.keys - 1u), head * ${quads}u);`)
    .join('\n  ')}
  ${dots(quads, (j, i) => `load_key(k${j} + ${i}u)`)}
  let end = min(source_end(g), visible_keys(query));
  let seen = vec4u(quad * 4u) + vec4u(0u, 1u, 2u, 3u) < vec4u(end);
  let statistics = load_statistics(statistics_at(row, g));
  let controls = controls_of(batch, query);
  let p = exp(min(biased(dots, controls, quad) - statistics.x, vec4f(0.0))) / statistics.y;
  store_probabilities(target_index, select(vec4f(0.0), scaled(p, controls, quad), seen));`,
      grid.workgroups,
    )
}

/** The running sum [C·N·L, T] of chosen tokens: one a thread. */
function captureTokens(
  plan: AttentionPlan,
  context: LoweringContext,
  statistics: TensorView,
  chosen: AttentionCapture,
): Dispatch {
  const quads = plan.headSize / 4
  const count = chosen.captured.rows * chosen.tokens.columns
  const grid = flatGrid(count)
  const shader = captureShader(plan, context, statistics).param('count', 'u32', count)
  return declareCapture(shader, plan, chosen).dispatch(
    plan.path,
    grid.workgroupSize,
    `
  ${grid.index}
  if (index >= P.count) { return; }
  let t = index % P.capture_count;
  let row = index / P.capture_count;
  let query = row % P.length;
  let head = (row / P.length) % P.heads;
  let slot = row / (P.length * P.heads);
  let token = capture_token(t);
  if (token < 0) { return; }
  let key = u32(token);
  let batch = capture_sample(slot);
  let g = source_of_key(key);
  if (g == ${plan.sources.length}u || key >= min(source_end(g), visible_keys(query))) { return; }
  let query_index = query_at(sample_of(batch, g) * P.length + query, head * ${quads}u);
  let key_index = key_at(key_sample_of(batch, g) * P.key_batch_rows + key, head * ${quads}u);
  var products = vec4f(0.0);
  for (var i = 0u; i < ${quads}u; i++) {
    products = fma(load_query(query_index + i) * P.scale, load_key(key_index + i), products);
  }
  let dot = (products.x + products.y) + (products.z + products.w);
  let quad = key / 4u;
  let statistics = load_statistics(statistics_at((batch * P.heads + head) * P.length + query, g));
  let controls = controls_of(batch, query);
  let p = exp(min(biased(vec4f(dot), controls, quad) - statistics.x, vec4f(0.0))) / statistics.y;
  capture(slot, head, query, t, scaled(p, controls, quad)[key % 4u]);`,
    grid.workgroups,
  )
}
