/**
 * The dialect of AUTOMATIC1111 and Forge, pass by pass in their order: `<name:args>` tags are taken out, the rest is
 * split at AND, each part gives up a trailing `:weight`, then schedules, then emphasis and BREAK.
 */
import { parseEmphasis } from './a1111-emphasis.ts'
import { parseSchedule } from './a1111-schedule.ts'
import { finite, wholeWords } from './pieces.ts'
import { Problems, SourceText, type Span } from './source.ts'
import { runsAt } from './timeline.ts'
import type { ParsedPrompt, Piece, PromptPart, PromptTag, ScheduleNode } from './types.ts'

export interface A1111Options {
  /**
   * Splits at AND. Off for negative prompts: A1111 does not look for it there, and neither for a trailing weight.
   */
  readonly composes?: boolean
}

export function parseA1111(source: string, options: A1111Options = {}): ParsedPrompt {
  const { composes = true } = options
  const problems = new Problems(source)
  const { text, tags } = takeTags(source)
  const sections = composes ? splitAtAnd(text, problems) : [{ text, weight: 1 }]
  const parts = sections.map(section => parsePart(section.text, section.weight, source, problems))
  return {
    dialect: 'a1111',
    source,
    composition: parts.length > 1 ? 'noise' : 'single',
    parts,
    tags,
    problems: problems.sorted(),
  }
}

/** The pieces of one state of a schedule (a segment's runs). Its problems are those of the whole, so not told again. */
export function parseA1111State(source: string, runs: readonly Span[]): Piece[] {
  return parseEmphasis(SourceText.ofRuns(source, runs), new Problems(source))
}

function parsePart(text: SourceText, weight: number, source: string, problems: Problems): PromptPart {
  const schedule = parseSchedule(text, problems)
  const first = schedule ? SourceText.ofRuns(source, firstState(schedule)) : text
  const pieces = parseEmphasis(first, problems)
  if (schedule) checkOtherStates(schedule, source, problems)
  const span = text.span()
  return {
    weight,
    texts: [{ weight: 1, pieces, swaps: [], span }],
    normalized: true,
    ...(schedule && { schedule }),
    span,
  }
}

/** Before any switch, and the first of every alternation. */
function firstState(nodes: readonly ScheduleNode[]): readonly Span[] {
  // In a run of endless steps nothing has switched at the first, unless it was never to hold at all.
  return runsAt(nodes, 1, { calls: Number.MAX_SAFE_INTEGER })
}

/** Problems of texts that come later: a bracket that nothing closes there, for one. */
function checkOtherStates(nodes: readonly ScheduleNode[], source: string, problems: Problems): void {
  const later = new Problems(source)
  parseEmphasis(SourceText.ofRuns(source, runsAt(nodes, 2, { calls: 1 })), later)
  for (const { level, span, message, remedy } of later.list) {
    const isKnown = problems.list.some(known => known.span.start === span.start && known.message === message)
    if (!isKnown) problems.add(level, span, message, remedy)
  }
}

/** Cuts out `<name:args>`: a word, a colon, anything but `>`. */
function takeTags(source: string): { text: SourceText; tags: PromptTag[] } {
  const tags: PromptTag[] = []
  if (!source.includes('<')) return { text: SourceText.of(source), tags }
  const whole = SourceText.of(source)
  const kept: SourceText[] = []
  let from = 0
  // Behind the last `>` no tag can end: searching there would take a hostile text quadratic time.
  const searched = source.slice(0, source.lastIndexOf('>') + 1)
  for (const match of searched.matchAll(/<([\p{L}\p{N}_]+):([^>]+)>/gu)) {
    const [written, name = '', list = ''] = match
    const end = match.index + written.length
    kept.push(whole.slice(from, match.index))
    from = end
    const args = list.split(':')
    const named: Record<string, string> = {}
    for (const each of args) {
      const equals = each.indexOf('=')
      if (equals > 0) named[each.slice(0, equals).trim()] = each.slice(equals + 1).trim()
    }
    tags.push({
      name,
      args: args.filter(each => each.indexOf('=') <= 0),
      named,
      span: { start: match.index, end },
    })
  }
  kept.push(whole.slice(from))
  return { text: SourceText.join(kept), tags }
}

function splitAtAnd(text: SourceText, problems: Problems): { text: SourceText; weight: number }[] {
  const places = wholeWords(text.text, 'AND')
  const sections: { text: SourceText; weight: number }[] = []
  let from = 0
  for (const at of [...places, text.length]) {
    const section = text.slice(from, at)
    if (at < text.length && isInsideBrackets(text.text, from, at)) {
      problems.add(
        'warning',
        text.span(at, at + 3),
        'AND inside brackets splits the prompt there all the same; the brackets act on each half alone.',
        'Close the brackets before AND, or write "and" in small letters.',
      )
    }
    sections.push(takeWeight(section, places.length > 0, problems))
    from = at + 3
  }
  return sections
}

/** More brackets open than close between two places (escaped ones do not count). */
function isInsideBrackets(text: string, from: number, to: number): boolean {
  let depth = 0
  for (let at = from; at < to; at++) {
    const sign = text[at]
    if (sign === '\\') at++
    else if (sign === '(' || sign === '[') depth++
    else if (sign === ')' || sign === ']') depth = Math.max(0, depth - 1)
  }
  return depth > 0
}

/** `text :1.2` at the end of a part. A1111 looks for it even where there is no AND. */
function takeWeight(
  text: SourceText,
  isComposed: boolean,
  problems: Problems,
): { text: SourceText; weight: number } {
  const trimmed = text.text.trimEnd()
  // Only the tail is looked at, so that no pattern has to search a long text.
  const tail = trimmed.slice(-64)
  const match = /\s*:\s*([+-]?(?:\d+\.?\d*|\.\d+))$/.exec(tail)
  if (!match) return { text: text.slice(0, trimmed.length), weight: 1 }
  const at = trimmed.length - match[0].length
  const span = text.span(at, trimmed.length)
  if (!isComposed) {
    problems.add(
      'warning',
      span,
      `A colon and a number at the very end weigh the whole prompt, as in A1111 (here ${match[1]}).`,
      'Put a full stop behind the number if it is meant as text, or brackets around what it weighs.',
    )
  }
  return { text: text.slice(0, at), weight: finite(Number(match[1]), span, problems) }
}
