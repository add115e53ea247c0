/**
 * compel's `original.swap(edited, s_start=…, t_end=…)` as two prompts and their windows: one text in which every swap is
 * its original words, one in which it is the edited words. Both are the text as typed with the swaps cut out of it, so
 * they mean to the parser what the whole meant: weights around a swap, quotes, blends and `.and()` stay.
 *
 * Source: damian0815/compel `doc/syntax.md`; `s` is the window of self-attention, `t` that of cross-attention.
 */
import type { ControlWindow, EditControl } from '../../contract/controls.ts'
import { parseCompel } from '../../prompt/compel.ts'
import { CompelReader } from '../../prompt/compel-fragments.ts'
import { type PromptProblem, Problems, type Span } from '../../prompt/source.ts'
import type { ParsedPrompt, PromptSwap } from '../../prompt/types.ts'

export interface SwappedWords {
  /** As typed, without quotes and brackets around the whole. */
  readonly original: string
  readonly edited: string
  /** For the window of single words. */
  readonly cross: ControlWindow
  readonly self: ControlWindow
  /** The whole swap in the text as typed. */
  readonly span: Span
}

/** `source` and the fields of `EditControl` that a prompt with swaps asks for. */
export interface SwapPrompts extends Pick<EditControl, 'cross' | 'crossWords' | 'self'> {
  /** With the original words: `EditControl.sourcePrompt`. */
  readonly source: string
  /** With the edited words: the prompt of the request. */
  readonly target: string
  readonly swaps: readonly SwappedWords[]
  readonly problems: readonly PromptProblem[]
}

/**
 * The two prompts of a parsed text with swaps; undefined where it has none.
 *
 * When the swaps name different windows, each swap's edited words have their own cross window and other words the
 * widest; self-attention knows no words, and takes the widest.
 */
export function swapPrompts(parsed: ParsedPrompt): SwapPrompts | undefined {
  const { reader, cuts } = cutsOf(parsed)
  if (cuts.length === 0) return undefined
  const problems = new Problems(parsed.source)
  let end = 0
  const outer = cuts.filter(({ span }) => span.end > end && (end = span.end))
  const whole = { start: 0, end: parsed.source.length }
  const swaps = outer.map(({ swap, original }) => ({
    original: surgery(reader, cuts, 'original', original.inner).trim(),
    edited: swap.edited
      .map(({ text }) => text)
      .join(' ')
      .replace(/\s+/g, ' ')
      .trim(),
    cross: windowOf(swap.tStart, swap.tEnd, swap.span, problems),
    self: windowOf(swap.sStart, swap.sEnd, swap.span, problems),
    span: swap.span,
  }))
  const cross = widest(swaps.map(swap => swap.cross))
  const self = widest(swaps.map(swap => swap.self))
  for (const swap of swaps.slice(1)) {
    if (same(swap.self, swaps[0]?.self ?? self)) continue
    problems.add(
      'warning',
      swap.span,
      `The swaps have different windows of self-attention (s_start, s_end); the widest counts for all: ${self.start} to ${self.end}.`,
      'Self-attention knows no words: give all swaps the same s_start and s_end.',
    )
    break
  }
  return {
    source: surgery(reader, cuts, 'original', whole),
    target: swapless(surgery(reader, cuts, 'edited', whole)),
    cross,
    self,
    crossWords: swaps
      .filter(swap => swap.edited !== '' && !same(swap.cross, cross))
      .map(swap => ({ phrase: swap.edited, window: swap.cross })),
    swaps,
    problems: problems.sorted(),
  }
}

/** Ranges of the text as typed. */
interface Words {
  readonly typed: Span
  /** Without brackets and quotes around the whole. */
  readonly inner: Span
}

interface Cut {
  readonly swap: PromptSwap
  /** From the first sign of the original, brackets included, to the last bracket of the swap. */
  readonly span: Span
  readonly original: Words
  readonly edited: Words
}

