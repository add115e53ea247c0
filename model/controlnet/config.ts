/**
 * What a ControlNet's config.json says beside its encoder, checked and with diffusers' defaults filled in
 * (diffusers/models/controlnets/controlnet.py). The encoder's own fields are the UNet's.
 */
import { z } from 'zod'
import { AttuneError } from '../contract/errors.ts'
import { readConfig, refuseUnsupported } from '../nn/config.ts'

export interface ControlNetFacts {
  /** Channels of the conditioning embedding, a size each; the picture is halved between them. */
  readonly embeddingChannels: readonly number[]
  /** The order in which the net was taught the picture's colours. */
  readonly channelOrder: 'rgb' | 'bgr'
  /** Residuals are averaged over the picture, and act on the conditional half only (shuffle). */
  readonly globalPool: boolean
}

const count = z.int().positive()
/** The coarsest pictures that anybody would guide with: 2^7 pixels a latent. */
const mostSizes = 8

const schema = z.object({
  _class_name: z.string().optional(),
  conditioning_embedding_out_channels: z.array(count).min(1).max(mostSizes).default([16, 32, 96, 256]),
  controlnet_conditioning_channel_order: z.enum(['rgb', 'bgr']).default('rgb'),
  global_pool_conditions: z.boolean().default(false),
  down_block_types: z.array(z.string()).min(1).optional(),
})

const only: Readonly<Record<string, readonly unknown[]>> = { conditioning_channels: [3] }

export interface ReadControlNetConfig {
  readonly facts: ControlNetFacts
  /** The same file as a UNet's, whose decoder it does not have. */
  readonly encoderJson: Readonly<Record<string, unknown>>
}

/**
 * @param json the parsed file
 * @param name what messages call it
 * @throws AttuneError `bad-model`, `unsupported`
 */
export function readControlNetConfig(json: unknown, name: string): ReadControlNetConfig {
  const { values } = readConfig(schema, json, name)
  const { _class_name: className = 'ControlNetModel' } = values
  if (className !== 'ControlNetModel') {
    throw new AttuneError(
      'unsupported',
      `${name} is of a ${className}; this version guides with ControlNets of Stable Diffusion 1.x and 2.x.`,
      className === 'T2IAdapter'
        ? 'T2I adapters are another kind of network: choose a ControlNet of the same purpose.'
        : 'Choose a ControlNet of the family of the model.',
    )
  }
  refuseUnsupported(json, only, name)
  const down = values.down_block_types ?? [...Array<string>(3).fill('CrossAttnDownBlock2D'), 'DownBlock2D']
  return {
    facts: {
      embeddingChannels: values.conditioning_embedding_out_channels,
      channelOrder: values.controlnet_conditioning_channel_order,
      globalPool: values.global_pool_conditions,
    },
    encoderJson: {
      ...(json as Readonly<Record<string, unknown>>),
      down_block_types: down,
      up_block_types: down.toReversed().map(type => type.replace('Down', 'Up')),
    },
  }
}

/** What must agree between a net and the UNet that it guides. */
export interface EncoderFamily {
  readonly crossAttentionDim: number
  /** Of the sample. */
  readonly inChannels: number
  /** Of each residual. */
  readonly slotChannels: readonly number[]
}

/**
 * Compares a net with the UNet that it is to guide.
 * @param net what is known of the net
 * @throws AttuneError `bad-model` naming both sides
 */
export function checkFamily(
  net: Partial<EncoderFamily>,
  base: EncoderFamily,
  names: { readonly net: string; readonly base: string },
): void {
  const differences: { readonly what: string; readonly net: string; readonly base: string }[] = []
  const compare = <T>(
    what: string,
    own: T | undefined,
    other: T,
    shown: (value: T) => string = String,
  ): void => {
    if (own === undefined || String(own) === String(other)) return
    differences.push({ what, net: shown(own), base: shown(other) })
  }
  compare('a text width (cross_attention_dim) of', net.crossAttentionDim, base.crossAttentionDim)
  compare('latent channels:', net.inChannels, base.inChannels)
  compare('residuals of', net.slotChannels, base.slotChannels, channels => {
    const levels = channels.filter((each, i) => each !== channels[i - 1])
    return `${levels.join('-')} channels in ${channels.length} slots`
  })
  if (differences.length === 0) return
  const side = (of: 'net' | 'base'): string => differences.map(each => `${each.what} ${each[of]}`).join(', ')
  throw new AttuneError(
    'bad-model',
    `${names.net} belongs to another family than ${names.base}: the ControlNet has ${side('net')}, the model ${side('base')}.`,
    `Choose a ControlNet for this model (${familyOf(base.crossAttentionDim)}), or a model for this ControlNet${
      net.crossAttentionDim === undefined ? '' : ` (${familyOf(net.crossAttentionDim)})`
    }.`,
  )
}

function familyOf(width: number): string {
  if (width === 768) return 'Stable Diffusion 1.x'
  if (width === 1024) return 'Stable Diffusion 2.x'
  return `text width ${width}`
}
