/**
 * Attention written out in single operators: for probabilities that are seen, several sources, masks on what they
 * bring, and queries of other samples. Also what stands beside it: peaks, single rows, means over heads.
 */
import {
  type AttentionOp,
  type AttentionPeakOp,
  type AttentionRowOp,
  type AttentionSource,
  type HeadMeanOp,
  sourcesOf,
  type Tensor,
} from '../graph/ops.ts'
import type { OnnxValue } from '../onnx/graph.ts'
import { onnxDTypes } from '../onnx/operators.ts'
import { elementCount } from '../tensor/shape.ts'
import { logitBias, repeated } from './onnx-attention-parts.ts'
import { type EmitContext, emitSlice } from './onnx-context.ts'

/** One source's share of everything, for all samples. */
interface Source {
  readonly place: AttentionSource
  /** [B, N, L, D]: the queries that ask it. */
  readonly q: OnnxValue
  /** [B, N, D, S']. */
  readonly k: OnnxValue
  /** [B, N, S', D], with the gains. */
  readonly v: OnnxValue
  /** [B or 1, 1, L, S']. */
  readonly bias?: OnnxValue
  /** [B or 1, 1, 1, S']. */
  readonly scale?: OnnxValue
  /** [B or 1, 1, L or 1, 1]. */
  readonly mask?: OnnxValue
}

/** The whole formula of `AttentionOp`; long queries in pieces, as `attentionBytes` says. */
export function emitSpelledOut(context: EmitContext, op: AttentionOp): void {
  const { graph, values, options } = context
  const [batch = 0, length = 0, width = 0] = op.inputs.query.shape
  const [, keyLength = 0] = op.inputs.key.shape
  // Once: every source takes its columns of it.
  const bias = logitBias(context, op)
  const sources = sourcesOf(op).map((_, g) => sourceOf(context, op, g, bias))
  const seen = op.outputs.probabilities !== undefined || op.outputs.captured !== undefined
  const step = Math.max(1, Math.floor(options.attentionBytes / (4 * batch * op.numHeads * keyLength)))
  const outputs: OnnxValue[] = []
  const all: OnnxValue[] = []
  const chosen: OnnxValue[] = []
  for (let start = 0; start < length; start += step) {
    const end = Math.min(start + step, length)
    const range = (x: OnnxValue, rows: number): OnnxValue =>
      rows === 1 || (start === 0 && end === length) ? x : emitSlice(context, x, 2, start, end)
    let sum: OnnxValue | undefined
    const parts: { readonly place: AttentionSource; readonly value: OnnxValue }[] = []
    for (const source of sources) {
      const products = graph.op('MatMul', [range(source.q, length), source.k])
      let logits = graph.op('Mul', [products, graph.scalar(op.softmaxScale)])
      if (source.bias) logits = graph.op('Add', [logits, range(source.bias, length)])
      let p = graph.op('Softmax', [logits], { axis: -1 })
      if (source.scale) p = graph.op('Mul', [p, source.scale])
      parts.push({ place: source.place, value: p })
      let mixed = graph.op('MatMul', [p, source.v])
      const maskRows = op.inputs.outputMask?.shape[1] ?? 1
      if (source.mask) mixed = graph.op('Mul', [mixed, range(source.mask, maskRows)])
      sum = sum ? graph.op('Add', [sum, mixed]) : mixed
    }
    outputs.push(sum as OnnxValue)
    if (!seen) continue
    const joined = joinSources(context, parts, [batch, op.numHeads, end - start], keyLength)
    if (op.outputs.probabilities) all.push(joined)
    if (op.outputs.captured) chosen.push(choose(context, op, joined))
  }
  const join = (pieces: OnnxValue[]): OnnxValue =>
    pieces.length === 1 ? (pieces[0] as OnnxValue) : graph.op('Concat', pieces, { axis: 2 })
  const turned = graph.op('Transpose', [join(outputs)], { perm: [0, 2, 1, 3] })
  values.setLast(op.outputs.y, graph.op('Reshape', [turned, graph.integers([batch, length, width])]))
  if (op.outputs.probabilities) values.setLast(op.outputs.probabilities, join(all))
  const { accumulated } = op.inputs
  if (op.outputs.captured && accumulated) {
    values.setLast(op.outputs.captured, graph.op('Add', [values.last(accumulated), join(chosen)]))
  }
}

