/**
 * Which tokens of an edited prompt take the attention of which tokens of the original: prompt-to-prompt's token map
 * M [S, S] with its mask, as sparse lists, for texts of any number of chunks.
 *
 * Words are compared, not tokens: CLIP's pieces of different words (`cat·fish`, `star·fish`) mean nothing by
 * themselves. Where the number of tokens changes, what follows moves along. The frame of a chunk follows its meaning:
 *
 * - BOS of chunk k ← BOS of chunk k. EOS of chunk k ← EOS of chunk k, wherever it stands: it is the encoding of the
 *   whole text up to there, and the strongest column after BOS.
 * - Padding ← padding of the same row. CLIP's position embedding tells one padding token from the next, and so does
 *   the reference. When the edited text is shorter, its first padding rows were content or EOS of the original: they
 *   are new, and keep their own. (The reference lets them take those foreign columns, which then count twice: with
 *   one word less, EOS or the last word of the source both for itself and for padding.)
 *
 * Axis letters: S tokens of either text (chunks · 77); s a row of the source, t of the target.
 * Source: Hertz et al. 2022 (arXiv 2208.01626); google/prompt-to-prompt `seq_aligner.py` (behaviour).
 */
import { AttuneError, invariant } from '../../contract/errors.ts'
import { chunkLength } from '../../text/chunks.ts'
import type { CaptureText } from '../capture.ts'
import { readable, type TextWord, textWords } from './phrase.ts'
import { alignSequences } from './sequence.ts'

/** A part of what a target token takes: `share` of the probability of source row `row`. */
export interface TokenShare {
  readonly row: number
  readonly share: number
}

/** A change of words, for people. */
export interface WordChange {
  readonly kind: 'replace' | 'add' | 'remove'
  /** Absent where words are added. */
  readonly source?: string
  /** Absent where words are removed. */
  readonly target?: string
}

/**
 * `same`: no word differs. `replace`: words stand in for words, one for one. `refine`: words are added or removed.
 * `mixed`: both.
 */
export type AlignmentKind = 'same' | 'replace' | 'refine' | 'mixed'

export interface Alignment {
  readonly kind: AlignmentKind
  /** For each row t of the target, [S]: column t of M. */
  readonly from: readonly (readonly TokenShare[])[]
  /** a of the formula, [S]: 1 where a row takes what `from` says, 0 where it keeps its own probability. */
  readonly mask: Float32Array
  readonly changes: readonly WordChange[]
}

export interface AlignOptions {
  /**
   * `replace`: words in pairs by their order; both texts need equally many. `refine`: words that are not in the
   * original are new, even where they stand in for others. `mixed`: where as many words went as came they are pairs,
   * others are new. `auto`, the default: `replace` where all differing words come in pairs, else `refine`.
   */
  readonly kind?: 'auto' | 'replace' | 'refine' | 'mixed'
}

/**
 * Compares two texts, large and small letters alike.
 * @param rows S of both, padded to the same number of chunks
 * @throws AttuneError `bad-argument` when words cannot be paired as asked, or texts are too long to compare
 */
export function alignPrompts(
  source: CaptureText,
  target: CaptureText,
  rows: number,
  options: AlignOptions = {},
): Alignment {
  checkRows(source, rows)
  checkRows(target, rows)
  const from = textWords(source)
  const to = textWords(target)
  const partners = partnersOf(from.map(folded), to.map(folded), options.kind ?? 'auto')
  const columns: TokenShare[][] = Array.from({ length: rows }, () => [])
  for (const [index, word] of to.entries()) {
    const partner = from[partners[index] as number]
    if (partner) pairTokens(partner, word, columns)
  }
  alignFrames(source, target, columns)
  const changes = changesOf(from, to, partners)
  return {
    kind: kindOf(changes, partners, from, to),
    from: columns,
    mask: Float32Array.from(columns, column => (column.length > 0 ? 1 : 0)),
    changes,
  }
}

/** How many tokens of content each chunk has, [S / 77]. */
export function contentCounts({ places }: CaptureText, rows: number): number[] {
  const counts = Array<number>(rows / chunkLength).fill(0)
  for (const { chunk, position } of places) counts[chunk] = Math.max(counts[chunk] ?? 0, position)
  return counts
}

/** `cat → dog`, `+ in the snow`, `− red`. */
export function formatChange({ source, target }: WordChange): string {
  if (source === undefined) return `+ ${target}`
  return target === undefined ? `− ${source}` : `${source} → ${target}`
}

export function checkRows({ places }: CaptureText, rows: number): void {
  invariant(rows > 0 && rows % chunkLength === 0, `alignPrompts: ${rows} rows are no whole chunks`)
  invariant(
    places.every(place => place.row < rows),
    `alignPrompts: the text has tokens behind row ${rows}`,
  )
}

