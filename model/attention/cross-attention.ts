/**
 * Attention as a library call: what the papers draw, on any backend. The same operation, and on WebGPU the same
 * kernels, that the networks use.
 *
 * ```ts
 * // Five target tokens look at eight source tokens (Vaswani et al. 2017, encoder-decoder attention).
 * const { output, weights } = await crossAttention(
 *   { data: target, shape: [1, 5, 16] },
 *   { data: sourceKeys, shape: [1, 8, 16] },
 *   { data: sourceValues, shape: [1, 8, 16] },
 *   { backend, numHeads: 2, returnWeights: true },
 * )
 * output.shape // [1, 5, 16]: for each target token, a mixture of source values
 * weights.shape // [1, 2, 5, 8]: how much each target token took from each source token, per head; rows sum to 1
 * ```
 *
 * A source that many queries ask belongs into a `KeyValueCache` (key-value-cache.ts), which compiles once. What both
 * share is here: the caller's masks and runs, checked and laid out as the attention seam takes them.
 */
import { AttuneError, invariant } from '../contract/errors.ts'
import type { AttentionOptions } from '../graph/attention-options.ts'
import { GraphBuilder } from '../graph/builder.ts'
import type { AttentionSource, Tensor } from '../graph/ops.ts'
import type { Backend } from '../graph/program.ts'
import { elementCount, formatShape, roundUp, sameShape, type Shape } from '../tensor/shape.ts'

/** A dense row-major tensor on the host. */
export interface HostArray {
  readonly data: Float32Array
  readonly shape: Shape
}

/** Yes (non-zero) or no (0) for each element. */
export interface HostMask {
  readonly data: ArrayLike<number>
  readonly shape: Shape
}

/** What a caller may say about one attention beside its three tensors. */
export interface AttendOptions {
  /** Factor on query·key; 1/√D unless given. */
  readonly softmaxScale?: number
  /** A position sees the keys up to its own place only. For one source. */
  readonly causal?: boolean
  /** [B or 1, S]: keys that exist (non-zero) or are padding (0). */
  readonly keyPaddingMask?: HostMask
  /** [B or 1, L or 1, S]: pairs that may meet (non-zero) or are kept apart (0), as documents or regions are. */
  readonly attentionMask?: HostMask
  /** [B or 1, L or 1, S], added to the logits after the scale. */
  readonly logitBias?: HostArray
  /** [B or 1, S], factor on the probabilities, without renormalisation. */
  readonly tokenScale?: HostArray
  /** [B or 1, S], factor on the values. */
  readonly valueGain?: HostArray
  /**
   * G runs [start, length] of tokens, each with a softmax of its own; what they bring is added. Runs begin anywhere, in
   * any order, and share no token; tokens of no run are not looked at. One run over all tokens unless given.
   */
  readonly sources?: readonly (readonly [start: number, length: number])[]
  /** [B or 1, L or 1, G], factor on what each source brings to a position. */
  readonly outputMask?: HostArray
  /** Also return the probabilities. */
  readonly returnWeights?: boolean
}

export interface CrossAttentionOptions extends AttendOptions {
  readonly backend: Backend
  /** N; E must be a multiple of it. 1 unless given. */
  readonly numHeads?: number
}

export interface CrossAttentionResult {
  /** [B, L, E] */
  readonly output: HostArray
  /** [B, N, L, S], with `returnWeights`: each source's probabilities sum to 1, but for `tokenScale`. */
  readonly weights?: HostArray
}

/** What a forbidden pair gets on its logit: finite, so that no arithmetic makes a NaN of it, and e^−1e9 is 0. */
const forbidden = -1e9

/**
 * softmax(scale · query · keyᵀ + bias) · value, per head (Vaswani et al. 2017, section 3.2). With `causal` position l
 * sees the keys 0 … l. Compiles, runs and lets go: for one call.
 *
 * @param query [B, L, E]
 * @param key [B or 1, S, E]
 * @param value as key
 * @throws AttuneError `bad-argument` when shapes do not fit, or when a mask leaves a position without any key of a
 *   source that it asks
 */
