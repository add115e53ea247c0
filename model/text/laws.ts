/**
 * Weight laws: what a weight does to the encoding of a prompt, [S, E] rows of one token each.
 *
 * | law             | per token                              | beside it                                        |
 * |-----------------|----------------------------------------|--------------------------------------------------|
 * | `a1111`         | z' = w·z                               | the whole chunk is scaled so that its mean stays |
 * | `a1111-no-norm` | z' = w·z                               |                                                  |
 * | `comfy`         | z' = z0 + w·(z − z0), z0 empty prompt  |                                                  |
 * | `compel`        | as comfy                               | for w < 1, a blend with the fragment masked out  |
 * | `ignore`        | z' = z                                 |                                                  |
 * | `logit-bias`    | z' = z                                 | log w is added to the token's attention scores   |
 * | `value-gain`    | z' = z                                 | the token's values are multiplied by w           |
 *
 * The last two act inside attention; here they leave the encoding alone and pass the weights on. A negative weight
 * turns an embedding (or a value) round: what it says is subtracted. Only `logit-bias` has no meaning for it, since no
 * probability can be negative.
 *
 * Sources: AUTOMATIC1111 `modules/sd_emphasis.py`, ComfyUI `comfy/sd1_clip.py` (behaviour), compel 2.5
 * `embeddings_provider.py` (MIT).
 */
import { invariant } from '../contract/errors.ts'
import type { PromptDialect, WeightLaw } from '../contract/prompt.ts'

export { weightLaws, type WeightLaw } from '../contract/prompt.ts'

/** The law that belongs to a dialect. */
export function lawOfDialect(dialect: PromptDialect): WeightLaw {
  return dialect === 'plain' ? 'ignore' : dialect
}

/** True for laws that act on attention instead of on the encoding. */
export function actsInAttention(law: WeightLaw): boolean {
  return law === 'logit-bias' || law === 'value-gain'
}

/** A matrix of rows and the weight of each. */
export interface WeightedRows {
  /** [S, E] */
  readonly data: Float32Array
  /** [S] */
  readonly weights: Float32Array
  /** How many times it stands in its group; 1 unless given. */
  readonly count?: number
}

/** w·z for every row. The same array where all weights are 1. */
export function scaleRows({ data, weights }: WeightedRows): Float32Array {
  if (weights.every(weight => weight === 1)) return data
  const width = widthOf(data, weights)
  const result = new Float32Array(data.length)
  for (const [row, weight] of weights.entries()) {
    for (let i = row * width; i < (row + 1) * width; i++) result[i] = weight * (data[i] as number)
  }
  return result
}

/**
 * A1111's emphasis: scaled rows, then all of the group multiplied by (mean before / mean after). The mean is one
 * number over all elements of everything that is encoded together: for a scheduled prompt, the same chunk of all its
 * texts.
 * @returns one array a member; the given ones where every weight is 1. Without a usable mean (zero or not finite), the
 *   scaled rows are left as they are, as stable-diffusion.cpp does.
 */
export function restoreMean(group: readonly WeightedRows[]): Float32Array[] {
  const scaled = group.map(scaleRows)
  const factor = restorationFactor(group, scaled)
  // Untouched rows are copied only where a neighbour changes the mean.
  return factor === 1 ? scaled : scaled.map(data => data.map(value => factor * value))
}

/** (mean before / mean after) of a group; 1 where nothing is weighted or no mean can be used. */
export function restorationFactor(
  group: readonly WeightedRows[],
  scaled: readonly Float32Array[] = group.map(scaleRows),
): number {
  if (group.every(({ data }, index) => scaled[index] === data)) return 1
  let before = 0
  let after = 0
  for (const [index, { data, count = 1 }] of group.entries()) {
    before += count * sum(data)
    after += count * sum(scaled[index] as Float32Array)
  }
  const factor = before / after
  return Number.isFinite(factor) && factor !== 0 ? factor : 1
}

/**
 * ComfyUI's (and compel's) law: z0 + w·(z − z0). Rows of weight 1 keep their bits.
 * @param empty the encoding of an empty prompt, [77, E]: row s goes with row s mod 77.
 */
export function leaveEmpty({ data, weights }: WeightedRows, empty: Float32Array): Float32Array {
  if (weights.every(weight => weight === 1)) return data
  const width = widthOf(data, weights)
  invariant(empty.length % width === 0, `leaveEmpty: ${empty.length} values in rows of ${width}`)
  const result = data.slice()
  for (const [row, weight] of weights.entries()) {
    if (weight === 1) continue
    for (let i = row * width; i < (row + 1) * width; i++) {
      const zero = empty[i % empty.length] as number
      result[i] = zero + weight * ((data[i] as number) - zero)
    }
  }
  return result
}

/** Weights below this blend as this one: the tangent would be infinite at 0. */
const smallestWeight = 1e-5

/** How much an encoding without a fragment counts against 1 for the whole prompt: tan((1 − w)·π/2). */
export function maskedShare(weight: number): number {
  return Math.tan(((1 - Math.max(weight, smallestWeight)) * Math.PI) / 2)
}

/** compel's blend of the whole prompt (share 1) with encodings in which weakened fragments are masked. */
export function blendMasked(
  base: Float32Array,
  masked: readonly { readonly weight: number; readonly data: Float32Array }[],
): Float32Array {
  if (masked.length === 0) return base
  return blend(
    [base, ...masked.map(({ data }) => data)],
    [1, ...masked.map(({ weight }) => maskedShare(weight))],
    true,
  )
}

/** Σ share·encoding, divided by Σ share where `normalized`. All of one shape. */
export function blend(
  encodings: readonly Float32Array[],
  shares: readonly number[],
  normalized: boolean,
): Float32Array {
  const [first] = encodings
  invariant(first && encodings.length === shares.length, 'blend: one share for each encoding')
  if (encodings.length === 1 && (normalized || shares[0] === 1)) return first
  const total = normalized ? shares.reduce((all, share) => all + share, 0) : 1
  const result = new Float32Array(first.length)
  for (const [index, data] of encodings.entries()) {
    invariant(data.length === first.length, 'blend: encodings of different lengths')
    const share = (shares[index] as number) / total
    for (let i = 0; i < result.length; i++) result[i] = (result[i] as number) + share * (data[i] as number)
  }
  return result
}

/** compel's clause weight of .and(): z0 + w·(z − z0) for all rows. */
export function leaveEmptyWhole(data: Float32Array, weight: number, empty: Float32Array): Float32Array {
  if (weight === 1) return data
  return data.map((value, i) => {
    const zero = empty[i % empty.length] as number
    return zero + weight * (value - zero)
  })
}

function widthOf(data: Float32Array, weights: Float32Array): number {
  const width = data.length / weights.length
  invariant(Number.isInteger(width), `${data.length} values for ${weights.length} rows`)
  return width
}

function sum(values: Float32Array): number {
  let total = 0
  for (let i = 0; i < values.length; i++) total += values[i] as number
  return total
}
