/**
 * Operations that touch every element once.
 *
 *   unary:  y = activation(x)                          x, y [..., C]
 *   binary: y = a + b or a · b                         a, y [B, ..., C]; b like a, or [1 or B, C] for all positions
 *   geglu:  y = value · gelu(gate), x = [value | gate] x [..., 2C], y [..., C] (Shazeer 2020)
 *
 * Layout: rows of vec4s; padding columns stay zero because every function here maps zeros to zero. Where GEGLU's
 * halves do not start on a vec4, single elements are moved instead and the padding is written explicitly.
 * Work split: one vec4 (or element) a thread, 64 threads a workgroup, no workgroup memory. Where all tensors are
 * dense the index needs no division, which on a software adapter costs as much as a load.
 * Precision: f32 arithmetic, gelu by erf to 1.2e-7. Limits: 2^32 vec4s. Reference: torch.
 */
import type { BinaryOp, GegluOp, UnaryOp } from '../graph/ops.ts'
import { roundUp, sameShape } from '../tensor/shape.ts'
import { flatGrid } from './flat.ts'
import type { DeviceFacts, Dispatch, Lowering, TensorView } from './lowering.ts'
import { activationFunctions, Shader } from './shader.ts'

export const lowerUnary: Lowering<UnaryOp> = (op, context) => {
  const x = context.view(op.inputs.x)
  const y = context.view(op.outputs.y)
  const shader = new Shader('unary', context.facts).tensor('x', x).tensor('y', y).declare(activationFunctions)
  return [
    eachQuad(shader, op.path, [x, y], `store_y(y_at(row, quad), ${op.activation}(load_x(x_at(row, quad))));`),
  ]
}

export const lowerBinary: Lowering<BinaryOp> = (op, context) => {
  const a = context.view(op.inputs.a)
  const b = context.view(op.inputs.b)
  const y = context.view(op.outputs.y)
  const operator = op.operator === 'add' ? '+' : '*'
  const shader = new Shader('binary', context.facts).tensor('a', a).tensor('b', b).tensor('y', y)
  const store = (bRow: string): string =>
    `store_y(y_at(row, quad), load_a(a_at(row, quad)) ${operator} load_b(b_at(${bRow}, quad)));`
  if (sameShape(op.inputs.a.shape, op.inputs.b.shape)) {
    return [eachQuad(shader, op.path, [a, b, y], store('row'))]
  }
  // A single row of b serves the whole of a: no batch has more positions than that.
  const positions = op.inputs.b.shape[0] === 1 ? a.rows : a.rows / (op.inputs.a.shape[0] ?? 1)
  shader.param('positions', 'u32', positions)
  return [eachQuad(shader, op.path, [a, y], store('row / P.positions'), false)]
}

export const lowerGeglu: Lowering<GegluOp> = (op, context) => {
  const x = context.view(op.inputs.x)
  const y = context.view(op.outputs.y)
  if (y.columns % 4 === 0) {
    const shader = new Shader('geglu', context.facts)
      .tensor('x', x)
      .tensor('y', y)
      .declare(activationFunctions)
    const body = `let value = load_x(x_at(row, quad));
  store_y(y_at(row, quad), value * gelu(load_x(x_at(row, quad + P.quads))));`
    return [eachQuad(shader, op.path, [y], body, false)]
  }
  return [scalarGeglu(op.path, context.facts, x, y)]
}

function scalarGeglu(label: string, facts: DeviceFacts, x: TensorView, y: TensorView): Dispatch {
  const padded = roundUp(y.columns, 4)
  const grid = flatGrid(y.rows * padded)
  return new Shader('geglu_scalar', facts)
    .tensor('x', x, 'scalar')
    .tensor('y', y, 'scalar')
    .param('count', 'u32', y.rows * padded)
    .param('columns', 'u32', y.columns)
    .param('padded', 'u32', padded)
    .declare(activationFunctions)
    .dispatch(
      label,
      grid.workgroupSize,
      `
  ${grid.index}
  if (index >= P.count) { return; }
  let row = index / P.padded;
  let column = index % P.padded;
  var value = 0.0;
  if (column < P.columns) {
    value = load_x(x_at(row, column)) * gelu(vec4f(load_x(x_at(row, column + P.columns)))).x;
  }
  store_y(y_at(row, column), value);`,
      grid.workgroups,
    )
}

/**
 * Ends a kernel that runs `body` for every vec4 of rows × columns with `row` and `quad`.
 * @param views those that `body` indexes by (row, quad): when all are dense, they are walked as one long row.
 */
function eachQuad(
  shader: Shader,
  label: string,
  views: readonly [TensorView, ...TensorView[]],
  body: string,
  mayFlatten = true,
): Dispatch {
  const { rows, columns } = views[0]
  const quads = roundUp(columns, 4) / 4
  const dense = mayFlatten && views.every(view => view.rowStride === quads * 4)
  const grid = flatGrid(rows * quads)
  shader.param('count', 'u32', rows * quads).param('quads', 'u32', quads)
  return shader.dispatch(
    label,
    grid.workgroupSize,
    `
  ${grid.index}
  if (index >= P.count) { return; }
  let row = ${dense ? '0u' : 'index / P.quads'};
  let quad = ${dense ? 'index' : 'index % P.quads'};
  ${body}`,
    grid.workgroups,
  )
}
