/**
 * Emphasis and BREAK of AUTOMATIC1111's dialect, the last of its passes: `(strong)`, `[weak]`, `(exact:1.3)`.
 *
 * Factors multiply through nesting, explicit numbers too; round and square brackets are counted apart, so that they
 * may cross; brackets that nothing closes act up to the end. Behaviour: `modules/prompt_parser.py` of that program, as
 * it is publicly described; the code is ours.
 */
import { type Draft, deepestNesting, mergePieces, skipSpace, skipSpaceBack, wholeWords } from './pieces.ts'
import type { Problems, SourceText } from './source.ts'
import type { Piece } from './types.ts'

export const roundFactor = 1.1
export const squareFactor = 1 / 1.1

/** `:1.3)` with blanks around the number, and whatever is made of dots and digits. */
const numberAndCloser = /:\s*([+-]?[.\d]+)\s*\)/y

interface Opened {
  /** Index of the first draft inside. */
  readonly draft: number
  /** Place in the text. */
  readonly at: number
}

/** @param text after tags, AND and schedules were taken out of it. */
export function parseEmphasis(text: SourceText, problems: Problems): Piece[] {
  return new EmphasisParser(text, problems).parse()
}

class EmphasisParser {
  private readonly source: SourceText
  private readonly text: string
  private readonly problems: Problems
  private readonly drafts: (Draft & { readonly isBreak?: boolean })[] = []
  private readonly round: Opened[] = []
  private readonly square: Opened[] = []
  /** Where text begins that is not yet a draft. */
  private pending = 0

  constructor(source: SourceText, problems: Problems) {
    this.source = source
    this.text = source.text
    this.problems = problems
  }

  parse(): Piece[] {
    const { text } = this
    let at = 0
    while (at < text.length) {
      const end = this.syntaxAt(at)
      if (end > at) this.pending = end
      at = Math.max(end, at + 1)
    }
    this.flush(text.length)
    this.closeAtEnd(this.round, '(', roundFactor)
    this.closeAtEnd(this.square, '[', squareFactor)
    return this.finish()
  }

  /** Handles syntax that begins at a place; returns the place behind it, or `at` itself for text. */
  private syntaxAt(at: number): number {
    const { text } = this
    switch (text[at]) {
      case '\\': {
        const next = text[at + 1]
        if (next === undefined || !'()[]\\'.includes(next)) return at
        this.flush(at)
        // The escaped sign is a draft of its own: BREAK is looked for in unescaped text only.
        this.push(this.source.slice(at + 1, at + 2))
        return at + 2
      }
      case '(':
        return this.open(this.round, at)
      case '[':
        return this.open(this.square, at)
      case ':':
        return this.closeWithNumber(at)
      case ')':
        return this.close(this.round, at, roundFactor)
      case ']':
        return this.close(this.square, at, squareFactor)
      default:
        return at
    }
  }

  private open(stack: Opened[], at: number): number {
    if (stack.length >= deepestNesting) {
      this.problems.add(
        'error',
        this.source.span(at, at + 1),
        `Brackets are nested more than ${deepestNesting} deep; this one counts as text.`,
        'Use a number: (word:1.5).',
      )
      return at
    }
    this.flush(at)
    stack.push({ draft: this.drafts.length, at })
    return at + 1
  }

  private close(stack: Opened[], at: number, factor: number): number {
    if (stack.length === 0) {
      this.problems.add(
        'warning',
        this.source.span(at, at + 1),
        `Nothing opens this "${this.text[at]}"; it counts as text.`,
        `Remove it, or write \\${this.text[at]} if it is meant as text.`,
      )
      return at
    }
    this.flush(at)
    this.multiply((stack.pop() as Opened).draft, factor)
    return at + 1
  }

  private closeWithNumber(at: number): number {
    numberAndCloser.lastIndex = at
    const match = numberAndCloser.exec(this.text)
    if (!match) return at
    const end = at + match[0].length
    const written = match[1] as string
    const value = /^[+-]?(\d+\.?\d*|\.\d+)$/.test(written) ? Number(written) : NaN
    if (!Number.isFinite(value)) {
      this.problems.add(
        'error',
        this.source.span(at, end),
        `"${written}" is not a number; it counts as text.`,
        'Write a weight such as (word:1.3).',
      )
      return at
    }
    const opened = this.round.pop()
    if (!opened) {
      this.problems.add(
        'warning',
        this.source.span(at, end),
        `Nothing opens the bracket that ends in "${match[0]}"; it counts as text.`,
        'Put a ( where the weight is to begin.',
      )
      // The whole closer is text, bracket and all, as in A1111; so it is stepped over here.
      this.flush(end)
      return end
    }
    this.flush(at)
    this.multiply(opened.draft, value)
    return end
  }

  private closeAtEnd(stack: readonly Opened[], sign: string, factor: number): void {
    for (const { draft, at } of stack) {
      this.multiply(draft, factor)
      this.problems.add(
        'warning',
        this.source.span(at, at + 1),
        `This "${sign}" is never closed: it acts up to the end of the prompt.`,
        `Close it, or write \\${sign} if it is meant as text.`,
      )
    }
  }

  private multiply(from: number, factor: number): void {
    for (let index = from; index < this.drafts.length; index++) {
      const draft = this.drafts[index]
      if (draft) draft.weight *= factor
    }
  }

  /** Text up to `end` becomes drafts, parted at BREAK, which eats the white space around it. */
  private flush(end: number): void {
    const from = this.pending
    this.pending = Math.max(from, end)
    if (from >= end) return
    let begin = from
    for (const found of wholeWords(this.text.slice(from, end), 'BREAK')) {
      const at = from + found
      this.push(this.source.slice(begin, skipSpaceBack(this.text, at, begin)))
      this.drafts.push({ text: this.source.slice(at, at + 5), weight: -1, isBreak: true })
      begin = Math.min(skipSpace(this.text, at + 5), end)
    }
    this.push(this.source.slice(begin, end))
  }

  private push(text: SourceText): void {
    if (text.length > 0) this.drafts.push({ text, weight: 1 })
  }

  /**
   * A BREAK is a mark of weight -1. Inside emphasis its weight changes, and then it is no mark any more but the word
   * "BREAK" with a negative weight: A1111's behaviour, kept, and pointed at.
   */
  private finish(): Piece[] {
    const pieces: Piece[] = []
    let group: Draft[] = []
    const end = this.source.at(this.source.length)
    const start = this.source.at(0)
    const close = () => {
      if (group.length > 0) pieces.push(...mergePieces(group, this.problems, start))
      group = []
    }
    for (const draft of this.drafts) {
      if (draft.isBreak && draft.weight === -1) {
        close()
        pieces.push({ kind: 'break', span: draft.text.span() })
        continue
      }
      if (draft.isBreak) {
        this.problems.add(
          'warning',
          draft.text.span(),
          'BREAK inside brackets does not break: its own weight changes, and it is read as the word "BREAK".',
          'Close the bracket before BREAK and open it again behind.',
        )
      }
      group.push(draft)
    }
    close()
    return pieces.some(piece => piece.kind === 'text')
      ? pieces
      : [...pieces, ...mergePieces([], this.problems, end)]
  }
}
