/** Linear layers, convolutions and up-sampling as ONNX. */
import type { Conv2dOp, LinearOp, UpsampleOp, WeightData } from '../graph/ops.ts'
import type { OnnxValue } from '../onnx/graph.ts'
import { lastAxis, rowCount } from '../tensor/shape.ts'
import { type EmitContext, emitActivation, emitGeglu, emitSlice } from './onnx-context.ts'

/**
 * A Gemm a weight: it takes PyTorch's [N, K] as it lies in the file and adds the bias. Joined layers stay apart until
 * somebody reads them joined, for the slices that mostly follow are then the products themselves.
 */
export function emitLinear(context: EmitContext, op: LinearOp): void {
  const { graph, values, weights } = context
  const { x, residual } = op.inputs
  const { y } = op.outputs
  const rows = values.rows(x)
  const product = (weight: WeightData, bias: WeightData | null, start: number, count: number): OnnxValue => {
    const inputs = [rows, weights.rows(weight, start, count)]
    if (bias) inputs.push(weights.rows(bias, start, count))
    return graph.op('Gemm', inputs, { transB: 1 })
  }
  const asRows = [rowCount(y.shape), lastAxis(y.shape)]
  const [only] = op.weights
  const columns = op.weights.reduce((sum, weight) => sum + (weight.shape[0] ?? 0), 0)
  let parts: { size: number; value: OnnxValue }[]
  if (op.activation === 'geglu' && only && op.weights.length === 1) {
    // Two products of half the rows of the weight: nothing has to be cut apart afterwards.
    const half = columns / 2
    const bias = op.biases[0] ?? null
    const value = emitGeglu(context, product(only, bias, 0, half), product(only, bias, half, half))
    parts = [{ size: half, value }]
  } else {
    parts = op.weights.map((weight, index) => {
      const size = weight.shape[0] ?? 0
      const value = product(weight, op.biases[index] ?? null, 0, size)
      return {
        size,
        value: op.activation === 'geglu' ? value : emitActivation(context, value, op.activation),
      }
    })
    if (op.activation === 'geglu') {
      const joined = graph.op(
        'Concat',
        parts.map(part => part.value),
        { axis: 1 },
      )
      parts = [{ size: columns / 2, value: emitSplitGeglu(context, joined, 1, columns) }]
    }
  }
  if (!residual) {
    values.setParts(y, parts)
    return
  }
  const joined =
    parts.length === 1
      ? (parts[0] as { value: OnnxValue }).value
      : graph.op(
          'Concat',
          parts.map(part => part.value),
          { axis: 1 },
        )
  // An image's residual lies channels-first, and convolutions follow: turn the product, not the residual twice.
  if (y.shape.length === 4 && values.layoutOf([residual]) === 'first') {
    const product = { ...y, id: -1 - y.id }
    values.setLast(product, joined, asRows)
    const sum = graph.op('Add', [values.first(residual), values.first(product)])
    values.setFirst(y, sum)
    return
  }
  values.setLast(y, graph.op('Add', [values.rows(residual), joined]), asRows)
}

/** value · gelu(gate) of [value | gate] along `axis`, which has `columns` elements. */
export function emitSplitGeglu(context: EmitContext, x: OnnxValue, axis: number, columns: number): OnnxValue {
  const half = columns / 2
  return emitGeglu(context, emitSlice(context, x, axis, 0, half), emitSlice(context, x, axis, half, columns))
}

/** Conv over channels-first images; up-sampling before it, time bias, activation and residual after it. */
export function emitConv2d(context: EmitContext, op: Conv2dOp): void {
  const { graph, values, weights } = context
  const { x, residual, batchBias, shortcut } = op.inputs
  const { y } = op.outputs
  const [batch = 0, height = 0, width = 0] = x.shape
  const [n = 0, , kh = 1, kw = 1] = op.weight.shape
  const { top, bottom, left, right } = op.padding
  let input = values.first(x)
  const [inHeight, inWidth] = [height * op.upsample, width * op.upsample]
  if (op.upsample === 2) input = emitDoubled(context, input, height, width, inHeight, inWidth)
  const outHeight = Math.floor((inHeight + top + bottom - kh) / op.stride) + 1
  const outWidth = Math.floor((inWidth + left + right - kw) / op.stride) + 1
  const inputs = [input, weights.whole(op.weight)]
  if (op.bias) inputs.push(weights.whole(op.bias))
  let value = graph.op('Conv', inputs, {
    kernel_shape: [kh, kw],
    pads: [top, left, bottom, right],
    strides: [op.stride, op.stride],
  })
  if (batchBias) value = graph.op('Add', [value, values.last(batchBias, [batchBias.shape[0] ?? 1, n, 1, 1])])
  value = emitActivation(context, value, op.activation)
  const shape = [batch, n, outHeight, outWidth]
  if (shortcut && op.shortcut) {
    const inputs = [values.first(shortcut), weights.pointwise(op.shortcut.weight)]
    if (op.shortcut.bias) inputs.push(weights.whole(op.shortcut.bias))
    value = graph.op('Add', [value, graph.op('Conv', inputs, { kernel_shape: [1, 1] })])
  }
  if (residual) {
    // A reshape may have been folded in between: the residual has the same rows under other axes.
    const sameBatch = residual.shape[0] === batch
    const other = sameBatch
      ? values.first(residual, shape)
      : values.first(imageOf(context, residual, [batch, outHeight, outWidth, n]))
    value = graph.op('Add', [other, value])
  }
  if (y.shape[0] === batch) {
    values.setFirst(y, value, shape)
    return
  }
  const image = { id: -1 - y.id, label: y.label, shape: [batch, outHeight, outWidth, n] }
  values.setFirst(image, value)
  values.setReshaped(y, image)
}

/** `tensor` under another shape, as a value of its own. */
function imageOf(
  { values }: EmitContext,
  tensor: Conv2dOp['inputs']['x'],
  shape: readonly number[],
): Conv2dOp['inputs']['x'] {
  // Ids of the graph are not negative, so these meet none of them; halves keep them apart from other helpers'.
  const image = { id: -0.5 - tensor.id, label: tensor.label, shape }
  values.setLast(image, values.last(tensor, shape))
  return image
}

/** Each pixel four times; the last row or column cut off where the result's size is odd. */
export function emitUpsample(context: EmitContext, op: UpsampleOp): void {
  const [, height = 0, width = 0] = op.inputs.x.shape
  const [, outHeight = 0, outWidth = 0] = op.outputs.y.shape
  const x = context.values.first(op.inputs.x)
  context.values.setFirst(op.outputs.y, emitDoubled(context, x, height, width, outHeight, outWidth))
}

/** [B, C, height, width] → [B, C, outHeight, outWidth], at most twice as large. */
function emitDoubled(
  context: EmitContext,
  x: OnnxValue,
  height: number,
  width: number,
  outHeight: number,
  outWidth: number,
): OnnxValue {
  const { graph } = context
  let value = graph.op('Resize', [x, undefined, graph.floats([4], [1, 1, 2, 2])], {
    mode: 'nearest',
    nearest_mode: 'floor',
    coordinate_transformation_mode: 'asymmetric',
  })
  if (outHeight < 2 * height) value = emitSlice(context, value, 2, 0, outHeight)
  if (outWidth < 2 * width) value = emitSlice(context, value, 3, 0, outWidth)
  return value
}
