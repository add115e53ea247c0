/**
 * Text that remembers where it was typed. Prompts are taken apart and put together again (tags cut out, schedules
 * resolved, escapes undone), and every character that reaches the text encoder must still be found in the text as
 * typed: for the weights of a word, its map, and its highlight in an editor.
 */
import { invariant } from '../contract/errors.ts'

/** A range of the text as typed, in UTF-16 units. */
export interface Span {
  readonly start: number
  /** Behind the last unit. */
  readonly end: number
}

/** A text made of ranges of the text as typed; `text` is those ranges joined. */
export class SourceText {
  readonly text: string
  readonly runs: readonly Span[]
  /** Where each run begins in `text`. */
  private readonly offsets: readonly number[]

  private constructor(text: string, runs: readonly Span[]) {
    this.text = text
    this.runs = runs
    const offsets: number[] = []
    let offset = 0
    for (const { start, end } of runs) {
      offsets.push(offset)
      offset += end - start
    }
    invariant(offset === text.length, `SourceText: ${text.length} units in runs of ${offset}`)
    this.offsets = offsets
  }

  static readonly empty = new SourceText('', [])

  /** A whole text, every unit at its own place. */
  static of(text: string): SourceText {
    return text === '' ? SourceText.empty : new SourceText(text, [{ start: 0, end: text.length }])
  }

  /** The text of these ranges. */
  static ofRuns(source: string, runs: readonly Span[]): SourceText {
    return new SourceText(runs.map(({ start, end }) => source.slice(start, end)).join(''), runs)
  }

  /** Joins texts of one source; runs that touch become one. */
  static join(parts: readonly SourceText[]): SourceText {
    const runs: { start: number; end: number }[] = []
    for (const part of parts) {
      for (const { start, end } of part.runs) {
        const last = runs.at(-1)
        if (last && last.end === start) last.end = end
        else runs.push({ start, end })
      }
    }
    return new SourceText(parts.map(part => part.text).join(''), runs)
  }

  get length(): number {
    return this.text.length
  }

  slice(from: number, to = this.length): SourceText {
    if (from >= to) return SourceText.empty
    const runs: Span[] = []
    for (let index = this.runAt(from); index < this.runs.length; index++) {
      const run = this.runs[index] as Span
      const offset = this.offsets[index] as number
      if (offset >= to) break
      runs.push({
        start: run.start + Math.max(0, from - offset),
        end: Math.min(run.end, run.start + to - offset),
      })
    }
    return new SourceText(this.text.slice(from, to), runs)
  }

  /** The place, in the text as typed, of the unit at `index`; of the end for `index === length`. */
  at(index: number): number {
    if (this.runs.length === 0) return 0
    if (index >= this.length) return this.runs.at(-1)?.end ?? 0
    const run = this.runAt(index)
    return (this.runs[run]?.start ?? 0) + index - (this.offsets[run] ?? 0)
  }

  /** The range, in the text as typed, from the first unit of [from, to) to its last, and all that lies between. */
  span(from = 0, to = this.length): Span {
    if (from >= to) return { start: this.at(from), end: this.at(from) }
    return { start: this.at(from), end: this.at(to - 1) + 1 }
  }

  /** The run that holds the unit at `index`, by halving. */
  private runAt(index: number): number {
    let low = 0
    let high = this.offsets.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((this.offsets[middle] as number) <= index) low = middle
      else high = middle - 1
    }
    return low
  }
}

/** Ranges one after another; where the last touches the next, they become one. */
export function joinRuns(first: readonly Span[], second: readonly Span[]): Span[] {
  const [next, ...rest] = second
  const last = first.at(-1)
  if (!next || !last || last.end !== next.start) return [...first, ...second]
  return [...first.slice(0, -1), { start: last.start, end: next.end }, ...rest]
}

/** How bad it is: `error`, the text could not be read as meant; `warning`, it does something unexpected; `note`. */
export type ProblemLevel = 'error' | 'warning' | 'note'

/** Something a person should know of their prompt. The prompt is drawn all the same. */
export interface PromptProblem {
  readonly level: ProblemLevel
  readonly span: Span
  /** From 1. */
  readonly line: number
  /** From 1, in characters (code points). */
  readonly column: number
  readonly message: string
  /** What to do, one sentence. */
  readonly remedy: string
}

/** Collects the problems of one text, and tells line and column of each. */
export class Problems {
  readonly list: PromptProblem[] = []
  private readonly source: string

  constructor(source: string) {
    this.source = source
  }

  add(level: ProblemLevel, span: Span, message: string, remedy: string): void {
    // A hostile prompt may hold a hundred thousand brackets; nobody reads that many messages.
    if (this.list.length >= 100) return
    const before = this.source.slice(0, span.start)
    const lineStart = before.lastIndexOf('\n') + 1
    this.list.push({
      level,
      span,
      line: before.split('\n').length,
      column: Array.from(before.slice(lineStart)).length + 1,
      message,
      remedy,
    })
  }

  /** In the order of the text. */
  sorted(): PromptProblem[] {
    return this.list.toSorted((a, b) => a.span.start - b.span.start)
  }
}

/** The problem as one line: `line 1, column 7: …`. */
export function formatProblem({ line, column, message, remedy }: PromptProblem): string {
  return `${line === 1 ? '' : `line ${line}, `}column ${column}: ${message} ${remedy}`
}
