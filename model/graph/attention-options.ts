/** What a recording may say about one attention, and whether its tensors fit together. */
import { formatShape, sameShape } from '../tensor/shape.ts'
import type { AttentionInputs, AttentionSource, Tensor } from './ops.ts'

/** The optional data of an attention: see `AttentionInputs` for shapes. */
type AttentionData = Omit<AttentionInputs, 'query' | 'key' | 'value' | 'captureTokens' | 'accumulated'>

export interface AttentionOptions extends AttentionData {
  readonly numHeads: number
  /** Factor on query·key; 1/√D when absent. */
  readonly softmaxScale?: number
  readonly causal?: boolean
  readonly sources?: readonly AttentionSource[]
  readonly keysFollowQuery?: boolean
  /** Also return the probabilities [B, N, L, S]. */
  readonly captureProbabilities?: boolean
  /** Keep a running sum of chosen tokens' probabilities as the state `${path}.captured`. */
  readonly capture?: {
    /** [1, T]. */
    readonly tokens: Tensor
    readonly samples: readonly number[]
  }
}

export interface AttentionResult {
  readonly y: Tensor
  readonly probabilities?: Tensor
  /** [C, N, L, T]. */
  readonly captured?: Tensor
}

/** Tokens [1, T] of samples that are there. */
export function canCapture(
  { tokens, samples }: NonNullable<AttentionOptions['capture']>,
  batch: number,
): boolean {
  const isRow = tokens.shape.length === 2 && tokens.shape[0] === 1
  return isRow && samples.length > 0 && samples.every(sample => sample >= 0 && sample < batch)
}

/** Accumulates the tensors of one attention by role. */
type WritableInputs = { -readonly [Role in keyof AttentionInputs]: AttentionInputs[Role] }

/**
 * The inputs of an attention, checked against each other.
 * @param mismatch throws, naming the layer
 */
export function attentionInputs(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  options: AttentionOptions,
  mismatch: (what: string, tensor: Tensor) => never,
): WritableInputs {
  const [batch = 0, length = 0, width = 0] = query.shape
  const [keyBatch = 0, keyLength = 0] = key.shape
  const fits =
    query.shape.length === 3 &&
    sameShape(key.shape, value.shape) &&
    key.shape[2] === width &&
    (keyBatch === batch || keyBatch === 1) &&
    width % options.numHeads === 0
  if (!fits) {
    mismatch(
      `key ${formatShape(key.shape)}, value ${formatShape(value.shape)}, ${options.numHeads} heads`,
      query,
    )
  }
  const { sources } = options
  let end = 0
  for (const { start, length: tokens } of sources ?? []) {
    const inOrder = start % 4 === 0 && start >= end && tokens > 0 && start + tokens <= keyLength
    if (!inOrder) mismatch(`the source ${start}..${start + tokens} of ${keyLength} tokens`, key)
    end = start + tokens
  }
  const count = sources?.length ?? 1
  if (options.causal && (count > 1 || options.querySample)) {
    mismatch('causal attention over several sources or samples', query)
  }
  const { logitBias, biasScale, tokenScale, valueGain, outputMask, querySample } = options
  const shapes = {
    logitBias: [batch, length, keyLength],
    biasScale: [batch, 1],
    tokenScale: [batch, keyLength],
    valueGain: [batch, keyLength],
    outputMask: [batch, length, count],
    querySample: [batch, count],
  }
  const data = { logitBias, biasScale, tokenScale, valueGain, outputMask, querySample }
  const inputs: WritableInputs = { query, key, value }
  for (const role of Object.keys(shapes) as (keyof typeof shapes)[]) {
    const tensor = data[role]
    if (!tensor) continue
    const shape = shapes[role]
    // These two are read for each sample.
    const whole = role === 'querySample' || role === 'biasScale'
    const ok =
      tensor.shape.length === shape.length &&
      tensor.shape.every(
        (size, axis) => size === shape[axis] || (size === 1 && axis < shape.length - 1 && !whole),
      )
    if (!ok) mismatch(`${role} ${formatShape(tensor.shape)} instead of ${formatShape(shape)}`, query)
    inputs[role] = tensor
  }
  return inputs
}
