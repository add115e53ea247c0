/**
 * Keys and values computed once, asked many times (D5): the text of a generation, a decoder's own past, documents.
 *
 * ```ts
 * const cache = await KeyValueCache.project(states, { keyWeight, valueWeight }, { backend, numHeads: 8 })
 * for (const query of queries) await cache.attend(query, { keyPaddingMask }) // no projection, no compilation
 * await cache.append(nextStates) // a source that grows, as a decoder's does
 * cache.dispose()
 * ```
 *
 * `attend` compiles one program for each shape of query and set of options and keeps it; keys and values travel to it
 * when they have changed and then stay in its memory. `LatentKeyValueCache` (latent-key-value-cache.ts) keeps a low-rank
 * latent in their place.
 */
import { memorySource } from '../contract/bytes.ts'
import { AttuneError, invariant } from '../contract/errors.ts'
import type { AttentionOptions } from '../graph/attention-options.ts'
import { GraphBuilder } from '../graph/builder.ts'
import type { Tensor, WeightData } from '../graph/ops.ts'
import type { Backend, Program } from '../graph/program.ts'
import { elementCount, formatShape } from '../tensor/shape.ts'
import {
  type AttendOptions,
  arrange,
  checkArray,
  checkHeads,
  type CrossAttentionResult,
  declare,
  type HostArray,
  misfit,
} from './cross-attention.ts'

export interface CacheOptions {
  readonly backend: Backend
  /** N. 1 unless given. */
  readonly numHeads?: number
  /** Tokens that there is room for without compiling anew; S unless given, and doubled when `append` needs more. */
  readonly capacity?: number
}

/** As torch.nn.Linear has them. They are read when first used: do not change the arrays afterwards. */
export interface KeyValueWeights {
  /** [N·D, E_src] */
  readonly keyWeight: HostArray
  /** [N·D, E_src] */
  readonly valueWeight: HostArray
  /** [N·D] */
  readonly keyBias?: HostArray
  /** [N·D] */
  readonly valueBias?: HostArray
}

/** One of the arrays that a cache keeps: a linear function of the states. */
interface Part {
  readonly name: 'key' | 'value' | 'latent'
  readonly weight: WeightData
  readonly bias: WeightData | null
}

/** Records the attention of a query over a cache's parts: y [B, L, N·D], and the probabilities of a group of heads each. */
export type RecordAttention = (
  b: GraphBuilder,
  query: Tensor,
  parts: readonly Tensor[],
  options: AttentionOptions,
) => { readonly y: Tensor; readonly probabilities: readonly (Tensor | undefined)[] }

interface Asked {
  readonly program: Program
  /** The state of the cache that the program holds. */
  version: number
}

/** Programs that a cache keeps at once: a caller whose queries have ever new lengths shall not fill the memory. */
const programLimit = 8

/** What the kinds of caches share: tokens that come and are kept, programs that ask them. */
export abstract class SourceCache {
  readonly numHeads: number
  /** N·D, the columns of queries and outputs. */
  readonly width: number
  readonly #backend: Backend
  readonly #parts: readonly Part[]
  readonly #programs = new Map<string, Asked>()
  #projection: { readonly shape: string; readonly program: Program } | undefined
  #stored: Float32Array[]
  #batch = 0
  #length = 0
  #capacity: number
  #version = 0
  #disposed = false
  #turn: Promise<unknown> = Promise.resolve()

