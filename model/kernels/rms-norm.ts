/**
 * Root-mean-square normalisation over the last axis (Zhang & Sennrich 2019).
 *
 *   y[r, c] = x[r, c] / sqrt(mean over c of x[r, c]² + eps) · weight[c]
 *
 * Shapes: x, y [..., C], weight [C]; any C. Layout: rows of vec4s. Work split: see row-norm.ts.
 * Workgroup memory: 256 bytes on a real GPU, none on a software adapter.
 * Precision: f32; the sum of squares overflows for values above 1e18. Limits: 2^30 rows.
 * Reference: torch.nn.functional.rms_norm.
 */
import type { RmsNormOp } from '../graph/ops.ts'
import type { Lowering } from './lowering.ts'
import { rowKernel } from './row-norm.ts'
import { Shader } from './shader.ts'

export const lowerRmsNorm: Lowering<RmsNormOp> = (op, context) => {
  const x = context.view(op.inputs.x)
  const shader = new Shader('rms_norm', context.facts)
    .tensor('x', x)
    .tensor('y', context.view(op.outputs.y))
    .weights('weight', context.vector([{ weight: op.weight, length: x.columns }]), 'vec4f')
    .param('eps', 'f32', op.eps)
  return [
    rowKernel(
      shader,
      context.facts,
      op.path,
      x,
      `
  let x_row = x_at(row, 0u);
  var squares = vec4f(0.0);
  for (var quad = member; quad < P.quads; quad += stride) {
    let value = load_x(x_row + quad);
    // Padding columns hold zeros and add nothing.
    squares = fma(value, value, squares);
  }
  let mean_square = total(squares.x + squares.y + squares.z + squares.w, local) / f32(P.columns);
  let scale = 1.0 / sqrt(mean_square + P.eps);
  for (var quad = member; quad < P.quads; quad += stride) {
    store_y(y_at(row, quad), load_x(x_row + quad) * scale * load_weight(quad));
  }`,
    ),
  ]
}
