/**
 * Group normalisation with an optional activation (Wu & He 2018, "Group Normalization").
 *
 *   y[b, p, c] = activation((x[b, p, c] - mean[b, g]) / sqrt(variance[b, g] + eps) · weight[c] + bias[c]),
 *   g = floor(c / (C / G)), mean and biased variance over all P positions and the C / G channels of a group.
 *
 * Shapes: x, y [B, P, C] (any axes between the first and the last are positions), weight, bias [C].
 * Layout: rows are positions, moved as vec4s along C. A group whose channels are not a multiple of 4 starts or ends
 * inside a vec4; the channels of its neighbours are masked out.
 *
 * Work split, two dispatches (one where a group is small: the thread or workgroup that found the statistics of a
 * (batch, group) applies them as well):
 *   1. statistics: the positions of a (batch, group) are cut into chunks; each chunk writes (mean, M2, count), M2
 *      being the sum of squared deviations from that mean. On a software adapter one thread owns a chunk and there is
 *      no barrier; elsewhere a workgroup of 64 threads shares it (256 bytes of workgroup memory).
 *   2. application: a thread owns four channels of a run of positions; it merges the chunks of its groups (Chan,
 *      Golub & LeVeque 1983) and then streams through its positions, neighbours reading neighbouring vec4s.
 *
 * Precision: f32. Sums are taken of differences to a value near the mean (the group's average at the chunk's first
 * position), so a mean a thousand times the deviation costs nothing; the merge works on differences as well.
 * A thread never adds more than a few thousand positions, so large pictures keep their digits.
 * Limits: B ≤ 65535 and chunks ≤ 65535 where there is a real GPU; the count of a group is exact to 2^24 elements.
 * Reference: torch.nn.functional.group_norm.
 */
import type { GroupNormOp } from '../graph/ops.ts'
import { lastAxis, roundUp } from '../tensor/shape.ts'
import { flatGrid } from './flat.ts'
import type { Dispatch, Lowering, LoweringContext } from './lowering.ts'
import { reduction } from './reduction.ts'
import { activationFunctions, Shader } from './shader.ts'

/**
 * Elements of a group up to which one dispatch serves. On a processor more would leave cores idle. On a GPU 256
 * threads read 65,536 halves twice in about the time that a second dispatch costs; every norm of an SD 1.x UNet at
 * 512 pixels but three is smaller.
 */
const smallGroup = { software: 16384, hardware: 65536 } as const

export const lowerGroupNorm: Lowering<GroupNormOp> = (op, context) => {
  const { software } = context.facts
  const channels = lastAxis(op.inputs.x.shape)
  const groupChannels = channels / op.groups
  const elements = (context.view(op.inputs.x).rows / (op.inputs.x.shape[0] ?? 1)) * groupChannels
  const small = elements <= (software ? smallGroup.software : smallGroup.hardware)
  // Neighbours that share a vec4 may only be written as scalars, and somebody must zero the padding behind the row.
  if (!small || channels % 4 !== 0 || (software && groupChannels % 4 !== 0)) return twoDispatches(op, context)
  return [software ? smallGroupsByThread(op, context) : smallGroupsByWorkgroup(op, context)]
}

/** The shader of the single dispatch, before its body. `width` is a group's channels, counted as `access` counts. */
function smallGroups(op: GroupNormOp, context: LoweringContext, access: 'vec4' | 'scalar'): Shader {
  const x = context.view(op.inputs.x)
  const batch = op.inputs.x.shape[0] ?? 1
  const channels = lastAxis(op.inputs.x.shape)
  return new Shader('group_norm', context.facts)
    .tensor('x', x, access)
    .tensor('y', context.view(op.outputs.y), access)
    .weights('weight', context.vector([{ weight: op.weight, length: channels }]), 'vec4f')
    .weights('bias', context.vector([{ weight: op.bias, length: channels }]), 'vec4f')
    .param('threads', 'u32', batch * op.groups)
    .param('groups', 'u32', op.groups)
    .param('width', 'u32', channels / op.groups / (access === 'vec4' ? 4 : 1))
    .param('positions', 'u32', x.rows / batch)
    .param('eps', 'f32', op.eps)
    .declare(op.activation === 'none' ? '' : activationFunctions)
}

