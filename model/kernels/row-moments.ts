/**
 * Mean and variance of groups of channels over each row of an image, columns weighted. A group norm over a picture
 * that is looked at in tiles is put together from these (`model/vae/shared-norms.ts`).
 *
 *   y[b, i, g]     = Σ w[j] · x[b, i, j, c] / (C/G · Σ w[j])          over the columns j and the channels c of group g
 *   y[b, i, G + g] = Σ w[j] · (x[b, i, j, c] - y[b, i, g])² / (C/G · Σ w[j])
 *
 * Shapes: x [B, H, W, C], w [W, 1], y [B, H, 2G]. Layout: rows of vec4s; y is always f32 and written element by element.
 * Work split: a (row, group) belongs to one thread on a software adapter, to a workgroup of 64 threads elsewhere.
 * Workgroup memory: 256 bytes on a real GPU, none on a software adapter.
 * Precision: f32. Sums are taken of differences to a value near the mean, as in group-norm.ts.
 * Limits: G ≤ 65535 and B·H ≤ 2^30 where there is a real GPU. Some weight must not be zero.
 * Reference: torch.var_mean of the selected columns.
 */
import type { RowMomentsOp } from '../graph/ops.ts'
import { lastAxis, roundUp } from '../tensor/shape.ts'
import { flatGrid } from './flat.ts'
import type { Lowering } from './lowering.ts'
import { reduction } from './reduction.ts'
import { fold, foldedRows, Shader } from './shader.ts'

export const lowerRowMoments: Lowering<RowMomentsOp> = (op, context) => {
  const { facts } = context
  const x = context.view(op.inputs.x)
  const y = context.view(op.outputs.y)
  const width = op.inputs.x.shape[2] ?? 1
  const groupChannels = lastAxis(op.inputs.x.shape) / op.groups
  const aligned = groupChannels % 4 === 0
  const threads = facts.software ? 1 : 64
  const grid = flatGrid(y.rows * op.groups, 16)
  return [
    new Shader('row_moments', facts)
      .tensor('x', x)
      .tensor('w', context.view(op.inputs.columnWeights))
      .tensor('y', y, 'scalar')
      .param('threads', 'u32', y.rows * op.groups)
      .param('groups', 'u32', op.groups)
      .param('group_channels', 'u32', groupChannels)
      .param('width', 'u32', width)
      .param('padded', 'u32', roundUp(2 * op.groups, 4))
      .declare(reduction(threads))
      .declare(`
// The channels of vec4 \`quad\` that lie in first..last, of \`value\`; zero elsewhere.
fn only(value: vec4f, quad: u32, first: u32, last: u32) -> vec4f {
  ${
    aligned
      ? 'return value;'
      : `let channel = vec4u(quad * 4u) + vec4u(0u, 1u, 2u, 3u);
  return select(vec4f(0.0), value, (channel >= vec4u(first)) & (channel < vec4u(last)));`
  }
}`)
      .dispatch(
        op.path,
        facts.software ? grid.workgroupSize : [threads, 1, 1],
        `
  ${
    facts.software
      ? `${grid.index}
  if (index >= P.threads) { return; }
  let group = index % P.groups;
  let row = index / P.groups;
  let member = 0u;`
      : `let group = workgroup.x;
  let row = workgroup.y + workgroup.z * ${foldedRows}u;
  // The same for all threads of the workgroup.
  if (row * P.groups >= P.threads) { return; }
  let member = local;`
  }
  let first = group * P.group_channels;
  let last = first + P.group_channels;
  let quad_begin = first / 4u;
  let quad_end = (last + 3u) / 4u;
  let base = row * P.width;
  var near = vec4f(0.0);
  for (var quad = quad_begin; quad < quad_end; quad++) {
    near += only(load_x(x_at(base + P.width / 2u, quad)), quad, first, last);
  }
  let shift = (near.x + near.y + near.z + near.w) / f32(P.group_channels);
  var weights = 0.0;
  var sum = vec4f(0.0);
  var squares = vec4f(0.0);
  for (var column = member; column < P.width; column += ${threads}u) {
    let weight = load_w(w_at(column, 0u)).x;
    weights += weight;
    for (var quad = quad_begin; quad < quad_end; quad++) {
      let difference = only(load_x(x_at(base + column, quad)) - shift, quad, first, last);
      sum = fma(vec4f(weight), difference, sum);
      squares = fma(weight * difference, difference, squares);
    }
  }
  let count = total(weights, local) * f32(P.group_channels);
  let mean = total(sum.x + sum.y + sum.z + sum.w, local) / count;
  let square = total(squares.x + squares.y + squares.z + squares.w, local) / count;
  if (member == 0u) {
    store_y(y_at(row, group), shift + mean);
    store_y(y_at(row, P.groups + group), max(fma(-mean, mean, square), 0.0));
    if (group == 0u) {
      for (var column = 2u * P.groups; column < P.padded; column++) { store_y(y_at(row, column), 0.0); }
    }
  }`,
        facts.software ? grid.workgroups : [op.groups, ...fold(y.rows)],
      ),
  ]
}
