/**
 * An IP-Adapter (Ye et al. 2023): makes tokens of a picture, and of these keys and values for each cross-attention layer
 * of a UNet. Keys and values stand where those of a text would: they are one more source of the same attention.
 *
 * Axis letters: T tokens, C the width of texts, Σ2C the columns of keys and values of all layers.
 */
import { AttuneError, invariant } from '../contract/errors.ts'
import { GraphBuilder } from '../graph/builder.ts'
import type { Graph, WeightData } from '../graph/ops.ts'
import { type AdapterFacts, type AdapterFile } from './file-layout.ts'
import { type ImageProjection, imageProjection } from './image-projection.ts'
import type { PictureFeatures } from './vision-encoder.ts'
import { type ClipVisionConfig, visionTokens } from './vision-config.ts'

/** A cross-attention layer of the UNet, and where its keys and values stand among all columns. */
export interface AdaptedLayer {
  readonly path: string
  readonly keyOffset: number
  readonly valueOffset: number
  readonly width: number
}

/** What an adapter must fit. */
export interface AdaptedUNet {
  readonly name: string
  readonly crossAttentionDim: number
  readonly layers: readonly AdaptedLayer[]
}

export interface AdapterNames {
  readonly adapter: string
  readonly encoder: string
}

/** Layers as IP-Adapter files count them: down, up, middle. */
export function adapterOrder(layers: readonly AdaptedLayer[]): AdaptedLayer[] {
  const of = (prefix: string): AdaptedLayer[] => layers.filter(({ path }) => path.startsWith(prefix))
  return [...of('down_blocks.'), ...of('up_blocks.'), ...of('mid_block.')]
}

export class IPAdapterModel {
  readonly name: string
  readonly facts: AdapterFacts
  /** T */
  readonly tokens: number
  readonly #projection: ImageProjection
  /** In the order of the columns. */
  readonly #keyValues: readonly WeightData[]

  /**
   * Asks `file` for everything that the adapter needs; the caller lets the reader report what did not fit.
   * @throws AttuneError `bad-model` for another family or vision encoder, naming both sides
   */
  static create(
    facts: AdapterFacts,
    file: AdapterFile,
    unet: AdaptedUNet,
    vision: ClipVisionConfig,
    names: AdapterNames,
  ): IPAdapterModel {
    checkUNet(facts, unet, names.adapter)
    checkEncoder(facts, vision, names)
    return new IPAdapterModel(facts, file, unet, vision, names.adapter)
  }

  private constructor(
    facts: AdapterFacts,
    file: AdapterFile,
    unet: AdaptedUNet,
    vision: ClipVisionConfig,
    name: string,
  ) {
    this.name = name
    this.facts = facts
    const positions = visionTokens(vision)
    this.tokens = facts.tokens ?? positions
    this.#projection = imageProjection(facts, file, positions)
    const weights = adapterOrder(unet.layers).flatMap(({ path, keyOffset, valueOffset, width }, n) => {
      const weight = (part: 'k' | 'v'): WeightData =>
        file.tensor(`ip_adapter.${2 * n + 1}.to_${part}_ip.weight`, [width, facts.crossAttentionDim], {
          names: [`${path}.processor.to_${part}_ip.0.weight`],
        })
      return [
        { at: keyOffset, weight: weight('k') },
        { at: valueOffset, weight: weight('v') },
      ]
    })
    this.#keyValues = weights.toSorted((a, b) => a.at - b.at).map(({ weight }) => weight)
  }

  /** What the unconditional half sees: tokens of an embedding of zeros, or of a picture of zeros. */
  get uncondRule(): 'zero-embedding' | 'zero-picture' {
    return this.facts.kind === 'base' ? 'zero-embedding' : 'zero-picture'
  }

  /** What of a picture's features the projection takes. */
  featuresOf({ hidden, embeds }: PictureFeatures): Float32Array {
    return this.facts.kind === 'base' ? embeds : hidden
  }

  get projection(): ImageProjection {
    return this.#projection
  }

  /** tokens [1, T, C] → keyValues [1, T, Σ2C], in the columns of the UNet's own. */
  recordKeyValues(): Graph {
    const b = new GraphBuilder('ip_adapter.keyValues')
    const tokens = b.input('tokens', [1, this.tokens, this.facts.crossAttentionDim])
    const biases = this.#keyValues.map(() => null)
    b.output('keyValues', b.linearJoined('ip_adapter', tokens, this.#keyValues, biases))
    return b.build()
  }
}

/**
 * Scales the values of each layer, in place: Σ P·(s·V) = s·Σ P·V.
 * @param keyValues [T, Σ2C]
 * @param scales of each layer
 */
export function scaleValues(
  keyValues: Float32Array,
  tokens: number,
  layers: readonly AdaptedLayer[],
  scales: readonly number[],
): void {
  const width = keyValues.length / tokens
  invariant(Number.isInteger(width) && layers.length === scales.length, 'keys and values of all layers')
  for (const [i, { valueOffset, width: size }] of layers.entries()) {
    const scale = scales[i] ?? 1
    if (scale === 1) continue
    for (let t = 0; t < tokens; t++) {
      const start = t * width + valueOffset
      for (let c = start; c < start + size; c++) keyValues[c] = (keyValues[c] as number) * scale
    }
  }
}

function checkUNet(facts: AdapterFacts, unet: AdaptedUNet, name: string): void {
  const own = adapterOrder(unet.layers).map(({ width }) => width)
  const { crossAttentionDim, layerWidths, layout } = facts
  // diffusers' names stand in any order; the reader compares their shapes.
  const fits = layout === 'diffusers' ? layerWidths.length === own.length : layerWidths.join() === own.join()
  if (crossAttentionDim === unet.crossAttentionDim && fits) return
  throw new AttuneError(
    'bad-model',
    `${name} belongs to another family than ${unet.name}: the IP-Adapter has ${sideOf(crossAttentionDim, layerWidths)}, the model ${sideOf(unet.crossAttentionDim, own)}.`,
    `Choose an IP-Adapter for this model (${familyOf(unet.crossAttentionDim)}), or a model for this IP-Adapter (${familyOf(crossAttentionDim)}).`,
  )
}

function checkEncoder(facts: AdapterFacts, vision: ClipVisionConfig, names: AdapterNames): void {
  const given = facts.kind === 'base' ? vision.projectionDim : vision.hiddenSize
  if (given === facts.featureDim) return
  const what = facts.kind === 'base' ? 'embeddings' : 'hidden states'
  throw new AttuneError(
    'bad-model',
    `${names.encoder} is not the image encoder of ${names.adapter}: it gives ${what} of ${given} numbers, and the IP-Adapter takes ${facts.featureDim}.`,
    'Choose the image_encoder folder that came with the IP-Adapter: --image-encoder FOLDER.',
  )
}

function sideOf(width: number, layers: readonly number[]): string {
  return `a text width of ${width} and ${layers.length} layers of ${[...new Set(layers)].toSorted((a, b) => a - b).join('/')} channels`
}

function familyOf(width: number): string {
  if (width === 768) return 'Stable Diffusion 1.x'
  if (width === 1024) return 'Stable Diffusion 2.x'
  if (width === 2048) return 'Stable Diffusion XL'
  return `text width ${width}`
}
