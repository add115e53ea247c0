/** The configuration of a CLIP text encoder: text_encoder/config.json. */
import { AttuneError } from '../contract/errors.ts'

/** Names as in transformers' `CLIPTextConfig`. */
export interface ClipTextConfig {
  readonly vocabSize: number
  /** Embedding size E. */
  readonly hiddenSize: number
  readonly intermediateSize: number
  readonly numHiddenLayers: number
  readonly numAttentionHeads: number
  readonly maxPositionEmbeddings: number
  readonly hiddenAct: 'quick_gelu' | 'gelu'
  readonly layerNormEps: number
}

/**
 * Reads a config.json; what it leaves out has transformers' default values. `text_config` inside a whole CLIP model's
 * configuration is found too.
 * @param json the parsed file.
 * @param name for messages.
 * @throws AttuneError `bad-model` for a damaged or nonsensical file, `unsupported` for another kind of encoder.
 */
export function readClipTextConfig(json: unknown, name: string): ClipTextConfig {
  const outer = asObject(json)
  if (!outer) throw wrong(name, 'it is not a JSON object')
  const config = asObject(outer.text_config) ?? outer
  const type = config.model_type
  if (typeof type === 'string' && type !== 'clip_text_model' && type !== 'clip') {
    throw new AttuneError(
      'unsupported',
      `${name}: text encoders of the type "${type}" are not supported yet.`,
      'Use a model with a CLIP text encoder (Stable Diffusion 1 or 2).',
    )
  }
  const size = (key: string, fallback: number): number => {
    const value = config[key] ?? fallback
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1) {
      throw wrong(name, `"${key}" is ${JSON.stringify(value)}, not a positive integer`)
    }
    return value
  }
  const hiddenAct = config.hidden_act ?? 'quick_gelu'
  if (hiddenAct !== 'quick_gelu' && hiddenAct !== 'gelu') {
    throw new AttuneError(
      'unsupported',
      `${name}: the activation ${JSON.stringify(hiddenAct)} is not supported ("hidden_act" may be quick_gelu or gelu).`,
      'Use another model, or report this one so that it can be added.',
    )
  }
  const layerNormEps = config.layer_norm_eps ?? 1e-5
  if (typeof layerNormEps !== 'number' || !(layerNormEps > 0 && layerNormEps < 1)) {
    throw wrong(name, `"layer_norm_eps" is ${JSON.stringify(layerNormEps)}, not between 0 and 1`)
  }
  const hiddenSize = size('hidden_size', 512)
  const numAttentionHeads = size('num_attention_heads', 8)
  if (hiddenSize % numAttentionHeads !== 0) {
    throw wrong(name, `"hidden_size" ${hiddenSize} cannot be divided among ${numAttentionHeads} heads`)
  }
  return {
    vocabSize: size('vocab_size', 49408),
    hiddenSize,
    intermediateSize: size('intermediate_size', 2048),
    numHiddenLayers: size('num_hidden_layers', 12),
    numAttentionHeads,
    maxPositionEmbeddings: size('max_position_embeddings', 77),
    hiddenAct,
    layerNormEps,
  }
}

function asObject(json: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof json === 'object' && json !== null && !Array.isArray(json)
    ? (json as Readonly<Record<string, unknown>>)
    : undefined
}

function wrong(name: string, why: string): AttuneError {
  return new AttuneError('bad-model', `${name} cannot be used: ${why}.`, 'Download the model folder again.')
}