/** Software adapters: a thread owns a (batch, group) of whole vec4s; no barrier. */
function smallGroupsByThread(op: GroupNormOp, context: LoweringContext): Dispatch {
  const grid = flatGrid((op.inputs.x.shape[0] ?? 1) * op.groups, 8)
  return smallGroups(op, context, 'vec4').dispatch(
    op.path,
    grid.workgroupSize,
    `
  ${grid.index}
  if (index >= P.threads) { return; }
  let first = (index % P.groups) * P.width;
  let last = first + P.width;
  let positions = P.positions;
  let row = index / P.groups * positions;
  let x_index = x_at(row, 0u);
  let x_stride = P.x_stride;
  let y_index = y_at(row, 0u);
  let y_stride = P.y_stride;
  var near = vec4f(0.0);
  for (var quad = first; quad < last; quad++) { near += load_x(x_index + quad); }
  let shift = (near.x + near.y + near.z + near.w) / f32(4u * P.width);
  var sum = vec4f(0.0);
  var squares = vec4f(0.0);
  for (var position = 0u; position < positions; position++) {
    for (var quad = first; quad < last; quad++) {
      let difference = load_x(x_index + position * x_stride + quad) - shift;
      sum += difference;
      squares = fma(difference, difference, squares);
    }
  }
  let count = f32(4u * P.width * positions);
  let mean_difference = (sum.x + sum.y + sum.z + sum.w) / count;
  let square = (squares.x + squares.y + squares.z + squares.w) / count;
  let mean = shift + mean_difference;
  let scale = 1.0 / sqrt(max(fma(-mean_difference, mean_difference, square), 0.0) + P.eps);
  for (var quad = first; quad < last; quad++) {
    let weight = load_weight(quad) * scale;
    let bias = load_bias(quad);
    for (var position = 0u; position < positions; position++) {
      let value = fma(load_x(x_index + position * x_stride + quad) - mean, weight, bias);
      store_y(y_index + position * y_stride + quad, ${op.activation === 'none' ? 'value' : `${op.activation}(value)`});
    }
  }`,
    grid.workgroups,
  )
}

/**
 * GPUs: a workgroup of 256 threads owns a (batch, group). Its elements are counted along channels first, so that
 * neighbouring threads read neighbouring elements; vec4s where groups are whole vec4s, scalars else.
 */
function smallGroupsByWorkgroup(op: GroupNormOp, context: LoweringContext): Dispatch {
  const quads = (lastAxis(op.inputs.x.shape) / op.groups) % 4 === 0
  const threads = 256
  const zero = quads ? 'vec4f(0.0)' : '0.0'
  const folded = (name: string): string => (quads ? `${name}.x + ${name}.y + ${name}.z + ${name}.w` : name)
  const activated = quads ? 'value' : 'vec4f(value)'
  return smallGroups(op, context, quads ? 'vec4' : 'scalar')
    .declare(reduction(threads))
    .dispatch(
      op.path,
      [threads, 1, 1],
      `
  let first = workgroup.x * P.width;
  let row = workgroup.y * P.positions;
  let elements = P.positions * P.width;
  var near = ${zero};
  for (var i = 0u; i < P.width; i++) { near += load_x(x_at(row, first + i)); }
  let shift = (${folded('near')}) / f32(P.width * ${quads ? 4 : 1}u);
  var sum = ${zero};
  var squares = ${zero};
  for (var i = local; i < elements; i += ${threads}u) {
    let difference = load_x(x_at(row + i / P.width, first + i % P.width)) - shift;
    sum += difference;
    squares = fma(difference, difference, squares);
  }
  let count = f32(elements * ${quads ? 4 : 1}u);
  let mean_difference = total(${folded('sum')}, local) / count;
  let square = total(${folded('squares')}, local) / count;
  let mean = shift + mean_difference;
  let scale = 1.0 / sqrt(max(fma(-mean_difference, mean_difference, square), 0.0) + P.eps);
  for (var i = local; i < elements; i += ${threads}u) {
    let channel = first + i % P.width;
    let weight = ${quads ? 'load_weight(channel)' : 'load_weight(channel >> 2u)[channel & 3u]'} * scale;
    let bias = ${quads ? 'load_bias(channel)' : 'load_bias(channel >> 2u)[channel & 3u]'};
    let at = row + i / P.width;
    let value = fma(load_x(x_at(at, channel)) - mean, weight, bias);
    store_y(y_at(at, channel), ${op.activation === 'none' ? 'value' : `${op.activation}(${activated})${quads ? '' : '.x'}`});
  }`,
      [op.groups, op.inputs.x.shape[0] ?? 1, 1],
    )
}

