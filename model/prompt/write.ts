/** Writes words with weights in a dialect, so that reading them again gives the same words and weights. */
import type { TextPiece } from './types.ts'

/** Dialects that can carry weights. */
export type WeightedDialect = 'a1111' | 'comfy' | 'compel'

/** Words and their weight, without regard to where they were typed. */
export type Weighted = Pick<TextPiece, 'text' | 'weight'>

/** A number as all three dialects read it: no exponent, six digits. */
export function formatWeight(weight: number): string {
  const rounded = Number(weight.toPrecision(6))
  const text = String(rounded)
  return text.includes('e') ? rounded.toFixed(20).replace(/0+$/, '').replace(/\.$/, '') : text
}

/**
 * Pieces in a dialect. White space goes outside of the brackets; where words would grow together that were apart, a
 * space is put between.
 */
export function writePieces(pieces: readonly Weighted[], dialect: WeightedDialect): string {
  let out = ''
  let previous: Weighted | undefined
  for (const piece of pieces) {
    const [, before = '', words = '', after = ''] = /^(\s*)([\s\S]*?)(\s*)$/.exec(piece.text) ?? []
    if (words === '') {
      out += piece.text
      continue
    }
    if (previous && before === '' && !/\s$/.test(out) && !mayTouch(previous, piece, dialect)) out += ' '
    out += before + writeWords(words, piece.weight, dialect) + after
    previous = piece
  }
  return dialect === 'a1111' ? guardEnd(out) : out
}

/** A comma may follow a bracket at once. Equal weights would merge, and compel's number would swallow a full stop. */
function mayTouch(before: Weighted, after: Weighted, dialect: WeightedDialect): boolean {
  const isEqual = formatWeight(before.weight) === formatWeight(after.weight)
  return !isEqual && (dialect === 'compel' ? /^[,;:!?]/ : /^[,;:!?.]/).test(after.text)
}

function writeWords(words: string, weight: number, dialect: WeightedDialect): string {
  const isWeighted = Number(weight.toPrecision(6)) !== 1
  if (dialect !== 'compel') {
    const text = dialect === 'a1111' ? escapeA1111(words) : escapeComfy(words)
    return isWeighted ? `(${text}:${formatWeight(weight)})` : text
  }
  if (!isWeighted) return plainCompel(words)
  const text = `(${escapeCompel(words)})`
  return weight < 0 ? `${text}.attend(${formatWeight(weight)})` : `${text}${formatWeight(weight)}`
}

/** CLIP lower-cases everything, so keywords that are meant as text are written small. */
function escapeA1111(text: string): string {
  return text
    .replace(/[\\()[\]]/g, sign => `\\${sign}`)
    .replace(/(?<![\p{L}\p{N}_])(BREAK|AND)(?![\p{L}\p{N}_])/gu, word => word.toLowerCase())
    .replace(/<(?=[\p{L}\p{N}_]+:)/gu, '< ')
}

/** A prompt that ends with a colon and a number would weigh itself. */
function guardEnd(text: string): string {
  const match = /\s*:\s*[+-]?(?:\d+\.?|\d*\.\d+)\s*$/.exec(text.slice(-64))
  // The colon and the number are tokens of their own anyway, brackets of weight 1 change none.
  return match && text.trim() !== ''
    ? `${text.slice(0, text.length - match[0].length)} (${match[0].trim()}:1)`
    : text
}

function escapeComfy(text: string): string {
  return text.replace(/[()]/g, sign => `\\${sign}`).replace(/(?<=^|\s)embedding:(?=\S)/g, 'embedding: ')
}

/** A full stop before an operator's name: CLIP parts them anyway, and with a space no bracket behind can bind. */
const operatorName = /\.(?=(?:attend|swap|blend|and|add)\b)/g

/** A backslash that is text, before a sign that it would escape: compel has no escape for it. */
const looseBackslash = /\\(?=[()",.+=-])/g

/** Inside brackets. compel keeps the backslash of `\+` and `\-` in the text, so they are rare: only where needed. */
function escapeCompel(text: string): string {
  return text
    .replace(looseBackslash, '\\ ')
    .replace(/[()"]/g, sign => `\\${sign}`)
    .replace(/[+-](?=$|[\s()",.+=\\-])/g, sign => `\\${sign}`)
    .replace(operatorName, '. ')
}

/** Outside of brackets: a sign that would act on the word before it gets a space instead of a backslash. */
function plainCompel(text: string): string {
  return text
    .replace(looseBackslash, '\\ ')
    .replace(/[()"]/g, sign => `\\${sign}`)
    .replace(/(?<=[^\s+-])([+-]{2,}|[+-](?=$|[\s()",.=\\]))/g, ' $1')
    .replace(operatorName, '. ')
}
