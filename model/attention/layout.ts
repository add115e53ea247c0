/**
 * How texts share the token axis of the attention seam. A row of the batch is one text's answer for one picture; its
 * tokens are a run for each source: the row's own text, the texts of regions, for an edit the text whose places are
 * borrowed, and image prompts. All rows have the same runs, for the seam is one operation over the batch.
 */

/** A row of the batch. */
export interface SeamRow {
  /** Which picture it belongs to: 0, or for an edit 0 (the source) and 1 (the edited one). */
  readonly trajectory: number
  readonly half: 'cond' | 'uncond'
}

export interface SeamSource {
  readonly kind: 'own' | 'region' | 'borrowed' | 'image'
  /** Of a region: its place in the request. */
  readonly region?: number
  /** Of an image prompt: its place among those that act, which are those that have tokens here. */
  readonly image?: number
  /** A multiple of 4 (`AttentionSource`). */
  readonly start: number
  readonly length: number
}

export interface SeamLayout {
  readonly rows: readonly SeamRow[]
  readonly sources: readonly SeamSource[]
  /** S: the tokens of every row, gaps between sources included. */
  readonly tokens: number
  /** All texts are asked with one softmax (regions by isolation). */
  readonly isOneSoftmax: boolean
  /** What is asked with a softmax each: the sources, or all texts together and each image prompt. */
  readonly softmaxes: readonly Pick<SeamSource, 'start' | 'length'>[]
}

/** A source to be placed; as long as a text unless it says otherwise. */
export type SeamSourceKind = Pick<SeamSource, 'kind' | 'region' | 'image'> & { readonly length?: number }

/**
 * Puts sources one after another.
 * @param kinds texts first, image prompts behind them
 * @param length tokens of each text
 */
export function seamLayout(
  rows: readonly SeamRow[],
  kinds: readonly SeamSourceKind[],
  length: number,
  isOneSoftmax = false,
): SeamLayout {
  let tokens = 0
  const sources = kinds.map((kind): SeamSource => {
    // A source begins where a vec4 does.
    const start = Math.ceil(tokens / 4) * 4
    tokens = start + (kind.length ?? length)
    return { ...kind, start, length: kind.length ?? length }
  })
  const texts = sources.filter(({ kind }) => kind !== 'image')
  const softmaxes = isOneSoftmax
    ? [{ start: 0, length: endOfTexts({ sources }) }, ...sources.slice(texts.length)]
    : sources
  return { rows, sources, tokens, isOneSoftmax, softmaxes }
}

/** The tokens of all texts, gaps between them included. */
export function endOfTexts({ sources }: Pick<SeamLayout, 'sources'>): number {
  const last = sources.findLast(({ kind }) => kind !== 'image')
  return last ? last.start + last.length : 0
}

/** The tokens between sources, which belong to nobody. */
export function gapTokens({ sources, tokens }: SeamLayout): number[] {
  const gaps = new Set(Array.from({ length: tokens }, (_, index) => index))
  for (const { start, length } of sources) for (let i = start; i < start + length; i++) gaps.delete(i)
  return [...gaps]
}
