/** Pieces while they are being collected: text with a weight that brackets around it still change. */
import { type Problems, SourceText, type Span } from './source.ts'
import type { Piece, TextPiece } from './types.ts'

/** Brackets nested deeper than this are taken as text: 1.1 to this power is already two hundred million. */
export const deepestNesting = 200

export interface Draft {
  readonly text: SourceText
  weight: number
}

export function textPiece(text: SourceText, weight: number): TextPiece {
  return { kind: 'text', text: text.text, weight, runs: text.runs, span: text.span() }
}

/** The piece of a prompt without words. */
export function emptyPiece(at: number): TextPiece {
  return { kind: 'text', text: '', weight: 1, runs: [], span: { start: at, end: at } }
}

/**
 * Finishes drafts: empty ones go, and neighbours of equal weight become one, so that words are only cut where weights
 * change.
 * @param at where the text stands, for a prompt without words.
 */
export function mergePieces(drafts: readonly Draft[], problems: Problems, at: number): TextPiece[] {
  const groups: { texts: SourceText[]; weight: number }[] = []
  for (const { text, weight } of drafts) {
    const last = groups.at(-1)
    if (last && last.weight === weight) last.texts.push(text)
    else groups.push({ texts: [text], weight })
  }
  const pieces: TextPiece[] = []
  for (const { texts, weight } of groups) {
    const text = SourceText.join(texts)
    if (text.length > 0) pieces.push(textPiece(text, finite(weight, text.span(), problems)))
  }
  return pieces.length > 0 ? pieces : [emptyPiece(at)]
}

/** Numbers that are too large to compute with count as 1, and are named. */
export function finite(weight: number, span: Span, problems: Problems): number {
  // Beyond this, half precision overflows on the way to the picture.
  if (Math.abs(weight) <= 1e4) return weight
  problems.add(
    'error',
    span,
    `The weight here comes to ${weight}, which is no number to draw with; it counts as 1.`,
    'Use weights between -10 and 10.',
  )
  return 1
}

/** The first text of a list of pieces. */
export function firstText(pieces: readonly Piece[]): TextPiece | undefined {
  return pieces.find(piece => piece.kind === 'text')
}

/** Letters, digits and the underscore, in any script: what a word border is a border of. */
const wordCharacter = /[\p{L}\p{N}_]/u

/** Places of a keyword that stands as a whole word: `BREAK` in `a BREAK b`, not in `xBREAKy`. */
export function wholeWords(text: string, word: string): number[] {
  const found: number[] = []
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + word.length)) {
    const before = codePointBefore(text, at)
    const after = text.codePointAt(at + word.length)
    const isWord = (code: number | undefined) =>
      code !== undefined && wordCharacter.test(String.fromCodePoint(code))
    if (!isWord(before) && !isWord(after)) found.push(at)
  }
  return found
}

function codePointBefore(text: string, at: number): number | undefined {
  if (at === 0) return undefined
  const low = text.charCodeAt(at - 1)
  const isPair = low >= 0xdc00 && low <= 0xdfff && at > 1
  return text.codePointAt(isPair ? at - 2 : at - 1)
}

/** Index of the first unit at or after `from` that is no white space. */
export function skipSpace(text: string, from: number): number {
  let at = from
  while (at < text.length && /\s/.test(text[at] as string)) at++
  return at
}

/** Index behind the last unit before `to` that is no white space, not before `from`. */
export function skipSpaceBack(text: string, to: number, from = 0): number {
  let at = to
  while (at > from && /\s/.test(text[at - 1] as string)) at--
  return at
}
