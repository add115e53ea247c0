/**
 * The transformer between the convolutions: feed-forward, block, and the wrapper that turns an image into tokens
 * (diffusers/models/attention.py, transformers/transformer_2d.py).
 */
import type { GraphBuilder } from '../graph/builder.ts'
import type { Tensor } from '../graph/ops.ts'
import { type AttentionExtras, CrossAttention, SelfAttention, type SelfAttentionExtras } from './attention.ts'
import { type JoinedLinear, Linear } from './linear.ts'
import { GroupNorm, LayerNorm } from './norm.ts'
import type { WeightCursor } from './reader.ts'

/** Epsilons that diffusers fixes in these classes and no config.json carries. */
const groupNormEps = 1e-6
const layerNormEps = 1e-5
const feedForwardFactor = 4

/** Two linear layers with a gated or plain GELU between them: [..., C] → [..., C]. */
export class FeedForward {
  readonly #activation: 'geglu' | 'gelu'
  readonly #projIn: Linear
  readonly #projOut: Linear

  constructor(weights: WeightCursor, channels: number, activation: 'geglu' | 'gelu' = 'geglu') {
    const inner = channels * feedForwardFactor
    this.#activation = activation
    this.#projIn = new Linear(weights, 'net.0.proj', channels, activation === 'geglu' ? 2 * inner : inner)
    this.#projOut = new Linear(weights, 'net.2', inner, channels)
  }

  forward(b: GraphBuilder, x: Tensor): Tensor {
    const hidden = this.#projIn.forward(b, x)
    const activated =
      this.#activation === 'geglu'
        ? b.geglu(this.#projIn.path, hidden)
        : b.activation(this.#projIn.path, hidden, 'gelu')
    return this.#projOut.forward(b, activated)
  }
}

/** What a network passes down to its cross-attention layers while it records. */
export interface TransformerInputs {
  /** [B or 1, S, Σ2C]. */
  readonly textKeyValues: Tensor
  /** Controls of one layer, asked for once a layer. */
  readonly extras?: (layer: CrossAttention, grid: AttentionGrid) => AttentionExtras
  readonly selfExtras?: (layer: SelfAttention, grid: AttentionGrid) => SelfAttentionExtras
  /** Receives what was captured. */
  readonly onProbabilities?: (layer: CrossAttention, probabilities: Tensor) => void
  readonly onCaptured?: (layer: CrossAttention, captured: Tensor, grid: AttentionGrid) => void
}

/** The positions of a layer, row by row. */
export interface AttentionGrid {
  readonly height: number
  readonly width: number
}

export interface TransformerOptions {
  readonly channels: number
  readonly numHeads: number
  readonly headDim: number
  readonly crossAttentionDim: number
  readonly keyValues: JoinedLinear
}

/** Self-attention, attention to the text, feed-forward; each normalised before and added after: [B, L, C]. */
export class BasicTransformerBlock {
  readonly path: string
  readonly attn1: SelfAttention
  readonly attn2: CrossAttention
  readonly #norm1: LayerNorm
  readonly #norm2: LayerNorm
  readonly #norm3: LayerNorm
  readonly #ff: FeedForward

  constructor(weights: WeightCursor, options: TransformerOptions) {
    const { channels, numHeads, headDim, crossAttentionDim, keyValues } = options
    this.path = weights.path
    this.#norm1 = new LayerNorm(weights, 'norm1', channels, layerNormEps)
    this.attn1 = new SelfAttention(weights.at('attn1'), { channels, numHeads, headDim })
    this.#norm2 = new LayerNorm(weights, 'norm2', channels, layerNormEps)
    this.attn2 = new CrossAttention(weights.at('attn2'), {
      queryDim: channels,
      crossAttentionDim,
      numHeads,
      headDim,
      keyValues,
    })
    this.#norm3 = new LayerNorm(weights, 'norm3', channels, layerNormEps)
    this.#ff = new FeedForward(weights.at('ff'), channels)
  }

  /** x [B, L, C] → [B, L, C]; L positions of `grid`. */
  forward(b: GraphBuilder, x: Tensor, inputs: TransformerInputs, grid: AttentionGrid): Tensor {
    const own = this.attn1.forward(b, this.#norm1.forward(b, x), inputs.selfExtras?.(this.attn1, grid))
    let hidden = b.add(`${this.path}.attn1`, own, x)
    const { y, probabilities, captured } = this.attn2.forward(
      b,
      this.#norm2.forward(b, hidden),
      inputs.textKeyValues,
      inputs.extras?.(this.attn2, grid),
    )
    if (probabilities) inputs.onProbabilities?.(this.attn2, probabilities)
    if (captured) inputs.onCaptured?.(this.attn2, captured, grid)
    hidden = b.add(`${this.path}.attn2`, y, hidden)
    return b.add(this.path, this.#ff.forward(b, this.#norm3.forward(b, hidden)), hidden)
  }
}

export interface Transformer2DOptions extends TransformerOptions {
  readonly numLayers: number
  readonly groups: number
}

/**
 * An image as tokens through `numLayers` blocks, added to the image: [B, H, W, C] → [B, H, W, C]. Whether the
 * checkpoint calls the projections convolutions (SD 1.x) or linear layers (`use_linear_projection`, SD 2.x) changes
 * only the stored shape: see `Linear`.
 */
export class Transformer2DModel {
  readonly path: string
  readonly blocks: BasicTransformerBlock[]
  readonly #norm: GroupNorm
  readonly #projIn: Linear
  readonly #projOut: Linear
  readonly #innerDim: number

  constructor(weights: WeightCursor, options: Transformer2DOptions) {
    const { channels, numHeads, headDim, groups, numLayers } = options
    const innerDim = numHeads * headDim
    this.path = weights.path
    this.#innerDim = innerDim
    this.#norm = new GroupNorm(weights, 'norm', channels, groups, groupNormEps)
    this.#projIn = new Linear(weights, 'proj_in', channels, innerDim)
    this.blocks = Array.from(
      { length: numLayers },
      (_, i) =>
        new BasicTransformerBlock(weights.at('transformer_blocks').at(i), { ...options, channels: innerDim }),
    )
    this.#projOut = new Linear(weights, 'proj_out', innerDim, channels)
  }

  /** x [B, H, W, C]. */
  forward(b: GraphBuilder, x: Tensor, inputs: TransformerInputs): Tensor {
    const [batch = 0, height = 0, width = 0] = x.shape
    const inner = this.#innerDim
    let hidden = this.#projIn.forward(b, this.#norm.forward(b, x))
    hidden = b.reshape(`${this.path}.proj_in`, hidden, [batch, height * width, inner])
    for (const block of this.blocks) hidden = block.forward(b, hidden, inputs, { height, width })
    // Back to an image before the projection, so that projection and residual are neighbours and fuse.
    hidden = b.reshape(`${this.path}.proj_out`, hidden, [batch, height, width, inner])
    return b.add(this.path, this.#projOut.forward(b, hidden), x)
  }
}
