/** What the writers of the single operations share: the ONNX graph under construction, its values and its weights. */
import type { Activation, WeightData } from '../graph/ops.ts'
import type { OnnxGraph, OnnxValue } from '../onnx/graph.ts'
import { onnxDTypes, type OnnxDType } from '../onnx/operators.ts'
import { PackedWeights } from '../onnx/weights.ts'
import { elementCount } from '../tensor/shape.ts'
import type { ValueTable } from './onnx-values.ts'

export interface EmitOptions {
  /**
   * Most bytes that the logits of one attention may take at once; beyond it the queries are taken in pieces. SD 1.5
   * at 512x512 would ask for 1 GiB otherwise, a quarter of what a WebAssembly heap can ever have.
   */
  readonly attentionBytes: number
}

export interface EmitContext {
  readonly graph: OnnxGraph
  readonly values: ValueTable
  readonly weights: WeightBank
  readonly options: EmitOptions
}

const stored: Readonly<Record<WeightData['dtype'], OnnxDType>> = {
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
}

/** onnxruntime's own operators. */
const microsoft = { domain: 'com.microsoft', domainVersion: 1 } as const

/**
 * The weights of one graph: gathered from their files in one block, each once, and declared in the graph as f32. Only
 * what this graph reads is ever in memory, however large the checkpoint around it is.
 */
export class WeightBank {
  readonly packed = new PackedWeights()
  readonly #graph: OnnxGraph
  readonly #values = new Map<WeightData, Map<string, OnnxValue>>()
  readonly #offsets = new Map<WeightData, number>()

  constructor(graph: OnnxGraph) {
    this.#graph = graph
  }

  /** The whole weight. */
  whole(weight: WeightData): OnnxValue {
    return this.rows(weight, 0, weight.shape[0] ?? 1)
  }

  /** A linear layer's weight [N, C], possibly stored as [N, C, 1, 1], as the kernel [N, C, 1, 1] of a convolution. */
  pointwise(weight: WeightData): OnnxValue {
    const [n = 1, c = 1] = weight.shape
    return weight.shape.length === 4 ? this.whole(weight) : this.whole({ ...weight, shape: [n, c, 1, 1] })
  }

  /** The slices start .. start + count of the first axis: contiguous, so this costs no copy. */
  rows(weight: WeightData, start: number, count: number): OnnxValue {
    const all = weight.shape[0] ?? 1
    const key = `${start}+${count}`
    const made = this.#values.get(weight) ?? new Map<string, OnnxValue>()
    this.#values.set(weight, made)
    const known = made.get(key)
    if (known) return known
    let base = this.#offsets.get(weight)
    if (base === undefined) {
      base = this.packed.place(weight).offset
      this.#offsets.set(weight, base)
    }
    const rowBytes = weight.byteLength / all
    const name = count === all ? weight.path : `${weight.path}[${key}]`
    const value = this.#graph.external(
      `${this.#offsets.size}:${name}`,
      stored[weight.dtype],
      [count, ...weight.shape.slice(1)],
      { location: this.packed.location, offset: base + start * rowBytes, byteLength: count * rowBytes },
    )
    // The runtime folds the conversion when it loads the graph: its processor kernels have no half-precision products.
    const f32 = weight.dtype === 'F32' ? value : this.#graph.op('Cast', [value], { to: onnxDTypes.float32 })
    made.set(key, f32)
    return f32
  }

  /** A vector [C] as [C, 1, ...] with `trailing` ones, to act on channels-first values. */
  column(weight: WeightData, trailing: number): OnnxValue {
    const shape = [elementCount(weight.shape), ...Array<number>(trailing).fill(1)]
    return this.#graph.op('Reshape', [this.whole(weight), this.#graph.integers(shape)])
  }
}

/** activation(x), element by element, as operators that onnxruntime computes in one pass. */
export function emitActivation({ graph }: EmitContext, x: OnnxValue, activation: Activation): OnnxValue {
  switch (activation) {
    case 'none':
      return x
    case 'gelu':
      return graph.customOp('Gelu', [x], {}, microsoft)[0] as OnnxValue
    // QuickGelu is x · sigmoid(alpha · x).
    case 'silu':
    case 'quick_gelu': {
      const alpha = { kind: 'float', value: activation === 'silu' ? 1 : 1.702 } as const
      return graph.customOp('QuickGelu', [x], { alpha }, microsoft)[0] as OnnxValue
    }
  }
}

/** value · gelu(gate). */
export function emitGeglu(context: EmitContext, value: OnnxValue, gate: OnnxValue): OnnxValue {
  return context.graph.op('Mul', [value, emitActivation(context, gate, 'gelu')])
}

/** x[..., start : end] along `axis`. */
export function emitSlice(
  { graph }: EmitContext,
  x: OnnxValue,
  axis: number,
  start: number,
  end: number,
): OnnxValue {
  return graph.op('Slice', [x, graph.integers([start]), graph.integers([end]), graph.integers([axis])])
}
