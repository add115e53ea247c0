/**
 * Multi-head latent attention (DeepSeek-V2, Liu et al. 2024): a cache keeps one short vector a token, from which keys
 * and values of all heads follow, in place of those keys and values.
 */
import { invariant } from '../contract/errors.ts'
import type { WeightData } from '../graph/ops.ts'
import type { AttendOptions, CrossAttentionResult, HostArray } from './cross-attention.ts'
import {
  type CacheOptions,
  matrixOf,
  partOf,
  type RecordAttention,
  SourceCache,
  weightOf,
} from './key-value-cache.ts'

/** Low-rank keys and values (DeepSeek-V2, Liu et al. 2024, section 2.1.2): c = down·h, k = keyUp·c, v = valueUp·c. */
export interface LatentWeights {
  /** [r, E_src] */
  readonly downWeight: HostArray
  /** [N·D, r] */
  readonly keyUpWeight: HostArray
  /** [N·D, r] */
  readonly valueUpWeight: HostArray
}

/** How a latent is asked: see `LatentKeyValueCache.attend`. */
export type LatentForm = 'absorbed' | 'expanded'

/** The latent of a source's keys and values, [B or 1, S, r]: r numbers a token in place of 2·N·D. */
export class LatentKeyValueCache extends SourceCache {
  /** Bytes that keys and values of the same tokens would take. */
  get expandedByteLength(): number {
    return 4 * this.batch * this.length * 2 * this.width
  }

  readonly #weights: LatentWeights

  private constructor(weights: LatentWeights, down: WeightData, width: number, options: CacheOptions) {
    super([partOf('latent', down, undefined)], width, options)
    this.#weights = weights
  }

  /**
   * Computes the latent of a source. DeepSeek's second key, rotated and shared by the heads, is not in it.
   * @param states [B or 1, S, E_src]
   * @throws AttuneError `bad-argument` when shapes do not fit
   */
  static async project(
    states: HostArray,
    weights: LatentWeights,
    options: CacheOptions,
  ): Promise<LatentKeyValueCache> {
    const [rank = 0, columns = 0] = weights.downWeight.shape
    const width = weights.keyUpWeight.shape[0] ?? 0
    const down = matrixOf('downWeight', weights.downWeight, [rank, columns])
    for (const role of ['keyUpWeight', 'valueUpWeight'] as const) matrixOf(role, weights[role], [width, rank])
    const cache = new LatentKeyValueCache(weights, down, width, options)
    await cache.append(states)
    return cache
  }

  /**
   * As `KeyValueCache.attend`, in one of two forms with equal results. `expanded` makes keys and values of all tokens
   * anew at each call. `absorbed`, the default, puts keyUp into the query and valueUp behind the sum, since
   * q·(U c) = (Uᵀ q)·c and Σ p (U c) = U Σ p c: every head then asks the latent itself, which is key and value at once.
   */
  attend(
    query: HostArray,
    options: AttendOptions & { readonly form?: LatentForm } = {},
  ): Promise<CrossAttentionResult> {
    const { form = 'absorbed', ...given } = options
    return this.ask(query, given, form, form === 'absorbed' ? this.#absorbed : this.#expanded)
  }

  readonly #expanded: RecordAttention = (b, query, [latent], options) => {
    invariant(latent, 'a latent')
    const { keyUpWeight, valueUpWeight } = this.#weights
    const key = b.linear('keyUp', latent, weightOf('keyUp', keyUpWeight), null)
    const value = b.linear('valueUp', latent, weightOf('valueUp', valueUpWeight), null)
    const { y, probabilities } = b.attention('attend', query, key, value, options)
    return { y, probabilities: [probabilities] }
  }

  readonly #absorbed: RecordAttention = (b, query, [latent], options) => {
    invariant(latent, 'a latent')
    const size = this.width / this.numHeads
    const rank = latent.shape[2] ?? 0
    const key = transposedHeads(this.#weights.keyUpWeight, this.numHeads)
    const heads = Array.from({ length: this.numHeads }, (_, head) => {
      const path = `head${head}`
      const keyUp = weightOf(`${path}.keyUp`, { data: key, shape: [rank, size] }, head)
      const asked = b.linear(`${path}.keyUp`, b.slice(path, query, head * size, size), keyUp, null)
      // The scale stays that of heads of size D: it is part of the formula, not of how it is computed.
      const { y, probabilities } = b.attention(path, asked, latent, latent, { ...options, numHeads: 1 })
      const { data } = this.#weights.valueUpWeight
      const valueUp = weightOf(`${path}.valueUp`, { data, shape: [size, rank] }, head)
      return { y: b.linear(`${path}.valueUp`, y, valueUp, null), probabilities }
    })
    const parts = heads.map(head => head.y)
    return { y: b.concat('heads', parts), probabilities: heads.map(head => head.probabilities) }
  }
}

const transposed = new WeakMap<Float32Array, Map<number, Float32Array>>()

/** [N·D, r] → [N, r, D], made once for an array. */
function transposedHeads({ data, shape }: HostArray, heads: number): Float32Array {
  const known = transposed.get(data) ?? new Map<number, Float32Array>()
  transposed.set(data, known)
  const [width = 0, rank = 0] = shape
  const size = width / heads
  const result = known.get(heads) ?? new Float32Array(data.length)
  if (known.has(heads)) return result
  known.set(heads, result)
  for (let row = 0; row < width; row++) {
    for (let k = 0; k < rank; k++) {
      const head = Math.floor(row / size)
      result[(head * rank + k) * size + (row % size)] = data[row * rank + k] as number
    }
  }
  return result
}