export async function crossAttention(
  query: HostArray,
  key: HostArray,
  value: HostArray,
  options: CrossAttentionOptions,
): Promise<CrossAttentionResult> {
  const { backend, numHeads = 1 } = options
  for (const [role, array] of Object.entries({ query, key, value })) checkArray(role, array, '[B, length, E]')
  const [batch = 0, length = 0, width = 0] = query.shape
  const [keyBatch = 0, keys = 0] = key.shape
  const fits = key.shape[2] === width && sameShape(key.shape, value.shape) && [1, batch].includes(keyBatch)
  if (!fits) {
    throw misfit(
      `query ${formatShape(query.shape)}, key ${formatShape(key.shape)} and value ${formatShape(value.shape)} do not meet`,
    )
  }
  checkHeads(numHeads, width)
  const arranged = arrange(options, { batch, length, keys, slots: keys, causalOffset: 0 })
  const b = new GraphBuilder('crossAttention')
  const slotted = [keyBatch, arranged.slots, width]
  const [q, k, v] = [b.input('query', query.shape), b.input('key', slotted), b.input('value', slotted)]
  const { y, probabilities } = b.attention('crossAttention', q, k, v, {
    numHeads,
    ...declare(b, arranged, options),
  })
  b.output('output', y)
  if (probabilities) b.output('weights', probabilities)
  const program = await backend.compile(b.build())
  try {
    const result = await program.run({
      query: query.data,
      key: arranged.toSlots(key.data, width),
      value: arranged.toSlots(value.data, width),
      ...arranged.inputs,
    })
    invariant(result['output'], 'attention gives an output')
    const output = { data: result['output'], shape: query.shape }
    const weights = result['weights']
    if (!weights) return { output }
    const shape = [batch, numHeads, length, keys]
    return { output, weights: { data: arranged.fromSlots(weights), shape } }
  } finally {
    program.dispose()
  }
}

type DataRole = 'logitBias' | 'tokenScale' | 'valueGain' | 'outputMask'

/** Options of an attention as the seam takes them: what `crossAttention` and `KeyValueCache` share. */
export interface Arrangement {
  /** Tokens of the recorded attention: at least S, for runs begin at multiples of 4 and caches keep room to grow. */
  readonly slots: number
  readonly sources?: readonly AttentionSource[]
  /** Left to the kernel; else a causal mask is in the bias. */
  readonly causal: boolean
  /** The optional data by the seam's name for it. */
  readonly data: ReadonlyMap<DataRole, HostArray>
  /** The same for `Program.run`. */
  readonly inputs: Readonly<Record<string, Float32Array>>
  /** Moves rows of `width` numbers, [X, S, width] → [X, slots, width]; slots without a token are 0. */
  toSlots(rows: Float32Array, width: number): Float32Array
  /** Probabilities back to the tokens: [X, slots] → [X, S]. */
  fromSlots(weights: Float32Array): Float32Array
}

export interface ArrangementSizes {
  readonly batch: number
  readonly length: number
  /** S, the tokens that exist. */
  readonly keys: number
  /** At least S: the room that the recorded attention gives them. Not with `sources`, which are laid out anew. */
  readonly slots: number
  /** With `causal`: position l sees the keys 0 … l + this. */
  readonly causalOffset: number
}

