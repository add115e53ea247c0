/**
 * What makes tokens of a picture's features, for the three kinds of IP-Adapters (tencent-ailab/IP-Adapter
 * ip_adapter/ip_adapter.py and resampler.py; diffusers models/embeddings.py `ImageProjection`,
 * `IPAdapterPlusImageProjection`, `IPAdapterFullImageProjection`).
 *
 * Axis letters: P positions of the vision encoder, D its features, T tokens, C their width, W the resampler's width.
 */
import { invariant } from '../contract/errors.ts'
import { GraphBuilder } from '../graph/builder.ts'
import type { Graph, Tensor, WeightData } from '../graph/ops.ts'
import { readAsFloat32 } from '../weights/weight-reader.ts'
import { type AdapterFacts, type AdapterFile, diffusersName, resamplerHeadDim } from './file-layout.ts'

/** PyTorch's default, which no file carries. */
const layerNormEps = 1e-5
const feedForwardFactor = 4

/** The projection of one adapter; its graph is run once a picture. */
export interface ImageProjection {
  /** features (and what `inputs` gives) → tokens. */
  record(): Graph
  /** @param features [D] (base) or [P, D] */
  inputs(features: Float32Array): Promise<Record<string, Float32Array>>
  /** The tokens of a run, [T, C]. */
  read(outputs: Readonly<Record<string, Float32Array>>): Float32Array
}

/** Weights by their original names, wherever the file has them. */
class ProjectionWeights {
  readonly #file: AdapterFile

  constructor(file: AdapterFile) {
    this.#file = file
  }

  tensor(name: string, shape: readonly number[]): WeightData {
    const key = `image_proj.${name}`
    const other = diffusersName(key)
    return this.#file.tensor(key, shape, other === undefined ? {} : { names: [other] })
  }

  /** The keys' and the values' rows, which original files hold in one tensor. */
  keyValue(
    at: string,
    inner: number,
    width: number,
    layout: AdapterFacts['layout'],
  ): [WeightData, WeightData] {
    if (layout === 'diffusers') {
      return [
        this.tensor(`${at}.to_k.weight`, [inner, width]),
        this.tensor(`${at}.to_v.weight`, [inner, width]),
      ]
    }
    const both = this.tensor(`${at}.to_kv.weight`, [2 * inner, width])
    return [rowsOf(both, 'k', 0, inner), rowsOf(both, 'v', inner, inner)]
  }

  norm(name: string, size: number): { readonly weight: WeightData; readonly bias: WeightData } {
    return { weight: this.tensor(`${name}.weight`, [size]), bias: this.tensor(`${name}.bias`, [size]) }
  }
}

/** Some rows of a matrix, which lie together. */
function rowsOf(weight: WeightData, name: string, start: number, count: number): WeightData {
  const [rows = 0, columns = 0] = weight.shape
  const rowBytes = weight.byteLength / rows
  return {
    ...weight,
    path: `${weight.path}.${name}`,
    shape: [count, columns],
    byteOffset: weight.byteOffset + start * rowBytes,
    byteLength: count * rowBytes,
  }
}

/**
 * @param positions P of the vision encoder
 * @returns the projection, whose weights are asked for at once: the caller lets the reader report what did not fit
 */
export function imageProjection(facts: AdapterFacts, file: AdapterFile, positions: number): ImageProjection {
  const weights = new ProjectionWeights(file)
  if (facts.kind === 'base') return new BaseProjection(facts, weights)
  return facts.kind === 'full'
    ? new FullProjection(facts, weights, positions)
    : new Resampler(facts, weights, positions)
}

/** One product of the picture's embedding, cut into tokens, each normalised. */
class BaseProjection implements ImageProjection {
  readonly #facts: AdapterFacts
  readonly #weight: WeightData
  readonly #bias: WeightData
  readonly #norm: ReturnType<ProjectionWeights['norm']>

  constructor(facts: AdapterFacts, weights: ProjectionWeights) {
    const { tokens = 0, crossAttentionDim: width, featureDim } = facts
    this.#facts = facts
    this.#weight = weights.tensor('proj.weight', [tokens * width, featureDim])
    this.#bias = weights.tensor('proj.bias', [tokens * width])
    this.#norm = weights.norm('norm', width)
  }

