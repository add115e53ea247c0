/**
 * CLIP's clean-up of a prompt, which remembers where every character came from. The weights of a word, its map and its
 * highlight in the editor all need to know which characters of the prompt a token stands for.
 *
 * Rules: transformers `models/clip/tokenization_clip.py`: NFC, white space to one space, lower case; each exactly as
 * the `tokenizers` library does it (Unicode's White_Space; lower case of single characters, so that a Greek final
 * sigma stays a sigma).
 */

/** A text with, for each of its UTF-16 units, the range of the original that it stands for. */
export interface AlignedText {
  readonly text: string
  /** Original position where the unit's characters start. */
  readonly starts: readonly number[]
  /** Original position behind the unit's characters. */
  readonly ends: readonly number[]
}

interface Piece {
  readonly text: string
  readonly start: number
  readonly end: number
}

const whiteSpace = /^\p{White_Space}$/u

/**
 * @param original the whole prompt.
 * @param from start of the part to normalise, in UTF-16 units.
 * @param to its end.
 * @returns positions count from the start of the whole prompt.
 */
export function normalize(original: string, from = 0, to = original.length): AlignedText {
  const units: string[] = []
  const starts: number[] = []
  const ends: number[] = []
  let spaceAt = -1
  for (const piece of compose(original, from, to)) {
    if (whiteSpace.test(piece.text)) {
      if (spaceAt >= 0) {
        ends[spaceAt] = piece.end
        continue
      }
      spaceAt = starts.length
    } else {
      spaceAt = -1
    }
    const text = spaceAt >= 0 ? ' ' : piece.text.toLowerCase()
    units.push(text)
    for (let unit = 0; unit < text.length; unit++) {
      starts.push(piece.start)
      ends.push(piece.end)
    }
  }
  return { text: units.join(''), starts, ends }
}

/** Canonical composition (NFC), one code point a piece. */
function compose(original: string, from: number, to: number): Piece[] {
  const section = original.slice(from, to)
  if (section.normalize('NFC') === section) return codePoints(section, from)
  const pieces: Piece[] = []
  for (const cluster of clusters(section, from)) {
    const composed = cluster.text.normalize('NFC')
    if (composed === cluster.text) {
      pieces.push(...codePoints(cluster.text, cluster.start))
    } else {
      for (const text of composed) pieces.push({ text, start: cluster.start, end: cluster.end })
    }
  }
  return pieces
}

function codePoints(text: string, from: number): Piece[] {
  const pieces: Piece[] = []
  let start = from
  for (const character of text) {
    pieces.push({ text: character, start, end: start + character.length })
    start += character.length
  }
  return pieces
}

/** Runs of characters that compose independently of each other: a base with its marks, or joined Hangul letters. */
function clusters(text: string, from: number): Piece[] {
  const result: Piece[] = []
  for (const [match] of text.matchAll(/\P{M}\p{M}*|\p{M}+/gsu)) {
    const last = result.at(-1)
    const start = last ? last.end : from
    const piece = { text: match, start, end: start + match.length }
    if (
      last &&
      (last.text + match).normalize('NFC') !== last.text.normalize('NFC') + match.normalize('NFC')
    ) {
      result[result.length - 1] = { text: last.text + match, start: last.start, end: piece.end }
    } else {
      result.push(piece)
    }
  }
  return result
}