/** Checks the options of an attention and lays their data out. @throws AttuneError `bad-argument` */
export function arrange(options: AttendOptions, sizes: ArrangementSizes): Arrangement {
  const { batch, length, keys } = sizes
  const runs = options.sources
  checkRuns(options, keys)
  checkShape('keyPaddingMask', options.keyPaddingMask, [batch, keys])
  checkShape('attentionMask', options.attentionMask, [batch, length, keys])
  checkShape('logitBias', options.logitBias, [batch, length, keys])
  checkShape('tokenScale', options.tokenScale, [batch, keys])
  checkShape('valueGain', options.valueGain, [batch, keys])
  checkShape('outputMask', options.outputMask, [batch, length, runs?.length ?? 1])

  // The token of each slot, -1 where there is none; undefined while token s simply is slot s.
  let tokens: Int32Array | undefined
  let slots = runs ? keys : sizes.slots
  let sources = runs?.map(([start, count]): AttentionSource => ({ start, length: count }))
  if (sources && !sources.every(({ start }, g) => start % 4 === 0 && start >= endOf(sources?.[g - 1]))) {
    slots = 0
    sources = sources.map(({ length: count }) => {
      const source = { start: roundUp(slots, 4), length: count }
      slots = source.start + count
      return source
    })
    tokens = new Int32Array(slots).fill(-1)
    for (const [g, { start, length: count }] of sources.entries()) {
      for (let i = 0; i < count; i++) tokens[start + i] = (runs?.[g]?.[0] ?? 0) + i
    }
  } else if (slots > keys) {
    tokens = Int32Array.from({ length: slots }, (_, slot) => (slot < keys ? slot : -1))
  }
  const toSlots = (rows: Float32Array, width: number): Float32Array => {
    if (!tokens) return rows
    const groups = rows.length / (keys * width)
    const result = new Float32Array(groups * slots * width)
    for (let group = 0; group < groups; group++) {
      for (const [slot, token] of tokens.entries()) {
        if (token < 0) continue
        const from = (group * keys + token) * width
        result.set(rows.subarray(from, from + width), (group * slots + slot) * width)
      }
    }
    return result
  }
  const fromSlots = (weights: Float32Array): Float32Array => {
    if (!tokens) return weights
    const result = new Float32Array((weights.length / slots) * keys)
    for (let row = 0; row * slots < weights.length; row++) {
      for (const [slot, token] of tokens.entries()) {
        if (token >= 0) result[row * keys + token] = weights[row * slots + slot] as number
      }
    }
    return result
  }

  // The kernel's own causal mask costs nothing, but begins with key 0 and knows no missing tokens.
  const causal = options.causal === true
  const spare = !runs && slots > keys
  const causalByMask = causal && (spare || sizes.causalOffset !== 0)
  const data = new Map<DataRole, HostArray>()
  const bias = joinMasks(options, sizes, { causalByMask, spare })
  if (bias) {
    const [samples = 1, rows = 1] = bias.shape
    const values = toSlots(bias.data, 1)
    if (spare && tokens) {
      for (let i = 0; i < values.length; i++) if ((tokens[i % slots] as number) < 0) values[i] = forbidden
    }
    data.set('logitBias', { data: values, shape: [samples, rows, slots] })
  }
  for (const role of ['tokenScale', 'valueGain'] as const) {
    const given = options[role]
    if (given) data.set(role, { data: toSlots(given.data, 1), shape: [given.shape[0] ?? 1, slots] })
  }
  if (options.outputMask) data.set('outputMask', options.outputMask)
  return {
    slots,
    ...(sources && { sources }),
    causal: causal && !causalByMask,
    data,
    inputs: Object.fromEntries([...data].map(([role, array]) => [role, array.data])),
    toSlots,
    fromSlots,
  }
}

/** Declares an arrangement's data as inputs of a graph: the options of its attention, but for the number of heads. */
export function declare(
  b: GraphBuilder,
  arranged: Arrangement,
  { softmaxScale, returnWeights }: AttendOptions,
): Omit<AttentionOptions, 'numHeads'> {
  const tensors: Record<string, Tensor> = {}
  for (const [role, { shape }] of arranged.data) tensors[role] = b.input(role, shape)
  return {
    ...tensors,
    ...(softmaxScale !== undefined && { softmaxScale }),
    causal: arranged.causal,
    ...(arranged.sources && { sources: arranged.sources }),
    captureProbabilities: returnWeights === true,
  }
}

const endOf = (source: AttentionSource | undefined): number => (source ? source.start + source.length : 0)

/** The place of an element in a [B or 1, L or 1, X] array. */
function at(shape: Shape, sample: number, row: number, column: number): number {
  const [samples, rows = 1, columns = 1] = shape
  return ((samples === 1 ? 0 : sample) * rows + (rows === 1 ? 0 : row)) * columns + column
}

