/**
 * Fragments of compel's dialect (damian0815/compel 2.5, `prompt_parser.py`, MIT; `doc/syntax.md`): `word++`, `word-`,
 * `(phrase)1.3`, `"phrase"+`, `.attend(1.3)`, `original.swap(edited, …)`, `withLora(name, 0.5)`.
 *
 * A word, a pair of brackets or a pair of quotes is a target; an operator must touch it. Outside of brackets anything
 * that is no target runs as text to the next white space; so `a(b)1.3` is text. Where compel gives up a whole bracket
 * (a lone `+`, an `=`), we take that sign as text and keep the bracket.
 */
import { deepestNesting, emptyPiece, finite, skipSpace } from './pieces.ts'
import { type Problems, SourceText, type Span } from './source.ts'
import type { PromptSwap, PromptTag, TextPiece } from './types.ts'

export const plusFactor = 1.1
export const minusFactor = 0.9

/** Signs with a meaning; a backslash before one makes it text. */
const syntax = '()",.+-='
const weightPattern = /\d+\.\d*|\.\d+|\d+/y
const operatorPattern = /\s*\.(attend|swap)\s*\(/y
const loraPattern = /(?:useLora|withLora)\s*\(\s*([\w-]+)\s*(?:,\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*)?\)/y

export interface Fragments {
  readonly pieces: readonly TextPiece[]
  readonly swaps: readonly PromptSwap[]
}

/** What a bracket or quote may be followed by. */
interface Target {
  readonly from: number
  readonly to: number
  /** Behind the closing sign. */
  readonly end: number
}

/** Reads fragments of one prompt text; brackets are paired once for the whole of it. */
export class CompelReader {
  readonly tags: PromptTag[] = []
  readonly source: string
  private readonly problems: Problems
  private readonly closers = new Map<number, number>()
  private pieces = new PieceCollector('')
  private swaps: PromptSwap[] = []

  constructor(source: string, problems: Problems) {
    this.source = source
    this.problems = problems
    this.pairSigns(0, source.length)
  }

  /** The place of the bracket or quote that closes the one at `open`, if there is one before `limit`. */
  closerOf(open: number, limit = this.source.length): number | undefined {
    const close = this.closers.get(open)
    return close !== undefined && close < limit ? close : undefined
  }

  /** The fragments of [from, to). */
  read(from: number, to: number, isInside: boolean): Fragments {
    this.pieces = new PieceCollector(this.source)
    this.swaps = []
    this.range(from, to, 1, isInside, 0)
    const pieces = this.pieces.finish(this.problems)
    return { pieces: pieces.length > 0 ? pieces : [emptyPiece(from)], swaps: this.swaps }
  }

  /** Pairs brackets, those inside of quotes by themselves. */
  private pairSigns(from: number, to: number): void {
    const { source } = this
    const stack: number[] = []
    const lastQuote = source.lastIndexOf('"', to - 1)
    for (let at = from; at < to; at++) {
      const sign = source[at]
      if (this.isEscape(at)) at++
      else if (sign === '(') stack.push(at)
      else if (sign === ')') {
        const open = stack.pop()
        if (open === undefined) this.unopened(at)
        else this.closers.set(open, at)
      } else if (sign === '"' && at < lastQuote && /^[\s(,)+-]?$/.test(source[at - 1] ?? '')) {
        const close = this.quoteAfter(at, to)
        if (close === undefined) continue
        this.closers.set(at, close)
        this.pairSigns(at + 1, close)
        at = close
      }
    }
    for (const open of stack) {
      this.problems.add(
        'warning',
        { start: open, end: open + 1 },
        'This "(" is never closed; it counts as text.',
        'Close it, or write \\( if it is meant as text.',
      )
    }
  }

  /** A backslash before a sign with a meaning; any other is text. */
  private isEscape(at: number): boolean {
    return this.source[at] === '\\' && syntax.includes(this.source[at + 1] ?? ' ')
  }

  private quoteAfter(open: number, to: number): number | undefined {
    for (let at = open + 1; at < to; at++) {
      if (this.isEscape(at)) at++
      else if (this.source[at] === '"') return at
    }
    return undefined
  }

  private unopened(at: number): void {
    this.problems.add(
      'warning',
      { start: at, end: at + 1 },
      'Nothing opens this ")"; it counts as text.',
      'Remove it, or write \\) if it is meant as text.',
    )
  }

  /** @param isInside within brackets or quotes, where commas and full stops part fragments. */
  private range(from: number, to: number, weight: number, isInside: boolean, depth: number): void {
    const { source } = this
    for (let at = skipSpace(source, from); at < to; at = skipSpace(source, at)) {
      const next = this.lora(at, to) ?? this.target(at, to, weight, isInside, depth)
      at = next ?? this.plainText(at, to, weight, isInside)
    }
  }

  private lora(at: number, to: number): number | undefined {
    loraPattern.lastIndex = at
    const match = /^[uw]$/.test(this.source[at] as string) ? loraPattern.exec(this.source) : null
    if (!match || at + match[0].length > to) return undefined
    const end = at + match[0].length
    const span = { start: at, end }
    this.tags.push({ name: 'lora', args: [match[1] as string, match[2] ?? '1'], named: {}, span })
    return end
  }

  /** A bracket, a quote or a word with an operator; or a bracket or quote alone. Returns the place behind it. */
  private target(
    at: number,
    to: number,
    weight: number,
    isInside: boolean,
    depth: number,
  ): number | undefined {
    const { source } = this
    const sign = source[at] as string
    if (sign === '(' || sign === '"') {
      const close = this.closerOf(at, to)
      if (close === undefined) return undefined
      if (depth >= deepestNesting) {
        this.tooDeep(at)
        return undefined
      }
      const target = { from: at + 1, to: close, end: close + 1 }
      const operated =
        this.operator(target, to, weight, depth) ?? this.suffix(target, to, weight, depth, true)
      if (operated !== undefined) return operated
      this.range(target.from, target.to, weight, true, depth + 1)
      if (!isInside) this.misplacedOperator(target.end, to)
      return target.end
    }
    const end = this.wordEnd(at, to)
    if (end === at) return undefined
    const word = { from: at, to: end, end }
    const operated = this.operator(word, to, weight, depth) ?? this.suffix(word, to, weight, depth, false)
    if (operated !== undefined) return operated
    if (!isInside) return undefined
    this.pieces.add(at, end, weight)
    return end
  }

  /** `+`, `++`, `-` … and behind brackets or quotes also a number. */
  private suffix(
    target: Target,
    to: number,
    weight: number,
    depth: number,
    takesNumber: boolean,
  ): number | undefined {
    const { source } = this
    const sign = target.end < to ? source[target.end] : undefined
    let end = target.end
    let factor: number
    if (sign === '+' || sign === '-') {
      while (end < to && source[end] === sign) end++
      factor = (sign === '+' ? plusFactor : minusFactor) ** (end - target.end)
      if (sign === '-' && !takesNumber && end === target.end + 1 && /\s/.test(source[end] ?? '')) {
        this.problems.add(
          'note',
          { start: target.end, end },
          'A hyphen behind a word weakens it (x0.9).',
          'Put a space before it if it is meant as a dash.',
        )
      }
    } else {
      weightPattern.lastIndex = target.end
      const match = takesNumber && sign !== undefined ? weightPattern.exec(source) : null
      if (!match) return undefined
      end += match[0].length
      if (end > to) return undefined
      factor = Number(match[0])
    }
    this.inside(target, weight * factor, depth)
    return end
  }

  /** `.attend(…)` and `.swap(…)`. */
  private operator(target: Target, to: number, weight: number, depth: number): number | undefined {
    const { source } = this
    operatorPattern.lastIndex = target.end
    const match = target.end < to ? operatorPattern.exec(source) : null
    if (!match) return undefined
    const open = target.end + match[0].length - 1
    const close = this.closerOf(open, to)
    if (close === undefined) return undefined
    const end = close + 1
    if (match[1] === 'swap') {
      this.swap(target, open + 1, close, weight, depth)
      return end
    }
    const written = source.slice(open + 1, close).trim()
    const factor = /^\++$/.test(written)
      ? plusFactor ** written.length
      : /^-+$/.test(written)
        ? minusFactor ** written.length
        : /^[+-]?(\d+\.?\d*|\.\d+)$/.test(written)
          ? Number(written)
          : undefined
    if (factor === undefined) {
      this.problems.add(
        'error',
        { start: open, end },
        `.attend() cannot use "${written}"; the weight is left as it is.`,
        'Write .attend(1.3), .attend(++) or .attend(--).',
      )
    }
    this.inside(target, weight * (factor ?? 1), depth)
    return end
  }

  private inside(target: Target, weight: number, depth: number): void {
    if (target.end > target.to) this.range(target.from, target.to, weight, true, depth + 1)
    else this.pieces.add(target.from, target.to, weight)
  }

  private swap(target: Target, from: number, to: number, weight: number, depth: number): void {
    const span: Span = { start: target.from, end: to + 1 }
    this.pieces.part()
    const first = this.pieces.count
    this.inside(target, weight, depth)
    // An empty original is a place where the edited words are added.
    this.pieces.part()
    const at = [first, this.pieces.count] as const
    const comma = this.commaAfter(from, to)
    const outer = this.pieces
    const outerSwaps = this.swaps
    this.pieces = new PieceCollector(this.source)
    this.swaps = []
    this.range(from, comma ?? to, weight, true, depth + 1)
    const edited = this.pieces.finish(this.problems)
    if (this.swaps.length > 0) {
      this.problems.add(
        'error',
        span,
        '.swap() inside of .swap() is not possible; the inner one is not made.',
        'Put them one after another.',
      )
    }
    this.pieces = outer
    this.swaps = outerSwaps
    this.swaps.push({ at, edited, ...this.swapWindows(comma === undefined ? to : comma + 1, to), span })
  }

  /** `s_start=0.1, shape_freedom=0.5`: defaults and shape_freedom as compel has them. */
  private swapWindows(from: number, to: number): Pick<PromptSwap, 'sStart' | 'sEnd' | 'tStart' | 'tEnd'> {
    const values: Record<string, number> = {}
    for (const { text, span } of this.list(from, to)) {
      const match = /^(s_start|s_end|t_start|t_end|shape_freedom)\s*=\s*([+-]?(?:\d+\.?\d*|\.\d+))$/.exec(
        text,
      )
      const value = Number(match?.[2])
      if (match && value >= 0 && value <= 1) values[match[1] as string] = value
      else if (text !== '') {
        this.problems.add(
          'error',
          span,
          `.swap() cannot use "${text}"; it is left out.`,
          'It takes s_start, s_end, t_start, t_end and shape_freedom, each = a number from 0 to 1.',
        )
      }
    }
    const freedom = values['shape_freedom']
    return {
      sStart: values['s_start'] ?? 0,
      sEnd: values['s_end'] ?? (freedom === undefined ? 0 : 1 - Math.cbrt(freedom)),
      tStart: values['t_start'] ?? 0.2,
      tEnd: values['t_end'] ?? 1,
    }
  }

  /** The items of a list in brackets, at its own commas. */
  list(from: number, to: number): { text: string; span: Span }[] {
    const items: { text: string; span: Span }[] = []
    for (let begin = from; begin <= to; ) {
      const end = this.commaAfter(begin, to) ?? to
      const start = Math.min(skipSpace(this.source, begin), end)
      const text = this.source.slice(start, end).trimEnd()
      items.push({ text, span: { start, end: start + text.length } })
      begin = end + 1
    }
    return items
  }

  private commaAfter(from: number, to: number): number | undefined {
    for (let at = from; at < to; at++) {
      const sign = this.source[at]
      if (this.isEscape(at)) at++
      else if (sign === ',') return at
      else if (sign === '(' || sign === '"') at = this.closerOf(at, to) ?? at
    }
    return undefined
  }

  /** Behind the last sign of a word without syntax. */
  private wordEnd(from: number, to: number): number {
    const { source } = this
    let at = from
    for (; at < to; at++) {
      const sign = source[at] as string
      if (/\s/.test(sign)) break
      if (this.isEscape(at) && at + 1 < to) at++
      else if (sign === '+' || sign === '-') {
        // Within a word it is text: hot-dog, rock+roll.
        const next = at + 1 < to ? (source[at + 1] as string) : ' '
        if (/\s/.test(next) || syntax.includes(next)) break
      } else if (syntax.includes(sign)) break
    }
    return at
  }

  /** Text that is no target: to the next white space outside of brackets, one sign inside. */
  private plainText(at: number, to: number, weight: number, isInside: boolean): number {
    let end = at + 1
    if (!isInside) while (end < to && !/\s/.test(this.source[end] as string)) end++
    this.pieces.add(at, end, weight)
    return end
  }

  private misplacedOperator(at: number, to: number): void {
    const match = /^\s*\.(blend|and|add)\s*\(/.exec(this.source.slice(at, Math.min(at + 32, to)))
    if (!match) return
    this.problems.add(
      'error',
      { start: at, end: at + match[0].length },
      `.${match[1]}() must stand at the very beginning of the prompt; here it counts as text.`,
      `Put everything into one ("…", "…").${match[1]}().`,
    )
  }

  private tooDeep(at: number): void {
    this.problems.add(
      'error',
      { start: at, end: at + 1 },
      `Brackets are nested more than ${deepestNesting} deep; this one counts as text.`,
      'Use a number: (word)1.5.',
    )
  }
}

/** Joins words of equal weight where white space parts them in the text as typed. */
class PieceCollector {
  private readonly source: string
  private readonly found: { weight: number; texts: SourceText[]; end: number }[] = []
  private isParted = true

  constructor(source: string) {
    this.source = source
  }

  get count(): number {
    return this.found.length
  }

  /** What comes next begins a piece of its own. */
  part(): void {
    this.isParted = true
  }

  add(from: number, to: number, weight: number): void {
    const { source } = this
    const last = this.found.at(-1)
    const texts = this.withoutEscapes(from, to)
    const gap = last ? source.slice(last.end, from) : ''
    const space = gap.search(/\s/)
    if (last && !this.isParted && last.weight === weight && (gap === '' || space >= 0)) {
      const whole = SourceText.of(source)
      if (gap.trim() === '') last.texts.push(whole.slice(last.end, from))
      else last.texts.push(whole.slice(last.end + space, last.end + space + 1))
      last.texts.push(...texts)
      last.end = to
    } else {
      this.found.push({ weight, texts, end: to })
    }
    this.isParted = false
  }

  finish(problems: Problems): TextPiece[] {
    return this.found.map(({ weight, texts }) => {
      const text = SourceText.join(texts)
      const span = text.span()
      return {
        kind: 'text',
        text: text.text,
        weight: finite(weight, span, problems),
        runs: text.runs,
        span,
      }
    })
  }

  private withoutEscapes(from: number, to: number): SourceText[] {
    const whole = SourceText.of(this.source)
    const texts: SourceText[] = []
    let begin = from
    for (let at = from; at + 1 < to; at++) {
      if (this.source[at] !== '\\' || !syntax.includes(this.source[at + 1] as string)) continue
      texts.push(whole.slice(begin, at))
      begin = ++at
    }
    texts.push(whole.slice(begin, to))
    return texts
  }
}
