/**
 * Nearest-neighbour up-sampling by two, where no convolution follows that could do it while reading.
 *
 *   y[b, i, j, c] = x[b, floor(i / 2), floor(j / 2), c]
 *
 * Shapes: x [B, H, W, C], y [B, 2H, 2W, C]. Layout: rows are pixels, vec4s along C (padding zeros are copied along).
 * Work split: a thread loads one vec4 of x and stores it four times; 64 threads a workgroup, no workgroup memory.
 * Precision: exact. Limits: 2^32 vec4s. Reference: torch.nn.functional.interpolate(scale_factor=2, mode='nearest').
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
      .param('width', 'u32', op.inputs.x.shape[2] ?? 1)
      .dispatch(
        op.path,
        grid.workgroupSize,
        `
  ${grid.index}
  if (index >= P.count) { return; }
  let quad = index % P.quads;
  let pixel = index / P.quads;
  let value = load_x(x_at(pixel, quad));
  // Row i of x starts at pixel i·W, its first copy in y at pixel 2i·2W.
  let line = pixel / P.width;
  let target_pixel = line * 4u * P.width + (pixel % P.width) * 2u;
  store_y(y_at(target_pixel, quad), value);
  store_y(y_at(target_pixel + 1u, quad), value);
  store_y(y_at(target_pixel + 2u * P.width, quad), value);
  store_y(y_at(target_pixel + 2u * P.width + 1u, quad), value);`,
        grid.workgroups,
      ),
  ]
}
