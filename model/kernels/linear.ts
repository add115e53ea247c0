/**
 * linear: y [rows, N] = x [rows, K] · Wᵀ [K, N] + bias, then the activation or GEGLU, then + residual.
 * One product for several joined layers (query, key and value). See `matmul.ts` for layout, work split and precision.
 */
import type { LinearOp } from '../graph/ops.ts'
import type { Lowering } from './lowering.ts'
import { dispatchMatmul } from './matmul.ts'

export const lowerLinear: Lowering<LinearOp> = (op, context) => {
  const parts = op.weights.map((weight, index) => ({
    weight: op.biases[index] ?? null,
    length: weight.shape[0] ?? 0,
  }))
  const y = context.view(op.outputs.y)
  const { residual } = op.inputs
  return [
    dispatchMatmul(
      {
        kernel: 'linear',
        label: op.path,
        x: context.view(op.inputs.x),
        y,
        matrix: context.matrix(op.weights),
        bias: parts.some(part => part.weight) ? context.vector(parts) : null,
        ...(residual && { residual: context.view(residual) }),
        rowsPerBatch: y.rows,
        activation: op.activation,
      },
      context.facts,
    ),
  ]
}
