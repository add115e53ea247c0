/**
 * Words of a prompt as typed: where they stand, what they weigh, and how the text changes when a person weighs one. The
 * text stays the truth: weighing is an edit of the text in its dialect, checked by reading it again.
 */
import { type PromptDialect, type WeightLaw, weightLaws } from '../../model/contract/prompt.ts'
import { parseA1111State } from '../../model/prompt/a1111.ts'
import { convertText } from '../../model/prompt/convert.ts'
import { parsePrompt } from '../../model/prompt/parse.ts'
import type { PromptProblem, Span } from '../../model/prompt/source.ts'
import { segmentsOf } from '../../model/prompt/timeline.ts'
import { type Piece, type TextPiece, textPieces } from '../../model/prompt/types.ts'
import { formatWeight } from '../../model/prompt/write.ts'
import { lawOfDialect } from '../../model/text/laws.ts'

export { formatWeight } from '../../model/prompt/write.ts'
export type { PromptProblem } from '../../model/prompt/source.ts'

export interface PromptWord {
  readonly text: string
  readonly start: number
  readonly end: number
  readonly weight: number
  /** How many of the same text stand before it. */
  readonly occurrence: number
}

export const weightStep = 0.05
export const weightRange = { least: 0, most: 2 } as const

const wordPattern = /[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*/gu

/** Words in the order of the text, problems where they are. */
export function readPrompt(
  text: string,
  dialect: PromptDialect,
): { readonly words: readonly PromptWord[]; readonly problems: readonly PromptProblem[] } {
  const parsed = parsePrompt(text, dialect)
  const pieces = new Map<number, TextPiece>()
  const add = (list: readonly Piece[]) => {
    for (const piece of list) {
      if (piece.kind !== 'text') continue
      for (const run of piece.runs) if (!pieces.has(run.start)) pieces.set(run.start, piece)
    }
  }
  add(textPieces(parsed))
  // Words that come later have a place and a weight of their own.
  for (const { schedule } of parsed.parts) {
    if (!schedule) continue
    for (const { runs } of segmentsOf(schedule, { calls: 20 }).slice(0, 12)) add(parseA1111State(text, runs))
  }
  const found = new Map<number, { text: string; start: number; end: number; weight: number }>()
  for (const piece of new Set(pieces.values())) {
    for (const { start, end } of piece.runs) {
      for (const match of text.slice(start, end).matchAll(wordPattern)) {
        const at = start + match.index
        const word = { text: match[0], start: at, end: at + match[0].length, weight: piece.weight }
        const known = found.get(at)
        if (!known || known.end < word.end) found.set(at, word)
      }
    }
  }
  const counts = new Map<string, number>()
  const words = [...found.values()]
    .sort((a, b) => a.start - b.start)
    .map(word => {
      const key = word.text.toLowerCase()
      const occurrence = counts.get(key) ?? 0
      counts.set(key, occurrence + 1)
      return { ...word, occurrence }
    })
  return { words, problems: parsed.problems }
}

/** The word at a place, or that ends there. */
export function wordAt(words: readonly PromptWord[], at: number): PromptWord | undefined {
  return words.find(({ start, end }) => at >= start && at < end) ?? words.find(({ end }) => at === end)
}

/** The weight that a step up or down leads to, on the grid of steps. */
export function steppedWeight(weight: number, steps: number): number {
  const next = Math.round(weight / weightStep + steps) * weightStep
  return Number(Math.min(weightRange.most, Math.max(weightRange.least, next)).toFixed(2))
}

export interface TextEdit {
  readonly text: string
  /** Where the word stands now. */
  readonly word: Span
}

/**
 * The text in which a word weighs what is asked.
 * @returns undefined where the dialect has no form for it there
 */
export function weighWord(
  text: string,
  dialect: PromptDialect,
  span: Span,
  weight: number,
): TextEdit | undefined {
  if (dialect === 'plain') return undefined
  const target = Number(weight.toFixed(4))
  const bare = stripOwn(text, dialect, span)
  for (const candidate of candidates(bare, dialect, target)) {
    const found = weightAt(candidate.text, dialect, candidate.word)
    if (found !== undefined && Math.abs(found - target) < 0.006) return candidate
  }
  return undefined
}

/** Edits to try, the plainest first. */
function candidates(
  { text, word }: TextEdit,
  dialect: Exclude<PromptDialect, 'plain'>,
  target: number,
): TextEdit[] {
  const around = weightAt(text, dialect, word) ?? 1
  if (Math.abs(around - target) < 0.001) return [{ text, word }]
  const parted = partGroup(text, dialect, word, target)
  const factor = dialect === 'comfy' || around === 0 ? target : target / around
  return [...(parted ? [parted] : []), wrap(text, dialect, word, Number(factor.toFixed(3)))]
}

function wrap(text: string, dialect: PromptDialect, { start, end }: Span, weight: number): TextEdit {
  const inner = text.slice(start, end)
  const number = formatWeight(weight)
  const written = dialect === 'compel' ? `(${inner})${number}` : `(${inner}:${number})`
  return {
    text: text.slice(0, start) + written + text.slice(end),
    word: { start: start + 1, end: end + 1 },
  }
}

/** Takes away brackets and signs that belong to this word alone. */
function stripOwn(text: string, dialect: PromptDialect, span: Span): TextEdit {
  let [now, { start, end }] = [text, span]
  for (;;) {
    const before = now.slice(0, start)
    const after = now.slice(end)
    if (dialect === 'compel') {
      const signs = /^(?:\++|-+)(?=$|[\s(),."])/.exec(after)
      const closing = before.endsWith('(') && !before.endsWith('\\(') && /^\)(?:\++|-+|\d*\.?\d+)/.exec(after)
      if (signs) now = before + now.slice(start, end) + after.slice(signs[0].length)
      else if (closing) {
        now = before.slice(0, -1) + now.slice(start, end) + after.slice(closing[0].length)
        start--
        end--
      } else return { text: now, word: { start, end } }
      continue
    }
    const closing = /^\s*(?::\s*[+-]?[.\d]+\s*)?\)/.exec(after)
    const isRound = before.endsWith('(') && !before.endsWith('\\(') && closing
    const isSquare =
      dialect === 'a1111' && before.endsWith('[') && !before.endsWith('\\[') && /^\]/.exec(after)
    const taken = isRound || isSquare
    if (!taken) return { text: now, word: { start, end } }
    now = before.slice(0, -1) + now.slice(start, end) + after.slice(taken[0].length)
    start--
    end--
  }
}

