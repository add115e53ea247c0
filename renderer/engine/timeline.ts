/**
 * What of a request happens at certain steps, and how its text changes when a person moves it: schedules of A1111's
 * dialect, swaps of compel's, weight curves. The text stays the truth: each move is an edit that is read again.
 */
import type { PromptDialect, WeightCurve } from '../../model/contract/prompt.ts'
import { phrasePlaces } from '../../model/prompt/curves.ts'
import { parsePrompt } from '../../model/prompt/parse.ts'
import type { Span } from '../../model/prompt/source.ts'
import { switchStep } from '../../model/prompt/timeline.ts'
import type { PromptSwap, ScheduleNode } from '../../model/prompt/types.ts'

export { curveValue } from '../../model/prompt/curves.ts'

/** `[from:to:0.5]`. */
export interface TextSwitch {
  readonly kind: 'switch'
  readonly before: string
  readonly after: string
  readonly span: Span
  /** Written with a decimal point: a share of the run. */
  readonly hasPoint: boolean
  /** Calls of the network, from 0, that see what is before. */
  readonly calls: number
  readonly isNegative: boolean
}

/** `[a|b]`: another one at each call. */
export interface TextAlternation {
  readonly kind: 'alternate'
  readonly options: readonly string[]
  readonly span: Span
  readonly isNegative: boolean
}

/** compel's `.swap()`. */
export interface TextSwap extends Pick<PromptSwap, 'sStart' | 'sEnd' | 'tStart' | 'tEnd'> {
  readonly kind: 'swap'
  readonly before: string
  readonly after: string
  readonly span: Span
}

export type TextEvent = TextSwitch | TextAlternation | TextSwap

/**
 * Everything that a text does over the steps, in its order.
 * @param calls of the network in the run
 */
export function eventsOf(
  text: string,
  dialect: PromptDialect,
  calls: number,
  isNegative = false,
): TextEvent[] {
  // Most prompts have none, and this is asked with every key.
  if (!/\[|\.swap/.test(text)) return []
  const found: TextEvent[] = []
  const slice = ({ start, end }: Span) => text.slice(start, end)
  const textOf = (nodes: readonly ScheduleNode[]): string =>
    nodes
      .map(node => (node.kind === 'text' ? node.runs.map(slice).join('') : slice(node.span)))
      .join('')
      .trim()
  const visit = (nodes: readonly ScheduleNode[]): void => {
    for (const node of nodes) {
      if (node.kind === 'text') continue
      if (node.kind === 'alternate') {
        found.push({ kind: 'alternate', options: node.options.map(textOf), span: node.span, isNegative })
        node.options.forEach(visit)
        continue
      }
      const step = switchStep(node.when, { calls })
      found.push({
        kind: 'switch',
        before: textOf(node.before),
        after: textOf(node.after),
        span: node.span,
        hasPoint: node.when.hasPoint,
        // A1111's first text gets one call more than its number says; below 1 it has none.
        calls: step < 1 ? 0 : Math.min(calls, step + 1),
        isNegative,
      })
      visit(node.before)
      visit(node.after)
    }
  }
  for (const part of parsePrompt(text, dialect).parts) {
    if (part.schedule) visit(part.schedule)
    for (const { pieces, swaps } of part.texts) {
      for (const { at, edited, span, sStart, sEnd, tStart, tEnd } of swaps) {
        found.push({
          kind: 'swap',
          before: wordsOf(pieces.slice(...at)),
          after: wordsOf(edited),
          span,
          sStart,
          sEnd,
          tStart,
          tEnd,
        })
      }
    }
  }
  return found
}

const wordsOf = (pieces: readonly { readonly kind: string; readonly text?: string }[]): string =>
  pieces
    .map(({ text = '' }) => text)
    .join('')
    .trim()

/**
 * The text in which what is before holds for so many calls.
 * @param count 0 (never) or 2 … calls: A1111 has no way to write one call, which becomes two
 */
export function moveSwitch(
  text: string,
  { span, hasPoint }: Pick<TextSwitch, 'span' | 'hasPoint'>,
  count: number,
  calls: number,
): string {
  const colon = text.lastIndexOf(':', span.end - 1)
  const step = count <= 0 ? 0 : Math.max(1, Math.min(calls, count) - 1)
  const written = hasPoint ? shareOf(step, calls) : String(step)
  return text.slice(0, colon + 1) + written + text.slice(span.end - 1)
}

/** The shortest share whose whole part, times the calls, is the step: `0.5`, `0.42`. */
function shareOf(step: number, calls: number): string {
  for (let digits = 1; digits < 8; digits++) {
    const scale = 10 ** digits
    const up = Math.ceil((step / calls) * scale - 1e-9)
    // A product of doubles may fall short of a whole number: 0.58 of 50 is 28.99…
    for (const unit of [up, up + 1]) {
      const written = (unit / scale).toFixed(digits)
      if (Math.trunc(Number(written) * calls) === step) return written
    }
  }
  return (step / calls).toFixed(8)
}

/** A share of a window that begins or ends before call `step` (model/contract/controls.ts: ⌊share · calls⌋). */
export function windowShare(step: number, calls: number): number {
  if (step <= 0) return 0
  return step >= calls ? 1 : Number(shareOf(step, calls))
}

/** The call at which a share of a window lies. */
export function windowStep(share: number, calls: number): number {
  return Math.floor(share * calls)
}

/** The text in which a swap's window has another border. @param name `t_start`, `t_end`, `s_start`, `s_end` */
export function moveSwap(
  text: string,
  { span }: Pick<TextSwap, 'span'>,
  name: string,
  share: number,
): string {
  const whole = text.slice(span.start, span.end)
  const open = /\.swap\s*\(/.exec(whole)
  const from = open ? open.index + open[0].length : 0
  const [head, list] = [whole.slice(0, from), whole.slice(from)]
  const known = new RegExp(`(,\\s*${name}\\s*=\\s*)[+-]?(?:\\d+\\.?\\d*|\\.\\d+)`)
  const written = String(Number(share.toFixed(4)))
  const next = known.test(list)
    ? list.replace(known, `$1${written}`)
    : list.replace(/\s*\)$/, `, ${name}=${written})`)
  return text.slice(0, span.start) + head + next + text.slice(span.end)
}

/** Whether a prompt is one text for the whole run: only then its words have maps. */
export function isOneText(prompt: string, dialect: PromptDialect): boolean {
  const { parts } = parsePrompt(prompt, dialect)
  return parts.length <= 1 && parts.every(({ schedule, texts }) => !schedule && texts.length <= 1)
}

/** Whether the words of a curve are in a prompt. */
export function canCurveAct(prompt: string, { phrase }: Pick<WeightCurve, 'phrase'>): boolean {
  return phrasePlaces(prompt, phrase).length > 0
}

/**
 * Calls of the network that a run takes: Heun makes two a step, but one in the last.
 * @param strength of a run that begins from a picture: the share of the steps that is made
 */
export function callsOf(steps: number, sampler: string, strength = 1): number {
  const made = Math.max(1, Math.min(steps, Math.floor(steps * strength)))
  return sampler === 'heun' ? 2 * made - 1 : made
}
