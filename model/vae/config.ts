/**
 * `vae/config.json` of a diffusers folder, checked and with diffusers' defaults filled in
 * (diffusers/models/autoencoders/autoencoder_kl.py).
 */
import { z } from 'zod'
import { readConfig, refuseUnsupported } from '../nn/config.ts'

const count = z.int().positive()

const schema = z.object({
  in_channels: count.default(3),
  out_channels: count.default(3),
  down_block_types: z.array(z.literal('DownEncoderBlock2D')).min(1).default(['DownEncoderBlock2D']),
  up_block_types: z.array(z.literal('UpDecoderBlock2D')).min(1).default(['UpDecoderBlock2D']),
  block_out_channels: z.array(count).min(1).default([64]),
  layers_per_block: count.default(1),
  latent_channels: count.default(4),
  norm_num_groups: count.default(32),
  scaling_factor: z.number().positive().default(0.18215),
  shift_factor: z.number().nullish(),
  use_quant_conv: z.boolean().default(true),
  use_post_quant_conv: z.boolean().default(true),
  mid_block_add_attention: z.boolean().default(true),
})

const only: Readonly<Record<string, readonly unknown[]>> = {
  act_fn: ['silu', 'swish'],
  latents_mean: [null],
  latents_std: [null],
}

export interface AutoencoderKLConfig {
  readonly inChannels: number
  readonly outChannels: number
  /** From the picture's size to the smallest. */
  readonly blockOutChannels: readonly number[]
  readonly layersPerBlock: number
  readonly latentChannels: number
  readonly normNumGroups: number
  /** Latents of the UNet are (latents of the VAE − shiftFactor) · scalingFactor. */
  readonly scalingFactor: number
  readonly shiftFactor: number
  readonly useQuantConv: boolean
  readonly usePostQuantConv: boolean
  readonly midBlockAddAttention: boolean
}

/**
 * @param json the parsed file
 * @param name what messages call it, such as its path
 * @throws AttuneError `bad-model` for fields that are not what they should be, `unsupported` for those that ask for
 *   something that this autoencoder does not have
 */
export function parseVaeConfig(json: unknown, name = 'vae/config.json'): AutoencoderKLConfig {
  const { values, refuse } = readConfig(schema, json, name)
  refuseUnsupported(json, only, name)
  const { block_out_channels: channels, norm_num_groups: groups } = values
  for (const field of ['down_block_types', 'up_block_types'] as const) {
    if (values[field].length !== channels.length) {
      throw refuse(`${field} has ${values[field].length} entries for ${channels.length} levels`)
    }
  }
  for (const each of channels) {
    if (each % groups !== 0) throw refuse(`norm_num_groups ${groups} does not divide ${each} channels`)
  }
  return {
    inChannels: values.in_channels,
    outChannels: values.out_channels,
    blockOutChannels: channels,
    layersPerBlock: values.layers_per_block,
    latentChannels: values.latent_channels,
    normNumGroups: groups,
    scalingFactor: values.scaling_factor,
    shiftFactor: values.shift_factor ?? 0,
    useQuantConv: values.use_quant_conv,
    usePostQuantConv: values.use_post_quant_conv,
    midBlockAddAttention: values.mid_block_add_attention,
  }
}
