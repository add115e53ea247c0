/**
 * The values of a graph while it is written as ONNX, in the layouts in which they exist so far. Our tensors are
 * channels-last; ONNX's convolutions want channels first. A value is transposed when the first reader needs the other
 * layout, once, and every reshape shares what its source has: a chain of residual blocks has no transposition.
 */
import { invariant } from '../contract/errors.ts'
import type { Tensor } from '../graph/ops.ts'
import type { OnnxGraph, OnnxValue } from '../onnx/graph.ts'
import { elementCount, formatShape, lastAxis, rowCount, type Shape } from '../tensor/shape.ts'

/** The same elements under one shape, by the shape's text. */
type Forms = Map<string, OnnxValue>

interface Stored {
  readonly batch: number
  readonly channels: number
  /** Positions of one sample: the product of the axes between batch and channels. */
  readonly positions: number
  /** Row-major over [B, ..., C]. */
  readonly last: Forms
  /** Row-major over [B, C, ...]. */
  readonly first: Forms
  /** Columns that together are the value, each [B·positions, size]; joined when somebody reads the whole. */
  readonly parts: Part[]
}

/** A range of columns. */
export interface Part {
  readonly size: number
  /** [rows, size]. */
  readonly value: OnnxValue
}

export type Layout = 'last' | 'first'

export class ValueTable {
  readonly #graph: OnnxGraph
  readonly #stored = new Map<number, Stored>()

  constructor(graph: OnnxGraph) {
    this.#graph = graph
  }

  /** `value` has the elements of `tensor` in row-major order of its channels-last shape, under the shape `as`. */
  setLast(tensor: Tensor, value: OnnxValue, as: Shape = tensor.shape): void {
    this.#entry(tensor).last.set(formatShape(as), value)
  }

  /** `value` has the elements of `tensor` as [B, C, positions...], under the shape `as`. */
  setFirst(tensor: Tensor, value: OnnxValue, as: Shape = firstShape(tensor.shape)): void {
    this.#entry(tensor).first.set(formatShape(as), value)
  }

  /** `tensor` is the given columns side by side. */
  setParts(tensor: Tensor, parts: readonly Part[]): void {
    this.#entry(tensor).parts.push(...parts)
  }

  /** `to` has the elements of `from` under other leading axes. */
  setReshaped(to: Tensor, from: Tensor): void {
    const source = this.#known(from)
    if (to.shape[0] === source.batch && to.shape.length > 1) this.#stored.set(to.id, source)
    // Channels-first values cannot be reshaped across samples.
    else this.setLast(to, this.last(from, to.shape))
  }

  /** The columns start .. start + size of `tensor` as [rows, size], if they are held apart. */
  part(tensor: Tensor, start: number, size: number): OnnxValue | undefined {
    let first = 0
    for (const part of this.#known(tensor).parts) {
      if (first === start && part.size === size) return part.value
      first += part.size
    }
    return undefined
  }

  /** The value channels-last, under any shape of its elements. */
  last(tensor: Tensor, shape: Shape = tensor.shape): OnnxValue {
    const stored = this.#known(tensor)
    const known = stored.last.get(formatShape(shape))
    if (known) return known
    if (stored.last.size === 0) this.#makeLast(stored)
    return this.#reshaped(stored.last, shape)
  }

  /** The value channels-first: [B, C, positions...], or under the shape `shape` of the same order. */
  first(tensor: Tensor, shape: Shape = firstShape(tensor.shape)): OnnxValue {
    const stored = this.#known(tensor)
    const known = stored.first.get(formatShape(shape))
    if (known) return known
    if (stored.first.size === 0) {
      const { batch, channels, positions } = stored
      const flat = this.last(tensor, [batch, positions, channels])
      const turned =
        channels === 1 || positions === 1
          ? this.#graph.op('Reshape', [flat, this.#graph.integers([batch, channels, positions])])
          : this.#graph.op('Transpose', [flat], { perm: [0, 2, 1] })
      stored.first.set(formatShape([batch, channels, positions]), turned)
    }
    return this.#reshaped(stored.first, shape)
  }

  /** The value as a matrix [rows, C]. */
  rows(tensor: Tensor): OnnxValue {
    return this.last(tensor, [rowCount(tensor.shape), lastAxis(tensor.shape)])
  }

  /**
   * The layout in which an element-wise operation on `tensors` costs least: the one that more of them have already.
   * Images are taken channels-first unless none is, because convolutions follow.
   */
  layoutOf(tensors: readonly Tensor[]): Layout {
    let balance = 0
    for (const tensor of tensors) {
      const stored = this.#known(tensor)
      const inLast = stored.last.size > 0 || stored.parts.length > 0
      if (inLast !== stored.first.size > 0) balance += inLast ? 1 : -1
    }
    const agreed = Math.abs(balance) === tensors.length
    if (!agreed && tensors[0]?.shape.length === 4) return 'first'
    return balance < 0 ? 'first' : 'last'
  }

  /** The value in the given layout, under its own shape. */
  in(layout: Layout, tensor: Tensor): OnnxValue {
    return layout === 'last' ? this.last(tensor) : this.first(tensor)
  }

  set(layout: Layout, tensor: Tensor, value: OnnxValue): void {
    if (layout === 'last') this.setLast(tensor, value)
    else this.setFirst(tensor, value)
  }

  #makeLast({ batch, channels, positions, last, first, parts }: Stored): void {
    const graph = this.#graph
    if (parts.length > 0) {
      const values = parts.map(part => part.value)
      const joined = values.length === 1 ? (values[0] as OnnxValue) : graph.op('Concat', values, { axis: 1 })
      last.set(formatShape([batch * positions, channels]), joined)
      return
    }
    const flat = this.#reshaped(first, [batch, channels, positions])
    const turned =
      channels === 1 || positions === 1
        ? graph.op('Reshape', [flat, graph.integers([batch, positions, channels])])
        : graph.op('Transpose', [flat], { perm: [0, 2, 1] })
    last.set(formatShape([batch, positions, channels]), turned)
  }

  #reshaped(forms: Forms, shape: Shape): OnnxValue {
    const key = formatShape(shape)
    const known = forms.get(key)
    if (known) return known
    const [any] = forms.values()
    invariant(any, 'a value has no form')
    const value = this.#graph.op('Reshape', [any, this.#graph.integers(shape)])
    forms.set(key, value)
    return value
  }

  #known(tensor: Tensor): Stored {
    const stored = this.#stored.get(tensor.id)
    invariant(stored, `The value ${tensor.id} (${tensor.label}) is read before it is made`)
    return stored
  }

  #entry(tensor: Tensor): Stored {
    let stored = this.#stored.get(tensor.id)
    if (!stored) {
      const channels = lastAxis(tensor.shape)
      const batch = tensor.shape.length > 1 ? (tensor.shape[0] ?? 1) : 1
      const positions = elementCount(tensor.shape) / (batch * channels)
      stored = { batch, channels, positions, last: new Map(), first: new Map(), parts: [] }
      this.#stored.set(tensor.id, stored)
    }
    return stored
  }
}

/** [B, ..., C] → [B, C, ...]. */
export function firstShape(shape: Shape): Shape {
  return shape.length < 2 ? [1, ...shape] : [shape[0] as number, lastAxis(shape), ...shape.slice(1, -1)]
}
