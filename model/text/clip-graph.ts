/**
 * CLIP's text encoder as an ONNX graph whose weights stay in the .safetensors file.
 *
 * Reference: transformers `models/clip/modeling_clip.py`, `CLIPTextModel`.
 */
import { AttuneError } from '../contract/errors.ts'
import { OnnxGraph, type OnnxValue } from '../onnx/graph.ts'
import { addWeight, type WeightPlacement } from '../onnx/weights.ts'
import type { WeightReader } from '../weights/weight-reader.ts'
import { chunkLength } from './chunks.ts'
import type { ClipTextConfig } from './clip-config.ts'

export const idsInput = 'input_ids'
/** The optional input that hides tokens; see `ClipGraphOptions.tokenMask`. */
export const tokenMaskInput = 'token_mask'

export interface ClipGraphOptions {
  /**
   * Adds the input `token_mask`: f32 [chunks, 77], added to the scores of each token in every layer. 0 leaves it, and
   * leaves every bit of the result; `hiddenToken` hides it from all others, as transformers' `attention_mask` 0 does.
   */
  readonly tokenMask?: boolean
}

/** The output for a clip-skip: 0 is the last layer. */
export function clipSkipOutput(clipSkip: number): string {
  return `clip_skip_${clipSkip}`
}

/** Weights that a text encoder's file may hold without being part of this graph. */
const allowUnread = [/(^|\.)position_ids$/, /^text_projection\.weight$/, /^logit_scale$/]

/** Large enough that a masked score becomes a weight of 0 in f32; an infinity would survive badly in half precision. */
const masked = -1e9
/** In `token_mask`: nobody attends to this token. */
export const hiddenToken = masked

/**
 * Emits the graph and checks that the weights fit the configuration.
 *
 * Input `input_ids`: int64 [chunks, 77]. Outputs `clip_skip_k` for k = 0 … layers: f32 [chunks·77, E], the hidden
 * state k layers before the last (k = layers: the embeddings), after the final layer norm, as diffusers' `clip_skip`
 * has it. A run computes them all, and copies out only what is asked for.
 *
 * @param weights a cursor at the encoder; names with and without the prefix `text_model.` are understood.
 * @throws AttuneError `bad-model` with all missing, mis-shaped and unread weights.
 */
export function clipTextGraph(
  config: ClipTextConfig,
  weights: WeightReader,
  placement: WeightPlacement,
  options: ClipGraphOptions = {},
): OnnxGraph {
  if (config.maxPositionEmbeddings < chunkLength) {
    throw new AttuneError(
      'unsupported',
      `This text encoder reads ${config.maxPositionEmbeddings} tokens at a time, and Attune's chunks have ${chunkLength}.`,
      'Use a model with a CLIP text encoder of Stable Diffusion 1 or 2.',
    )
  }
  const graph = new OnnxGraph('CLIPTextModel')
  // transformers 5 drops the prefix; asking for the first name of either form decides.
  const isBare = weights.has('embeddings.token_embedding.weight')
  const emitter = new ClipEmitter(graph, config, isBare ? weights : weights.at('text_model'), placement)
  emitter.emit(options.tokenMask ?? false)
  weights.finish({ allowUnread })
  return graph
}

class ClipEmitter {
  private readonly graph: OnnxGraph
  private readonly config: ClipTextConfig
  private readonly weights: WeightReader
  private readonly placement: WeightPlacement

  constructor(graph: OnnxGraph, config: ClipTextConfig, weights: WeightReader, placement: WeightPlacement) {
    this.graph = graph
    this.config = config
    this.weights = weights
    this.placement = placement
  }

  emit(hasTokenMask: boolean): void {
    const { graph, weights } = this
    const { hiddenSize, numHiddenLayers } = this.config
    const ids = graph.input(idsInput, 'int64', ['chunks', chunkLength])
    // From here on rows are [chunks·77, E], so that every linear layer is one Gemm.
    let hidden = graph.op('Reshape', [this.embeddings(ids), graph.integers([-1, hiddenSize])])
    const mask = hasTokenMask ? this.tokenMask(this.causalMask()) : this.causalMask()
    const states = [hidden]
    for (let layer = 0; layer < numHiddenLayers; layer++) {
      hidden = this.layer(hidden, weights.at('encoder.layers').at(layer), mask)
      states.push(hidden)
    }
    const scale = this.weight(weights, 'final_layer_norm.weight', [hiddenSize])
    const shift = this.weight(weights, 'final_layer_norm.bias', [hiddenSize])
    for (const [clipSkip, state] of states.toReversed().entries()) {
      graph.output(clipSkipOutput(clipSkip), this.normalized(state, scale, shift), 'float32', [
        'rows',
        hiddenSize,
      ])
    }
  }

