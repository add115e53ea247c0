/**
 * Attention as two matrix products with a softmax between them.
 *
 *   1. scores = scale · Q·Kᵀ   2. scores = softmax(scores + bias) · tokenScale · valueGain · outputMask   3. y = scores·V
 *
 * Sources are runs of columns: the softmax normalises each by itself, and the third product adds them up. So several
 * sources cost their own columns and no further dispatch (one more each where samples ask with others' queries).
 *
 * Shapes, letters and formula: attention.ts. D a multiple of 4; any L, S, N. Layout: vec4s along D and along S;
 * scores are f32 [B·N·(queries of a chunk), S], S rounded up to 4, in scratch memory of at most 32 MiB: longer
 * sequences are served by several triples of dispatches.
 *
 * Work split of the products: on an adapter with small fixed subgroups (lavapipe 8 lanes, SwiftShader 4) a workgroup
 * is one subgroup of Z lanes and makes 2Z (4Z where Z < 8) rows × 4Z columns. A lane loads one vec4 of two (four) rows
 * and four vec4s of its columns; the rows are broadcast, because there a load costs as much as a hundred
 * multiplications and a broadcast almost nothing. Without such subgroups a workgroup of 64 threads makes 32 × 32, each
 * thread 4 × 4. No workgroup memory, no barriers. Keys are loaded along D and used transposed. A tile that hangs over
 * an edge repeats the last row or column there: it computes and stores the same bits twice, which is cheaper than a
 * branch at every store. What the uniform holds is read once, before the loops: on a software adapter each reading is
 * a load.
 * Softmax: one row a thread on software adapters, a row a workgroup of 64 threads elsewhere (512 bytes of workgroup
 * memory). It reads the row twice: an online maximum and sum first, then the probabilities, also captured here.
 *
 * Precision: f32 throughout. Limits: B·N ≤ 65535, L ≤ 2^19, S ≤ 2^19 without subgroups.
 * Reference: torch.nn.functional.scaled_dot_product_attention.
 */
import {
  type AttentionPlan,
  declareCapture,
  declareControls,
  declareSizes,
  declareSources,
  keyQuads,
} from './attention-plan.ts'
import type { DeviceFacts, Dispatch, LoweringContext, TensorView } from './lowering.ts'
import { fold, foldedRows, Shader } from './shader.ts'

/** Scratch memory for scores; more would buy fewer dispatches, but the arena would grow by as much. */
const scoreBytes = 32 << 20

/** Rows that a workgroup of the softmax takes where each thread has one to itself. */
const softwareRows = 16

/** A run of queries of every batch element and head. */
interface Chunk {
  readonly first: number
  readonly queries: number
}

/** @param budget bytes of scratch for scores; tests make it small. */
export function lowerThreePassAttention(
  plan: AttentionPlan,
  context: LoweringContext,
  budget: number = scoreBytes,
): Dispatch[] {
  const { facts } = context
  const tile = productTile(facts)
  const bytesAQuery = plan.batch * plan.heads * keyQuads(plan) * 16
  const fitting = Math.floor(budget / bytesAQuery / tile.rows) * tile.rows
  const step = Math.min(plan.length, Math.max(fitting, tile.rows))
  const scores = context.scratch(`${plan.path}.scores`, plan.batch * plan.heads * step, plan.keys)
  const dispatches: Dispatch[] = []
  for (let first = 0; first < plan.length; first += step) {
    const chunk = { first, queries: Math.min(step, plan.length - first) }
    // Sources that other samples may ask are products of their own: a tile has one query row for all its columns.
    const ranges = plan.querySample ? plan.sources.keys() : [undefined]
    for (const source of ranges) dispatches.push(logits(plan, chunk, scores, facts, source))
    dispatches.push(softmax(plan, chunk, scores, facts), weightedValues(plan, chunk, scores, facts))
  }
  return dispatches
}

