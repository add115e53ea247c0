/** The configuration of a CLIP vision encoder: image_encoder/config.json (transformers' `CLIPVisionConfig`). */
import { z } from 'zod'
import { AttuneError } from '../contract/errors.ts'
import { readConfig } from '../nn/config.ts'

export interface ClipVisionConfig {
  /** Width E of the hidden states. */
  readonly hiddenSize: number
  readonly intermediateSize: number
  /** Width of the picture's embedding. */
  readonly projectionDim: number
  readonly numHiddenLayers: number
  readonly numAttentionHeads: number
  /** Pixels of the square that is looked at, and of a patch. */
  readonly imageSize: number
  readonly patchSize: number
  readonly hiddenAct: 'quick_gelu' | 'gelu'
  readonly layerNormEps: number
}

const count = z.int().positive()
const schema = z.object({
  model_type: z.string().optional(),
  hidden_size: count.default(768),
  intermediate_size: count.default(3072),
  projection_dim: count.default(512),
  num_hidden_layers: count.max(256).default(12),
  num_attention_heads: count.default(12),
  num_channels: z.literal(3, 'must be 3').default(3),
  image_size: count.max(4096).default(224),
  patch_size: count.default(32),
  hidden_act: z.string().default('quick_gelu'),
  layer_norm_eps: z.number().positive().max(1).default(1e-5),
})

/** Positions that an encoder may have: beyond, one picture would take more memory than a machine has. */
const mostTokens = 4097

/**
 * Reads a config.json; a whole CLIP model's is understood too (its `vision_config`).
 * @param json the parsed file
 * @param name for messages
 * @throws AttuneError `bad-model` for a damaged or nonsensical file, `unsupported` for another kind of encoder
 */
export function readClipVisionConfig(json: unknown, name: string): ClipVisionConfig {
  const outer = (typeof json === 'object' && json !== null ? json : {}) as Readonly<Record<string, unknown>>
  const inner = outer['vision_config']
  const isWhole = typeof inner === 'object' && inner !== null
  // The projection's width is the whole model's; that of `vision_config` may be a default.
  const projection = isWhole &&
    outer['projection_dim'] !== undefined && { projection_dim: outer['projection_dim'] }
  const { values, refuse } = readConfig(schema, isWhole ? { ...inner, ...projection } : json, name)
  const type = values.model_type
  if (type !== undefined && type !== 'clip_vision_model' && type !== 'clip') {
    throw new AttuneError(
      'unsupported',
      `${name} describes a model of the type "${type}", not a CLIP vision encoder.`,
      'Choose the image_encoder folder that belongs to the IP-Adapter (CLIPVisionModelWithProjection).',
    )
  }
  const { hidden_act: hiddenAct } = values
  if (hiddenAct !== 'quick_gelu' && hiddenAct !== 'gelu') {
    throw new AttuneError(
      'unsupported',
      `${name}: the activation "${hiddenAct}" is not supported ("hidden_act" may be quick_gelu or gelu).`,
      'Use the image encoder that belongs to the IP-Adapter.',
    )
  }
  const { hidden_size: hiddenSize, num_attention_heads: numAttentionHeads } = values
  const { image_size: imageSize, patch_size: patchSize } = values
  if (hiddenSize % numAttentionHeads !== 0) {
    throw refuse(`hidden_size ${hiddenSize} cannot be divided among ${numAttentionHeads} heads`)
  }
  if (patchSize > imageSize)
    throw refuse(`a patch of ${patchSize} is larger than the picture of ${imageSize}`)
  const config: ClipVisionConfig = {
    hiddenSize,
    intermediateSize: values.intermediate_size,
    projectionDim: values.projection_dim,
    numHiddenLayers: values.num_hidden_layers,
    numAttentionHeads,
    imageSize,
    patchSize,
    hiddenAct,
    layerNormEps: values.layer_norm_eps,
  }
  if (visionTokens(config) > mostTokens) {
    throw refuse(`${visionTokens(config)} positions are more than the ${mostTokens} that are supported`)
  }
  return config
}

/** T: the class token and one a patch. */
export function visionTokens({
  imageSize,
  patchSize,
}: Pick<ClipVisionConfig, 'imageSize' | 'patchSize'>): number {
  return Math.floor(imageSize / patchSize) ** 2 + 1
}
