/**
 * conv2d as an implicit product: y [B, H', W', N] from x [B, H, W, C] and a weight packed as [taps · C, N]; padding,
 * stride and the nearest-neighbour up-sampling before it are index arithmetic. See `matmul.ts`.
 */
import type { Conv2dOp, Tensor } from '../graph/ops.ts'
import type { Lowering, LoweringContext } from './lowering.ts'
import { dispatchMatmul, type Matmul } from './matmul.ts'

export const lowerConv2d: Lowering<Conv2dOp> = (op, context) => {
  const [, inHeight = 0, inWidth = 0] = op.inputs.x.shape
  const [, outHeight = 0, outWidth = 0] = op.outputs.y.shape
  const [n = 0, , kernelHeight = 0, kernelWidth = 0] = op.weight.shape
  const { residual, batchBias, shortcut } = op.inputs
  // A 1x1 kernel without padding reads each pixel as it lies: a plain product of rows.
  const plain = kernelHeight === 1 && kernelWidth === 1 && op.stride === 1 && op.upsample === 1
  const unpadded = Object.values(op.padding).every(size => size === 0)
  const y = context.view(op.outputs.y)
  const folded = shortcut && op.shortcut ? shortcutOf(op.shortcut, shortcut, n, context) : undefined
  const product: Matmul = {
    kernel: plain ? 'conv1x1' : 'conv2d',
    label: op.path,
    x: context.view(op.inputs.x),
    y,
    matrix: context.matrix([op.weight]),
    bias: op.bias ? context.vector([{ weight: op.bias, length: n }]) : null,
    ...(residual && { residual: context.view(residual) }),
    ...(batchBias && { batchBias: context.view(batchBias) }),
    rowsPerBatch: outHeight * outWidth,
    activation: op.activation,
    ...(!(plain && unpadded) && {
      conv: {
        inHeight,
        inWidth,
        outHeight,
        outWidth,
        kernelHeight,
        kernelWidth,
        stride: op.stride,
        padTop: op.padding.top,
        padLeft: op.padding.left,
        upsample: op.upsample,
      },
    }),
  }
  const { facts } = context
  if (!folded) return [dispatchMatmul(product, facts)]
  if (!facts.software) return [dispatchMatmul({ ...product, shortcut: folded }, facts)]
  // On a processor a dispatch costs little and a second unrolled loop doubles seconds of compilation: the shortcut is
  // a product of its own that adds itself to the convolution's result, which it reads where it writes.
  const added: Matmul = {
    kernel: 'linear',
    label: folded.path,
    x: folded.x,
    y,
    matrix: folded.matrix,
    bias: folded.bias,
    residual: y,
    rowsPerBatch: y.rows,
    activation: 'none',
  }
  return [dispatchMatmul(product, facts), dispatchMatmul(added, facts)]
}

function shortcutOf(
  { path, weight, bias }: NonNullable<Conv2dOp['shortcut']>,
  x: Tensor,
  n: number,
  context: LoweringContext,
): NonNullable<Matmul['shortcut']> & { readonly path: string } {
  return {
    path,
    x: context.view(x),
    matrix: context.matrix([weight]),
    bias: bias ? context.vector([{ weight: bias, length: n }]) : null,
  }
}
