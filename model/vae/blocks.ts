/** The blocks of the autoencoder (diffusers/models/autoencoders/vae.py, unets/unet_2d_blocks.py). */
import type { GraphBuilder } from '../graph/builder.ts'
import type { Tensor } from '../graph/ops.ts'
import { SelfAttention } from '../nn/attention.ts'
import { Conv2d, Downsample2D, Upsample2D } from '../nn/conv.ts'
import { GroupNorm } from '../nn/norm.ts'
import type { WeightCursor } from '../nn/reader.ts'
import { ResnetBlock2D } from '../nn/resnet.ts'
import type { AutoencoderKLConfig } from './config.ts'

/** diffusers fixes this in `Encoder` and `Decoder`; no config.json carries it. */
const eps = 1e-6

/** A number of resnets, then perhaps a change of size. */
class ResnetSequence {
  readonly #resnets: ResnetBlock2D[]

  constructor(
    weights: WeightCursor,
    config: AutoencoderKLConfig,
    count: number,
    inChannels: number,
    channels: number,
  ) {
    this.#resnets = Array.from(
      { length: count },
      (_, i) =>
        new ResnetBlock2D(weights.at('resnets').at(i), {
          inChannels: i === 0 ? inChannels : channels,
          outChannels: channels,
          groups: config.normNumGroups,
          eps,
        }),
    )
  }

  forward(b: GraphBuilder, x: Tensor): Tensor {
    return this.#resnets.reduce((hidden, resnet) => resnet.forward(b, hidden), x)
  }
}

/** x [B, H, W, C] → [B, H, W, C]: every position asks every other one, with a single head. */
class AttentionBlock {
  readonly #groupNorm: GroupNorm
  readonly #attention: SelfAttention

  constructor(weights: WeightCursor, config: AutoencoderKLConfig, channels: number) {
    this.#groupNorm = new GroupNorm(weights, 'group_norm', channels, config.normNumGroups, eps)
    this.#attention = new SelfAttention(weights, {
      channels,
      numHeads: 1,
      headDim: channels,
      bias: true,
      legacyNames: true,
    })
  }

  forward(b: GraphBuilder, x: Tensor): Tensor {
    const [batch = 0, height = 0, width = 0, channels = 0] = x.shape
    const { path } = this.#attention
    const normalised = this.#groupNorm.forward(b, x)
    const tokens = b.reshape(path, normalised, [batch, height * width, channels])
    const residual = b.reshape(path, x, [batch, height * width, channels])
    const y = b.add(path, this.#attention.forward(b, tokens), residual)
    return b.reshape(path, y, [batch, height, width, channels])
  }
}

/** Resnet, attention, resnet: [B, H, W, C] → same shape. */
export class UNetMidBlock2D {
  readonly #first: ResnetSequence
  readonly #attention: AttentionBlock | undefined
  readonly #second: ResnetBlock2D

  constructor(weights: WeightCursor, config: AutoencoderKLConfig, channels: number) {
    this.#first = new ResnetSequence(weights, config, 1, channels, channels)
    this.#attention = config.midBlockAddAttention
      ? new AttentionBlock(weights.at('attentions').at(0), config, channels)
      : undefined
    this.#second = new ResnetBlock2D(weights.at('resnets').at(1), {
      inChannels: channels,
      outChannels: channels,
      groups: config.normNumGroups,
      eps,
    })
  }

  forward(b: GraphBuilder, x: Tensor): Tensor {
    const hidden = this.#first.forward(b, x)
    return this.#second.forward(b, this.#attention?.forward(b, hidden) ?? hidden)
  }
}

/** Picture [B, H, W, 3] → moments before `quant_conv` [B, h, w, 2C]. */
export class Encoder {
  readonly #convIn: Conv2d
  readonly #downBlocks: { readonly resnets: ResnetSequence; readonly downsampler: Downsample2D | undefined }[]
  readonly #midBlock: UNetMidBlock2D
  readonly #convNormOut: GroupNorm
  readonly #convOut: Conv2d

