/**
 * CLIP's vision encoder with its projection (transformers models/clip/modeling_clip.py,
 * `CLIPVisionModelWithProjection`; Radford et al. 2021), as a recorded graph: onnxruntime and WebGPU run the same.
 *
 * Axis letters: T positions (the class token first, then the patches row by row), E the encoder's width.
 */
import { invariant } from '../contract/errors.ts'
import { GraphBuilder } from '../graph/builder.ts'
import type { Graph, Tensor, WeightData } from '../graph/ops.ts'
import { Linear } from '../nn/linear.ts'
import { LayerNorm } from '../nn/norm.ts'
import type { WeightCursor } from '../nn/reader.ts'
import { readAsFloat32 } from '../weights/weight-reader.ts'
import { type ClipVisionConfig, visionTokens } from './vision-config.ts'

/** What one picture is to the encoder. */
export interface PictureFeatures {
  /** [T, E]: the hidden states of the last layer but one. */
  readonly hidden: Float32Array
  /** [projectionDim]: the whole picture, in the space that CLIP shares with texts. */
  readonly embeds: Float32Array
}

class EncoderLayer {
  readonly path: string
  readonly #norm1: LayerNorm
  readonly #norm2: LayerNorm
  readonly #query: Linear
  readonly #key: Linear
  readonly #value: Linear
  readonly #out: Linear
  readonly #fc1: Linear
  readonly #fc2: Linear
  readonly #config: ClipVisionConfig

  constructor(weights: WeightCursor, config: ClipVisionConfig) {
    const { hiddenSize: width, intermediateSize, layerNormEps } = config
    const attention = weights.at('self_attn')
    this.path = weights.path
    this.#config = config
    this.#norm1 = new LayerNorm(weights, 'layer_norm1', width, layerNormEps)
    this.#norm2 = new LayerNorm(weights, 'layer_norm2', width, layerNormEps)
    this.#query = new Linear(attention, 'q_proj', width, width)
    this.#key = new Linear(attention, 'k_proj', width, width)
    this.#value = new Linear(attention, 'v_proj', width, width)
    this.#out = new Linear(attention, 'out_proj', width, width)
    this.#fc1 = new Linear(weights.at('mlp'), 'fc1', width, intermediateSize)
    this.#fc2 = new Linear(weights.at('mlp'), 'fc2', intermediateSize, width)
  }

  /** x [1, T, E] → [1, T, E]. */
  forward(b: GraphBuilder, x: Tensor): Tensor {
    const { numAttentionHeads: numHeads, hiddenAct } = this.#config
    const normed = this.#norm1.forward(b, x)
    const [query, key, value] = [this.#query, this.#key, this.#value].map(each => each.forward(b, normed))
    invariant(query && key && value, 'three projections')
    const { y } = b.attention(`${this.path}.self_attn`, query, key, value, { numHeads })
    const hidden = b.add(`${this.path}.self_attn`, this.#out.forward(b, y), x)
    const inner = this.#fc1.forward(b, this.#norm2.forward(b, hidden))
    const active = b.activation(`${this.path}.mlp`, inner, hiddenAct)
    return b.add(this.path, this.#fc2.forward(b, active), hidden)
  }
}

export class ClipVisionModel {
  readonly config: ClipVisionConfig
  readonly #patches: WeightData
  readonly #classEmbedding: WeightData
  readonly #positions: WeightData
  readonly #preNorm: LayerNorm
  readonly #postNorm: LayerNorm
  readonly #layers: readonly EncoderLayer[]
  readonly #projection: Linear

  /** Asks `weights` for everything that `config` needs; the caller lets the reader report what did not fit. */
  static create(config: ClipVisionConfig, weights: WeightCursor): ClipVisionModel {
    return new ClipVisionModel(config, weights)
  }

  private constructor(config: ClipVisionConfig, weights: WeightCursor) {
    this.config = config
    const { hiddenSize: width, patchSize, layerNormEps, projectionDim } = config
    // transformers 5 may leave the prefix out.
    const isBare = weights.has('embeddings.class_embedding')
    const model = isBare ? weights : weights.at('vision_model')
    const embeddings = model.at('embeddings')
    this.#patches = embeddings.tensor('patch_embedding.weight', [width, 3, patchSize, patchSize])
    this.#classEmbedding = embeddings.tensor('class_embedding', [width])
    this.#positions = embeddings.tensor('position_embedding.weight', [visionTokens(config), width])
    // Spelt so in every file there is.
    this.#preNorm = new LayerNorm(model, 'pre_layrnorm', width, layerNormEps)
    this.#layers = Array.from(
      { length: config.numHiddenLayers },
      (_, i) => new EncoderLayer(model.at('encoder.layers').at(i), config),
    )
    this.#postNorm = new LayerNorm(model, 'post_layernorm', width, layerNormEps)
    this.#projection = new Linear(weights, 'visual_projection', width, projectionDim, { bias: false })
  }

  get tokens(): number {
    return visionTokens(this.config)
  }

  /**
   * patches [1, T, 3·p·p] (see `patchesOf`), positions [1, T, E] (see `readPositions`) → hidden [1, T, E], embeds
   * [1, T, projectionDim], of which row 0 is the picture's.
   */
  recordEncode(): Graph {
    const { hiddenSize: width, patchSize } = this.config
    const columns = 3 * patchSize * patchSize
    const b = new GraphBuilder('image_encoder')
    const patches = b.input('patches', [1, this.tokens, columns])
    const positions = b.input('positions', [1, this.tokens, width])
    // A convolution whose stride is its size is a product over patches.
    const weight = { ...this.#patches, shape: [width, columns] }
    let hidden = b.add('embeddings', b.linear('embeddings.patch_embedding', patches, weight, null), positions)
    hidden = this.#preNorm.forward(b, hidden)
    let before = hidden
    for (const layer of this.#layers) {
      before = hidden
      hidden = layer.forward(b, hidden)
    }
    b.output('hidden', before)
    b.output('embeds', this.#projection.forward(b, this.#postNorm.forward(b, hidden)))
    return b.build()
  }

  /** What is added to the patches, [1, T, E]: their places, and of row 0, whose patch is zero, the class token. */
  async readPositions(): Promise<Float32Array> {
    const [positions, own] = [await readAsFloat32(this.#positions), await readAsFloat32(this.#classEmbedding)]
    for (const [i, value] of own.entries()) positions[i] = (positions[i] as number) + value
    return positions
  }

  /** What a run of `recordEncode` says of the picture. */
  read(outputs: Readonly<Record<string, Float32Array>>): PictureFeatures {
    const { hidden, embeds } = outputs
    invariant(hidden && embeds, 'hidden states and embeddings')
    return { hidden, embeds: embeds.slice(0, this.config.projectionDim) }
  }
}
