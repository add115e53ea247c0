/**
 * conv2d as an implicit product: y [B, H', W', N] from x [B, H, W, C] and a weight packed as [taps · C, N]; padding,
 * stride and the nearest-neighbour up-sampling before it are index arithmetic. See `matmul.ts`.
 */
import type { Conv2dOp } from '../graph/ops.ts'
import type { Lowering } from './lowering.ts'
import { dispatchMatmul } from './matmul.ts'

export const lowerConv2d: Lowering<Conv2dOp> = (op, context) => {
  const [, inHeight = 0, inWidth = 0] = op.inputs.x.shape
  const [, outHeight = 0, outWidth = 0] = op.outputs.y.shape
  const [n = 0, , kernelHeight = 0, kernelWidth = 0] = op.weight.shape
  const { residual, batchBias } = op.inputs
  // A 1x1 kernel without padding reads each pixel as it lies: a plain product of rows.
  const plain = kernelHeight === 1 && kernelWidth === 1 && op.stride === 1 && op.upsample === 1
  const unpadded = Object.values(op.padding).every(size => size === 0)
  return [
    dispatchMatmul(
      {
        kernel: plain ? 'conv1x1' : 'conv2d',
        label: op.path,
        x: context.view(op.inputs.x),
        y: context.view(op.outputs.y),
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
      },
      context.facts,
    ),
  ]
}
