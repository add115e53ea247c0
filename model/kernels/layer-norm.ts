/**
 * Layer normalisation over the last axis (Ba, Kiros & Hinton 2016).
 *
 *   y[r, c] = (x[r, c] - mean[r]) / sqrt(variance[r] + eps) · weight[c] + bias[c],
 *   mean and biased variance over the C columns of a row.
 *
 * Shapes: x, y [..., C], weight, bias [C]; any C. Layout: rows of vec4s. Work split: see row-norm.ts.
 * Workgroup memory: 256 bytes on a real GPU, none on a software adapter.
 * Precision: f32 in two passes, the variance of centred values; no limit on the mean beyond the storage type's.
 * Limits: 2^30 rows. Reference: torch.nn.functional.layer_norm.
 */
import type { LayerNormOp } from '../graph/ops.ts'
import type { Lowering } from './lowering.ts'
import { rowKernel } from './row-norm.ts'
import { Shader } from './shader.ts'

export const lowerLayerNorm: Lowering<LayerNormOp> = (op, context) => {
  const x = context.view(op.inputs.x)
  const shader = new Shader('layer_norm', context.facts)
    .tensor('x', x)
    .tensor('y', context.view(op.outputs.y))
    .weights('weight', context.vector([{ weight: op.weight, length: x.columns }]), 'vec4f')
    .weights('bias', context.vector([{ weight: op.bias, length: x.columns }]), 'vec4f')
    .param('eps', 'f32', op.eps)
  return [
    rowKernel(
      shader,
      context.facts,
      op.path,
      x,
      `
  let x_row = x_at(row, 0u);
  // A value of the row as origin keeps the digits of the sum when the mean is large.
  let origin = load_x(x_row).x;
  var sum = vec4f(0.0);
  for (var quad = member; quad < P.quads; quad += stride) {
    sum = fma(load_x(x_row + quad) - origin, inside(quad), sum);
  }
  let mean = origin + total(sum.x + sum.y + sum.z + sum.w, local) / f32(P.columns);
  var squares = vec4f(0.0);
  for (var quad = member; quad < P.quads; quad += stride) {
    let centred = (load_x(x_row + quad) - mean) * inside(quad);
    squares = fma(centred, centred, squares);
  }
  let variance = total(squares.x + squares.y + squares.z + squares.w, local) / f32(P.columns);
  let scale = 1.0 / sqrt(variance + P.eps);
  for (var quad = member; quad < P.quads; quad += stride) {
    // Padding columns become zero: their weight and bias are zero.
    store_y(y_at(row, quad), fma((load_x(x_row + quad) - mean) * scale, load_weight(quad), load_bias(quad)));
  }`,
    ),
  ]
}
