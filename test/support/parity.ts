/**
 * Reads what diffusers computed with the tiny models (`test/fixtures/parity`, made by `test/fixtures/make/parity.py`)
 * and measures how near we are. The readers here are small and our own, so that a fault of the code under test
 * cannot hide itself.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import type { Sampler } from '../../model/contract/request.ts'
import { elementCount, type Shape } from '../../model/tensor/shape.ts'
import { parityFolder, type TinyKind } from './tiny-models.ts'

export interface ParityArray {
  readonly shape: Shape
  readonly data: Float32Array | Int32Array
}

/** One whole run of a diffusers pipeline. Paths in `files` are relative to `parityFolder`. */
export interface ParityCase {
  readonly id: string
  readonly kind: TinyKind
  readonly task: 'txt2img' | 'img2img' | 'inpaint'
  readonly prompt: string
  readonly negative: string
  readonly sampler: Sampler
  readonly steps: number
  readonly guidance: number
  readonly guidanceRescale: number
  readonly width: number
  readonly height: number
  readonly strength?: number
  /** The layer that is used, counted from the end: 2 leaves the last one out. */
  readonly clipSkip?: number
  /** Number of 75-token chunks of the prompt; the negative one is filled up with empty chunks. */
  readonly chunks?: number
  /**
   * Then all noise comes from torch's CPU generator of this seed, in diffusers' order: for img2img and inpainting
   * with a 4-channel model (and with a 9-channel one below strength 1) first the VAE posterior of the image, then the
   * initial noise, then for inpainting the posterior of the masked image; then the steps' noise.
   */
  readonly seed?: number
  /** `mean`: the VAE posterior is not sampled, its mean is taken. */
  readonly posterior?: 'mean'
  readonly scheduler: {
    /** diffusers' class, and all of its settings as resolved from the model's scheduler_config.json. */
    readonly class: string
    readonly config: Readonly<Record<string, unknown>>
    /** Of the whole schedule; img2img begins inside it. */
    readonly timesteps: readonly number[]
    readonly sigmas?: readonly number[]
    readonly initNoiseSigma: number
  }
  /** How many of the recorded arrays were used, from the first. */
  readonly drawsUsed?: { readonly latents: number; readonly step: number; readonly posterior: number }
  readonly files: {
    /** Latents after each step, [steps, 1, C, H, W]; the last are the final ones (for some cases the only ones). */
    readonly latents: string
    readonly png?: string
    /** Unit variance, [1, C, H, W]. */
    readonly initialNoise?: string
    /** [draws, 1, C, H, W] */
    readonly stepNoise?: string
    /** [2, 1, C, H, W]: for sampling the VAE posterior of the image, then of the masked image. */
    readonly posteriorNoise?: string
    readonly init?: string
    readonly mask?: string
  }
  readonly latentsStd: number
  readonly pixelsStd: number
  /** The distance that rounding the weights to f16 alone makes (computed in f32 by diffusers). */
  readonly halfWeights: { readonly relativeL2: number; readonly psnr: number }
}

let allCases: readonly ParityCase[] | undefined

/** All cases, or those of one kind. */
export function parityCases(kind?: TinyKind): readonly ParityCase[] {
  allCases ??= JSON.parse(
    // Python writes the default of lambda_min_clipped as a bare word that JSON does not have.
    readFileSync(join(parityFolder, 'cases.json'), 'utf8').replaceAll('-Infinity', '-1e999'),
  ) as ParityCase[]
  return kind ? allCases.filter(each => each.kind === kind) : allCases
}

export function parityCase(id: string): ParityCase {
  const found = parityCases().find(each => each.id === id)
  if (!found) throw new Error(`No parity case ${id}`)
  return found
}

/** The absolute path of a file of a case, for the command line. */
export function parityPath(file: string): string {
  return join(parityFolder, file)
}

/**
 * The words of `attune generate` for a case, or undefined where the command line cannot say it: the recorded draws of
 * the VAE posterior have no option (the cases with a seed cover sampling it).
 */
export function commandLine(
  theCase: ParityCase,
  files: { readonly model: string; readonly out: string; readonly saveLatents: string },
): string[] | undefined {
  if (theCase.seed === undefined && theCase.task !== 'txt2img') return undefined
  const words = [theCase.prompt]
  const option = (name: string, value: string | number | undefined) => {
    if (value !== undefined) words.push(name, String(value))
  }
  const file = (name: string, value: string | undefined) => {
    if (value !== undefined) words.push(name, parityPath(value))
  }
  option('--model', files.model)
  option('--negative', theCase.negative === '' ? undefined : theCase.negative)
  option('--sampler', theCase.sampler)
  option('--steps', theCase.steps)
  option('--guidance', theCase.guidance)
  option('--guidance-rescale', theCase.guidanceRescale === 0 ? undefined : theCase.guidanceRescale)
  option('--clip-skip', theCase.clipSkip)
  option('--width', theCase.width)
  option('--height', theCase.height)
  option('--seed', theCase.seed)
  file('--latents', theCase.files.initialNoise)
  file('--step-noise', theCase.files.stepNoise)
  file('--init', theCase.files.init)
  option('--strength', theCase.strength)
  file('--mask', theCase.files.mask)
  option('--precision', 'f32')
  option('--out', files.out)
  option('--save-latents', files.saveLatents)
  return words
}

