/**
 * A small picture of latents without the decoder: RGB as a linear function of the latent channels, fitted once a model.
 */
import { z } from 'zod'
import { AttuneError } from '../contract/errors.ts'
import type { Pixels } from '../image/resample.ts'
import type { AutoencoderKLConfig } from '../vae/config.ts'

export interface LatentPreview {
  /** [C][3]: what one unit of a latent channel adds to R, G and B in 0 … 1. */
  readonly factors: readonly (readonly [number, number, number])[]
  readonly bias: readonly [number, number, number]
}

const rgb = z.tuple([z.number(), z.number(), z.number()])
const schema = z.object({ factors: z.array(rgb).min(1), bias: rgb.default([0.5, 0.5, 0.5]) })

/**
 * Stable Diffusion 1.x and 2.x share their autoencoder. The factors are ComfyUI's published ones (comfy/latent_formats.py,
 * SD15) for RGB in −1 … 1, halved here for 0 … 1.
 */
const stableDiffusion: LatentPreview = {
  factors: [
    [0.1756, 0.11485, 0.16135],
    [0.1625, 0.2487, 0.1175],
    [-0.14145, 0.0881, 0.13605],
    [-0.106, -0.1308, -0.35885],
  ],
  bias: [0.5, 0.5, 0.5],
}

/** `preview.json` of a model folder; the known factors for Stable Diffusion's latents; else none. */
export function parsePreview(json: unknown, vae: AutoencoderKLConfig): LatentPreview | undefined {
  if (json === undefined) {
    return vae.latentChannels === 4 && vae.scalingFactor === 0.18215 ? stableDiffusion : undefined
  }
  const parsed = schema.safeParse(json)
  if (!parsed.success || parsed.data.factors.length !== vae.latentChannels) {
    throw new AttuneError(
      'bad-model',
      `preview.json does not hold factors for ${vae.latentChannels} latent channels.`,
      'Delete the file to draw without previews, or download it again.',
    )
  }
  return parsed.data
}

/** Latents [C, h, w] of one picture → its preview, w × h pixels. */
export function previewOf(
  latents: Float32Array,
  width: number,
  height: number,
  preview: LatentPreview,
): Pixels {
  const positions = width * height
  const data = new Uint8Array(positions * 3)
  for (let p = 0; p < positions; p++) {
    for (let k = 0; k < 3; k++) {
      let value = preview.bias[k] as number
      for (const [c, factors] of preview.factors.entries()) {
        value += (latents[c * positions + p] as number) * (factors[k] as number)
      }
      data[p * 3 + k] = Math.round(Math.min(Math.max(value, 0), 1) * 255)
    }
  }
  return { width, height, channels: 3, data }
}