  /** [chunks, 77] ids → [chunks, 77, E]. */
  private embeddings(ids: OnnxValue): OnnxValue {
    const { graph } = this
    const { vocabSize, hiddenSize, maxPositionEmbeddings } = this.config
    const at = this.weights.at('embeddings')
    const tokens = graph.op(
      'Gather',
      [this.weight(at, 'token_embedding.weight', [vocabSize, hiddenSize]), ids],
      {
        axis: 0,
      },
    )
    let positions = this.weight(at, 'position_embedding.weight', [maxPositionEmbeddings, hiddenSize])
    if (maxPositionEmbeddings > chunkLength) {
      const axis = graph.integers([0])
      positions = graph.op('Slice', [positions, axis, graph.integers([chunkLength]), axis])
    }
    return graph.op('Add', [tokens, positions])
  }

  /** A pre-norm transformer block on rows [chunks·77, E]. */
  private layer(hidden: OnnxValue, at: WeightReader, mask: OnnxValue): OnnxValue {
    const { graph } = this
    const { hiddenSize, intermediateSize } = this.config
    const attended = this.attention(this.layerNorm(hidden, at.at('layer_norm1')), at.at('self_attn'), mask)
    const between = graph.op('Add', [hidden, attended])
    const inner = this.linear(
      this.layerNorm(between, at.at('layer_norm2')),
      at.at('mlp.fc1'),
      hiddenSize,
      intermediateSize,
    )
    return graph.op('Add', [
      between,
      this.linear(this.activation(inner), at.at('mlp.fc2'), intermediateSize, hiddenSize),
    ])
  }

  private attention(rows: OnnxValue, at: WeightReader, mask: OnnxValue): OnnxValue {
    const { graph } = this
    const { hiddenSize, numAttentionHeads } = this.config
    const headSize = hiddenSize / numAttentionHeads
    const split = graph.integers([-1, chunkLength, numAttentionHeads, headSize])
    const heads = (name: string, perm: readonly number[]) =>
      graph.op(
        'Transpose',
        [graph.op('Reshape', [this.linear(rows, at.at(name), hiddenSize, hiddenSize), split])],
        {
          perm,
        },
      )
    // [chunks, N, 77, D], the keys already transposed to [chunks, N, D, 77].
    const query = graph.op('Mul', [heads('q_proj', [0, 2, 1, 3]), graph.scalar(headSize ** -0.5)])
    const scores = graph.op('MatMul', [query, heads('k_proj', [0, 2, 3, 1])])
    const probabilities = graph.op('Softmax', [graph.op('Add', [scores, mask])], { axis: -1 })
    const mixed = graph.op('MatMul', [probabilities, heads('v_proj', [0, 2, 1, 3])])
    const joined = graph.op('Reshape', [
      graph.op('Transpose', [mixed], { perm: [0, 2, 1, 3] }),
      graph.integers([-1, hiddenSize]),
    ])
    return this.linear(joined, at.at('out_proj'), hiddenSize, hiddenSize)
  }

  private activation(x: OnnxValue): OnnxValue {
    const { graph } = this
    if (this.config.hiddenAct === 'quick_gelu') {
      return graph.op('Mul', [x, graph.op('Sigmoid', [graph.op('Mul', [x, graph.scalar(1.702)])])])
    }
    // x / 2 · (1 + erf(x / √2))
    const erf = graph.op('Erf', [graph.op('Mul', [x, graph.scalar(Math.SQRT1_2)])])
    return graph.op('Mul', [graph.op('Mul', [x, graph.scalar(0.5)]), graph.op('Add', [erf, graph.scalar(1)])])
  }

  /** [1, 1, 77, 77]: a token sees itself and what is before it. */
  private causalMask(): OnnxValue {
    const mask = new Float32Array(chunkLength * chunkLength)
    for (let row = 0; row < chunkLength; row++)
      mask.fill(masked, row * chunkLength + row + 1, (row + 1) * chunkLength)
    return this.graph.floats([1, 1, chunkLength, chunkLength], mask)
  }

  /** [1, 1, 77, 77] and the input [chunks, 77] → [chunks, 1, 77, 77]. */
  private tokenMask(causal: OnnxValue): OnnxValue {
    const { graph } = this
    const input = graph.input(tokenMaskInput, 'float32', ['chunks', chunkLength])
    const columns = graph.op('Reshape', [input, graph.integers([-1, 1, 1, chunkLength])])
    return graph.op('Add', [causal, columns])
  }

  /** PyTorch keeps [out, in]. */
  private linear(rows: OnnxValue, at: WeightReader, inSize: number, outSize: number): OnnxValue {
    const weight = this.weight(at, 'weight', [outSize, inSize])
    return this.graph.op('Gemm', [rows, weight, this.weight(at, 'bias', [outSize])], { transB: 1 })
  }

  private layerNorm(rows: OnnxValue, at: WeightReader): OnnxValue {
    const { hiddenSize } = this.config
    return this.normalized(
      rows,
      this.weight(at, 'weight', [hiddenSize]),
      this.weight(at, 'bias', [hiddenSize]),
    )
  }

  private normalized(rows: OnnxValue, scale: OnnxValue, shift: OnnxValue): OnnxValue {
    return this.graph.op('LayerNormalization', [rows, scale, shift], {
      axis: -1,
      epsilon: this.config.layerNormEps,
    })
  }

  private weight(at: WeightReader, name: string, shape: readonly number[]): OnnxValue {
    return addWeight(this.graph, at.tensor(name, shape), this.placement)
  }
}