/** How a workgroup makes a tile of a product, see the header. */
interface ProductTile {
  readonly rows: number
  /** In vec4s. */
  readonly quads: number
  readonly threads: number
  readonly subgroups: boolean
  /** Rows whose vec4s a thread loads, and rows that it accumulates. */
  readonly loaded: number
  readonly made: number
  /** WGSL: number of the thread's vec4 column in the tile, of its i-th loaded row, of its r-th made row. */
  readonly column: string
  loadedRow(i: number): string
  madeRow(r: number): string
  /** WGSL: the loaded vec4 that belongs to made row r. */
  rowValue(r: number): string
}

function productTile({ subgroupSize }: DeviceFacts): ProductTile {
  if (subgroupSize > 0) {
    // At least 16 rows for each loaded column; more would cost compile time.
    const loaded = subgroupSize >= 8 ? 2 : 4
    return {
      rows: loaded * subgroupSize,
      quads: subgroupSize,
      threads: subgroupSize,
      subgroups: true,
      loaded,
      made: loaded * subgroupSize,
      column: 'lane',
      loadedRow: i => `${i * subgroupSize}u + lane`,
      madeRow: r => `${r}u`,
      rowValue: r => `subgroupBroadcast(a${Math.floor(r / subgroupSize)}, ${r % subgroupSize}u)`,
    }
  }
  return {
    rows: 32,
    quads: 8,
    threads: 64,
    subgroups: false,
    loaded: 4,
    made: 4,
    column: 'local % 8u',
    loadedRow: i => `local / 8u * 4u + ${i}u`,
    madeRow: r => `local / 8u * 4u + ${r}u`,
    rowValue: r => `a${r}`,
  }
}

const four = [0, 1, 2, 3] as const

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

/**
 * WGSL of one tile's product loop; leaves the sums in scalars c{r}_{j}.
 * @param steps WGSL: number of steps of 4 along the inner axis.
 * @param prepare declares the indices a_index{i} of the loaded rows and whatever `load` needs.
 * @param load declares the columns' four vec4s as b0..b3 for step `k`.
 * @param factor WGSL of the factor of inner index kk and column j.
 */
function product(
  tile: ProductTile,
  role: string,
  steps: string,
  prepare: string,
  load: string,
  factor: (kk: number, j: number) => string,
): string {
  return `
  ${prepare}
  ${range(tile.made)
    .map(r => four.map(j => `var c${r}_${j} = 0.0;`).join(' '))
    .join('\n  ')}
  let steps = ${steps};
  for (var k = 0u; k < steps; k++) {
    ${range(tile.loaded)
      .map(i => `let a${i} = load_${role}(a_index${i} + k);`)
      .join('\n    ')}
    ${load}
    ${range(tile.made)
      .map(
        r =>
          `{ let w = ${tile.rowValue(r)};\n${four
            .map(j => four.map(kk => `c${r}_${j} = fma(w[${kk}], ${factor(kk, j)}, c${r}_${j});`).join(' '))
            .join('\n')} }`,
      )
      .join('\n    ')}
  }`
}

/**
 * Dispatch 1: scale · Q·Kᵀ. Columns past the last key get its product again; the softmax ignores them.
 * @param g the source whose columns to make; all columns when absent
 */