function folded({ text }: TextWord): string {
  return text.normalize('NFC').toLowerCase()
}

/** For each word of the target its partner in the source, −1 for none; rising. */
function partnersOf(
  source: readonly string[],
  target: readonly string[],
  kind: NonNullable<AlignOptions['kind']>,
): Int32Array {
  const inOrder = Int32Array.from(target, (_, index) => index)
  if (kind === 'replace') {
    if (source.length === target.length) return inOrder
    throw new AttuneError(
      'bad-argument',
      `Words cannot be replaced in pairs: the original prompt has ${source.length} words and signs, the edited one ${target.length}.`,
      'Write as many words as there were, or let words be added and removed (refine).',
    )
  }
  const partners = alignSequences(source, target)
  if (kind === 'refine') return partners
  if (kind === 'mixed') return pairRuns(partners, source.length)
  // Pairs in their order say the same as the best alignment, unless words moved.
  const common = partners.reduce((sum, each) => sum + (each >= 0 ? 1 : 0), 0)
  const inPlace = target.reduce((sum, word, index) => sum + (word === source[index] ? 1 : 0), 0)
  return source.length === target.length && inPlace === common ? inOrder : partners
}

/** Pairs the words between matches where as many went as came. */
function pairRuns(partners: Int32Array, sources: number): Int32Array {
  const paired = partners.slice()
  for (const { source, target } of runsOf(partners, sources)) {
    const count = target[1] - target[0]
    if (source[1] - source[0] !== count) continue
    for (let i = 0; i < count; i++) paired[target[0] + i] = source[0] + i
  }
  return paired
}

interface Run {
  readonly source: readonly [from: number, to: number]
  readonly target: readonly [from: number, to: number]
}

/** What lies between partners, in order; empty where neighbours follow neighbours. */
function* runsOf(partners: Int32Array, sources: number): Generator<Run> {
  let [s, t] = [0, 0]
  for (const [index, partner] of partners.entries()) {
    if (partner < 0) continue
    yield { source: [s, partner], target: [t, index] }
    ;[s, t] = [partner + 1, index + 1]
  }
  yield { source: [s, sources], target: [t, partners.length] }
}

/** As many tokens: one for one. Else every source token is spread over all target tokens of the word. */
function pairTokens(source: TextWord, target: TextWord, columns: TokenShare[][]): void {
  const share = 1 / target.places.length
  const isEven = source.places.length === target.places.length
  for (const [index, { row }] of target.places.entries()) {
    const even = source.places[index]
    columns[row] =
      isEven && even ? [{ row: even.row, share: 1 }] : source.places.map(place => ({ row: place.row, share }))
  }
}

function alignFrames(source: CaptureText, target: CaptureText, columns: TokenShare[][]): void {
  const [before, after] = [contentCounts(source, columns.length), contentCounts(target, columns.length)]
  for (const [chunk, count] of after.entries()) {
    const bos = chunk * chunkLength
    const sourceCount = before[chunk] ?? 0
    columns[bos] = [{ row: bos, share: 1 }]
    columns[bos + 1 + count] = [{ row: bos + 1 + sourceCount, share: 1 }]
    for (let at = Math.max(count, sourceCount) + 2; at < chunkLength; at++) {
      columns[bos + at] = [{ row: bos + at, share: 1 }]
    }
  }
}

function changesOf(from: readonly TextWord[], to: readonly TextWord[], partners: Int32Array): WordChange[] {
  const changes: WordChange[] = []
  for (const { source, target } of runsOf(partners, from.length)) {
    const [gone, come] = [from.slice(...source), to.slice(...target)]
    if (gone.length > 0 && come.length > 0) {
      changes.push({ kind: 'replace', source: readable(gone), target: readable(come) })
    } else if (come.length > 0) changes.push({ kind: 'add', target: readable(come) })
    else if (gone.length > 0) changes.push({ kind: 'remove', source: readable(gone) })
    // Behind each run but the last stands a pair.
    const [old, now] = [from[source[1]], to[target[1]]]
    if (old && now && folded(old) !== folded(now)) {
      changes.push({ kind: 'replace', source: old.text, target: now.text })
    }
  }
  return changes
}

function kindOf(
  changes: readonly WordChange[],
  partners: Int32Array,
  from: readonly TextWord[],
  to: readonly TextWord[],
): AlignmentKind {
  if (changes.length === 0) return 'same'
  const pairs = [...partners].filter((partner, index) => {
    const [old, now] = [from[partner], to[index]]
    return old && now && folded(old) !== folded(now)
  }).length
  if (pairs === 0) return 'refine'
  const matched = partners.reduce((sum, each) => sum + (each >= 0 ? 1 : 0), 0)
  return matched === from.length && matched === to.length ? 'replace' : 'mixed'
}
