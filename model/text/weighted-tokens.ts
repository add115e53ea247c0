/**
 * The words of a parsed prompt as tokens with weights, and as chunks by the rules of the prompt's dialect. Each piece
 * is tokenized by itself, so a word is cut where its weight changes, as in all three programs.
 */
import type { SpecialIds, Token } from './tokenizer.ts'
import type { Dialect, Piece, TextPiece } from '../prompt/types.ts'
import { SourceText } from '../prompt/source.ts'
import { chunkContent, chunkLength, chunkOf, packChunks, type TokenChunk } from './chunks.ts'

/** A token, its place in the prompt as typed (not in its piece), and what it is multiplied with. */
export interface WeightedToken extends Token {
  readonly weight: number
  /**
   * Neighbouring pieces of one weight are one fragment: what compel masks as a whole where it is weakened. Counted
   * over the text, breaks included.
   */
  readonly fragment: number
  /** Counted over the text: words that white space parts, which ComfyUI does not cut at the end of a chunk. */
  readonly group: number
}

export interface TextTokenizer extends SpecialIds {
  encodeText(text: string): Token[]
}

/** @returns the tokens of each section between breaks; one section where there is no break. */
export function tokenizePieces(
  pieces: readonly Piece[],
  source: string,
  tokenizer: TextTokenizer,
): WeightedToken[][] {
  const sections: WeightedToken[][] = [[]]
  let word = 0
  let group = -1
  let fragment = -1
  let previous: TextPiece | undefined
  for (const piece of pieces) {
    if (piece.kind === 'break') {
      sections.push([])
      continue
    }
    if (previous?.weight !== piece.weight) fragment++
    previous = piece
    const text = SourceText.ofRuns(source, piece.runs)
    const tokens = tokenizer.encodeText(piece.text)
    let behind = -1
    let words = 0
    for (const token of tokens) {
      if (behind < 0 || /\s/.test(piece.text.slice(behind, token.start))) group++
      behind = token.end
      words = Math.max(words, token.word + 1)
      const span = text.span(token.start, token.end)
      const { id, text: shown } = token
      const { weight } = piece
      sections.at(-1)?.push({ id, text: shown, ...span, word: word + token.word, weight, fragment, group })
    }
    word += words
  }
  return sections
}

/** A1111's setting "prompt comma padding backtrack". */
const commaBackoff = 20
/** ComfyUI cuts words of so many tokens, and no shorter ones. */
const longWord = 8

/** Chunks of a text by the rules of a dialect; at least one. */
export function packSections(
  sections: readonly WeightedToken[][],
  dialect: Dialect,
  special: SpecialIds,
): TokenChunk<WeightedToken>[] {
  if (dialect === 'comfy') return packWords(sections.flat(), special)
  if (dialect === 'compel') return packSentences(sections.flat(), special)
  if (dialect === 'plain') return packChunks(sections.flat(), special)
  return sections.flatMap((section, index) => {
    // A BREAK closes a chunk even when it is empty; the end of the prompt does not.
    const isEmptyEnd = section.length === 0 && index > 0 && index === sections.length - 1
    return isEmptyEnd ? [] : packChunks(section, special, { commaBackoff })
  })
}

/** ComfyUI: whole words, and only long ones are cut. */
function packWords(tokens: readonly WeightedToken[], special: SpecialIds): TokenChunk<WeightedToken>[] {
  const chunks: WeightedToken[][] = [[]]
  for (let from = 0; from < tokens.length; ) {
    let to = from + 1
    while (to < tokens.length && tokens[to]?.group === tokens[from]?.group) to++
    const isLong = to - from >= longWord
    while (from < to) {
      let last = chunks.at(-1) as WeightedToken[]
      const room = chunkContent - last.length
      if (to - from <= room) {
        last.push(...tokens.slice(from, to))
        from = to
        continue
      }
      if (isLong) {
        last.push(...tokens.slice(from, from + room))
        from += room
      }
      last = []
      chunks.push(last)
    }
  }
  return chunks.map(content => chunkOf(content, special))
}

/**
 * compel (2.5, when it does not truncate): a chunk ends behind a full stop; where there is none, behind a phrase; else
 * behind a word.
 */
function packSentences(tokens: readonly WeightedToken[], special: SpecialIds): TokenChunk<WeightedToken>[] {
  const chunks: TokenChunk<WeightedToken>[] = []
  let from = 0
  do {
    const to = splitPoint(tokens, from)
    chunks.push(chunkOf(tokens.slice(from, to), special))
    from = to
  } while (from < tokens.length)
  return chunks
}

function splitPoint(tokens: readonly WeightedToken[], from: number): number {
  const end = from + chunkContent
  if (end >= tokens.length) return tokens.length
  const last = (ends: (index: number) => boolean): number | undefined => {
    for (let index = end - 1; index >= from; index--) if (ends(index)) return index + 1
    return undefined
  }
  const text = (index: number): string => tokens[index]?.text ?? ''
  return (
    last(index => text(index) === '.') ??
    last(index => ['.', ',', ';', ':'].includes(text(index))) ??
    last(index => tokens[index]?.word !== tokens[index + 1]?.word) ??
    end
  )
}

/** The weight of each position of some chunks, [chunks · 77]; 1 for BOS, EOS and padding. */
export function weightsOf(chunks: readonly TokenChunk<WeightedToken>[]): Float32Array {
  const weights = new Float32Array(chunks.length * chunkLength).fill(1)
  for (const [chunk, { tokens }] of chunks.entries()) {
    for (const [position, token] of tokens.entries()) {
      if (token) weights[chunk * chunkLength + position] = token.weight
    }
  }
  return weights
}
