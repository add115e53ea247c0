/**
 * Nearest-neighbour up-sampling by two, where no convolution follows that could do it while reading.
 *
 *   y[b, i, j, c] = x[b, floor(i / 2), floor(j / 2), c]
 *
 * Shapes: x [B, H, W, C], y [B, 2H or 2H - 1, 2W or 2W - 1, C]. Layout: rows are pixels, vec4s along C (padding zeros
 * are copied along).
 * Work split: a thread loads one vec4 of x and stores it up to four times; 64 threads a workgroup, no workgroup memory.
 * Precision: exact. Limits: 2^32 vec4s. Reference: torch.nn.functional.interpolate(size=…, mode='nearest').
 */
import type { UpsampleOp } from '../graph/ops.ts'
import { roundUp } from '../tensor/shape.ts'
import { flatGrid } from './flat.ts'
import type { Lowering } from './lowering.ts'
import { Shader } from './shader.ts'

export const lowerUpsample: Lowering<UpsampleOp> = (op, context) => {
  const x = context.view(op.inputs.x)
  const quads = roundUp(x.columns, 4) / 4
  const grid = flatGrid(x.rows * quads)
  return [
    new Shader('upsample', context.facts)
      .tensor('x', x)
      .tensor('y', context.view(op.outputs.y))
      .param('count', 'u32', x.rows * quads)
      .param('quads', 'u32', quads)
      .param('height', 'u32', op.inputs.x.shape[1] ?? 1)
      .param('width', 'u32', op.inputs.x.shape[2] ?? 1)
      .param('out_height', 'u32', op.outputs.y.shape[1] ?? 1)
      .param('out_width', 'u32', op.outputs.y.shape[2] ?? 1)
      .dispatch(
        op.path,
        grid.workgroupSize,
        `
  ${grid.index}
  if (index >= P.count) { return; }
  let quad = index % P.quads;
  let pixel = index / P.quads;
  let value = load_x(x_at(pixel, quad));
  let column = pixel % P.width * 2u;
  let line = pixel / P.width % P.height * 2u;
  let batch = pixel / P.width / P.height;
  // The last line or column of an odd result has no second copy.
  for (var i = line; i < min(line + 2u, P.out_height); i++) {
    for (var j = column; j < min(column + 2u, P.out_width); j++) {
      store_y(y_at((batch * P.out_height + i) * P.out_width + j, quad), value);
    }
  }`,
        grid.workgroups,
      ),
  ]
}