const operator = /\s*\.swap\s*\(/y
const chained = /(\s*)\.(?:attend|swap|blend|and|add)\s*\(/y

/** All swaps in the order of the text; one in the original of another comes behind it. */
function cutsOf({ source, parts }: ParsedPrompt): { readonly reader: CompelReader; readonly cuts: Cut[] } {
  // The parser has told its problems already.
  const reader = new CompelReader(source, new Problems(source))
  const cuts = parts
    .flatMap(part => part.texts.flatMap(text => text.swaps))
    .map(swap => cutOf(reader, swap))
    .toSorted((a, b) => a.span.start - b.span.start || b.span.end - a.span.end)
  return { reader, cuts }
}

/** Finds the parts of a swap in the text as typed; its span begins behind an opening bracket or quote. */
function cutOf(reader: CompelReader, swap: PromptSwap): Cut {
  const { span } = swap
  const { source } = reader
  const close = span.end - 1
  const argumentsAt = (at: number): number | undefined => {
    operator.lastIndex = at
    const match = operator.exec(source)
    const open = match ? at + match[0].length - 1 : -1
    return match && reader.closerOf(open) === close ? open + 1 : undefined
  }
  let [from, to] = [span.start, span.start]
  let start = from
  let args: number | undefined
  const closer = /^["(]$/.test(source[from - 1] ?? '') ? reader.closerOf(from - 1, close) : undefined
  if (closer !== undefined) args = argumentsAt(closer + 1)
  if (args !== undefined) {
    start = from - 1
    to = closer as number
  } else {
    while (to < close && (args = argumentsAt(to)) === undefined) to++
  }
  const [edited] = reader.list(args ?? close, close)
  return {
    swap,
    span: { start, end: span.end },
    original: wordsOf(reader, { start, end: start < from ? to + 1 : to }),
    edited: wordsOf(reader, edited?.span ?? { start: close, end: close }),
  }
}

function wordsOf(reader: CompelReader, { start, end }: Span): Words {
  const { source } = reader
  let [from, to] = [start, end]
  while (to - from > 1 && /["(]/.test(source[from] ?? '') && reader.closerOf(from) === to - 1) {
    from++
    to--
  }
  return { typed: { start, end }, inner: { start: from, end: to } }
}

/** A range of the text with one side of each swap in it. */
function surgery(
  reader: CompelReader,
  cuts: readonly Cut[],
  side: 'original' | 'edited',
  { start, end }: Span,
): string {
  const { source } = reader
  const inside = cuts.filter(({ span }) => span.start >= start && span.end <= end)
  if (inside.length === 0) return source.slice(start, end)
  let result = ''
  let at = start
  for (const [index, cut] of inside.entries()) {
    if (cut.span.start < at) continue
    let behind = index + 1
    while ((inside[behind]?.span.start ?? end) < cut.span.end) behind++
    const nested = inside.slice(index + 1, behind)
    result += source.slice(at, cut.span.start)
    at = cut.span.end
    const words = cut[side]
    const inner = surgery(reader, nested, side, words.inner)
    const [opening, closing] = [
      source.slice(words.typed.start, words.inner.start),
      source.slice(words.inner.end, words.typed.end),
    ]
    const next = source[at] ?? ' '
    if (inner.trim() === '') {
      // Nothing stands here: one space is enough.
      if (/\s$/.test(result) || result === '') while (at < end && /\s/.test(source[at] ?? '')) at++
      else if (/\S/.test(next)) result += ' '
    } else {
      // Signs have a meaning where they touch: words with any are read in brackets, as the arguments of a swap are.
      const isPlain = /^[\p{L}\p{N}\s]+$/u.test(inner)
      if (/[^\s("]$/.test(result)) result += ' '
      if (isPlain) result += inner.trim()
      else result += opening === '' ? `(${inner})` : opening + inner + closing
      if (/[^\s,)"]/.test(next) || (next === '"' && reader.closerOf(at) !== undefined)) result += ' '
    }
    // What was text because a swap stood before it stays text.
    chained.lastIndex = at
    const space = chained.exec(source)?.[1]
    if (space !== undefined) {
      result += `${space}\\`
      at += space.length
    }
  }
  return result + source.slice(at, end)
}

/** A swap among edited words is not made, as the parser has said: its original stays. */
function swapless(text: string): string {
  const { reader, cuts } = cutsOf(parseCompel(text))
  return surgery(reader, cuts, 'original', { start: 0, end: text.length })
}

function windowOf(start: number, end: number, span: Span, problems: Problems): ControlWindow {
  if (start <= end) return { start, end }
  problems.add(
    'warning',
    span,
    `A window of this .swap() ends at ${end}, before it starts at ${start}: it holds nothing.`,
    'Let it start before its end.',
  )
  return { start, end: start }
}

/** From the first start to the last end of windows with a length. */
function widest(windows: readonly ControlWindow[]): ControlWindow {
  const long = windows.filter(({ start, end }) => start < end)
  if (long.length === 0) return windows[0] ?? { start: 0, end: 0 }
  return {
    start: Math.min(...long.map(({ start }) => start)),
    end: Math.max(...long.map(({ end }) => end)),
  }
}

function same(a: ControlWindow, b: ControlWindow): boolean {
  return a.start === b.start && a.end === b.end
}