/** An array of a case: `loadNpy(theCase.files.initialNoise)`. */
export function loadNpy(file: string): { shape: Shape; data: Float32Array } {
  const bytes = readFileSync(parityPath(file))
  const headerLength = bytes.readUInt16LE(8)
  const header = bytes.toString('latin1', 10, 10 + headerLength)
  const shape = /'descr': '<f4', 'fortran_order': False, 'shape': \(([^)]*)\)/.exec(header)?.[1]
  if (shape === undefined) throw new Error(`${file}: not a C-ordered f4 array`)
  const body = new Uint8Array(bytes.subarray(10 + headerLength))
  return { shape: shape.split(',').filter(Boolean).map(Number), data: new Float32Array(body.buffer) }
}

/** The latents before decoding, [1, C, H, W], NCHW. */
export function finalLatents(theCase: ParityCase): { shape: Shape; data: Float32Array } {
  const { shape, data } = loadNpy(theCase.files.latents)
  const last = shape.slice(1)
  return { shape: last, data: data.slice(data.length - elementCount(last)) }
}

/** The latents after step `index` (from 0; for Heun each evaluation counts), [1, C, H, W]. */
export function latentsAfter(theCase: ParityCase, index: number): Float32Array {
  const { shape, data } = loadNpy(theCase.files.latents)
  const count = elementCount(shape.slice(1))
  if (index >= (shape[0] as number)) throw new Error(`${theCase.id} records ${shape[0]} steps`)
  return data.slice(index * count, (index + 1) * count)
}

/** The pixels of a PNG, [H, W, channels] with its own number of channels (3 for pictures, 1 for masks). */
export async function loadPixels(file: string): Promise<{ shape: Shape; data: Uint8Array }> {
  const { data, info } = await sharp(readFileSync(parityPath(file)))
    .raw()
    .toBuffer({ resolveWithObject: true })
  return { shape: [info.height, info.width, info.channels], data }
}

/**
 * The single forwards of a kind, B = 2 with different rows, NCHW:
 *
 *   text.ids [2, 77] · text.hidden [2, 77, E] · text.hidden_before_last (input of the last layer)
 *   unet.sample · unet.out.601, unet.out.21 (at that timestep, context text.hidden)
 *   unet.<module> taps at timestep 601, of row 1 only (conv_in, time_embedding, down_blocks.i, mid_block,
 *   up_blocks.i; for sd1 and sd2 also the parts of the first block; attentions' inner parts are [1, H·W, C])
 *   unet.odd.sample, unet.odd.out (timestep 301, B = 1, context row 1; sides that do not halve evenly)
 *   vae.image → vae.moments (mean and log-variance on the channel axis) · vae.latents → vae.decoded (no scaling factor)
 *   vae.encoder.… and vae.decoder.… taps of row 1 (sd1 and story)
 */
export function loadForward(kind: TinyKind): ReadonlyMap<string, ParityArray> {
  const bytes = readFileSync(join(parityFolder, kind, 'forward.safetensors'))
  const headerLength = Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerLength)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >
  const arrays = new Map<string, ParityArray>()
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue
    const [begin, end] = entry.data_offsets
    const body = new Uint8Array(bytes.subarray(8 + headerLength + begin, 8 + headerLength + end)).buffer
    arrays.set(name, {
      shape: entry.shape,
      data: entry.dtype === 'I32' ? new Int32Array(body) : new Float32Array(body),
    })
  }
  return arrays
}

/** A float array of the single forwards; fails by name when it is not there. */
export function forwardArray(
  arrays: ReadonlyMap<string, ParityArray>,
  name: string,
): { shape: Shape; data: Float32Array } {
  const array = arrays.get(name)
  if (!array || !(array.data instanceof Float32Array)) throw new Error(`No array ${name} among the forwards`)
  return { shape: array.shape, data: array.data }
}

/** [B, C, H, W] → [B, H, W, C] */
export function toChannelsLast(shape: Shape, data: Float32Array): Float32Array {
  return permute(shape, data, true)
}

/** [B, H, W, C] → [B, C, H, W]; `shape` is the one of the input. */
export function toChannelsFirst(shape: Shape, data: Float32Array): Float32Array {
  const [batch, height, width, channels] = shape as [number, number, number, number]
  return permute([batch, channels, height, width], data, false)
}

function permute(nchw: Shape, data: Float32Array, last: boolean): Float32Array {
  const [batch, channels, height, width] = nchw as [number, number, number, number]
  const result = new Float32Array(data.length)
  const plane = height * width
  for (let b = 0; b < batch; b++) {
    for (let c = 0; c < channels; c++) {
      for (let p = 0; p < plane; p++) {
        const first = (b * channels + c) * plane + p
        const final = (b * plane + p) * channels + c
        if (last) result[final] = data[first] as number
        else result[first] = data[final] as number
      }
    }
  }
  return result
}

/** ‖actual − expected‖ / ‖expected‖; NaN and infinity are never near anything. */
export function relativeL2(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) {
    throw new Error(`relativeL2: ${actual.length} values against ${expected.length}`)
  }
  let difference = 0
  let size = 0
  for (let i = 0; i < expected.length; i++) {
    const e = expected[i] as number
    difference += ((actual[i] as number) - e) ** 2
    size += e ** 2
  }
  const distance = Math.sqrt(difference / size)
  return Number.isFinite(distance) ? distance : Infinity
}

/** Peak signal to noise ratio of 8-bit pixels in dB; infinity when they are equal. */
export function psnr(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) {
    throw new Error(`psnr: ${actual.length} values against ${expected.length}`)
  }
  let sum = 0
  for (let i = 0; i < expected.length; i++) sum += ((actual[i] as number) - (expected[i] as number)) ** 2
  return 10 * Math.log10(255 ** 2 / (sum / expected.length))
}
