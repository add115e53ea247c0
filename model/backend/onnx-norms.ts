/** Normalisations as ONNX. */
import type { GroupNormOp, LayerNormOp, RmsNormOp, RowMomentsOp } from '../graph/ops.ts'
import type { OnnxValue } from '../onnx/graph.ts'
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

/** [B, C, H, W] as [B, G, C/G, H, W]: the mean of x·w over channels and columns, by the mean of w; then the squares. */
export function emitRowMoments({ graph, values }: EmitContext, op: RowMomentsOp): void {
  const { x, columnWeights } = op.inputs
  const [batch = 1, height = 1, width = 1, channels = 1] = x.shape
  const grouped = values.first(x, [batch, op.groups, channels / op.groups, height, width])
  const weights = values.last(columnWeights, [width])
  const overall = graph.op('ReduceMean', [weights], { axes: [0], keepdims: 1 })
  const average = (value: OnnxValue): OnnxValue => {
    const sum = graph.op('ReduceMean', [graph.op('Mul', [value, weights])], { axes: [2, 4], keepdims: 1 })
    return graph.op('Div', [sum, overall])
  }
  const mean = average(grouped)
  const variance = average(graph.op('Pow', [graph.op('Sub', [grouped, mean]), graph.scalar(2)]))
  // [B, G, 1, H, 1] each → [B, H, 2G].
  const joined = graph.op('Concat', [mean, variance], { axis: 1 })
  const flat = graph.op('Reshape', [joined, graph.integers([batch, 2 * op.groups, height])])
  values.setLast(op.outputs.y, graph.op('Transpose', [flat], { perm: [0, 2, 1] }))
}

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
