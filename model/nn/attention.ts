/**
 * Attention layers around the one attention operation (diffusers/models/attention_processor.py, `Attention`):
 * `SelfAttention` asks its own positions, `CrossAttention` asks the text, whose keys and values are computed once per
 * generation and handed in (D5).
 */
import type { AttentionOptions, GraphBuilder } from '../graph/builder.ts'
import type { Tensor } from '../graph/ops.ts'
import { type ColumnRange, JoinedLinear, Linear } from './linear.ts'
import type { WeightCursor } from './reader.ts'

export interface SelfAttentionOptions {
  readonly channels: number
  readonly numHeads: number
  readonly headDim: number
  /** Whether to_q, to_k and to_v have biases (the VAE's do, the UNet's do not). */
  readonly bias?: boolean
  /** Read the names of old VAE files (`query`, `key`, `value`, `proj_attn`) where the new ones are missing. */
  readonly legacyNames?: boolean
}

/** x [B, L, C] → [B, L, C]. Query, key and value are one product. */
export class SelfAttention {
  readonly path: string
  readonly #queryKeyValue: JoinedLinear
  readonly #toOut: Linear
  readonly #numHeads: number
  readonly #innerDim: number

  constructor(weights: WeightCursor, options: SelfAttentionOptions) {
    const { channels, numHeads, headDim, bias = false, legacyNames = false } = options
    this.path = weights.path
    this.#numHeads = numHeads
    this.#innerDim = numHeads * headDim
    const layer = (name: string, legacyName: string): Linear =>
      new Linear(weights, name, channels, this.#innerDim, { bias, ...(legacyNames && { legacyName }) })
    this.#queryKeyValue = new JoinedLinear(`${weights.path}.to_qkv`)
    this.#queryKeyValue.add(layer('to_q', 'query'))
    this.#queryKeyValue.add(layer('to_k', 'key'))
    this.#queryKeyValue.add(layer('to_v', 'value'))
    this.#toOut = new Linear(weights, 'to_out.0', this.#innerDim, channels, {
      ...(legacyNames && { legacyName: 'proj_attn' }),
    })
  }

  forward(b: GraphBuilder, x: Tensor): Tensor {
    const joined = this.#queryKeyValue.forward(b, x)
    const part = (name: string, index: number): Tensor =>
      b.slice(`${this.path}.${name}`, joined, index * this.#innerDim, this.#innerDim)
    const { y } = b.attention(this.path, part('to_q', 0), part('to_k', 1), part('to_v', 2), {
      numHeads: this.#numHeads,
    })
    return this.#toOut.forward(b, y)
  }
}

export interface CrossAttentionOptions {
  /** Channels of the picture's positions. */
  readonly queryDim: number
  /** Channels of the text's tokens. */
  readonly crossAttentionDim: number
  readonly numHeads: number
  readonly headDim: number
  /** Where to_k and to_v join those of the other layers. */
  readonly keyValues: JoinedLinear
}

/** What a caller may add to a layer's attention: controls and capture (D4). */
export type AttentionExtras = Omit<AttentionOptions, 'numHeads' | 'softmaxScale' | 'causal'>

/** x [B, L, C], the text's keys and values [B or 1, S, Σ2C] → [B, L, C]. */
export class CrossAttention {
  readonly path: string
  readonly numHeads: number
  readonly headDim: number
  /** The columns of this layer's keys and values in the joined product. */
  readonly keyColumns: ColumnRange
  readonly valueColumns: ColumnRange
  readonly #toQ: Linear
  readonly #toOut: Linear

  constructor(weights: WeightCursor, options: CrossAttentionOptions) {
    const { queryDim, crossAttentionDim, numHeads, headDim, keyValues } = options
    const innerDim = numHeads * headDim
    this.path = weights.path
    this.numHeads = numHeads
    this.headDim = headDim
    this.#toQ = new Linear(weights, 'to_q', queryDim, innerDim, { bias: false })
    this.keyColumns = keyValues.add(new Linear(weights, 'to_k', crossAttentionDim, innerDim, { bias: false }))
    this.valueColumns = keyValues.add(
      new Linear(weights, 'to_v', crossAttentionDim, innerDim, { bias: false }),
    )
    this.#toOut = new Linear(weights, 'to_out.0', innerDim, queryDim)
  }

  /** @returns y [B, L, C], and the probabilities [B, N, L, S] when `extras` asks for them. */
  forward(
    b: GraphBuilder,
    x: Tensor,
    textKeyValues: Tensor,
    extras: AttentionExtras = {},
  ): { y: Tensor; probabilities?: Tensor } {
    const columns = (name: string, { start, size }: ColumnRange): Tensor =>
      b.slice(`${this.path}.${name}`, textKeyValues, start, size)
    const { y, probabilities } = b.attention(
      this.path,
      this.#toQ.forward(b, x),
      columns('to_k', this.keyColumns),
      columns('to_v', this.valueColumns),
      { ...extras, numHeads: this.numHeads },
    )
    const out = this.#toOut.forward(b, y)
    return probabilities ? { y: out, probabilities } : { y: out }
  }
}
