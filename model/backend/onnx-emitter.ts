/**
 * Writes a recorded graph as an ONNX model for onnxruntime's processor kernels (wasm and native): the same
 * operations, the same inputs and outputs by name, dense and channels-last. Takes fused and unfused graphs.
 */
import { type BinaryOp, type ConcatOp, type Graph, inputsOf, type Op, type SliceOp } from '../graph/ops.ts'
import { OnnxGraph } from '../onnx/graph.ts'
import type { PackedWeights } from '../onnx/weights.ts'
import { elementCount, lastAxis, sameShape } from '../tensor/shape.ts'
import { emitAttentionPeak, emitAttentionRow, emitHeadMean } from './onnx-attention-spelled.ts'
import { emitAttention } from './onnx-attention.ts'
import { type EmitContext, emitActivation, type EmitOptions, emitSlice, WeightBank } from './onnx-context.ts'
import { emitGroupNorm, emitLayerNorm, emitRmsNorm, emitRowMoments } from './onnx-norms.ts'
import { emitConv2d, emitLinear, emitSplitGeglu, emitUpsample } from './onnx-products.ts'
import { ValueTable } from './onnx-values.ts'

export interface EmittedModel {
  /** A `ModelProto`. Its weights are external data at `weights.location`. */
  readonly model: Uint8Array<ArrayBuffer>
  /** The places of the weights; `read()` fetches the block. */
  readonly weights: PackedWeights
  /** Nodes of the model by operator, before the runtime's own rewriting. */
  readonly operators: ReadonlyMap<string, number>
}

/** @throws AttuneError `internal` when an operation reads a value that nothing made */
export function emitOnnx(recorded: Graph, options: Partial<EmitOptions> = {}): EmittedModel {
  const graph = new OnnxGraph(recorded.name)
  const context: EmitContext = {
    graph,
    values: new ValueTable(graph),
    weights: new WeightBank(graph),
    options: { attentionBytes: 64 * 2 ** 20, ...options },
  }
  const { values } = context
  // Prefixes keep the graph's names apart from those of the values between.
  for (const [name, tensor] of recorded.inputs) {
    values.setLast(tensor, graph.input(inputName(name), 'float32', tensor.shape))
  }
  for (const [name, { before }] of recorded.states ?? []) {
    values.setLast(before, graph.input(stateName(name), 'float32', before.shape))
  }
  for (const op of recorded.ops) emit(context, op)
  for (const [name, tensor] of recorded.outputs) {
    graph.output(outputName(name), values.last(tensor), 'float32', tensor.shape)
  }
  for (const [name, { after }] of recorded.states ?? []) {
    graph.output(newStateName(name), values.last(after), 'float32', after.shape)
  }
  return { model: graph.toModel(), weights: context.weights.packed, operators: graph.operatorCounts }
}

export const inputName = (name: string): string => `in:${name}`
export const outputName = (name: string): string => `out:${name}`
/** A state is an input and an output: the program feeds back what it got. */
export const stateName = (name: string): string => `state:${name}`
export const newStateName = (name: string): string => `new:${name}`

function emit(context: EmitContext, op: Op): void {
  const { values } = context
  switch (op.kind) {
    case 'linear':
      return emitLinear(context, op)
    case 'conv2d':
      return emitConv2d(context, op)
    case 'groupNorm':
      return emitGroupNorm(context, op)
    case 'rowMoments':
      return emitRowMoments(context, op)
    case 'layerNorm':
      return emitLayerNorm(context, op)
    case 'rmsNorm':
      return emitRmsNorm(context, op)
    case 'attention':
      return emitAttention(context, op)
    case 'attentionPeak':
      return emitAttentionPeak(context, op)
    case 'attentionRow':
      return emitAttentionRow(context, op)
    case 'headMean':
      return emitHeadMean(context, op)
    case 'unary': {
      const layout = values.layoutOf([op.inputs.x])
      values.set(layout, op.outputs.y, emitActivation(context, values.in(layout, op.inputs.x), op.activation))
      return
    }
    case 'binary':
      return emitBinary(context, op)
    case 'geglu': {
      const { x } = op.inputs
      const axis = x.shape.length - 1
      values.setLast(op.outputs.y, emitSplitGeglu(context, values.last(x), axis, lastAxis(x.shape)))
      return
    }
    case 'concat':
      return emitConcat(context, op)
    case 'slice':
      return emitRange(context, op)
    case 'reshape':
      return values.setReshaped(op.outputs.y, op.inputs.x)
    case 'upsample':
      return emitUpsample(context, op)
  }
}

function emitBinary({ graph, values }: EmitContext, op: BinaryOp): void {
  const { a, b } = op.inputs
  const { y } = op.outputs
  const operator = op.operator === 'add' ? 'Add' : 'Mul'
  if (sameShape(a.shape, b.shape)) {
    const layout = values.layoutOf([a, b])
    values.set(layout, y, graph.op(operator, [values.in(layout, a), values.in(layout, b)]))
    return
  }
  // b [1 or B, C] is repeated over a's positions.
  const [batch = 1] = a.shape
  const channels = lastAxis(a.shape)
  const positions = elementCount(a.shape) / (batch * channels)
  const samples = b.shape[0] ?? 1
  if (values.layoutOf([a]) === 'first') {
    const shape = [batch, channels, positions]
    const factor = values.last(b, [samples, channels, 1])
    values.setFirst(y, graph.op(operator, [values.first(a, shape), factor]), shape)
  } else {
    const shape = [batch, positions, channels]
    const factor = values.last(b, [samples, 1, channels])
    values.setLast(y, graph.op(operator, [values.last(a, shape), factor]), shape)
  }
}

function emitConcat({ graph, values }: EmitContext, op: ConcatOp): void {
  const parts = inputsOf(op)
  const layout = values.layoutOf(parts)
  const axis = layout === 'first' ? 1 : op.outputs.y.shape.length - 1
  const inputs = parts.map(part => values.in(layout, part))
  values.set(layout, op.outputs.y, graph.op('Concat', inputs, { axis }))
}

function emitRange(context: EmitContext, op: SliceOp): void {
  const { values } = context
  const { x } = op.inputs
  const { y } = op.outputs
  const size = lastAxis(y.shape)
  const part = values.part(x, op.start, size)
  if (part) {
    values.setParts(y, [{ size, value: part }])
    return
  }
  const layout = values.layoutOf([x])
  const axis = layout === 'first' ? 1 : x.shape.length - 1
  values.set(layout, y, emitSlice(context, values.in(layout, x), axis, op.start, op.start + size))
}
