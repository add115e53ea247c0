/**
 * The autoencoder between pictures and latents (Kingma & Welling 2014; Rombach et al. 2022;
 * diffusers/models/autoencoders/autoencoder_kl.py), recorded as two graphs, and the small host-side steps around them.
 */
import { AttuneError, invariant } from '../contract/errors.ts'
import { GraphBuilder } from '../graph/builder.ts'
import type { Graph } from '../graph/ops.ts'
import { Linear } from '../nn/linear.ts'
import type { WeightCursor } from '../nn/reader.ts'
import { Decoder, Encoder } from './blocks.ts'
import type { AutoencoderKLConfig } from './config.ts'

/** Height and width of the input: of the latents to decode, of the picture to encode. */
export interface ImageSize {
  readonly batch: number
  readonly height: number
  readonly width: number
}

export class AutoencoderKL {
  readonly config: AutoencoderKLConfig
  readonly #encoder: Encoder
  readonly #decoder: Decoder
  readonly #quantConv: Linear | undefined
  readonly #postQuantConv: Linear | undefined

  /** Asks `weights` for everything that `config` needs; the caller lets the reader report what did not fit. */
  static create(config: AutoencoderKLConfig, weights: WeightCursor): AutoencoderKL {
    return new AutoencoderKL(config, weights)
  }

  private constructor(config: AutoencoderKLConfig, weights: WeightCursor) {
    const { latentChannels, useQuantConv, usePostQuantConv } = config
    this.config = config
    this.#encoder = new Encoder(weights.at('encoder'), config)
    this.#decoder = new Decoder(weights.at('decoder'), config)
    this.#quantConv = useQuantConv
      ? new Linear(weights, 'quant_conv', 2 * latentChannels, 2 * latentChannels)
      : undefined
    this.#postQuantConv = usePostQuantConv
      ? new Linear(weights, 'post_quant_conv', latentChannels, latentChannels)
      : undefined
  }

  /** A picture is this many times as wide and high as its latents. */
  get sizeFactor(): number {
    return 2 ** (this.config.blockOutChannels.length - 1)
  }

  /** Blocks of the encoder and of the decoder; all but one of them change the size by two. */
  get levels(): number {
    return this.config.blockOutChannels.length
  }

