/**
 * Attention layers around the one attention operation (diffusers/models/attention_processor.py, `Attention`):
 * `SelfAttention` asks its own positions, `CrossAttention` asks the text, whose keys and values are computed once per
 * generation and handed in (D5).
 */
import type { AttentionOptions, AttentionResult } from '../graph/attention-options.ts'
import type { GraphBuilder } from '../graph/builder.ts'
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

  /** @param extras of the picture's attention to itself: see `SelfAttentionExtras` */
  forward(b: GraphBuilder, x: Tensor, extras: SelfAttentionExtras = {}): Tensor {
    const joined = this.#queryKeyValue.forward(b, x)
    const part = (name: string, index: number): Tensor =>
      b.slice(`${this.path}.${name}`, joined, index * this.#innerDim, this.#innerDim)
    const [query, key] = [part('to_q', 0), part('to_k', 1)]
    const { querySample, watch } = extras
    const { y } = b.attention(this.path, query, key, part('to_v', 2), {
      numHeads: this.#numHeads,
      ...(querySample && { querySample, keysFollowQuery: true }),
    })
    if (watch) {
      const { position, sample } = watch
      watch.onRow(b.attentionRow(this.path, query, key, position, { numHeads: this.#numHeads, sample }))
    }
    return this.#toOut.forward(b, y)
  }
}

/** What a caller may ask of the picture's attention to itself. */
export interface SelfAttentionExtras {
  /** [B, 1]: the sample whose attention a sample uses on its own values (prompt-to-prompt's self-replacement). */
  readonly querySample?: Tensor
  /** What does this spot look at: hands over the row [1, L] of the position [1, 1] of a sample. */
  readonly watch?: {
    readonly position: Tensor
    readonly sample: number
    readonly onRow: (row: Tensor) => void
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
export interface AttentionExtras extends Omit<AttentionOptions, 'numHeads' | 'softmaxScale' | 'causal'> {
  /**
   * [B, 1]: `logitBias` counts in so many of the layer's own largest logit (paint-with-words). Instead of `biasScale`.
   */
  readonly peakScale?: Tensor
  /** Also measure what each source brings to the layer's output. */
  readonly meter?: {
    /** For each of G sources the output mask that leaves it alone, [B or 1, L or 1, G]. */
    readonly masks: readonly Tensor[]
    /** Receives the squares of a source's part, before the output projection: [B, L, N·D]. */
    readonly onSquares: (source: number, squares: Tensor) => void
  }
}

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

  /** @returns y [B, L, C], and what `extras` asks to see: probabilities [B, N, L, S], running sums [C, N, L, T]. */
  forward(b: GraphBuilder, x: Tensor, textKeyValues: Tensor, extras: AttentionExtras = {}): AttentionResult {
    const columns = (name: string, { start, size }: ColumnRange): Tensor =>
      b.slice(`${this.path}.${name}`, textKeyValues, start, size)
    const query = this.#toQ.forward(b, x)
    const key = columns('to_k', this.keyColumns)
    const { peakScale, meter, ...given } = extras
    const options: AttentionOptions = { ...given, numHeads: this.numHeads }
    const [first] = options.sources ?? []
    const peak =
      peakScale &&
      b.attentionPeak(this.path, query, key, { numHeads: this.numHeads, ...(first && { source: first }) })
    const value = columns('to_v', this.valueColumns)
    const bound = {
      ...options,
      ...(peak && peakScale && { biasScale: b.mul(`${this.path}.bias_scale`, peak, peakScale) }),
    }
    const result = b.attention(this.path, query, key, value, bound)
    const { capture: _, captureProbabilities: __, ...plain } = bound
    for (const [source, outputMask] of (meter?.masks ?? []).entries()) {
      const path = `${this.path}.source.${source}`
      const { y } = b.attention(path, query, key, value, { ...plain, outputMask })
      meter?.onSquares(source, b.mul(path, y, y))
    }
    return { ...result, y: this.#toOut.forward(b, result.y) }
  }
}