/**
 * `(red car:1.2)`, with car to weigh 1.3, becomes `(red:1.2) (car:1.3)`: easier to read than brackets in brackets.
 * Only for a bracket with a number and without others inside.
 */
function partGroup(
  text: string,
  dialect: Exclude<PromptDialect, 'plain'>,
  { start, end }: Span,
  target: number,
): TextEdit | undefined {
  const pattern =
    dialect === 'compel' ? /\(([^()\\]*)\)(\d*\.?\d+)/g : /\(([^()[\]\\:]*):\s*([+-]?\d*\.?\d+)\s*\)/g
  for (const match of text.matchAll(pattern)) {
    const open = match.index
    const [whole, content = '', number = ''] = match
    const from = open + 1
    if (start < from || end > from + content.length) continue
    const group = Number(number)
    const write = (words: string, weight: number): string => {
      const [, lead = '', middle = '', tail = ''] = /^([\s,]*)([\s\S]*?)([\s,]*)$/.exec(words) ?? []
      if (middle === '' || Math.abs(weight - 1) < 0.001) return words
      const shown = formatWeight(Number(weight.toFixed(3)))
      return dialect === 'compel' ? `${lead}(${middle})${shown}${tail}` : `${lead}(${middle}:${shown})${tail}`
    }
    const word = text.slice(start, end)
    const left = write(content.slice(0, start - from), group)
    const middle = write(word, target)
    const right = write(content.slice(end - from), group)
    const at = open + left.length + middle.indexOf(word)
    return {
      text: text.slice(0, open) + left + middle + right + text.slice(open + whole.length),
      word: { start: at, end: at + word.length },
    }
  }
  return undefined
}

function weightAt(text: string, dialect: PromptDialect, { start, end }: Span): number | undefined {
  return readPrompt(text, dialect).words.find(word => word.start === start && word.end === end)?.weight
}

/** The prompt in another way of writing. */
export function rewritePrompt(
  text: string,
  from: PromptDialect,
  to: PromptDialect,
): { readonly text: string; readonly losses: number } {
  if (from === to) return { text, losses: 0 }
  if (to === 'plain') {
    const words = textPieces(parsePrompt(text, from)).map(piece => piece.text)
    return { text: words.join(''), losses: 0 }
  }
  const converted = convertText(text, from, to)
  return { text: converted.text, losses: converted.losses.length }
}

export { weightLaws }
export const ownLaw = (dialect: PromptDialect): WeightLaw => lawOfDialect(dialect)
