/**
 * `unet/config.json` of a diffusers folder, checked and with diffusers' defaults filled in. What Attune's UNet does
 * not have is refused by name, so that no model runs half understood. Defaults and meanings:
 * diffusers/models/unets/unet_2d_condition.py.
 */
import { z } from 'zod'
import { readConfig, refuseUnsupported } from '../nn/config.ts'

const count = z.int().positive()
/** One number for all levels, or one a level. */
const perLevel = z.union([count, z.array(count).min(1)])

const schema = z.object({
  in_channels: count.default(4),
  out_channels: count.default(4),
  sample_size: z.union([count, z.tuple([count, count])]).nullish(),
  flip_sin_to_cos: z.boolean().default(true),
  freq_shift: z.number().default(0),
  down_block_types: z
    .array(z.string())
    .min(1)
    .default(['CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'DownBlock2D']),
  mid_block_type: z.string().nullable().default('UNetMidBlock2DCrossAttn'),
  up_block_types: z
    .array(z.string())
    .min(1)
    .default(['UpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D']),
  block_out_channels: z.array(count).min(1).default([320, 640, 1280, 1280]),
  layers_per_block: perLevel.default(2),
  downsample_padding: z.int().min(0).default(1),
  norm_num_groups: count.default(32),
  norm_eps: z.number().positive().default(1e-5),
  cross_attention_dim: perLevel.default(1280),
  transformer_layers_per_block: perLevel.default(1),
  attention_head_dim: perLevel.default(8),
  num_attention_heads: perLevel.nullish(),
  time_embedding_dim: count.nullish(),
  conv_in_kernel: count.default(3),
  conv_out_kernel: count.default(3),
  only_cross_attention: z.union([z.boolean(), z.array(z.boolean())]).default(false),
})

/** Fields that must have one of the values that Attune implements; absent means diffusers' default, which is one. */
const only: Readonly<Record<string, readonly unknown[]>> = {
  act_fn: ['silu', 'swish'],
  addition_embed_type: [null],
  addition_time_embed_dim: [null],
  attention_type: ['default'],
  center_input_sample: [false],
  class_embed_type: [null],
  class_embeddings_concat: [false],
  cross_attention_norm: [null],
  dual_cross_attention: [null, false],
  encoder_hid_dim: [null],
  encoder_hid_dim_type: [null],
  mid_block_only_cross_attention: [null, false],
  mid_block_scale_factor: [1],
  mid_block_type: [null, 'UNetMidBlock2DCrossAttn'],
  num_class_embeds: [null],
  resnet_out_scale_factor: [1],
  resnet_skip_time_act: [false],
  resnet_time_scale_shift: ['default'],
  reverse_transformer_layers_per_block: [null],
  time_cond_proj_dim: [null],
  time_embedding_act_fn: [null],
  time_embedding_type: ['positional'],
  timestep_post_act: [null],
}

const downBlockTypes = ['CrossAttnDownBlock2D', 'DownBlock2D']
const upBlockTypes = ['CrossAttnUpBlock2D', 'UpBlock2D']

/** One level of the UNet, from the finest to the coarsest. */
export interface UNetLevel {
  readonly channels: number
  /** Resnets of the down block; the up block has one more. */
  readonly layersPerBlock: number
  /** Whether the down block at this level has transformers. */
  readonly downCrossAttention: boolean
  /** Whether the up block that works at this level has transformers. */
  readonly upCrossAttention: boolean
  readonly transformerLayers: number
  readonly numHeads: number
  readonly headDim: number
}

export interface UNet2DConditionConfig {
  readonly inChannels: number
  readonly outChannels: number
  /** The latent height and width that the model was trained for, where the file says. */
  readonly sampleSize: readonly [number, number] | undefined
  readonly flipSinToCos: boolean
  readonly freqShift: number
  readonly timeEmbedDim: number
  readonly levels: readonly UNetLevel[]
  readonly midBlock: boolean
  readonly downsamplePadding: number
  readonly normNumGroups: number
  readonly normEps: number
  /** E, the channels of the text's embeddings. */
  readonly crossAttentionDim: number
  readonly convInKernel: number
  readonly convOutKernel: number
}

/**
 * @param json the parsed file
 * @param name what messages call it, such as its path
 * @throws AttuneError `bad-model` for fields that are not what they should be, `unsupported` for those that ask for
 *   something that this UNet does not have
 */
export function parseUNetConfig(json: unknown, name = 'unet/config.json'): UNet2DConditionConfig {
  const { refuse, values } = readConfig(schema, json, name)
  refuseUnsupported(json, only, name)
  const { block_out_channels: channels } = values
  const levelCount = channels.length
  const spread = (field: string, value: number | readonly number[]): readonly number[] => {
    if (typeof value === 'number') return channels.map(() => value)
    if (value.length !== levelCount) {
      throw refuse(`${field} has ${value.length} entries for ${levelCount} levels`)
    }
    return value
  }
  const blocks = (field: string, types: readonly string[], known: readonly string[]): readonly string[] => {
    // The oldest files prefix the names with UNetRes.
    const plain = types.map(type => type.replace(/^UNetRes/, ''))
    if (plain.length !== levelCount)
      throw refuse(`${field} has ${plain.length} entries for ${levelCount} levels`)
    for (const type of plain) refuseUnsupported({ [field]: type }, { [field]: known }, name)
    return plain
  }
  const down = blocks('down_block_types', values.down_block_types, downBlockTypes)
  const up = blocks('up_block_types', values.up_block_types, upBlockTypes)
  const onlyCrossAttention = [values.only_cross_attention].flat().includes(true)
  refuseUnsupported({ only_cross_attention: onlyCrossAttention }, { only_cross_attention: [false] }, name)

  // diffusers misnamed the field: attention_head_dim is the number of heads (huggingface/diffusers issue 2011).
  const heads = spread('attention_head_dim', values.num_attention_heads ?? values.attention_head_dim)
  const layers = spread('layers_per_block', values.layers_per_block)
  const transformerLayers = spread('transformer_layers_per_block', values.transformer_layers_per_block)
  const [crossAttentionDim = 0, ...otherDims] = spread('cross_attention_dim', values.cross_attention_dim)
  if (otherDims.some(dim => dim !== crossAttentionDim)) {
    throw refuse('cross_attention_dim differs between levels, but one text is given to all of them')
  }
  const levels = channels.map((levelChannels, i): UNetLevel => {
    const numHeads = heads[i] ?? 1
    // The up blocks are listed from the coarsest level to the finest.
    const upCrossAttention = up[levelCount - 1 - i] === 'CrossAttnUpBlock2D'
    const downCrossAttention = down[i] === 'CrossAttnDownBlock2D'
    const attends =
      downCrossAttention || upCrossAttention || (i === levelCount - 1 && values.mid_block_type !== null)
    if (attends && levelChannels % numHeads !== 0) {
      throw refuse(`${numHeads} attention heads do not divide the ${levelChannels} channels of level ${i}`)
    }
    if (levelChannels % values.norm_num_groups !== 0) {
      throw refuse(
        `norm_num_groups ${values.norm_num_groups} does not divide the ${levelChannels} channels of level ${i}`,
      )
    }
    return {
      channels: levelChannels,
      layersPerBlock: layers[i] ?? 1,
      downCrossAttention,
      upCrossAttention,
      transformerLayers: transformerLayers[i] ?? 1,
      numHeads,
      headDim: Math.floor(levelChannels / numHeads),
    }
  })
  if (
    !levels.some(level => level.downCrossAttention || level.upCrossAttention) &&
    values.mid_block_type === null
  ) {
    throw refuse('no block has attention to the text')
  }
  for (const field of ['conv_in_kernel', 'conv_out_kernel'] as const) {
    if (values[field] % 2 === 0) throw refuse(`${field} ${values[field]} is even`)
  }
  const size = values.sample_size ?? undefined
  return {
    inChannels: values.in_channels,
    outChannels: values.out_channels,
    sampleSize: typeof size === 'number' ? [size, size] : size,
    flipSinToCos: values.flip_sin_to_cos,
    freqShift: values.freq_shift,
    timeEmbedDim: values.time_embedding_dim ?? 4 * (channels[0] ?? 0),
    levels,
    midBlock: values.mid_block_type !== null,
    downsamplePadding: values.downsample_padding,
    normNumGroups: values.norm_num_groups,
    normEps: values.norm_eps,
    crossAttentionDim,
    convInKernel: values.conv_in_kernel,
    convOutKernel: values.conv_out_kernel,
  }
}
