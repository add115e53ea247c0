/**
 * How texts share the token axis of the attention seam. A row of the batch is one text's answer for one picture; its
 * tokens are a run for each source: the row's own text, the texts of regions, and for an edit the text whose places
 * are borrowed. All rows have the same runs, for the seam is one operation over the batch.
 */

/** A row of the batch. */
export interface SeamRow {
  /** Which picture it belongs to: 0, or for an edit 0 (the source) and 1 (the edited one). */
  readonly trajectory: number
  readonly half: 'cond' | 'uncond'
}

export interface SeamSource {
  readonly kind: 'own' | 'region' | 'borrowed'
  /** Of a region: its place in the request. */
  readonly region?: number
  /** A multiple of 4 (`AttentionSource`). */
  readonly start: number
  readonly length: number
}

export interface SeamLayout {
  readonly rows: readonly SeamRow[]
  readonly sources: readonly SeamSource[]
  /** S: the tokens of every row, gaps between sources included. */
  readonly tokens: number
  /** All sources are asked with one softmax (regions by isolation). */
  readonly isOneSoftmax: boolean
}

/**
 * Puts sources one after another.
 * @param length tokens of each source
 */
export function seamLayout(
  rows: readonly SeamRow[],
  kinds: readonly Pick<SeamSource, 'kind' | 'region'>[],
  length: number,
  isOneSoftmax = false,
): SeamLayout {
  // A source begins where a vec4 does; a single one needs no filling up.
  const stride = kinds.length > 1 ? Math.ceil(length / 4) * 4 : length
  const sources = kinds.map((kind, index) => ({ ...kind, start: index * stride, length }))
  return { rows, sources, tokens: (kinds.length - 1) * stride + length, isOneSoftmax }
}

/** The tokens between sources, which belong to nobody. */
export function gapTokens({ sources, tokens }: SeamLayout): number[] {
  const gaps = new Set(Array.from({ length: tokens }, (_, index) => index))
  for (const { start, length } of sources) for (let i = start; i < start + length; i++) gaps.delete(i)
  return [...gaps]
}
