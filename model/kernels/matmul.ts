/**
 * The product behind linear layers and convolutions (implicit GEMM):
 *
 *   y[row, n] = activation(Σ_k a[row, k] · w[k, n] + bias[n] + batchBias[batch, n]) + residual[row, n]
 *             + Σ_k shortcut[row, k] · ws[k, n] + shortcutBias[n]
 *
 * Layout: a and y are tensor views (rows × vec4 groups), w a packed matrix (`LoweringContext.matrix`). For a
 * convolution, row is an output pixel, k runs over taps × input channels, and a is read from the input image where
 * the tap falls on it, zero elsewhere: no im2col buffer. GEGLU computes the value and the gate column in one lane.
 *
 * Two variants:
 *  - `subgroup` (software adapters): a workgroup is one subgroup of S lanes and owns 2S rows × S·J column groups. Each
 *    lane loads one row's vec4 of k and its own column group of w; rows are broadcast from lane to lane. A load costs
 *    as much as 70 fused multiply-adds on a processor, so loads are what this form saves. No workgroup memory.
 *  - `tiled` (everything else): 64 lanes own 64 rows × 16 column groups; tiles of 16 k's of both operands go through
 *    8 KiB of workgroup memory; each lane keeps 8 rows × 2 groups in registers.
 * Sums in f32, in one order per variant: two runs are bit-equal.
 */
import { invariant } from '../contract/errors.ts'
import type { Activation } from '../graph/ops.ts'
import type { BufferRef, DeviceFacts, Dispatch, TensorView } from './lowering.ts'
import { activationFunctions, fold, foldedRows, Shader } from './shader.ts'

/** Geometry of a convolution whose A operand is gathered from an image. */
export interface ConvGeometry {
  readonly inHeight: number
  readonly inWidth: number
  readonly outHeight: number
  readonly outWidth: number
  readonly kernelHeight: number
  readonly kernelWidth: number
  readonly stride: number
  readonly padTop: number
  readonly padLeft: number
  readonly upsample: 1 | 2
}

export interface Matmul {
  readonly kernel: string
  readonly label: string
  readonly x: TensorView
  readonly y: TensorView
  readonly matrix: BufferRef
  readonly bias: BufferRef | null
  readonly residual?: TensorView
  readonly batchBias?: TensorView
  /** Rows of y that belong to one batch element; for batchBias. */
  readonly rowsPerBatch: number
  readonly activation: Activation | 'geglu'
  readonly conv?: ConvGeometry
  /** A second, plain product into the same sums (a residual block's 1x1 shortcut); without activation only. */
  readonly shortcut?: { readonly x: TensorView; readonly matrix: BufferRef; readonly bias: BufferRef | null }
}

/** Emits the dispatch of a product in the variant that fits the adapter. */
export function dispatchMatmul(matmul: Matmul, facts: DeviceFacts): Dispatch {
  const shader = new Shader(matmul.kernel, facts)
  const packed = facts.matrixType === 'f16' ? 'vec4u' : 'vec4f'
  shader.tensor('x', matmul.x)
  shader.weights('w', matmul.matrix, packed)
  shader.tensor('y', matmul.y)
  if (matmul.shortcut) {
    invariant(matmul.activation === 'none', `${matmul.label}: a shortcut joins sums that have an activation`)
    shader.tensor('shortcut', matmul.shortcut.x)
    shader.weights('shortcut_w', matmul.shortcut.matrix, packed)
    shader.param('shortcut_depth', 'u32', columnGroups(matmul.shortcut.x))
  }
  declareGeometry(shader, matmul)
  declareEpilogue(shader, matmul)
  return facts.subgroupSize > 0 ? subgroupMatmul(shader, matmul, facts) : tiledMatmul(shader, matmul, facts)
}

const columnGroups = (view: TensorView): number => Math.ceil(view.columns / 4)