  record(): Graph {
    const { tokens = 0, crossAttentionDim: width, featureDim } = this.#facts
    const b = new GraphBuilder('ip_adapter.image_proj')
    const features = b.input('features', [1, featureDim])
    const all = b.linear('image_proj.proj', features, this.#weight, this.#bias)
    const { weight, bias } = this.#norm
    const parts = Array.from({ length: tokens }, (_, i) => {
      const path = `image_proj.norm.${i}`
      return b.layerNorm(path, b.slice(`${path}.token`, all, i * width, width), weight, bias, layerNormEps)
    })
    const [first] = parts
    invariant(first, 'a token')
    b.output('tokens', parts.length === 1 ? first : b.concat('image_proj.norm', parts))
    return b.build()
  }

  inputs(features: Float32Array): Promise<Record<string, Float32Array>> {
    return Promise.resolve({ features })
  }

  read({ tokens }: Readonly<Record<string, Float32Array>>): Float32Array {
    invariant(tokens, 'tokens')
    return tokens
  }
}

/** Two layers over each of the encoder's positions: as many tokens as positions. */
class FullProjection implements ImageProjection {
  readonly #facts: AdapterFacts
  readonly #positions: number
  readonly #layers: readonly (readonly [WeightData, WeightData])[]
  readonly #norm: ReturnType<ProjectionWeights['norm']>

  constructor(facts: AdapterFacts, weights: ProjectionWeights, positions: number) {
    const { crossAttentionDim: width, featureDim } = facts
    this.#facts = facts
    this.#positions = positions
    this.#layers = [
      [
        weights.tensor('proj.0.weight', [featureDim, featureDim]),
        weights.tensor('proj.0.bias', [featureDim]),
      ],
      [weights.tensor('proj.2.weight', [width, featureDim]), weights.tensor('proj.2.bias', [width])],
    ]
    this.#norm = weights.norm('proj.3', width)
  }

  record(): Graph {
    const b = new GraphBuilder('ip_adapter.image_proj')
    let x = b.input('features', [1, this.#positions, this.#facts.featureDim])
    for (const [index, [weight, bias]] of this.#layers.entries()) {
      const path = `image_proj.proj.${2 * index}`
      if (index > 0) x = b.activation(path, x, 'gelu')
      x = b.linear(path, x, weight, bias)
    }
    b.output('tokens', b.layerNorm('image_proj.proj.3', x, this.#norm.weight, this.#norm.bias, layerNormEps))
    return b.build()
  }

  inputs(features: Float32Array): Promise<Record<string, Float32Array>> {
    return Promise.resolve({ features })
  }

  read({ tokens }: Readonly<Record<string, Float32Array>>): Float32Array {
    invariant(tokens, 'tokens')
    return tokens
  }
}

interface ResamplerBlock {
  readonly path: string
  readonly norm1: ReturnType<ProjectionWeights['norm']>
  readonly norm2: ReturnType<ProjectionWeights['norm']>
  readonly query: WeightData
  readonly keyValue: readonly [WeightData, WeightData]
  readonly out: WeightData
  readonly norm: ReturnType<ProjectionWeights['norm']>
  readonly up: WeightData
  readonly down: WeightData
}

/**
 * The perceiver resampler (Alayrac et al. 2022): learned tokens ask the picture's positions and each other.
 *
 * Positions and tokens are the rows of one tensor, P + T of them, and masks keep them apart where they are treated
 * differently: the graph's operations join columns, not rows. The rows that are computed for nothing cost a few
 * hundredths of the vision encoder's own work.
 */
class Resampler implements ImageProjection {
  readonly #facts: AdapterFacts
  readonly #positions: number
  readonly #latents: WeightData
  readonly #projIn: readonly [WeightData, WeightData]
  readonly #projOut: readonly [WeightData, WeightData]
  readonly #normOut: ReturnType<ProjectionWeights['norm']>
  readonly #blocks: readonly ResamplerBlock[]

  constructor(facts: AdapterFacts, weights: ProjectionWeights, positions: number) {
    const { crossAttentionDim, featureDim, tokens = 0, layout } = facts
    const { width, numHeads, depth } = resamplerOf(facts)
    const inner = numHeads * resamplerHeadDim
    this.#facts = facts
    this.#positions = positions
    this.#latents = weights.tensor('latents', [1, tokens, width])
    this.#projIn = [
      weights.tensor('proj_in.weight', [width, featureDim]),
      weights.tensor('proj_in.bias', [width]),
    ]
    this.#projOut = [
      weights.tensor('proj_out.weight', [crossAttentionDim, width]),
      weights.tensor('proj_out.bias', [crossAttentionDim]),
    ]
    this.#normOut = weights.norm('norm_out', crossAttentionDim)
    this.#blocks = Array.from({ length: depth }, (_, i): ResamplerBlock => {
      const at = `layers.${i}`
      return {
        path: `image_proj.${at}`,
        norm1: weights.norm(`${at}.0.norm1`, width),
        norm2: weights.norm(`${at}.0.norm2`, width),
        query: weights.tensor(`${at}.0.to_q.weight`, [inner, width]),
        keyValue: weights.keyValue(`${at}.0`, inner, width, layout),
        out: weights.tensor(`${at}.0.to_out.weight`, [width, inner]),
        norm: weights.norm(`${at}.1.0`, width),
        up: weights.tensor(`${at}.1.1.weight`, [feedForwardFactor * width, width]),
        down: weights.tensor(`${at}.1.3.weight`, [width, feedForwardFactor * width]),
      }
    })
  }