  constructor(weights: WeightCursor, config: AutoencoderKLConfig) {
    const channels = config.blockOutChannels
    const first = channels[0] ?? 0
    const last = channels.at(-1) ?? 0
    this.#convIn = new Conv2d(weights, 'conv_in', config.inChannels, first, 3)
    this.#downBlocks = channels.map((outChannels, i) => {
      const block = weights.at('down_blocks').at(i)
      return {
        resnets: new ResnetSequence(
          block,
          config,
          config.layersPerBlock,
          channels[i - 1] ?? first,
          outChannels,
        ),
        downsampler:
          i < channels.length - 1
            ? new Downsample2D(block.at('downsamplers').at(0), outChannels, 0)
            : undefined,
      }
    })
    this.#midBlock = new UNetMidBlock2D(weights.at('mid_block'), config, last)
    this.#convNormOut = new GroupNorm(weights, 'conv_norm_out', last, config.normNumGroups, eps)
    this.#convOut = new Conv2d(weights, 'conv_out', last, 2 * config.latentChannels, 3)
  }

  forward(b: GraphBuilder, image: Tensor): Tensor {
    return this.rest(b, this.front(b, image, 0), 0)
  }

  /** Picture [B, H, W, 3] → what the first `blocks` blocks make of it. Sees only the neighbourhood of a pixel. */
  front(b: GraphBuilder, image: Tensor, blocks: number): Tensor {
    return this.#blocks(b, this.#convIn.forward(b, image), 0, blocks)
  }

  /** What the first `blocks` blocks made → moments before `quant_conv` [B, h, w, 2C]. */
  rest(b: GraphBuilder, front: Tensor, blocks: number): Tensor {
    let hidden = this.#blocks(b, front, blocks, this.#downBlocks.length)
    hidden = this.#midBlock.forward(b, hidden)
    hidden = b.silu(this.#convNormOut.path, this.#convNormOut.forward(b, hidden))
    return this.#convOut.forward(b, hidden)
  }

  #blocks(b: GraphBuilder, x: Tensor, start: number, end: number): Tensor {
    let hidden = x
    for (const { resnets, downsampler } of this.#downBlocks.slice(start, end)) {
      hidden = resnets.forward(b, hidden)
      if (downsampler) hidden = downsampler.forward(b, hidden)
    }
    return hidden
  }
}

/** Latents after `post_quant_conv` [B, h, w, C] → picture [B, H, W, 3]. */
export class Decoder {
  readonly #convIn: Conv2d
  readonly #midBlock: UNetMidBlock2D
  readonly #upBlocks: { readonly resnets: ResnetSequence; readonly upsampler: Upsample2D | undefined }[]
  readonly #convNormOut: GroupNorm
  readonly #convOut: Conv2d

  constructor(weights: WeightCursor, config: AutoencoderKLConfig) {
    const channels = config.blockOutChannels.toReversed()
    const first = channels[0] ?? 0
    const last = channels.at(-1) ?? 0
    this.#convIn = new Conv2d(weights, 'conv_in', config.latentChannels, first, 3)
    this.#midBlock = new UNetMidBlock2D(weights.at('mid_block'), config, first)
    this.#upBlocks = channels.map((outChannels, i) => {
      const block = weights.at('up_blocks').at(i)
      const count = config.layersPerBlock + 1
      return {
        resnets: new ResnetSequence(block, config, count, channels[i - 1] ?? first, outChannels),
        upsampler:
          i < channels.length - 1 ? new Upsample2D(block.at('upsamplers').at(0), outChannels) : undefined,
      }
    })
    this.#convNormOut = new GroupNorm(weights, 'conv_norm_out', last, config.normNumGroups, eps)
    this.#convOut = new Conv2d(weights, 'conv_out', last, config.outChannels, 3)
  }

  forward(b: GraphBuilder, latents: Tensor): Tensor {
    return this.tail(b, this.head(b, latents, 0), 0)
  }

  /** Latents → what the first `blocks` blocks make of them: [B, h·2^blocks, w·2^blocks, C']. */
  head(b: GraphBuilder, latents: Tensor, blocks: number): Tensor {
    return this.#blocks(b, this.#midBlock.forward(b, this.#convIn.forward(b, latents)), 0, blocks)
  }

  /** What the first `blocks` blocks made → picture [B, H, W, 3]. Sees only the neighbourhood of a pixel. */
  tail(b: GraphBuilder, head: Tensor, blocks: number): Tensor {
    let hidden = this.#blocks(b, head, blocks, this.#upBlocks.length)
    hidden = b.silu(this.#convNormOut.path, this.#convNormOut.forward(b, hidden))
    return this.#convOut.forward(b, hidden)
  }

  #blocks(b: GraphBuilder, x: Tensor, start: number, end: number): Tensor {
    let hidden = x
    for (const { resnets, upsampler } of this.#upBlocks.slice(start, end)) {
      hidden = resnets.forward(b, hidden)
      if (upsampler) hidden = upsampler.forward(b, hidden)
    }
    return hidden
  }
}