/** WGSL functions that say where row `r`'s A operand lies: linear rows, or the pixel under a tap. */
function declareGeometry(shader: Shader, { x, y, conv, activation }: Matmul): void {
  shader.param('rows', 'u32', y.rows)
  shader.param('groups', 'u32', columnGroups(y))
  shader.param('wide', 'u32', columnGroups(y) * (activation === 'geglu' ? 2 : 1))
  shader.param('depth', 'u32', columnGroups(x))
  if (!conv) return
  shader.param('in_h', 'i32', conv.inHeight)
  shader.param('in_w', 'i32', conv.inWidth)
  shader.param('out_hw', 'u32', conv.outHeight * conv.outWidth)
  shader.param('out_w', 'u32', conv.outWidth)
  shader.param('taps', 'u32', conv.kernelHeight * conv.kernelWidth)
  shader.param('kernel_w', 'u32', conv.kernelWidth)
  shader.param('stride', 'i32', conv.stride)
  shader.param('pad_top', 'i32', conv.padTop)
  shader.param('pad_left', 'i32', conv.padLeft)
  const shift = conv.upsample === 2 ? ' >> 1u' : ''
  const size = conv.upsample === 2 ? '(P.in_h * 2)' : 'P.in_h'
  const width = conv.upsample === 2 ? '(P.in_w * 2)' : 'P.in_w'
  shader.declare(`
// The output pixel of a row: batch, y and x scaled by the stride, less the padding.
fn pixel_of(row: u32) -> vec3i {
  let inside = row % P.out_hw;
  return vec3i(i32(row / P.out_hw),
    i32(inside / P.out_w) * P.stride - P.pad_top, i32(inside % P.out_w) * P.stride - P.pad_left);
}
// Index of the input pixel under a tap, or -1 in the padding.
fn source_of(pixel: vec3i, tap: u32) -> i32 {
  let iy = pixel.y + i32(tap / P.kernel_w);
  let ix = pixel.z + i32(tap % P.kernel_w);
  let inside = iy >= 0 && iy < ${size} && ix >= 0 && ix < ${width};
  return select(-1, (pixel.x * P.in_h + (iy${shift})) * P.in_w + (ix${shift}), inside);
}`)
}

/** WGSL `finish(row, group, sum, gate)`: bias, activation, residual, store. */
function declareEpilogue(shader: Shader, matmul: Matmul): void {
  const { bias, batchBias, residual, activation, shortcut } = matmul
  const lines: string[] = ['var v = sum;']
  if (bias) {
    shader.weights('bias', bias, 'vec4f')
    lines.push('v += load_bias(group);')
    if (activation === 'geglu') lines.push('let g = gate + load_bias(group + P.groups);')
  } else if (activation === 'geglu') lines.push('let g = gate;')
  if (shortcut?.bias) {
    shader.weights('shortcut_bias', shortcut.bias, 'vec4f')
    lines.push('v += load_shortcut_bias(group);')
  }
  if (batchBias) {
    shader.tensor('batch_bias', batchBias)
    shader.param('rows_per_batch', 'u32', batchBias.rows === 1 ? 0xffffffff : matmul.rowsPerBatch)
    lines.push('v += load_batch_bias(batch_bias_at(row / P.rows_per_batch, group));')
  }
  if (activation === 'geglu') lines.push('v = v * gelu(g);')
  else if (activation !== 'none') lines.push(`v = ${activation}(v);`)
  if (residual) {
    shader.tensor('residual', residual)
    lines.push('v += load_residual(residual_at(row, group));')
  }
  if (activation !== 'none') shader.declare(activationFunctions)
  shader.declare(`
fn finish(row: u32, group: u32, sum: vec4f, gate: vec4f) {
  ${lines.join('\n  ')}
  store_y(y_at(row, group), v);
}`)
}

/** `name0, name1, …` expanded by a template. */
function each(count: number, template: (index: number) => string, separator = '\n'): string {
  return Array.from({ length: count }, (_, index) => template(index)).join(separator)
}

/** Loads the four k rows of the matrix `w` for one column group into `b{j}_0 … b{j}_3`. */
function loadColumns(facts: DeviceFacts, j: number, w: string, k: string, column: string): string {
  if (facts.matrixType === 'f32') {
    return each(4, kk => `let b${j}_${kk} = load_${w}((${k} * 4u + ${kk}u) * P.wide + ${column});`)
  }
  return each(2, pair => {
    const packed = `p${j}_${pair}`
    const halves = each(4, q => `let h${j}_${pair}_${q} = unpack2x16float(${packed}[${q}]);`, ' ')
    const row = (half: 'x' | 'y'): string => `vec4f(${each(4, q => `h${j}_${pair}_${q}.${half}`, ', ')})`
    return `let ${packed} = load_${w}((${k} * 2u + ${pair}u) * P.wide + ${column}); ${halves}
    let b${j}_${2 * pair} = ${row('x')}; let b${j}_${2 * pair + 1} = ${row('y')};`
  })
}