const twoDispatches: Lowering<GroupNormOp> = (op, context) => {
  const { facts } = context
  const x = context.view(op.inputs.x)
  const y = context.view(op.outputs.y)
  const batch = op.inputs.x.shape[0] ?? 1
  const positions = x.rows / batch
  const channels = lastAxis(op.inputs.x.shape)
  const groupChannels = channels / op.groups
  const quads = roundUp(channels, 4) / 4
  // A group of whole vec4s needs no masks.
  const aligned = groupChannels % 4 === 0

  // Software: enough threads for a few cores, at most 4096 positions each. GPU: 16 positions a thread.
  const chunksWanted = facts.software
    ? Math.max(Math.ceil(positions / 4096), Math.ceil(128 / (batch * op.groups)))
    : Math.ceil(positions / 1024)
  const chunkLength = Math.max(Math.ceil(positions / chunksWanted), Math.min(positions, 16))
  const chunks = Math.ceil(positions / chunkLength)
  const partial = context.scratch(`${op.path}.statistics`, batch * op.groups, 4 * chunks)

  const threads = facts.software ? 1 : 64
  const statisticsGrid = flatGrid(batch * op.groups * chunks, 16)
  const statistics = new Shader('group_norm_statistics', facts)
    .tensor('x', x)
    .tensor('partial', partial)
    .param('threads', 'u32', batch * op.groups * chunks)
    .param('groups', 'u32', op.groups)
    .param('group_channels', 'u32', groupChannels)
    .param('positions', 'u32', positions)
    .param('chunks', 'u32', chunks)
    .param('chunk_length', 'u32', chunkLength)
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
      facts.software ? statisticsGrid.workgroupSize : [threads, 1, 1],
      `
  ${
    facts.software
      ? `${statisticsGrid.index}
  if (index >= P.threads) { return; }
  let group = index % P.groups;
  let chunk = (index / P.groups) % P.chunks;
  let batch = index / (P.groups * P.chunks);
  let member = 0u;`
      : `let group = workgroup.x;
  let chunk = workgroup.y;
  let batch = workgroup.z;
  let member = local;`
  }
  let first = group * P.group_channels;
  let last = first + P.group_channels;
  let quad_begin = first / 4u;
  let quad_end = (last + 3u) / 4u;
  let begin = chunk * P.chunk_length;
  let end = min(begin + P.chunk_length, P.positions);
  let base = batch * P.positions;
  var near = vec4f(0.0);
  for (var quad = quad_begin; quad < quad_end; quad++) {
    near += only(load_x(x_at(base + begin, quad)), quad, first, last);
  }
  let shift = (near.x + near.y + near.z + near.w) / f32(P.group_channels);
  let x_index = x_at(base, 0u);
  let x_stride = P.x_stride;
  var sum = vec4f(0.0);
  var squares = vec4f(0.0);
  for (var position = begin + member; position < end; position += ${threads}u) {
    for (var quad = quad_begin; quad < quad_end; quad++) {
      let value = load_x(x_index + position * x_stride + quad);
      let difference = only(value - shift, quad, first, last);
      sum += difference;
      squares = fma(difference, difference, squares);
    }
  }
  let s = total(sum.x + sum.y + sum.z + sum.w, local);
  let q = total(squares.x + squares.y + squares.z + squares.w, local);
  let count = f32((end - begin) * P.group_channels);
  if (member == 0u) {
    let mean_difference = s / count;
    store_partial(partial_at(batch * P.groups + group, chunk),
      vec4f(shift + mean_difference, max(fma(-mean_difference, s, q), 0.0), count, 0.0));
  }`,
      facts.software ? statisticsGrid.workgroups : [op.groups, chunks, batch],
    )

  // Few positions a thread keep all cores busy; many share the cost of merging the chunks.
  const wantedThreads = facts.software ? 512 : 65536
  const run = Math.min(
    positions,
    Math.max(4, Math.min(128, Math.floor((x.rows * quads) / wantedThreads)), facts.software ? 2 * chunks : 4),
  )
  const runs = Math.ceil(positions / run)
  const applyGrid = flatGrid(batch * runs * quads, facts.software ? 16 : 64)
  const apply = new Shader('group_norm_apply', facts)
    .tensor('x', x)
    .tensor('partial', partial)
    .tensor('y', y)
    .weights('weight', context.vector([{ weight: op.weight, length: channels }]), 'vec4f')
    .weights('bias', context.vector([{ weight: op.bias, length: channels }]), 'vec4f')
    .param('threads', 'u32', batch * runs * quads)
    .param('quads', 'u32', quads)
    .param('groups', 'u32', op.groups)
    .param('group_channels', 'u32', groupChannels)
    .param('positions', 'u32', positions)
    .param('chunks', 'u32', chunks)
    .param('run', 'u32', run)
    .param('runs', 'u32', runs)
    .param('eps', 'f32', op.eps)
    .declare(op.activation === 'none' ? '' : activationFunctions)
    .declare(`
// (mean, 1 / deviation) of one group of one batch element.
fn group_statistics(row: u32) -> vec2f {
  let near = load_partial(partial_at(row, 0u)).x;
  var count = 0.0;
  var sum = 0.0;
  var squares = 0.0;
  for (var chunk = 0u; chunk < P.chunks; chunk++) {
    let part = load_partial(partial_at(row, chunk));
    let difference = part.x - near;
    count += part.z;
    sum = fma(part.z, difference, sum);
    squares += fma(part.z * difference, difference, part.y);
  }
  let shift = sum / count;
  let variance = max(fma(-shift, shift, squares / count), 0.0);
  return vec2f(near + shift, 1.0 / sqrt(variance + P.eps));
}`)
    .dispatch(
      op.path,
      applyGrid.workgroupSize,
      `
  ${applyGrid.index}
  if (index >= P.threads) { return; }
  let quad = index % P.quads;
  let block = index / P.quads;
  let batch = block / P.runs;
  let begin = (block % P.runs) * P.run;
  let end = min(begin + P.run, P.positions);
  ${
    aligned
      ? `let statistics = group_statistics(batch * P.groups + quad * 4u / P.group_channels);
  let mean = vec4f(statistics.x);
  let scale = statistics.y * load_weight(quad);`
      : `var mean: vec4f;
  var deviation: vec4f;
  var known = P.groups;
  var statistics: vec2f;
  for (var part = 0u; part < 4u; part++) {
    // Padding channels take the last group's numbers: finite, and their weight is zero.
    let group = min((quad * 4u + part) / P.group_channels, P.groups - 1u);
    if (group != known) { statistics = group_statistics(batch * P.groups + group); known = group; }
    mean[part] = statistics.x;
    deviation[part] = statistics.y;
  }
  let scale = deviation * load_weight(quad);`
  }
  let bias = load_bias(quad);
  // Read from the uniform once: on a software adapter each reading is a load.
  let x_index = x_at(batch * P.positions, quad);
  let x_stride = P.x_stride;
  let y_index = y_at(batch * P.positions, quad);
  let y_stride = P.y_stride;
  for (var position = begin; position < end; position++) {
    let value = fma(load_x(x_index + position * x_stride) - mean, scale, bias);
    store_y(y_index + position * y_stride, ${op.activation === 'none' ? 'value' : `${op.activation}(value)`});
  }`,
      applyGrid.workgroups,
    )
  return [statistics, apply]
}
