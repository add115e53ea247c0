/** Normalisations as ONNX. */
import type { GroupNormOp, LayerNormOp, RmsNormOp } from '../graph/ops.ts'
import { elementCount, lastAxis, rowCount } from '../tensor/shape.ts'
import { type EmitContext, emitActivation } from './onnx-context.ts'

/**
 * Each group of channels of a sample is one instance: [B, groups, everything]. ONNX's own GroupNormalization is a
 * function that onnxruntime spells out on the processor, with more passes over the image than this.
 */
export function emitGroupNorm(context: EmitContext, op: GroupNormOp): void {
  const { graph, values, weights } = context
  const { x } = op.inputs
  const [batch = 1] = x.shape
  const channels = lastAxis(x.shape)
  const positions = elementCount(x.shape) / (batch * channels)
  const grouped = values.first(x, [batch, op.groups, (channels / op.groups) * positions])
  const normed = graph.op(
    'InstanceNormalization',
    [grouped, ones(context, op.groups), zeros(context, op.groups)],
    { epsilon: op.eps },
  )
  const shape = [batch, channels, positions]
  const apart = graph.op('Reshape', [normed, graph.integers(shape)])
  const scaled = graph.op('Mul', [apart, weights.column(op.weight, 1)])
  const shifted = graph.op('Add', [scaled, weights.column(op.bias, 1)])
  values.setFirst(op.outputs.y, emitActivation(context, shifted, op.activation), shape)
}

const ones = ({ graph }: EmitContext, count: number) => graph.floats([count], Array<number>(count).fill(1))
const zeros = ({ graph }: EmitContext, count: number) => graph.floats([count], Array<number>(count).fill(0))

export function emitLayerNorm({ graph, values, weights }: EmitContext, op: LayerNormOp): void {
  const { x } = op.inputs
  const inputs = [values.rows(x), weights.whole(op.weight), weights.whole(op.bias)]
  const y = graph.op('LayerNormalization', inputs, { axis: -1, epsilon: op.eps })
  values.setLast(op.outputs.y, y, [rowCount(x.shape), lastAxis(x.shape)])
}

/** x / √(mean(x²) + eps) · weight; onnxruntime recognises the pattern and computes it in one pass. */
export function emitRmsNorm({ graph, values, weights }: EmitContext, op: RmsNormOp): void {
  const x = values.rows(op.inputs.x)
  const squares = graph.op('Pow', [x, graph.scalar(2)])
  const mean = graph.op('ReduceMean', [squares], { axes: [-1], keepdims: 1 })
  const root = graph.op('Sqrt', [graph.op('Add', [mean, graph.scalar(op.eps)])])
  const y = graph.op('Mul', [graph.op('Div', [x, root]), weights.whole(op.weight)])
  values.setLast(op.outputs.y, y, [rowCount(op.inputs.x.shape), lastAxis(op.inputs.x.shape)])
}
