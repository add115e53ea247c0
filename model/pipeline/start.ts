/**
 * How a run begins: the noise it starts from, the latents of a picture that is given, the mask of what is drawn anew.
 * The order in which random numbers are drawn is that of diffusers' pipelines, so that one seed means one picture.
 */
import { AttuneError, invariant } from '../contract/errors.ts'
import type { Pixels } from '../image/resample.ts'
import type { Scheduler } from '../schedulers/scheduler.ts'
import { toChannelsFirst, toChannelsLast } from '../tensor/layout.ts'
import { latentsFromMoments, latentsFromVae } from '../vae/autoencoder-kl.ts'
import { type AutoencodeOptions, type AutoencodeStep, encodePicture } from './autoencode.ts'
import type { DiffusionModel } from './diffusion-model.ts'

/** Draws standard normal numbers, [1, C, h, w] in that order. */
export type Draw = (count: number) => Float32Array

export interface StartInputs {
  /** Unit noise [C, h, w] in place of the seed's first draw. */
  readonly initialNoise?: Float32Array
  /** Noise [C, h, w] each, for sampling the VAE's posterior: of the picture, then of the masked picture. */
  readonly posteriorNoise?: readonly Float32Array[]
  /** The picture to begin from, RGB at the request's size. */
  readonly init?: Pixels
  /** One channel at the request's size: white is drawn anew. */
  readonly mask?: Pixels
}

export interface Start {
  /** The first sample [C, h, w]. */
  readonly latents: Float32Array
  /** What the UNet sees beside the sample: mask and masked picture [1 + C, h, w] of an inpainting model. */
  readonly extraChannels?: Float32Array
  /** Pulls what the mask keeps back to the picture after each step: for models without mask channels. */
  readonly blend?: { readonly keep: Float32Array; readonly image: Float32Array; readonly noise: Float32Array }
}

export interface LatentSize {
  readonly channels: number
  readonly height: number
  readonly width: number
}

/** Prepares a run. With noise from a file, the VAE's posterior is not sampled: its mean is taken. */
export async function* prepareStart(
  model: DiffusionModel,
  autoencode: AutoencodeOptions,
  scheduler: Scheduler,
  size: LatentSize,
  inputs: StartInputs,
  draw: Draw,
  fullStrength: boolean,
): AsyncGenerator<AutoencodeStep, Start> {
  const count = size.channels * size.height * size.width
  const { init, mask } = inputs
  if (!init) {
    if (mask) throw new AttuneError('bad-argument', 'A mask needs a picture.', 'Add --init PICTURE.')
    if (model.task === 'inpaint') {
      throw new AttuneError(
        'bad-argument',
        `${model.folder.name} is an inpainting model: it fills a masked part of a picture.`,
        'Give --init PICTURE and --mask MASK, or choose another model.',
      )
    }
    const noise = inputs.initialNoise ?? draw(count)
    return { latents: noise.map(value => value * scheduler.initNoiseSigma) }
  }
  if (model.task === 'inpaint' && !mask) {
    throw new AttuneError(
      'bad-argument',
      `${model.folder.name} needs a mask beside the picture.`,
      'Add --mask MASK.',
    )
  }
  const posterior = inputs.posteriorNoise?.slice() ?? []
  const nextPosterior = (): Float32Array | undefined =>
    posterior.shift() ?? (inputs.initialNoise ? undefined : draw(count))
  const encodeLatents = (picture: Float32Array): AsyncGenerator<AutoencodeStep, Float32Array> =>
    encode(model, autoencode, picture, init.width, init.height, size, nextPosterior())
  const picture = toSigned(init)
  // An inpainting model at full strength starts from noise alone and never looks at the picture's own latents.
  const needsImage = !(model.task === 'inpaint' && fullStrength)
  const image = needsImage ? yield* encodeLatents(picture) : undefined
  const noise = inputs.initialNoise ?? draw(count)
  const fromNoise = mask !== undefined && fullStrength
  const latents =
    fromNoise || !image
      ? noise.map(value => value * scheduler.initNoiseSigma)
      : scheduler.addNoise(image, noise, scheduler.startIndex)
  if (!mask) return { latents }
  const redraw = latentMask(mask, size)
  if (model.task === 'inpaint') {
    const masked = yield* encodeLatents(maskOut(picture, mask))
    const extraChannels = new Float32Array(redraw.length + masked.length)
    extraChannels.set(redraw)
    extraChannels.set(masked, redraw.length)
    return { latents, extraChannels }
  }
  // diffusers encodes the masked picture for every model; its draw is part of the seed's order.
  if (inputs.posteriorNoise === undefined && !inputs.initialNoise) draw(count)
  invariant(image, 'a picture to blend with')
  const keep = new Float32Array(count)
  const positions = size.height * size.width
  for (let i = 0; i < count; i++) keep[i] = 1 - (redraw[i % positions] as number)
  return { latents, blend: { keep, image, noise } }
}

/** Puts what the mask keeps back to the picture, noised for evaluation `next` (or clean after the last). */
export function blendKept(
  latents: Float32Array,
  { keep, image, noise }: NonNullable<Start['blend']>,
  scheduler: Scheduler,
  next: number,
): Float32Array {
  const proper = next < scheduler.timesteps.length ? scheduler.addNoise(image, noise, next) : image
  return latents.map((value, i) => {
    const kept = keep[i] as number
    return kept * (proper[i] as number) + (1 - kept) * value
  })
}

async function* encode(
  model: DiffusionModel,
  autoencode: AutoencodeOptions,
  picture: Float32Array,
  width: number,
  height: number,
  size: LatentSize,
  noise: Float32Array | undefined,
): AsyncGenerator<AutoencodeStep, Float32Array> {
  const moments = yield* encodePicture(model.vae, picture, { height, width }, autoencode)
  const positions = size.height * size.width
  const lastNoise = noise && toChannelsLast(noise, size.channels, positions)
  const latents = latentsFromMoments(moments, size.channels, lastNoise)
  return latentsFromVae(toChannelsFirst(latents, size.channels, positions), model.vae.config)
}

/** RGB bytes [H, W, 3] → −1 … 1, with the single precision of `VaeImageProcessor`. */
function toSigned({ data }: Pixels): Float32Array {
  return Float32Array.from(data, byte => 2 * Math.fround(byte / 255) - 1)
}

const isRedrawn = (byte: number): boolean => byte >= 128

/** Pixels under the mask become grey (0). */
function maskOut(picture: Float32Array, mask: Pixels): Float32Array {
  return picture.map((value, i) => (isRedrawn(mask.data[Math.floor(i / 3)] as number) ? 0 : value))
}

/** The mask at the latents' size, by nearest neighbour as torch does it: [h, w] of 0 or 1. */
function latentMask(mask: Pixels, { height, width }: LatentSize): Float32Array {
  const result = new Float32Array(height * width)
  for (let y = 0; y < height; y++) {
    const row = Math.floor((y * mask.height) / height)
    for (let x = 0; x < width; x++) {
      const column = Math.floor((x * mask.width) / width)
      result[y * width + x] = isRedrawn(mask.data[row * mask.width + column] as number) ? 1 : 0
    }
  }
  if (result.every(value => value === 0)) {
    throw new AttuneError(
      'bad-argument',
      'The mask is empty at the size of the latents: nothing would be drawn anew.',
      'Paint a larger white area.',
    )
  }
  return result
}