function logits(
  plan: AttentionPlan,
  chunk: Chunk,
  scores: TensorView,
  facts: DeviceFacts,
  g: number | undefined,
): Dispatch {
  const tile = productTile(facts)
  const source = g === undefined ? undefined : plan.sources[g]
  const firstQuad = (source?.start ?? 0) / 4
  const endQuad = source ? Math.ceil((source.start + source.length) / 4) : keyQuads(plan)
  const shader = new Shader('attention_logits', facts)
    .tensor('query', plan.query)
    .tensor('key', plan.key)
    .tensor('scores', scores)
    .param('scale', 'f32', plan.scale)
    .param('first_query', 'u32', chunk.first)
    .param('queries', 'u32', chunk.queries)
    .param('head_quads', 'u32', plan.headSize / 4)
    .param('first_quad', 'u32', firstQuad)
    .param('last_quad', 'u32', endQuad - 1)
  if (tile.subgroups) shader.enable('subgroups')
  declareSizes(shader, plan)
  if (g !== undefined) {
    declareSources(shader, plan)
    shader.param('source', 'u32', g)
  }
  return shader.dispatch(
    plan.path,
    [tile.threads, 1, 1],
    `
  let batch = ${g === undefined ? 'workgroup.z / P.heads' : 'sample_of(workgroup.z / P.heads, P.source)'};
  let key_batch = ${g === undefined ? 'batch' : 'key_sample_of(workgroup.z / P.heads, P.source)'};
  let head = workgroup.z % P.heads;
  let row0 = workgroup.y * ${tile.rows}u;
  let last_row = P.queries - 1u - row0;
  let quad = min(P.first_quad + workgroup.x * ${tile.quads}u + ${tile.column}, P.last_quad);
  let scores_index = scores_at(workgroup.z * P.queries + row0, quad);
  let scores_stride = P.scores_stride;
  let scale = P.scale;
  ${product(
    tile,
    'query',
    'P.head_quads',
    `${range(tile.loaded)
      .map(
        i => `let a_index${i} = query_at(
    batch * P.length + P.first_query + row0 + min(${tile.loadedRow(i)}, last_row), head * P.head_quads);`,
      )
      .join('\n  ')}
  ${four
    .map(
      j =>
        `let b_index${j} = key_at(key_batch * P.key_batch_rows + min(quad * 4u + ${j}u, P.keys - 1u), head * P.head_quads);`,
    )
    .join('\n  ')}`,
    four.map(j => `let b${j} = load_key(b_index${j} + k);`).join('\n    '),
    (kk, j) => `b${j}[${kk}]`,
  )}
  ${range(tile.made)
    .map(
      r => `store_scores(scores_index + min(${tile.madeRow(r)}, last_row) * scores_stride,
    vec4f(${four.map(j => `c${r}_${j}`).join(', ')}) * scale);`,
    )
    .join('\n  ')}`,
    [
      Math.ceil((endQuad - firstQuad) / tile.quads),
      Math.ceil(chunk.queries / tile.rows),
      plan.batch * plan.heads,
    ],
  )
}

