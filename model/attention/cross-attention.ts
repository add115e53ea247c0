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
 */
import { AttuneError, invariant } from '../contract/errors.ts'
import { GraphBuilder } from '../graph/builder.ts'
import type { Tensor } from '../graph/ops.ts'
import type { Backend } from '../graph/program.ts'
import { elementCount, formatShape, sameShape, type Shape } from '../tensor/shape.ts'

/** A dense row-major tensor on the host. */
export interface HostArray {
  readonly data: Float32Array
  readonly shape: Shape
}

export interface CrossAttentionOptions {
  readonly backend: Backend
  /** N; E must be a multiple of it. 1 unless given. */
  readonly numHeads?: number
  /** Factor on query·key; 1/√(E/N) unless given. */
  readonly softmaxScale?: number
  /** Position l sees the keys 0 … l only. */
  readonly causal?: boolean
  /** [B or 1, S]: keys that exist (non-zero) or are padding (0). */
  readonly keyPaddingMask?: { readonly data: ArrayLike<number>; readonly shape: Shape }
  /** [B or 1, L or 1, S]: pairs that may meet (non-zero) or are kept apart (0), as documents or regions are. */
  readonly attentionMask?: { readonly data: ArrayLike<number>; readonly shape: Shape }
  /** [B or 1, L or 1, S], added to the logits after the scale. */
  readonly logitBias?: HostArray
  /** [B or 1, S], factor on the probabilities, without renormalisation. */
  readonly tokenScale?: HostArray
  /** [B or 1, S], factor on the values. */
  readonly valueGain?: HostArray
  /** Also return the probabilities. */
  readonly returnWeights?: boolean
}

export interface CrossAttentionResult {
  /** [B, L, E] */
  readonly output: HostArray
  /** [B, N, L, S], with `returnWeights`. */
  readonly weights?: HostArray
}

/** What a forbidden pair gets on its logit: finite, so that no arithmetic makes a NaN of it, and e^−1e9 is 0. */
const forbidden = -1e9

/**
 * softmax(scale · query · keyᵀ + bias) · value, per head.
 *
 * @param query [B, L, E]
 * @param key [B or 1, S, E]
 * @param value as key
 * @throws AttuneError `bad-argument` when shapes do not fit, or when a mask leaves a position without any key
 */
export async function crossAttention(
  query: HostArray,
  key: HostArray,
  value: HostArray,
  options: CrossAttentionOptions,
): Promise<CrossAttentionResult> {
  const { backend, numHeads = 1 } = options
  for (const [role, array] of Object.entries({ query, key, value })) {
    if (array.shape.length !== 3 || elementCount(array.shape) !== array.data.length) {
      throw misfit(
        `${role} has ${array.data.length} numbers for the shape ${formatShape(array.shape)}; it must be [B, length, E]`,
      )
    }
  }
  const [batch = 0, length = 0, width = 0] = query.shape
  const [keyBatch = 0, keyLength = 0] = key.shape
  const fits = key.shape[2] === width && sameShape(key.shape, value.shape) && [1, batch].includes(keyBatch)
  if (!fits) {
    throw misfit(
      `query ${formatShape(query.shape)}, key ${formatShape(key.shape)} and value ${formatShape(value.shape)} do not meet`,
    )
  }
  if (!Number.isInteger(numHeads) || numHeads < 1 || width % numHeads !== 0) {
    throw misfit(`${numHeads} heads do not divide ${width} columns`)
  }
  const bias = joinMasks(options, [batch, length, keyLength])
  const inputs: Record<string, Float32Array> = { query: query.data, key: key.data, value: value.data }
  const b = new GraphBuilder('crossAttention')
  const declare = (name: string, array: HostArray | undefined): Tensor | undefined => {
    if (!array) return undefined
    inputs[name] = array.data
    return b.input(name, array.shape)
  }
  const [q, k, v] = [b.input('query', query.shape), b.input('key', key.shape), b.input('value', value.shape)]
  const logitBias = declare('logitBias', bias)
  const tokenScale = declare('tokenScale', vectorOf('tokenScale', options.tokenScale, batch, keyLength))
  const valueGain = declare('valueGain', vectorOf('valueGain', options.valueGain, batch, keyLength))
  const { y, probabilities } = b.attention('crossAttention', q, k, v, {
    numHeads,
    ...(options.softmaxScale !== undefined && { softmaxScale: options.softmaxScale }),
    ...(options.causal !== undefined && { causal: options.causal }),
    ...(logitBias && { logitBias }),
    ...(tokenScale && { tokenScale }),
    ...(valueGain && { valueGain }),
    captureProbabilities: options.returnWeights === true,
  })
  b.output('output', y)
  if (probabilities) b.output('weights', probabilities)
  const program = await backend.compile(b.build())
  try {
    const result = await program.run(inputs)
    invariant(result['output'], 'attention gives an output')
    const output = { data: result['output'], shape: query.shape }
    const weights = result['weights']
    if (!weights) return { output }
    return { output, weights: { data: weights, shape: [batch, numHeads, length, keyLength] } }
  } finally {
    program.dispose()
  }
}