const asItIs = (x: OnnxValue): OnnxValue => x

function sourceOf(context: EmitContext, op: AttentionOp, g: number, bias: OnnxValue | undefined): Source {
  const { graph, values } = context
  const { query, key, value, tokenScale, valueGain, outputMask, querySample } = op.inputs
  const [batch = 0, length = 0, width = 0] = query.shape
  const [, keyLength = 0] = key.shape
  const count = sourcesOf(op).length
  const place = sourcesOf(op)[g] ?? { start: 0, length: keyLength }
  const end = place.start + place.length
  const whole = place.length === keyLength
  const cut = (x: OnnxValue, axis: number): OnnxValue =>
    whole ? x : emitSlice(context, x, axis, place.start, end)
  let from: (x: OnnxValue) => OnnxValue = asItIs
  if (querySample) {
    const column = emitSlice(context, values.last(querySample), 1, g, g + 1)
    const flat = graph.op('Reshape', [column, graph.integers([batch])])
    const samples = graph.op('Cast', [flat], { to: onnxDTypes.int64 })
    from = x => graph.op('Gather', [x, samples], { axis: 0 })
  }
  const every = (tensor: Tensor): OnnxValue =>
    repeated(context, values.last(tensor), tensor.shape[0] ?? 1, batch, [keyLength, width])
  const heads = (x: OnnxValue, tokens: number, perm: readonly number[]): OnnxValue =>
    splitHeads(context, op, x, [batch, tokens, width], perm)
  const q = heads(from(values.last(query)), length, [0, 2, 1, 3])
  const k = cut(op.keysFollowQuery ? from(every(key)) : every(key), 1)
  let v = every(value)
  if (valueGain) v = graph.op('Mul', [v, values.last(valueGain, [valueGain.shape[0] ?? 1, keyLength, 1])])
  const [maskBatch = 1, maskRows = 1] = outputMask?.shape ?? []
  return {
    place,
    q,
    k: heads(k, place.length, [0, 2, 3, 1]),
    v: heads(cut(v, 1), place.length, [0, 2, 1, 3]),
    ...(bias && { bias: cut(bias, 3) }),
    ...(tokenScale && {
      scale: cut(values.last(tokenScale, [tokenScale.shape[0] ?? 1, 1, 1, keyLength]), 3),
    }),
    ...(outputMask && {
      mask: emitSlice(context, values.last(outputMask, [maskBatch, 1, maskRows, count]), 3, g, g + 1),
    }),
  }
}

/** [B, tokens, N·D] → the heads apart, in the order of axes that `perm` says. */
function splitHeads(
  { graph }: EmitContext,
  op: { readonly numHeads: number },
  x: OnnxValue,
  [batch, tokens, width]: readonly [number, number, number],
  perm: readonly number[],
): OnnxValue {
  const shape = [batch, tokens, op.numHeads, width / op.numHeads]
  return graph.op('Transpose', [graph.op('Reshape', [x, graph.integers(shape)])], { perm: [...perm] })
}

/** The sources' probabilities side by side, zeros where no source is: [B, N, l, S]. */
function joinSources(
  { graph }: EmitContext,
  parts: readonly { readonly place: AttentionSource; readonly value: OnnxValue }[],
  leading: readonly number[],
  keyLength: number,
): OnnxValue {
  const columns: OnnxValue[] = []
  let at = 0
  const fill = (until: number): void => {
    if (until <= at) return
    const shape = [...leading, until - at]
    columns.push(graph.floats(shape, new Float32Array(elementCount(shape))))
  }
  for (const { place, value } of parts) {
    fill(place.start)
    columns.push(value)
    at = place.start + place.length
  }
  fill(keyLength)
  return columns.length === 1 ? (columns[0] as OnnxValue) : graph.op('Concat', columns, { axis: 3 })
}