/** Dispatch 2: softmax of each source in place, with the controls; writes the captured probabilities. */
function softmax(plan: AttentionPlan, chunk: Chunk, scores: TensorView, facts: DeviceFacts): Dispatch {
  const slices = plan.batch * plan.heads
  const threads = facts.software ? 1 : 64
  const { plain, probabilities, capture } = plan
  const shader = new Shader('attention_softmax', facts)
    .tensor('scores', scores)
    .param('slices', 'u32', slices)
    .param('first_query', 'u32', chunk.first)
    .param('queries', 'u32', chunk.queries)
    .param('key_quads', 'u32', keyQuads(plan))
  if (probabilities) shader.tensor('probabilities', probabilities)
  declareSizes(shader, plan)
  declareControls(shader, plan, { bias: true, scale: true, gain: true })
  if (!plain) declareSources(shader, plan)
  if (capture) declareCapture(shader, plan, capture)
  // A thread that has a row to itself keeps the biased logits in place of the scores: the bias is read once.
  const keeps = threads === 1 && plan.logitBias !== undefined
  const again = keeps
    ? 'load_scores(scores_row + quad)'
    : 'biased(load_scores(scores_row + quad), controls, quad)'
  // A thread's first vec4 at or behind `quad`: the same thread has the same vec4s in every loop.
  const from = (quad: string): string =>
    threads === 1 ? quad : `${quad} + (member + ${threads}u - ${quad} % ${threads}u) % ${threads}u`
  const zeros = (first: string, end: string): string => `
  for (var quad = ${from(first)}; quad < ${end}; quad += ${threads}u) {
    ${probabilities ? 'store_probabilities(captured_row + quad, vec4f(0.0));' : ''}
    store_scores(scores_row + quad, vec4f(0.0));
  }`
  const source = (g: number): string => `{
  let begin = ${plain ? '0u' : `source_start(${g}u)`};
  let end = ${plain ? 'visible_keys(query)' : `min(source_end(${g}u), visible_keys(query))`};
  let visible = vec4u(end);
  let first_quad = begin / 4u;
  let end_quad = ${plain ? 'key_quads' : `(source_end(${g}u) + 3u) / 4u`};
  var top = vec4f(lowest);
  var sum = vec4f(0.0);
  for (var quad = ${from('first_quad')}; quad < end_quad; quad += ${threads}u) {
    let seen = vec4u(quad * 4u) + vec4u(0u, 1u, 2u, 3u) < visible;
    let logit = select(vec4f(lowest), biased(load_scores(scores_row + quad), controls, quad), seen);
    ${keeps ? 'store_scores(scores_row + quad, logit);' : ''}
    let next = max(top, logit);
    sum = fma(sum, exp(top - next), select(vec4f(0.0), exp(logit - next), seen));
    top = next;
  }
  let row_top = max(max(top.x, top.y), max(top.z, top.w));
  let part = sum * exp(top - row_top);
  let merged = merge(vec2f(row_top, (part.x + part.y) + (part.z + part.w)), local);
  let inverse = 1.0 / merged.y;
  ${
    capture
      ? `if (slot >= 0) {
    for (var t = member; t < P.capture_count; t += ${threads}u) {
      let token = capture_token(t);
      if (token >= i32(begin) && token < i32(end)) {
        let quad = u32(token) / 4u;
        let logit = ${again};
        let p = scaled(exp(logit - merged.x) * inverse, controls, quad);
        capture(u32(slot), head, query, t, p[u32(token) % 4u]);
      }
    }
  }
  ${threads === 1 ? '' : '// Others read what the next loop overwrites.\n  storageBarrier(); workgroupBarrier();'}`
      : ''
  }
  ${plain ? '' : `let mask = mask_of(batch, query, ${g}u);`}
  for (var quad = ${from('first_quad')}; quad < end_quad; quad += ${threads}u) {
    let seen = vec4u(quad * 4u) + vec4u(0u, 1u, 2u, 3u) < visible;
    let logit = select(vec4f(lowest), ${again}, seen);
    let p = select(vec4f(0.0), exp(logit - merged.x) * inverse, seen);
    // Optional data past the last key is padding: zero, so p stays zero there.
    let probability = scaled(p, controls, quad);
    ${probabilities ? 'store_probabilities(captured_row + quad, probability);' : ''}
    store_scores(scores_row + quad, gained(probability, controls, quad)${plain ? '' : ' * mask'});
  }
  ${plain ? '' : zeros('end_quad', g + 1 < plan.sources.length ? `source_start(${g + 1}u) / 4u` : 'key_quads')}
  }`
  return shader
    .declare(
      threads === 1 ? 'fn merge(mine: vec2f, local: u32) -> vec2f { return mine; }' : mergeOverWorkgroup,
    )
    .dispatch(
      plan.path,
      [threads === 1 ? softwareRows : threads, 1, 1],
      `
  ${
    threads === 1
      ? `// Head and sample are the same for the whole workgroup: what hangs on them alone is loaded once for all lanes.
  let place = workgroup.x * ${softwareRows}u + local;
  if (place >= P.queries) { return; }
  let slice = workgroup.z;
  let member = 0u;`
      : `let place = (workgroup.y + workgroup.z * ${foldedRows}u) % P.queries;
  let slice = (workgroup.y + workgroup.z * ${foldedRows}u) / P.queries;
  // The same for all threads that share a row.
  if (slice >= P.slices) { return; }
  let member = local;`
  }
  let row = slice * P.queries + place;
  let query = P.first_query + place;
  let batch = slice / P.heads;
  let head = slice % P.heads;
  let scores_row = scores_at(row, 0u);
  let key_quads = P.key_quads;
  let controls = controls_of(batch, query);
  ${probabilities ? 'let captured_row = probabilities_at((batch * P.heads + head) * P.length + query, 0u);' : ''}
  ${capture ? 'let slot = capture_slot(batch);' : ''}
  ${plain ? '' : zeros('0u', 'source_start(0u) / 4u')}
  ${plan.sources.map((_, g) => source(g)).join('\n  ')}`,
      threads === 1
        ? [Math.ceil(chunk.queries / softwareRows), 1, slices]
        : [1, ...fold(slices * chunk.queries)],
    )
}

