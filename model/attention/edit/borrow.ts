/**
 * An edited text as two sources of one attention (ARCHITECTURE.md, "Queries of another sample"). Prompt-to-prompt wants
 *
 *   out = Σ_t { α_t c_t [ a_t Σ_s P_src[s] M[s,t] + (1 − a_t) P_own[t] ] + (1 − α_t) P_own[t] } V_t
 *
 * α: 1 inside of a token's window; c: its factor (the reference weighs inside of α only); a: 0 for tokens that are
 * new. Sorted by whose probabilities are meant, that is Σ_s P_src[s] V'_s + Σ_t P_own[t] g_t V_t with
 *
 *   V'_s = Σ_t M[s,t] α_t c_t a_t V_t        g_t = α_t c_t (1 − a_t) + (1 − α_t)
 *
 * so a source with the source text's keys, asked with the source sample's queries, over the values V', beside the
 * text's own keys and values with the value gain g. P_src is the source's softmax over its own text.
 *
 * Axis letters: S tokens of either text; W the keys and values of all layers side by side.
 */
import { invariant } from '../../contract/errors.ts'
import type { Alignment } from './align.ts'

/** Where a layer's keys and values stand in a row of W. */
export interface LayerColumns {
  readonly keyOffset: number
  readonly valueOffset: number
  readonly width: number
}

/** α·c·a of each row of the target, [S]: what multiplies the values that the source's probabilities go to. */
export function borrowCoefficients(
  alphas: ArrayLike<number>,
  factors: ArrayLike<number>,
  { mask }: Pick<Alignment, 'mask'>,
): Float32Array {
  checkRows(mask.length, alphas.length, factors.length)
  return Float32Array.from(mask, (a, t) => (alphas[t] as number) * (factors[t] as number) * a)
}

/** g of each row of the target, [S]: the value gain of its own probabilities. */
export function ownGain(
  alphas: ArrayLike<number>,
  factors: ArrayLike<number>,
  { mask }: Pick<Alignment, 'mask'>,
): Float32Array {
  checkRows(mask.length, alphas.length, factors.length)
  return Float32Array.from(mask, (a, t) => {
    const alpha = alphas[t] as number
    return alpha * (factors[t] as number) * (1 - a) + (1 - alpha)
  })
}

/**
 * The keys and values of the borrowed source: the source text's keys, and V' for values.
 * @param source keys and values of the source text, [S, W]
 * @param target of the edited text, [S, W]
 * @param coefficients α·c·a, [S] (`borrowCoefficients`)
 * @param into filled and returned where given, [S, W]; neither `source` nor `target`
 * @returns [S, W]; columns of no layer are 0
 */
export function borrowedKeyValues(
  source: Float32Array,
  target: Float32Array,
  layers: readonly LayerColumns[],
  { from }: Pick<Alignment, 'from'>,
  coefficients: ArrayLike<number>,
  into?: Float32Array,
): Float32Array {
  const rows = from.length
  const width = source.length / rows
  checkRows(rows, coefficients.length)
  invariant(Number.isInteger(width), `borrowedKeyValues: ${source.length} numbers in ${rows} rows`)
  invariant(target.length === source.length, `borrowedKeyValues: ${target.length} and ${source.length}`)
  const result = into ?? new Float32Array(source.length)
  invariant(
    result.length === source.length && result !== source && result !== target,
    'borrowedKeyValues: into',
  )
  if (into) result.fill(0)
  for (const layer of layers) {
    const last = Math.max(layer.keyOffset, layer.valueOffset) + layer.width
    invariant(last <= width, `borrowedKeyValues: a layer ends at ${last} of ${width}`)
    for (let row = 0; row < rows; row++) {
      const at = row * width + layer.keyOffset
      result.set(source.subarray(at, at + layer.width), at)
    }
  }
  // Row by row of M's entries, so that each pass runs over neighbouring numbers.
  for (const [t, column] of from.entries()) {
    for (const { row, share } of column) {
      const factor = share * (coefficients[t] as number)
      if (factor === 0) continue
      for (const { valueOffset, width: length } of layers) {
        addScaled(result, row * width + valueOffset, target, t * width + valueOffset, length, factor)
      }
    }
  }
  return result
}

function addScaled(
  into: Float32Array,
  at: number,
  values: Float32Array,
  from: number,
  length: number,
  factor: number,
): void {
  for (let i = 0; i < length; i++) {
    into[at + i] = (into[at + i] as number) + factor * (values[from + i] as number)
  }
}

function checkRows(rows: number, ...others: readonly number[]): void {
  invariant(
    others.every(each => each === rows),
    `prompt-to-prompt: ${rows} rows meet ${others.join(' and ')}`,
  )
}
