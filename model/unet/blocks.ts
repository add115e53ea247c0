/**
 * The levels of the UNet (diffusers/models/unets/unet_2d_blocks.py). diffusers has two classes a direction, with and
 * without attention to the text; here one class each whose `attentions` may be empty.
 */
import type { GraphBuilder } from '../graph/builder.ts'
import type { Tensor } from '../graph/ops.ts'
import type { CrossAttention } from '../nn/attention.ts'
import { Downsample2D, Upsample2D } from '../nn/conv.ts'
import type { JoinedLinear } from '../nn/linear.ts'
import type { WeightCursor } from '../nn/reader.ts'
import { ResnetBlock2D } from '../nn/resnet.ts'
import { Transformer2DModel, type TransformerInputs } from '../nn/transformer.ts'
import type { UNet2DConditionConfig, UNetLevel } from './config.ts'

/** What all blocks of one UNet share while it is built. */
export interface UNetShared {
  readonly config: UNet2DConditionConfig
  /** Collects the `time_emb_proj` of every resnet. */
  readonly timeProjections: JoinedLinear
  /** Collects the `to_k` and `to_v` of every `attn2`. */
  readonly textKeyValues: JoinedLinear
}

/** What all blocks of one UNet share while a forward pass is recorded. */
export interface UNetInputs extends TransformerInputs {
  /** [1 or B, ΣC]. */
  readonly timeProjections: Tensor
}

/** `CrossAttnDownBlock2D` and `DownBlock2D`. */
export class DownBlock2D {
  readonly path: string
  readonly resnets: ResnetBlock2D[]
  readonly attentions: Transformer2DModel[]
  readonly #downsampler: Downsample2D | undefined

  constructor(
    weights: WeightCursor,
    shared: UNetShared,
    level: UNetLevel,
    inChannels: number,
    downsamples: boolean,
  ) {
    const { channels, layersPerBlock } = level
    this.path = weights.path
    this.resnets = Array.from({ length: layersPerBlock }, (_, i) =>
      createResnet(weights.at('resnets').at(i), shared, i === 0 ? inChannels : channels, channels),
    )
    this.attentions = Array.from({ length: level.downCrossAttention ? layersPerBlock : 0 }, (_, i) =>
      createTransformer(weights.at('attentions').at(i), shared, level),
    )
    this.#downsampler = downsamples
      ? new Downsample2D(weights.at('downsamplers').at(0), channels, shared.config.downsamplePadding)
      : undefined
  }

  /**
   * x [B, H, W, C] → [B, H/2, W/2, C'].
   * @param residuals receives every intermediate result that the up blocks will ask for
   */
  forward(b: GraphBuilder, x: Tensor, inputs: UNetInputs, residuals: Tensor[]): Tensor {
    let hidden = x
    for (const [i, resnet] of this.resnets.entries()) {
      hidden = resnet.forward(b, hidden, inputs.timeProjections)
      hidden = this.attentions[i]?.forward(b, hidden, inputs) ?? hidden
      residuals.push(hidden)
    }
    if (this.#downsampler) {
      hidden = this.#downsampler.forward(b, hidden)
      residuals.push(hidden)
    }
    return hidden
  }
}

/** Resnet, transformer, resnet at the coarsest level: [B, H, W, C] → same shape. */
export class UNetMidBlock2DCrossAttn {
  readonly path: string
  readonly resnets: ResnetBlock2D[]
  readonly attentions: Transformer2DModel[]

  constructor(weights: WeightCursor, shared: UNetShared, level: UNetLevel) {
    const { channels } = level
    this.path = weights.path
    const first = createResnet(weights.at('resnets').at(0), shared, channels, channels)
    this.attentions = [createTransformer(weights.at('attentions').at(0), shared, level)]
    this.resnets = [first, createResnet(weights.at('resnets').at(1), shared, channels, channels)]
  }

  forward(b: GraphBuilder, x: Tensor, inputs: UNetInputs): Tensor {
    let hidden = x
    for (const [i, resnet] of this.resnets.entries()) {
      hidden = resnet.forward(b, hidden, inputs.timeProjections)
      hidden = this.attentions[i]?.forward(b, hidden, inputs) ?? hidden
    }
    return hidden
  }
}

/** `CrossAttnUpBlock2D` and `UpBlock2D`. */
export class UpBlock2D {
  readonly path: string
  readonly resnets: ResnetBlock2D[]
  readonly attentions: Transformer2DModel[]
  readonly #upsampler: Upsample2D | undefined

  /**
   * @param inChannels of the block before
   * @param skipChannels of the next finer level (of this level at the finest), where the last residual comes from
   */
  constructor(
    weights: WeightCursor,
    shared: UNetShared,
    level: UNetLevel,
    inChannels: number,
    skipChannels: number,
    upsamples: boolean,
  ) {
    const { channels } = level
    const numLayers = level.layersPerBlock + 1
    this.path = weights.path
    this.resnets = Array.from({ length: numLayers }, (_, i) => {
      const residualChannels = i === numLayers - 1 ? skipChannels : channels
      const hiddenChannels = i === 0 ? inChannels : channels
      return createResnet(weights.at('resnets').at(i), shared, hiddenChannels + residualChannels, channels)
    })
    this.attentions = Array.from({ length: level.upCrossAttention ? numLayers : 0 }, (_, i) =>
      createTransformer(weights.at('attentions').at(i), shared, level),
    )
    this.#upsampler = upsamples ? new Upsample2D(weights.at('upsamplers').at(0), channels) : undefined
  }

  /**
   * x [B, H, W, C] → [B, 2H, 2W, C'], or the size of the next residual where the image had not halved evenly.
   * @param residuals of the down blocks; the last ones are taken off
   */
  forward(b: GraphBuilder, x: Tensor, inputs: UNetInputs, residuals: Tensor[]): Tensor {
    let hidden = x
    for (const [i, resnet] of this.resnets.entries()) {
      const residual = residuals.pop()
      if (residual) hidden = b.concat(resnet.path, [hidden, residual])
      hidden = resnet.forward(b, hidden, inputs.timeProjections)
      hidden = this.attentions[i]?.forward(b, hidden, inputs) ?? hidden
    }
    if (!this.#upsampler) return hidden
    const [, height = 0, width = 0] = residuals.at(-1)?.shape ?? []
    return this.#upsampler.forward(b, hidden, { height, width })
  }
}

/** Every cross-attention layer of a block, in order. */
export function crossAttentionsOf(block: {
  readonly attentions: readonly Transformer2DModel[]
}): CrossAttention[] {
  return block.attentions.flatMap(attention => attention.blocks.map(transformer => transformer.attn2))
}

function createResnet(
  weights: WeightCursor,
  shared: UNetShared,
  inChannels: number,
  outChannels: number,
): ResnetBlock2D {
  const { config, timeProjections } = shared
  return new ResnetBlock2D(weights, {
    inChannels,
    outChannels,
    groups: config.normNumGroups,
    eps: config.normEps,
    time: { tembChannels: config.timeEmbedDim, projections: timeProjections },
  })
}

function createTransformer(weights: WeightCursor, shared: UNetShared, level: UNetLevel): Transformer2DModel {
  return new Transformer2DModel(weights, {
    channels: level.channels,
    numHeads: level.numHeads,
    headDim: level.headDim,
    crossAttentionDim: shared.config.crossAttentionDim,
    keyValues: shared.textKeyValues,
    numLayers: level.transformerLayers,
    groups: shared.config.normNumGroups,
  })
}
