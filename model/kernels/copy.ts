/**
 * Copies of columns, where a view is impossible: the parts of a concatenation that could not be written in place,
 * and slices that start inside a vec4.
 *
 *   concat: y[r, start_i + c] = part_i[r, c]           parts [..., C_i], y [..., ΣC_i]
 *   slice:  y[r, c] = x[r, start + c]                  x [..., C], y [..., C']
 *   reshape: y[r, c] = x[r, c]
 *
 * Layout and work split: one vec4 a thread where both sides start on a vec4, else one element a thread (four times
 * the threads); 64 threads a workgroup, no workgroup memory. A concatenation is one dispatch a part, in order: the
 * zeros that a vec4 copy writes after its last column are padding, or are overwritten by the next part.
 * Precision: exact, but for a change of storage type. Limits: 2^32 elements. Reference: torch.cat, slicing.
 */
import type { ConcatOp, ReshapeOp, SliceOp, Tensor } from '../graph/ops.ts'
import { roundUp } from '../tensor/shape.ts'
import { flatGrid } from './flat.ts'
import type { DeviceFacts, Dispatch, Lowering, TensorView } from './lowering.ts'
import { Shader } from './shader.ts'

/** Copies the parts of a concatenation that their makers have not written into their place in y already. */
export const lowerConcat: Lowering<ConcatOp> = (op, context) => {
  const y = context.view(op.outputs.y)
  // By number: part10 follows part9.
  const parts: Tensor[] = []
  for (let part = 0; op.inputs[`part${part}`]; part++) parts.push(op.inputs[`part${part}`] as Tensor)
  let start = 0
  return parts.flatMap((part, number) => {
    const x = context.view(part)
    const to = start
    start += x.columns
    if (x.buffer === y.buffer && x.offset === y.offset + to) return []
    return [copyColumns(`${op.path}.${number}`, context.facts, x, 0, y, to, x.columns)]
  })
}

/** Copies a slice or a reshaped tensor that cannot be a view of its source. */
export const lowerCopy: Lowering<SliceOp | ReshapeOp> = (op, context) => {
  const x = context.view(op.inputs.x)
  const y = context.view(op.outputs.y)
  return [copyColumns(op.path, context.facts, x, op.kind === 'slice' ? op.start : 0, y, 0, y.columns)]
}

/**
 * Copies `columns` columns of every row, from column `from` of x to column `to` of y, and zeros the padding when the
 * copied range ends y's row.
 */
function copyColumns(
  label: string,
  facts: DeviceFacts,
  x: TensorView,
  from: number,
  y: TensorView,
  to: number,
  columns: number,
): Dispatch {
  const access = from % 4 === 0 && to % 4 === 0 ? 'vec4' : 'scalar'
  const unit = access === 'vec4' ? 4 : 1
  const endsRow = to + columns === y.columns
  const width =
    access === 'vec4' ? Math.ceil(columns / 4) : (endsRow ? roundUp(y.columns, 4) : to + columns) - to
  const grid = flatGrid(x.rows * width)
  const value =
    access === 'vec4'
      ? `select(vec4f(0.0), load_x(x_at(row, P.start + column)),
    vec4u(column * 4u) + vec4u(0u, 1u, 2u, 3u) < vec4u(P.columns))`
      : 'select(0.0, load_x(x_at(row, P.start + min(column, P.columns - 1u))), column < P.columns)'
  return new Shader(`copy_${access}`, facts)
    .tensor('x', x, access)
    .tensor('y', y, access)
    .param('count', 'u32', x.rows * width)
    .param('width', 'u32', width)
    .param('columns', 'u32', columns)
    .param('start', 'u32', from / unit)
    .param('target_start', 'u32', to / unit)
    .dispatch(
      label,
      grid.workgroupSize,
      `
  ${grid.index}
  if (index >= P.count) { return; }
  let row = index / P.width;
  let column = index % P.width;
  store_y(y_at(row, P.target_start + column), ${value});`,
      grid.workgroups,
    )
}
