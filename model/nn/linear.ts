/** Linear layers, alone and joined. */
import type { GraphBuilder } from '../graph/builder.ts'
import type { Tensor, WeightData } from '../graph/ops.ts'
import { pathOf, type WeightCursor } from './reader.ts'

export interface LinearOptions {
  /** True unless the checkpoint's layer has none. */
  readonly bias?: boolean
  /** The layer's name in older checkpoints, relative to the same cursor. */
  readonly legacyName?: string
}

/**
 * y = x Wᵀ + b over the last axis: [..., K] → [..., N].
 *
 * A 1×1 convolution over channels-last images is the same product, so layers that diffusers declares as `Conv2d` of
 * kernel 1 (shortcuts, `proj_in`, `quant_conv`) are Linear here; their weight may be stored as [N, K, 1, 1].
 */
export class Linear {
  readonly path: string
  readonly outFeatures: number
  readonly weight: WeightData
  readonly bias: WeightData | null

  constructor(
    weights: WeightCursor,
    name: string,
    inFeatures: number,
    outFeatures: number,
    options: LinearOptions = {},
  ) {
    const named = (suffix: string): { names?: string[] } =>
      options.legacyName === undefined ? {} : { names: [`${options.legacyName}.${suffix}`] }
    this.path = pathOf(weights, name)
    this.outFeatures = outFeatures
    this.weight = weights.tensor(`${name}.weight`, [outFeatures, inFeatures], {
      shapes: [[outFeatures, inFeatures, 1, 1]],
      ...named('weight'),
    })
    this.bias = (options.bias ?? true) ? weights.tensor(`${name}.bias`, [outFeatures], named('bias')) : null
  }

  /** x [..., K] → [..., N]. */
  forward(b: GraphBuilder, x: Tensor): Tensor {
    return b.linear(this.path, x, this.weight, this.bias)
  }
}

/** A range of the columns of a joined product. */
export interface ColumnRange {
  readonly start: number
  readonly size: number
}

/**
 * Linear layers of one common input, computed as one product. Layers join in the order in which `add` is called, and
 * each later takes its columns out of the result.
 */
export class JoinedLinear {
  readonly path: string
  readonly layers: Linear[] = []
  #width = 0

  constructor(path: string) {
    this.path = path
  }

  /** ΣN of the layers so far. */
  get width(): number {
    return this.#width
  }

  add(layer: Linear): ColumnRange {
    const range = { start: this.#width, size: layer.outFeatures }
    this.layers.push(layer)
    this.#width += layer.outFeatures
    return range
  }

  /** x [..., K] → [..., ΣN]. */
  forward(b: GraphBuilder, x: Tensor): Tensor {
    return b.linearJoined(
      this.path,
      x,
      this.layers.map(layer => layer.weight),
      this.layers.map(layer => layer.bias),
    )
  }
}