  get #rows(): number {
    return this.#positions + (this.#facts.tokens ?? 0)
  }

  record(): Graph {
    const { numHeads, width } = resamplerOf(this.#facts)
    const b = new GraphBuilder('ip_adapter.image_proj')
    const features = b.input('features', [1, this.#rows, this.#facts.featureDim])
    const latents = b.input('latents', [1, this.#rows, width])
    const isPosition = b.input('isPosition', [1, this.#rows, width])
    const isToken = b.input('isToken', [1, this.#rows, width])
    const normed = (path: string, x: Tensor, { weight, bias }: ResamplerBlock['norm']): Tensor =>
      b.layerNorm(path, x, weight, bias, layerNormEps)
    const tokensOf = (path: string, x: Tensor): Tensor => b.mul(`${path}.tokens`, x, isToken)
    const projected = b.linear('image_proj.proj_in', features, ...this.#projIn)
    let hidden = b.add(
      'image_proj.latents',
      b.mul('image_proj.proj_in.positions', projected, isPosition),
      latents,
    )
    for (const block of this.#blocks) {
      const { path } = block
      const both = b.add(
        `${path}.0.norm`,
        b.mul(`${path}.0.norm1.positions`, normed(`${path}.0.norm1`, hidden, block.norm1), isPosition),
        tokensOf(`${path}.0.norm2`, normed(`${path}.0.norm2`, hidden, block.norm2)),
      )
      const [keys, values] = block.keyValue
      const { y } = b.attention(
        `${path}.0`,
        b.linear(`${path}.0.to_q`, both, block.query, null),
        b.linear(`${path}.0.to_k`, both, keys, null),
        b.linear(`${path}.0.to_v`, both, values, null),
        { numHeads },
      )
      const attended = b.linear(`${path}.0.to_out`, y, block.out, null)
      hidden = b.add(`${path}.0`, tokensOf(`${path}.0`, attended), hidden)
      const inner = b.linear(`${path}.1.1`, normed(`${path}.1.0`, hidden, block.norm), block.up, null)
      const fed = b.linear(`${path}.1.3`, b.activation(`${path}.1.2`, inner, 'gelu'), block.down, null)
      hidden = b.add(`${path}.1`, tokensOf(`${path}.1`, fed), hidden)
    }
    const out = b.linear('image_proj.proj_out', hidden, ...this.#projOut)
    b.output('tokens', normed('image_proj.norm_out', out, this.#normOut))
    return b.build()
  }

  async inputs(features: Float32Array): Promise<Record<string, Float32Array>> {
    const { width } = resamplerOf(this.#facts)
    const start = this.#positions * width
    const padded = new Float32Array(this.#rows * this.#facts.featureDim)
    padded.set(features)
    const latents = new Float32Array(this.#rows * width)
    latents.set(await readAsFloat32(this.#latents), start)
    const isPosition = new Float32Array(this.#rows * width).fill(1, 0, start)
    const isToken = new Float32Array(this.#rows * width).fill(1, start)
    return { features: padded, latents, isPosition, isToken }
  }

  read({ tokens }: Readonly<Record<string, Float32Array>>): Float32Array {
    invariant(tokens, 'tokens')
    return tokens.slice(this.#positions * this.#facts.crossAttentionDim)
  }
}

function resamplerOf({ resampler }: AdapterFacts): NonNullable<AdapterFacts['resampler']> {
  invariant(resampler, 'a resampler')
  return resampler
}