  /** latents [B, h, w, C] in the VAE's own units (see `latentsToVae`) → image [B, H, W, 3], about −1 … 1. */
  recordDecode({ batch, height, width }: ImageSize): Graph {
    const b = new GraphBuilder('vae.decode')
    const latents = b.input('latents', [batch, height, width, this.config.latentChannels])
    b.output('image', this.#decoder.forward(b, this.#postQuantConv?.forward(b, latents) ?? latents))
    return b.build()
  }

  /**
   * The decoder in two graphs, for pictures that are decoded in tiles. The head ends after `blocks` of the
   * `levels` blocks and holds the attention, which sees every position; the tail sees only neighbourhoods.
   * latents [B, h, w, C] → hidden [B, h·2^blocks, w·2^blocks, C'].
   */
  recordDecodeHead({ batch, height, width }: ImageSize, blocks: number): Graph {
    const b = new GraphBuilder('vae.decode.head')
    const latents = b.input('latents', [batch, height, width, this.config.latentChannels])
    b.output('hidden', this.#decoder.head(b, this.#postQuantConv?.forward(b, latents) ?? latents, blocks))
    return b.build()
  }

  /** hidden [B, H', W', C'] of `recordDecodeHead`, or a part of it → image [B, H, W, 3]. */
  recordDecodeTail({ batch, height, width }: ImageSize, blocks: number): Graph {
    const b = new GraphBuilder('vae.decode.tail')
    const channels = this.config.blockOutChannels.toReversed()[Math.max(0, blocks - 1)] ?? 0
    b.output('image', this.#decoder.tail(b, b.input('hidden', [batch, height, width, channels]), blocks))
    return b.build()
  }

  /** The encoder in two graphs. image [B, H, W, 3], or a part of it → hidden [B, H/2^blocks, W/2^blocks, C']. */
  recordEncodeFront({ batch, height, width }: ImageSize, blocks: number): Graph {
    const b = new GraphBuilder('vae.encode.front')
    b.output(
      'hidden',
      this.#encoder.front(b, b.input('image', [batch, height, width, this.config.inChannels]), blocks),
    )
    return b.build()
  }

  /** hidden [B, H', W', C'] of `recordEncodeFront` → moments [B, h, w, 2C]. */
  recordEncodeRest({ batch, height, width }: ImageSize, blocks: number): Graph {
    const b = new GraphBuilder('vae.encode.rest')
    const channels = this.config.blockOutChannels[Math.max(0, blocks - 1)] ?? 0
    const moments = this.#encoder.rest(b, b.input('hidden', [batch, height, width, channels]), blocks)
    b.output('moments', this.#quantConv?.forward(b, moments) ?? moments)
    return b.build()
  }

  /**
   * image [B, H, W, 3] in −1 … 1 → moments [B, h, w, 2C], the means and log variances of a diagonal Gaussian.
   * @throws AttuneError `bad-argument` when H or W is not a multiple of `sizeFactor`
   */
  recordEncode({ batch, height, width }: ImageSize): Graph {
    const factor = this.sizeFactor
    if (height % factor !== 0 || width % factor !== 0) {
      throw new AttuneError(
        'bad-argument',
        `A picture of ${width}x${height} has no whole number of latents.`,
        `Choose a width and height that are multiples of ${factor}.`,
      )
    }
    const b = new GraphBuilder('vae.encode')
    const image = b.input('image', [batch, height, width, this.config.inChannels])
    const moments = this.#encoder.forward(b, image)
    b.output('moments', this.#quantConv?.forward(b, moments) ?? moments)
    return b.build()
  }
}

/** Latents of the UNet → latents of the VAE: z / scalingFactor + shiftFactor. Any layout. */
export function latentsToVae(latents: Float32Array, config: AutoencoderKLConfig): Float32Array {
  const { scalingFactor, shiftFactor } = config
  return latents.map(value => value / scalingFactor + shiftFactor)
}

/** Latents of the VAE → latents of the UNet: (z − shiftFactor) · scalingFactor. Any layout. */
export function latentsFromVae(latents: Float32Array, config: AutoencoderKLConfig): Float32Array {
  const { scalingFactor, shiftFactor } = config
  return latents.map(value => (value - shiftFactor) * scalingFactor)
}

/** The log variance is clamped so that a broken encoder cannot make infinities (`DiagonalGaussianDistribution`). */
const logVarianceRange = { low: -30, high: 20 }

/**
 * The latents of a picture: the mean of the Gaussian, or with noise a sample of it, mean + exp(logvar / 2) · noise.
 * @param moments [B, h, w, 2C]
 * @param latentChannels C
 * @param noise [B, h, w, C], standard normal; without it the mean is returned
 * @returns [B, h, w, C] in the VAE's own units
 */
export function latentsFromMoments(
  moments: Float32Array,
  latentChannels: number,
  noise?: Float32Array,
): Float32Array {
  const positions = moments.length / (2 * latentChannels)
  invariant(
    Number.isInteger(positions),
    `Moments of ${moments.length} elements for ${latentChannels} channels`,
  )
  invariant(!noise || noise.length === moments.length / 2, 'The noise does not have the shape of the latents')
  const latents = new Float32Array(positions * latentChannels)
  const { low, high } = logVarianceRange
  for (let position = 0; position < positions; position++) {
    for (let c = 0; c < latentChannels; c++) {
      const i = position * latentChannels + c
      const mean = moments[2 * position * latentChannels + c] as number
      const logVariance = moments[(2 * position + 1) * latentChannels + c] as number
      const deviation = Math.exp(0.5 * Math.min(Math.max(logVariance, low), high))
      latents[i] = noise ? mean + deviation * (noise[i] as number) : mean
    }
  }
  return latents
}
