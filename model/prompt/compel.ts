/**
 * The dialect of compel and InvokeAI: fragments (see compel-fragments.ts), and around the whole prompt
 * `("a", "b").blend(1, 0.8)`, which mixes encodings, or `("a", "b").and()`, which puts them one after another.
 */
import { CompelReader } from './compel-fragments.ts'
import { finite, skipSpace } from './pieces.ts'
import { Problems, type Span } from './source.ts'
import type { ParsedPrompt, PromptPart, PromptText } from './types.ts'

interface Composed {
  readonly operator: 'blend' | 'and'
  readonly members: readonly Span[]
  readonly arguments: readonly { readonly text: string; readonly span: Span }[]
  /** Behind the closing bracket of the arguments. */
  readonly end: number
  readonly span: Span
}

export function parseCompel(source: string): ParsedPrompt {
  const problems = new Problems(source)
  const reader = new CompelReader(source, problems)
  const start = skipSpace(source, 0)
  const composed = readComposed(reader, start, source.length)
  const parts = composed
    ? partsOf(reader, composed, problems)
    : [partOf([textOf(reader, 0, source.length, 1, false)], 1)]
  if (composed) parts.push(...trailing(reader, composed, problems))
  const swapInParts = parts.find(part => part.texts.length > 1 && part.texts.some(text => text.swaps.length))
  if (swapInParts) {
    problems.add('error', swapInParts.span, 'A blend cannot hold a .swap().', 'Take it out of the blend.')
  }
  return {
    dialect: 'compel',
    source,
    composition: parts.length > 1 ? 'concat' : 'single',
    parts,
    tags: reader.tags,
    problems: problems.sorted(),
  }
}

/** `(member, member).operator(arguments)` at a place, if it is there. */
function readComposed(reader: CompelReader, at: number, to: number): Composed | undefined {
  const { source } = reader
  if (source[at] !== '(') return undefined
  const close = reader.closerOf(at, to)
  if (close === undefined) return undefined
  const pattern = /\s*\.(blend|and|add)\s*\(/y
  pattern.lastIndex = close + 1
  const match = pattern.exec(source)
  if (!match) return undefined
  const open = close + match[0].length
  const end = reader.closerOf(open, to)
  if (end === undefined) return undefined
  return {
    operator: match[1] === 'blend' ? 'blend' : 'and',
    members: reader.list(at + 1, close).map(({ span }) => span),
    arguments: reader.list(open + 1, end).filter(({ text }) => text !== ''),
    end: end + 1,
    span: { start: at, end: end + 1 },
  }
}

function partsOf(reader: CompelReader, composed: Composed, problems: Problems): PromptPart[] {
  const { members, operator } = composed
  const { weights, normalized } = readWeights(composed, problems)
  if (operator === 'blend') {
    const texts = members.map((member, index) => member && memberText(reader, member, weights[index] ?? 1))
    return [partOf(texts, 1, normalized, composed.span)]
  }
  return members.map((member, index) => {
    const weight = weights[index] ?? 1
    const inner = readComposed(reader, member.start, member.end)
    if (inner?.operator === 'blend' && inner.end === member.end) {
      // compel cannot nest these; the meaning is plain all the same.
      const [part] = partsOf(reader, inner, problems)
      if (part) return { ...part, weight }
    }
    return partOf([memberText(reader, member, 1)], weight, true, member)
  })
}

/** A member is one quoted text, or fragments. */
function memberText(reader: CompelReader, { start, end }: Span, weight: number): PromptText {
  const isQuoted = reader.source[start] === '"' && reader.closerOf(start, end) === end - 1
  return isQuoted
    ? textOf(reader, start + 1, end - 1, weight, true)
    : textOf(reader, start, end, weight, true)
}

function textOf(
  reader: CompelReader,
  from: number,
  to: number,
  weight: number,
  isInside: boolean,
): PromptText {
  const { pieces, swaps } = reader.read(from, to, isInside)
  return { weight, pieces, swaps, span: { start: from, end: to } }
}

function partOf(texts: readonly PromptText[], weight: number, normalized = true, span?: Span): PromptPart {
  return { weight, texts, normalized, span: span ?? texts[0]?.span ?? { start: 0, end: 0 } }
}

function readWeights(
  { arguments: list, members, operator, span }: Composed,
  problems: Problems,
): { weights: number[]; normalized: boolean } {
  const weights: number[] = []
  let normalized = true
  for (const { text, span: at } of list) {
    if (operator === 'blend' && text === 'no_normalize') normalized = false
    else if (/^[+-]?(\d+\.?\d*|\.\d+)$/.test(text)) weights.push(finite(Number(text), at, problems))
    else {
      problems.add(
        'error',
        at,
        `.${operator}() cannot use "${text}"; it is left out.`,
        operator === 'blend' ? 'It takes numbers, and no_normalize at the end.' : 'It takes numbers.',
      )
    }
  }
  if (weights.length > 0 && weights.length !== members.length) {
    problems.add(
      'error',
      span,
      `.${operator}() has ${members.length} texts and ${weights.length} weights; missing ones count as 1.`,
      'Give one weight for each text, or none.',
    )
  }
  const used = members.map((_, index) => weights[index] ?? 1)
  if (operator === 'blend' && normalized && Math.abs(used.reduce((sum, each) => sum + each, 0)) < 1e-6) {
    problems.add(
      'error',
      span,
      'The weights of this blend add up to 0, and cannot be normalised; they are used as they are.',
      'Change a weight, or add no_normalize.',
    )
    normalized = false
  }
  return { weights: used, normalized }
}

/** Words behind the composition. compel loses or refuses them; here they are one more text. */
function trailing(reader: CompelReader, { end, operator }: Composed, problems: Problems): PromptPart[] {
  const from = skipSpace(reader.source, end)
  if (from >= reader.source.length) return []
  const text = textOf(reader, from, reader.source.length, 1, false)
  if (text.pieces.every(piece => piece.kind === 'text' && piece.text === '')) return []
  problems.add(
    'error',
    { start: from, end: reader.source.length },
    `Words behind .${operator}() are no part of it; they are drawn as one more text beside it.`,
    'Move them into the quotes.',
  )
  return [partOf([text], 1)]
}