/** WGSL: (maximum, sum relative to it) over 64 threads. */
const mergeOverWorkgroup = `
var<workgroup> parts: array<vec2f, 64>;
fn merge(mine: vec2f, local: u32) -> vec2f {
  // An earlier call may still be reading its result.
  workgroupBarrier();
  parts[local] = mine;
  workgroupBarrier();
  for (var half = 32u; half > 0u; half /= 2u) {
    if (local < half) {
      let a = parts[local];
      let b = parts[local + half];
      let top = max(a.x, b.x);
      parts[local] = vec2f(top, fma(a.y, exp(a.x - top), b.y * exp(b.x - top)));
    }
    workgroupBarrier();
  }
  return parts[0];
}`

/** Dispatch 3: scores · V into the head's columns of y. */
function weightedValues(plan: AttentionPlan, chunk: Chunk, scores: TensorView, facts: DeviceFacts): Dispatch {
  const tile = productTile(facts)
  const headQuads = plan.headSize / 4
  const shader = new Shader('attention_values', facts)
    .tensor('scores', scores)
    .tensor('value', plan.value)
    .tensor('y', plan.y)
    .param('first_query', 'u32', chunk.first)
    .param('queries', 'u32', chunk.queries)
    .param('head_quads', 'u32', headQuads)
    .param('key_quads', 'u32', keyQuads(plan))
  if (tile.subgroups) shader.enable('subgroups')
  declareSizes(shader, plan)
  return shader.dispatch(
    plan.path,
    [tile.threads, 1, 1],
    `
  let batch = workgroup.z / P.heads;
  let head = workgroup.z % P.heads;
  let row0 = workgroup.y * ${tile.rows}u;
  let last_row = P.queries - 1u - row0;
  let column = head * P.head_quads + min(workgroup.x * ${tile.quads}u + ${tile.column}, P.head_quads - 1u);
  let value_index = value_at(batch * P.key_batch_rows, column);
  let value_stride = P.value_stride;
  let last_key = P.keys - 1u;
  let y_index = y_at(batch * P.length + P.first_query + row0, column);
  let y_stride = P.y_stride;
  ${product(
    tile,
    'scores',
    'P.key_quads',
    range(tile.loaded)
      .map(
        i =>
          `let a_index${i} = scores_at(workgroup.z * P.queries + row0 + min(${tile.loadedRow(i)}, last_row), 0u);`,
      )
      .join('\n  '),
    // Scores past the last key are zero, but what lies after the last value may be anything.
    four
      .map(kk => `let b${kk} = load_value(value_index + min(k * 4u + ${kk}u, last_key) * value_stride);`)
      .join('\n    '),
    (kk, j) => `b${kk}[${j}]`,
  )}
  ${range(tile.made)
    .map(
      r => `store_y(y_index + min(${tile.madeRow(r)}, last_row) * y_stride,
    vec4f(${four.map(j => `c${r}_${j}`).join(', ')}));`,
    )
    .join('\n  ')}`,
    [Math.ceil(headQuads / tile.quads), Math.ceil(chunk.queries / tile.rows), plan.batch * plan.heads],
  )
}