/** All masks and the bias as one bias, at the smallest shape that holds them. */
function joinMasks(
  options: CrossAttentionOptions,
  [batch, length, keys]: readonly [number, number, number],
): HostArray | undefined {
  const { keyPaddingMask: padding, attentionMask: mask, logitBias, causal } = options
  if (!padding && !mask && !logitBias) return undefined
  checkShape('keyPaddingMask', padding, [batch, keys])
  checkShape('attentionMask', mask, [batch, length, keys])
  checkShape('logitBias', logitBias, [batch, length, keys])
  const rows = Math.max(mask?.shape[1] ?? 1, logitBias?.shape[1] ?? 1)
  const batches = Math.max(padding?.shape[0] ?? 1, mask?.shape[0] ?? 1, logitBias?.shape[0] ?? 1)
  const data = new Float32Array(batches * rows * keys)
  const at = (shape: Shape, sample: number, row: number, token: number): number =>
    ((shape[0] === 1 ? 0 : sample) * (shape[1] ?? 1) + (shape[1] === 1 ? 0 : row)) * keys + token
  for (let sample = 0; sample < batches; sample++) {
    for (let row = 0; row < rows; row++) {
      let open = 0
      for (let token = 0; token < keys; token++) {
        const exists = !padding || padding.data[(padding.shape[0] === 1 ? 0 : sample) * keys + token]
        const allowed = exists && (!mask || mask.data[at(mask.shape, sample, row, token)])
        const bias = logitBias ? (logitBias.data[at(logitBias.shape, sample, row, token)] as number) : 0
        data[(sample * rows + row) * keys + token] = allowed ? bias : forbidden
        // A causal row sees its own key and those before it.
        if (allowed && (!causal || token <= (rows === 1 ? 0 : row))) open++
      }
      if (open === 0) {
        throw new AttuneError(
          'bad-argument',
          `The masks leave position ${row} of sample ${sample} without any key to look at.`,
          'Allow at least one key for every position.',
        )
      }
    }
  }
  return { data, shape: [batches, rows, keys] }
}

/** Refuses a mask or bias that does not fit; axes of size 1 are repeated, but for the last. */
function checkShape(
  role: string,
  given: { data: ArrayLike<number>; shape: Shape } | undefined,
  full: Shape,
): void {
  if (!given) return
  const ok =
    given.shape.length === full.length &&
    given.shape.at(-1) === full.at(-1) &&
    given.shape.every((size, axis) => size === 1 || size === full[axis]) &&
    given.data.length === elementCount(given.shape)
  if (!ok) throw misfit(`${role} ${formatShape(given.shape)} does not fit ${formatShape(full)}`)
}

function vectorOf(
  role: string,
  given: HostArray | undefined,
  batch: number,
  keys: number,
): HostArray | undefined {
  if (!given) return undefined
  const [rows, columns] = given.shape
  const ok =
    given.shape.length === 2 &&
    (rows === 1 || rows === batch) &&
    columns === keys &&
    given.data.length === rows * keys
  if (!ok) throw misfit(`${role} ${formatShape(given.shape)} does not fit [${batch}, ${keys}]`)
  return given
}

function misfit(what: string): AttuneError {
  return new AttuneError('bad-argument', `crossAttention: ${what}.`, 'Check the shapes of the arrays.')
}