function subgroupMatmul(shader: Shader, matmul: Matmul, facts: DeviceFacts): Dispatch {
  const lanes = facts.subgroupSize
  const geglu = matmul.activation === 'geglu'
  // Code size is compile time on a processor: 2S rows × 1 group is the sweet spot at S = 8, 4S × 2 at S = 4.
  const perLane = lanes >= 8 ? 2 : 4
  const wide = geglu || lanes < 8 ? 2 : 1
  const rows = perLane * lanes
  const groupsPerWorkgroup = geglu ? lanes : lanes * wide
  const groups = columnGroups(matmul.y)
  const conv = matmul.conv !== undefined
  shader.enable('subgroups')

  const accumulate = each(perLane, i =>
    each(lanes, l => {
      const row = i * lanes + l
      const sums = each(wide, j =>
        each(4, q =>
          each(4, kk => `s${row}_${j}_${q} = fma(a[${kk}], b${j}_${kk}[${q}], s${row}_${j}_${q});`, ' '),
        ),
      )
      return `{ let a = subgroupBroadcast(a${i}, ${l}u);\n${sums} }`
    }),
  )
  const inner = (load: (i: number) => string, w: string, k: string): string => `
    ${each(perLane, i => `let a${i} = ${load(i)};`)}
    ${each(wide, j => loadColumns(facts, j, w, k, `column${j}`))}
    ${accumulate}`
  const plain = (x: string, w: string, depth: string): string => `{
  ${each(perLane, i => `let at${i} = ${x}_at(min(row0 + ${i * lanes}u + lane, P.rows - 1u), 0u);`)}
  for (var k = 0u; k < P.${depth}; k++) {
    ${inner(i => `load_${x}(at${i} + k)`, w, 'k')}
  }
  }`
  const loop = conv
    ? `
  ${each(perLane, i => `let pixel${i} = pixel_of(min(row0 + ${i * lanes}u + lane, P.rows - 1u));`)}
  for (var tap = 0u; tap < P.taps; tap++) {
    ${each(perLane, i => `let source${i} = source_of(pixel${i}, tap); let at${i} = x_at(u32(max(source${i}, 0)), 0u);`)}
    for (var k = 0u; k < P.depth; k++) {
      let kw = tap * P.depth + k;
      ${inner(i => `select(vec4f(0.0), load_x(at${i} + k), source${i} >= 0)`, 'w', 'kw')}
    }
  }`
    : plain('x', 'w', 'depth')
  const vector = (row: number, j: number): string => `vec4f(${each(4, q => `s${row}_${j}_${q}`, ', ')})`
  // The rows are finished in a loop over an array: unrolled, the activation's code would be repeated for each row.
  const body = `
  let row0 = (workgroup.y + workgroup.z * ${foldedRows}u) * ${rows}u;
  if (row0 >= P.rows) { return; }
  let first = workgroup.x * ${groupsPerWorkgroup}u + lane;
  ${each(wide, j =>
    geglu
      ? `let column${j} = min(first, P.groups - 1u) + ${j}u * P.groups;`
      : `let column${j} = min(first + ${j * lanes}u, P.groups - 1u);`,
  )}
  ${each(rows, row => each(wide, j => each(4, q => `var s${row}_${j}_${q} = 0.0;`, ' '), ' '))}
  ${loop}
  ${matmul.shortcut ? plain('shortcut', 'shortcut_w', 'shortcut_depth') : ''}
  var sums: array<vec4f, ${rows * wide}>;
  ${each(rows, row => each(wide, j => `sums[${row * wide + j}] = ${vector(row, j)};`, ' '))}
  let count = min(P.rows - row0, ${rows}u);
  ${
    geglu
      ? `if (first < P.groups) {
    for (var i = 0u; i < count; i++) { finish(row0 + i, first, sums[2u * i], sums[2u * i + 1u]); }
  }`
      : each(
          wide,
          j => `if (first + ${j * lanes}u < P.groups) {
    for (var i = 0u; i < count; i++) { finish(row0 + i, first + ${j * lanes}u, sums[${wide}u * i + ${j}u], vec4f(0.0)); }
  }`,
        )
  }`
  return shader.dispatch(matmul.label, [lanes, 1, 1], body, [
    Math.ceil(groups / groupsPerWorkgroup),
    ...fold(Math.ceil(matmul.y.rows / rows)),
  ])
}

/** Fills a tile of A from rows of `x` as they lie. */
const loadRows = (x: string, depth: string): string => `
      tile_a[index] = select(vec4f(0.0), load_${x}(${x}_at(min(row0 + r, P.rows - 1u), min(k0 + kv, P.${depth} - 1u))),
        k0 + kv < P.${depth});`