  protected constructor(parts: readonly Part[], width: number, options: CacheOptions) {
    this.#backend = options.backend
    this.#parts = parts
    this.#stored = parts.map(() => new Float32Array())
    this.#capacity = options.capacity ?? 0
    this.numHeads = options.numHeads ?? 1
    this.width = width
    checkHeads(this.numHeads, width)
    if (!Number.isInteger(this.#capacity) || this.#capacity < 0) {
      throw misfit(`a capacity of ${this.#capacity} tokens`)
    }
  }

  /** S, the tokens that are there. */
  get length(): number {
    return this.#length
  }

  get capacity(): number {
    return this.#capacity
  }

  /** Samples whose sources are kept; 1 serves a batch of any size. */
  get batch(): number {
    return this.#batch
  }

  /** Bytes of what is kept of the tokens that are there, as 32-bit floats. */
  get byteLength(): number {
    return 4 * this.#batch * this.#length * this.#parts.reduce((sum, part) => sum + columnsOf(part), 0)
  }

  /**
   * Adds tokens behind those that are there.
   * @param states [B or 1, T, E_src], with the batch of the first ones
   * @throws AttuneError `bad-argument` when they do not fit
   */
  append(states: HostArray): Promise<void> {
    return this.#inTurn(() => this.#take(states, this.#length))
  }

  /** Puts another source in place of this one; nothing is compiled anew where it has no more tokens. */
  replace(states: HostArray): Promise<void> {
    return this.#inTurn(() => this.#take(states, 0))
  }

  /** Lets go of all memory, once the calls before it have ended; later ones are refused. */
  dispose(): void {
    this.#disposed = true
    this.#turn = this.#turn.then(() => {
      this.#forget()
      this.#projection?.program.dispose()
      this.#stored = []
    })
  }

  protected ask(
    query: HostArray,
    options: AttendOptions,
    variant: string,
    record: RecordAttention,
  ): Promise<CrossAttentionResult> {
    return this.#inTurn(async () => {
      checkArray('query', query, '[B, length, E]')
      const [batch = 0, length = 0, width = 0] = query.shape
      if (width !== this.width || (this.#batch !== 1 && this.#batch !== batch)) {
        throw misfit(
          `the query ${formatShape(query.shape)} does not meet a cache of ${this.#batch} x ${this.#length} tokens of ${this.width} columns`,
        )
      }
      const keys = this.#length
      // The queries of a source that grows are its last positions.
      const sizes = { batch, length, keys, slots: this.#capacity, causalOffset: keys - length }
      const arranged = arrange(options, sizes)
      const shapes = [...arranged.data].map(([role, { shape }]) => [role, shape])
      const { softmaxScale, returnWeights } = options
      const signature = JSON.stringify([
        variant,
        query.shape,
        arranged.slots,
        arranged.sources,
        arranged.causal,
        shapes,
        softmaxScale,
        returnWeights === true,
      ])
      let asked = this.#programs.get(signature)
      if (!asked) {
        const b = new GraphBuilder(`attend ${variant}`)
        const q = b.input('query', query.shape)
        const parts = this.#parts.map(part =>
          b.input(part.name, [this.#batch, arranged.slots, columnsOf(part)]),
        )
        const scale = 1 / Math.sqrt(width / this.numHeads)
        const given = { numHeads: this.numHeads, softmaxScale: scale, ...declare(b, arranged, options) }
        const { y, probabilities } = record(b, q, parts, given)
        b.output('output', y)
        for (const [i, tensor] of probabilities.entries()) if (tensor) b.output(`weights${i}`, tensor)
        asked = { program: await this.#backend.compile(b.build()), version: -1 }
        for (const [oldest, { program }] of this.#programs) {
          if (this.#programs.size < programLimit) break
          program.dispose()
          this.#programs.delete(oldest)
        }
      }
      // Behind the others: the first one is who was asked longest ago.
      this.#programs.delete(signature)
      this.#programs.set(signature, asked)
      const inputs: Record<string, Float32Array> = { query: query.data, ...arranged.inputs }
      if (asked.version !== this.#version) {
        for (const [i, part] of this.#parts.entries()) {
          const rows = this.#stored[i] as Float32Array
          const columns = columnsOf(part)
          // Room for further tokens is in the stored rows already; sources are laid out from what is there.
          inputs[part.name] = arranged.sources
            ? arranged.toSlots(packed(rows, this.#batch, this.#capacity * columns, keys * columns), columns)
            : rows
        }
      }
      const result = await asked.program.run(inputs)
      asked.version = this.#version
      invariant(result['output'], 'attention gives an output')
      const output = { data: result['output'], shape: query.shape }
      if (!returnWeights) return { output }
      const groups = Object.keys(result).length - 1
      const parts = Array.from({ length: groups }, (_, i) =>
        arranged.fromSlots(result[`weights${i}`] as Float32Array),
      )
      const data = interleaved(parts, batch)
      return { output, weights: { data, shape: [batch, this.numHeads, length, keys] } }
    })
  }

  /** Projects states and puts them at token `at`, behind which nothing remains. */
  async #take(states: HostArray, at: number): Promise<void> {
    checkArray('states', states, '[B or 1, tokens, E_src]')
    const [batch = 0, tokens = 0, columns = 0] = states.shape
    const wanted = this.#parts[0]?.weight.shape[1]
    if (columns !== wanted || (this.#batch > 0 && batch !== this.#batch)) {
      const known = this.#batch > 0 ? `${this.#batch} samples` : 'any samples'
      throw misfit(`states ${formatShape(states.shape)} for a cache of ${known} of ${wanted} columns`)
    }
    const projected = await this.#project(states)
    const length = at + tokens
    // Doubling: a source that grows token by token is copied, and its programs compiled, log₂ S times only.
    const capacity =
      length <= this.#capacity
        ? this.#capacity
        : Math.max(length, this.#batch > 0 && at > 0 ? 2 * this.#capacity : 0)
    if (this.#batch === 0 || capacity !== this.#capacity) {
      this.#stored = this.#parts.map((part, i) => {
        const grown = new Float32Array(batch * capacity * columnsOf(part))
        const old = this.#stored[i] as Float32Array
        for (let sample = 0; sample < this.#batch; sample++) {
          const from = sample * this.#capacity * columnsOf(part)
          const kept = old.subarray(from, from + this.#capacity * columnsOf(part))
          grown.set(kept, sample * capacity * columnsOf(part))
        }
        return grown
      })
      this.#forget()
    }
    for (const [i, part] of this.#parts.entries()) {
      const width = columnsOf(part)
      const stored = this.#stored[i] as Float32Array
      for (let sample = 0; sample < batch; sample++) {
        const place = (sample * capacity + at) * width
        const rows = projected[part.name]?.subarray(sample * tokens * width, (sample + 1) * tokens * width)
        stored.set(rows as Float32Array, place)
        // Nobody looks at what is behind, but a weight of 0 times a NaN of an earlier source would be one.
        stored.fill(0, place + tokens * width, (sample + 1) * capacity * width)
      }
    }
    this.#batch = batch
    this.#length = length
    this.#capacity = capacity
    this.#version++
  }

  async #project(states: HostArray): Promise<Record<string, Float32Array>> {
    const shape = formatShape(states.shape)
    if (this.#projection?.shape !== shape) {
      const b = new GraphBuilder('project')
      const x = b.input('states', states.shape)
      for (const { name, weight, bias } of this.#parts) b.output(name, b.linear(name, x, weight, bias))
      const program = await this.#backend.compile(b.build())
      // One is kept: whole sources of one shape, or a decoder's tokens one by one.
      this.#projection?.program.dispose()
      this.#projection = { shape, program }
    }
    return this.#projection.program.run({ states: states.data })
  }

  #forget(): void {
    for (const { program } of this.#programs.values()) program.dispose()
    this.#programs.clear()
  }

  /** One call after another: a program has room for one run's data at a time. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#disposed) {
      return Promise.reject(
        new AttuneError('bad-argument', 'This cache was disposed.', 'Project the source anew.'),
      )
    }
    const result = this.#turn.then(work)
    this.#turn = result.catch(() => undefined)
    return result
  }
}

/** Keys and values of a source, [B or 1, S, N·D] each. */
export class KeyValueCache extends SourceCache {
  /**
   * Computes keys and values of a source.
   * @param states [B or 1, S, E_src], such as an encoder's
   * @throws AttuneError `bad-argument` when shapes do not fit
   */
  static async project(
    states: HostArray,
    weights: KeyValueWeights,
    options: CacheOptions,
  ): Promise<KeyValueCache> {
    const { keyWeight, valueWeight, keyBias, valueBias } = weights
    const width = keyWeight.shape[0] ?? 0
    const shape = [width, keyWeight.shape[1] ?? 0]
    const cache = new KeyValueCache(
      [
        partOf('key', matrixOf('keyWeight', keyWeight, shape), keyBias),
        partOf('value', matrixOf('valueWeight', valueWeight, shape), valueBias),
      ],
      width,
      options,
    )
    await cache.append(states)
    return cache
  }

  /**
   * As `crossAttention` over the cached keys and values. With `causal` the query's positions are the last L tokens of
   * the source: position l sees the keys 0 … S − L + l.
   * @param query [B, L, N·D]; not to be changed before the answer is there
   * @throws AttuneError `bad-argument` as `crossAttention` does
   */
  attend(query: HostArray, options: AttendOptions = {}): Promise<CrossAttentionResult> {
    return this.ask(query, options, 'keys and values', (b, q, [key, value], given) => {
      invariant(key && value, 'keys and values')
      const { y, probabilities } = b.attention('attend', q, key, value, given)
      return { y, probabilities: [probabilities] }
    })
  }
}

const columnsOf = (part: Part): number => part.weight.shape[0] ?? 0

/** A part of a cache, its bias checked. */
export function partOf(name: Part['name'], weight: WeightData, bias: HostArray | undefined): Part {
  if (!bias) return { name, weight, bias: null }
  const fits = bias.shape.length === 1 && bias.shape[0] === weight.shape[0]
  if (!fits || bias.data.length !== weight.shape[0]) {
    throw misfit(`${name}Bias ${formatShape(bias.shape)} for ${weight.shape[0]} columns`)
  }
  return { name, weight, bias: weightOf(`${name}Bias`, bias) }
}

/** A matrix as a weight. @throws AttuneError `bad-argument` unless it has this shape */
export function matrixOf(role: string, given: HostArray, shape: readonly number[]): WeightData {
  const fits = given.shape.length === 2 && given.shape.every((size, axis) => size === shape[axis])
  if (!fits || given.data.length !== elementCount(shape) || given.data.length === 0) {
    throw misfit(
      `${role} ${formatShape(given.shape)} of ${given.data.length} numbers instead of ${formatShape(shape)}`,
    )
  }
  return weightOf(role, given)
}

/** Names of arrays: a backend holds a weight once for all who name it alike, so that caches of one layer share it. */
const names = new WeakMap<Float32Array, string>()
let named = 0

/** A weight over memory; `index` counts such weights one behind the other in one array. */
export function weightOf(path: string, { data, shape }: HostArray, index = 0): WeightData {
  const name = names.get(data) ?? `array ${named++}`
  names.set(data, name)
  const source = memorySource(name, new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
  const byteLength = 4 * elementCount(shape)
  return { path, dtype: 'F32', shape, source, byteOffset: index * byteLength, byteLength }
}

/** The first `count` of every `stride` numbers. */
function packed(rows: Float32Array, samples: number, stride: number, count: number): Float32Array {
  if (stride === count) return rows
  const result = new Float32Array(samples * count)
  for (let s = 0; s < samples; s++) result.set(rows.subarray(s * stride, s * stride + count), s * count)
  return result
}

/** Arrays [B, X] as one [B, G, X]. */
function interleaved(parts: readonly Float32Array[], samples: number): Float32Array {
  const [first] = parts
  if (parts.length === 1 && first) return first
  const size = (first?.length ?? 0) / samples
  const result = new Float32Array(samples * parts.length * size)
  for (const [g, each] of parts.entries()) {
    for (let s = 0; s < samples; s++) {
      result.set(each.subarray(s * size, (s + 1) * size), (s * parts.length + g) * size)
    }
  }
  return result
}