/** All masks and the bias as one bias over the tokens, at the smallest shape that holds them. */
function joinMasks(
  options: AttendOptions,
  { batch, length, keys, causalOffset }: ArrangementSizes,
  { causalByMask, spare }: { causalByMask: boolean; spare: boolean },
): HostArray | undefined {
  const { keyPaddingMask: padding, attentionMask: mask, logitBias, causal, outputMask } = options
  if (!padding && !mask && !logitBias && !causalByMask && !spare) return undefined
  const rows = causalByMask ? length : Math.max(mask?.shape[1] ?? 1, logitBias?.shape[1] ?? 1)
  const batches = Math.max(padding?.shape[0] ?? 1, mask?.shape[0] ?? 1, logitBias?.shape[0] ?? 1)
  const data = new Float32Array(batches * rows * keys)
  const runs = options.sources ?? [[0, keys]]
  /** Whether anybody who reads this row of the bias takes something of source g. */
  const asked = (sample: number, row: number, g: number): boolean => {
    if (!outputMask) return true
    for (let s = batches === 1 ? 0 : sample; s < (batches === 1 ? batch : sample + 1); s++) {
      for (let l = rows === 1 ? 0 : row; l < (rows === 1 ? length : row + 1); l++) {
        if (outputMask.data[at(outputMask.shape, s, l, g)]) return true
      }
    }
    return false
  }
  for (let sample = 0; sample < batches; sample++) {
    for (let row = 0; row < rows; row++) {
      const start = (sample * rows + row) * keys
      for (let token = 0; token < keys; token++) {
        const exists = !padding || padding.data[(padding.shape[0] === 1 ? 0 : sample) * keys + token]
        const meets = !mask || mask.data[at(mask.shape, sample, row, token)]
        const past = !causalByMask || token <= row + causalOffset
        const bias = logitBias ? (logitBias.data[at(logitBias.shape, sample, row, token)] as number) : 0
        data[start + token] = exists && meets && past ? bias : forbidden
      }
      for (const [g, [first, count]] of runs.entries()) {
        // A causal row sees its own key and those before it.
        const end = causal
          ? Math.min(first + count, (rows === 1 ? 0 : row) + causalOffset + 1)
          : first + count
        const open = data.subarray(start + first, start + Math.max(first, end)).some(bias => bias > forbidden)
        if (!open && asked(sample, row, g)) {
          throw new AttuneError(
            'bad-argument',
            `The masks leave position ${row} of sample ${sample} without any key${options.sources ? ` of source ${g}` : ''} to look at.`,
            options.sources
              ? 'Allow at least one key, or set outputMask to 0 there.'
              : 'Allow at least one key for every position.',
          )
        }
      }
    }
  }
  return { data, shape: [batches, rows, keys] }
}

/** Refuses runs that are empty, share tokens or leave the source. */
function checkRuns({ sources, causal }: AttendOptions, keys: number): void {
  if (!sources) return
  if (sources.length === 0) throw misfit('sources is empty; leave it out for one source over all tokens')
  if (causal && sources.length > 1) throw misfit(`causal is for one source, and ${sources.length} are given`)
  const owner = new Int32Array(keys).fill(-1)
  for (const [g, [start, count]] of sources.entries()) {
    const inside = Number.isInteger(start) && Number.isInteger(count) && start >= 0 && count > 0
    if (!inside || start + count > keys) {
      throw misfit(`source ${g} is [${start}, ${count}], which is no run [start, length] of ${keys} tokens`)
    }
    for (let token = start; token < start + count; token++) {
      if ((owner[token] as number) >= 0) {
        throw misfit(`sources ${owner[token]} and ${g} share token ${token}; give such a token twice`)
      }
      owner[token] = g
    }
  }
  if (causal && (sources[0]?.[0] ?? 0) !== 0) throw misfit('a causal source begins with token 0')
}

/** Refuses a mask or bias that does not fit; axes of size 1 are repeated, but for the last. */
function checkShape(role: string, given: HostMask | undefined, full: Shape): void {
  if (!given) return
  const ok =
    given.shape.length === full.length &&
    given.shape.at(-1) === full.at(-1) &&
    given.shape.every((size, axis) => size === 1 || size === full[axis]) &&
    given.data.length === elementCount(given.shape)
  if (!ok) {
    throw misfit(
      `${role} ${formatShape(given.shape)} of ${given.data.length} numbers does not fit ${formatShape(full)}`,
    )
  }
}

/** Refuses what is no [.., .., ..] of so many numbers. */
export function checkArray(role: string, { data, shape }: HostArray, wanted: string): void {
  if (shape.length === 3 && elementCount(shape) === data.length && data.length > 0) return
  throw misfit(`${role} has ${data.length} numbers for the shape ${formatShape(shape)}; it must be ${wanted}`)
}

export function checkHeads(numHeads: number, width: number): void {
  if (Number.isInteger(numHeads) && numHeads >= 1 && width % numHeads === 0) return
  throw misfit(`${numHeads} heads do not divide ${width} columns`)
}

export function misfit(what: string): AttuneError {
  return new AttuneError('bad-argument', `crossAttention: ${what}.`, 'Check the shapes of the arrays.')
}