function tiledMatmul(shader: Shader, matmul: Matmul, facts: DeviceFacts): Dispatch {
  const geglu = matmul.activation === 'geglu'
  const conv = matmul.conv !== undefined
  const groups = columnGroups(matmul.y)
  const groupsPerWorkgroup = geglu ? 8 : 16
  // Column group `g` (0..15) of the tile of w: for GEGLU eight value groups, then their eight gates.
  shader.declare(`
var<workgroup> tile_a: array<vec4f, 256>;
var<workgroup> tile_b: array<vec4f, 256>;
fn column_of(first: u32, g: u32) -> u32 {
  ${geglu ? 'return min(first + (g & 7u), P.groups - 1u) + (g >> 3u) * P.groups;' : 'return min(first + g, P.groups - 1u);'}
}`)
  const loadGathered = `
      let pixel = pixel_of(min(row0 + r, P.rows - 1u));
      let source = source_of(pixel, tap);
      tile_a[index] = select(vec4f(0.0), load_x(x_at(u32(max(source, 0)), min(k0 + kv, P.depth - 1u))),
        source >= 0 && k0 + kv < P.depth);`
  const loadMatrix = (w: string, base: string): string =>
    facts.matrixType === 'f32'
      ? `
    for (var i = 0u; i < 4u; i++) {
      let index = local + i * 64u; let k = index >> 4u; let g = index & 15u;
      let kk = min(${base} * 4u + k0 * 4u + k, last_row);
      tile_b[index] = load_${w}(kk * P.wide + column_of(first, g));
    }`
      : `
    for (var i = 0u; i < 2u; i++) {
      let index = local + i * 64u; let pair = index >> 4u; let g = index & 15u;
      let kk = min(${base} * 2u + k0 * 2u + pair, last_row >> 1u);
      let packed = load_${w}(kk * P.wide + column_of(first, g));
      ${each(4, q => `let h${q} = unpack2x16float(packed[${q}]);`, ' ')}
      tile_b[pair * 32u + g] = vec4f(${each(4, q => `h${q}.x`, ', ')});
      tile_b[pair * 32u + 16u + g] = vec4f(${each(4, q => `h${q}.y`, ', ')});
    }`
  const tiles = (depth: string, loadA: string, loadB: string): string => `
  for (var k0 = 0u; k0 < P.${depth}; k0 += 4u) {
    for (var i = 0u; i < 4u; i++) {
      let index = local + i * 64u; let r = index >> 2u; let kv = index & 3u;
      ${loadA}
    }
    ${loadB}
    workgroupBarrier();
    for (var k = 0u; k < 4u; k++) {
      ${each(4, kk => `let b${kk}_0 = tile_b[(k * 4u + ${kk}u) * 16u + tx]; let b${kk}_1 = tile_b[(k * 4u + ${kk}u) * 16u + tx + 8u];`)}
      ${each(8, i => {
        const sums = each(2, j =>
          each(4, kk => `s${i}_${j} = fma(vec4f(a${i}[${kk}]), b${kk}_${j}, s${i}_${j});`, ' '),
        )
        return `let a${i} = tile_a[(ty * 8u + ${i}u) * 4u + k]; ${sums}`
      })}
    }
    workgroupBarrier();
  }`
  const body = `
  let row0 = (workgroup.y + workgroup.z * ${foldedRows}u) * 64u;
  if (row0 >= P.rows) { return; }
  let first = workgroup.x * ${groupsPerWorkgroup}u;
  let tx = local & 7u; let ty = local >> 3u;
  ${each(8, i => `var s${i}_0 = vec4f(0.0); var s${i}_1 = vec4f(0.0);`)}
  let last_row = ${conv ? 'P.taps * ' : ''}P.depth * 4u - 1u;
  ${
    conv
      ? `for (var tap = 0u; tap < P.taps; tap++) { ${tiles('depth', loadGathered, loadMatrix('w', 'tap * P.depth'))} }`
      : tiles('depth', loadRows('x', 'depth'), loadMatrix('w', '0u'))
  }
  ${
    matmul.shortcut
      ? `{ let last_row = P.shortcut_depth * 4u - 1u;
    ${tiles('shortcut_depth', loadRows('shortcut', 'shortcut_depth'), loadMatrix('shortcut_w', '0u'))} }`
      : ''
  }
  let count = select(0u, min(P.rows - row0 - ty * 8u, 8u), row0 + ty * 8u < P.rows);
  var sums: array<vec4f, 16>;
  ${each(8, i => `sums[${2 * i}] = s${i}_0; sums[${2 * i + 1}] = s${i}_1;`)}
  ${
    geglu
      ? `if (first + tx < P.groups) {
    for (var i = 0u; i < count; i++) { finish(row0 + ty * 8u + i, first + tx, sums[2u * i], sums[2u * i + 1u]); }
  }`
      : each(
          2,
          j => `if (first + tx + ${8 * j}u < P.groups) {
    for (var i = 0u; i < count; i++) { finish(row0 + ty * 8u + i, first + tx + ${8 * j}u, sums[2u * i + ${j}u], vec4f(0.0)); }
  }`,
        )
  }`
  return shader.dispatch(matmul.label, [64, 1, 1], body, [
    Math.ceil(groups / groupsPerWorkgroup),
    ...fold(Math.ceil(matmul.y.rows / 64)),
  ])
}