/** The captured samples and tokens of probabilities: [B, N, l, S] → [C, N, l, T]. */
function choose({ graph, values }: EmitContext, op: AttentionOp, probabilities: OnnxValue): OnnxValue {
  const tokens = values.last(op.inputs.captureTokens as Tensor, [op.inputs.captureTokens?.shape[1] ?? 0])
  const zero = graph.scalar(0)
  // A token below zero captures nothing: read some other and multiply by max(0, min(1, token + 1)).
  const index = graph.op('Cast', [graph.op('Max', [tokens, zero])], { to: onnxDTypes.int64 })
  const wanted = graph.op('Min', [
    graph.op('Max', [graph.op('Add', [tokens, graph.scalar(1)]), zero]),
    graph.scalar(1),
  ])
  const samples = graph.integers([...(op.captureSamples ?? [])])
  const ofSamples = graph.op('Gather', [probabilities, samples], { axis: 0 })
  return graph.op('Mul', [graph.op('Gather', [ofSamples, index], { axis: 3 }), wanted])
}

/** [B, 1]. */
export function emitAttentionPeak(context: EmitContext, op: AttentionPeakOp): void {
  const { graph, values } = context
  const { query, key } = op.inputs
  const [batch = 0, length = 0, width = 0] = query.shape
  const [keyBatch = 0, keyLength = 0] = key.shape
  const { start, length: count } = op.source
  const keys = repeated(context, values.last(key), keyBatch, batch, [keyLength, width])
  const k = count === keyLength ? keys : emitSlice(context, keys, 1, start, start + count)
  const products = graph.op('MatMul', [
    splitHeads(context, op, values.last(query), [batch, length, width], [0, 2, 1, 3]),
    splitHeads(context, op, k, [batch, count, width], [0, 2, 3, 1]),
  ])
  const peak = graph.op('ReduceMax', [products], { axes: [1, 2, 3], keepdims: 0 })
  const scaled = graph.op('Mul', [peak, graph.scalar(op.softmaxScale)])
  values.setLast(op.outputs.y, graph.op('Reshape', [scaled, graph.integers([batch, 1])]))
}

/** [1, S]. */
export function emitAttentionRow(context: EmitContext, op: AttentionRowOp): void {
  const { graph, values } = context
  const { query, key, position } = op.inputs
  const [, , width = 0] = query.shape
  const [keyBatch = 0, keyLength = 0] = key.shape
  const sample = (x: OnnxValue, index: number): OnnxValue => emitSlice(context, x, 0, index, index + 1)
  const at = graph.op('Cast', [values.last(position, [1])], { to: onnxDTypes.int64 })
  const row = graph.op('Gather', [sample(values.last(query), op.sample), at], { axis: 1 })
  const keys = keyBatch === 1 ? values.last(key) : sample(values.last(key), op.sample)
  const products = graph.op('MatMul', [
    splitHeads(context, op, row, [1, 1, width], [0, 2, 1, 3]),
    splitHeads(context, op, keys, [1, keyLength, width], [0, 2, 3, 1]),
  ])
  const logits = graph.op('Mul', [products, graph.scalar(op.softmaxScale)])
  const p = graph.op('Softmax', [logits], { axis: -1 })
  const mean = graph.op('ReduceMean', [p], { axes: [1], keepdims: 0 })
  values.setLast(op.outputs.y, graph.op('Reshape', [mean, graph.integers([1, keyLength])]))
}

/** [C, N, L, T] → [C, L, T]. */
export function emitHeadMean({ graph, values }: EmitContext, op: HeadMeanOp): void {
  const mean = graph.op('ReduceMean', [values.last(op.inputs.x)], { axes: [1], keepdims: 0 })
  const { addend } = op.inputs
  values.setLast(op.outputs.y, addend ? graph.op('Add', [values.last(addend), mean]) : mean)
}
