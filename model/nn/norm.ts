/** Normalisations with learned weight and bias. Every epsilon comes from the network that owns the layer. */
import type { GraphBuilder } from '../graph/builder.ts'
import type { Tensor, WeightData } from '../graph/ops.ts'
import { pathOf, type WeightCursor } from './reader.ts'

/** x [B, ..., C] → same shape, normalised in groups of channels over all positions (Wu & He 2018). */
export class GroupNorm {
  readonly path: string
  readonly #weight: WeightData
  readonly #bias: WeightData
  readonly #groups: number
  readonly #eps: number

  constructor(weights: WeightCursor, name: string, channels: number, groups: number, eps: number) {
    this.path = pathOf(weights, name)
    this.#weight = weights.tensor(`${name}.weight`, [channels])
    this.#bias = weights.tensor(`${name}.bias`, [channels])
    this.#groups = groups
    this.#eps = eps
  }

  forward(b: GraphBuilder, x: Tensor): Tensor {
    return b.groupNorm(this.path, x, this.#weight, this.#bias, this.#groups, this.#eps)
  }
}

/** x [..., C] → same shape, normalised over the last axis (Ba et al. 2016). */
export class LayerNorm {
  readonly path: string
  readonly #weight: WeightData
  readonly #bias: WeightData
  readonly #eps: number

  constructor(weights: WeightCursor, name: string, channels: number, eps: number) {
    this.path = pathOf(weights, name)
    this.#weight = weights.tensor(`${name}.weight`, [channels])
    this.#bias = weights.tensor(`${name}.bias`, [channels])
    this.#eps = eps
  }

  forward(b: GraphBuilder, x: Tensor): Tensor {
    return b.layerNorm(this.path, x, this.#weight, this.#bias, this.#eps)
  }
}
