/** The rows of the request itself: schedules and swaps in its texts, weight curves, edits, windows of places. */
import type { ControlWindow } from '../../../model/contract/controls.ts'
import type { WeightCurve } from '../../../model/contract/prompt.ts'
import {
  canCurveAct,
  eventsOf,
  moveSwap,
  moveSwitch,
  type TextAlternation,
  type TextSwap,
  type TextSwitch,
  windowShare,
  windowStep,
} from '../../engine/timeline.ts'
import { changeRequest, draft } from '../../state/request.ts'
import type { Strings } from '../../strings/index.ts'
import { addTimelineSource, type TimelineContext, type TimelineRow, windowRow } from './rows.ts'

const shortest = (text: string): string => (text.length > 24 ? `${text.slice(0, 23)}…` : text)

/** Edits of a text, read from the request as it is when the handle moves. */
function changeText(isNegative: boolean, kind: string, edit: (text: string) => string): void {
  const key = isNegative ? 'negativePrompt' : 'prompt'
  changeRequest({ [key]: edit(draft()[key]) }, kind)
}

function promptRows({ draft: of, calls, strings }: TimelineContext): TimelineRow[] {
  const { prompt, negativePrompt, dialect } = of
  const events = [
    ...eventsOf(prompt, dialect, calls),
    ...eventsOf(negativePrompt, dialect, calls, true).filter(({ kind }) => kind !== 'swap'),
  ]
  return events.flatMap(event =>
    event.kind === 'switch'
      ? switchRow(event, calls, strings)
      : event.kind === 'alternate'
        ? alternateRow(event, calls, strings)
        : swapRows(event, calls, strings),
  )
}

function switchRow(event: TextSwitch, calls: number, { timeline }: Strings): TimelineRow {
  const { before, after, isNegative, span } = event
  const at = event.calls / calls
  const label = timeline.switch(shortest(before || '∅'), shortest(after || '∅'))
  return {
    id: `switch ${isNegative} ${span.start}`,
    label,
    title: timeline.switchHint,
    bars: [
      { from: 0, to: at, tone: before ? 'on' : 'quiet', text: before },
      { from: at, to: 1, tone: after ? 'other' : 'quiet', text: after },
    ],
    handles: [
      {
        id: 'when',
        label: timeline.switchAt(label),
        value: event.calls,
        min: 0,
        max: calls,
        valueText: timeline.until(event.calls, calls),
        move(value) {
          // A1111 cannot write one call: going down it becomes none, going up two.
          const count = value === 1 ? (event.calls > 1 ? 0 : 2) : value
          changeText(isNegative, `switch ${span.start}`, text => moveSwitch(text, event, count, calls))
        },
      },
    ],
  }
}

function alternateRow(
  { options, span, isNegative }: TextAlternation,
  calls: number,
  { timeline }: Strings,
): TimelineRow {
  return {
    id: `alternate ${isNegative} ${span.start}`,
    label: options.map(option => shortest(option || '∅')).join(' | '),
    title: timeline.alternateHint,
    bars: Array.from({ length: Math.min(calls, 400) }, (_, call) => ({
      from: call / calls,
      to: (call + 1) / calls,
      tone: call % options.length === 0 ? 'on' : call % options.length === 1 ? 'other' : 'quiet',
      ...(calls <= 30 && { text: options[call % options.length] ?? '' }),
    })),
    handles: [],
  }
}

function swapRows(event: TextSwap, calls: number, { timeline }: Strings): TimelineRow[] {
  const { before, after, span, tStart, tEnd, sStart, sEnd } = event
  const name = timeline.switch(shortest(before || '∅'), shortest(after || '∅'))
  const row = (key: 't' | 's', label: string, start: number, end: number) =>
    windowOf({
      id: `swap ${key} ${span.start}`,
      label: `${name} · ${label}`,
      title: key === 't' ? timeline.crossHint : timeline.selfHint,
      window: { start, end },
      calls,
      timeline,
      change: next =>
        changeText(false, `swap ${key} ${span.start}`, text => {
          const once = moveSwap(text, event, `${key}_start`, next.start)
          return moveSwap(
            once,
            { span: { ...span, end: span.end + once.length - text.length } },
            `${key}_end`,
            next.end,
          )
        }),
    })
  return [row('t', timeline.cross, tStart, tEnd), row('s', timeline.self, sStart, sEnd)]
}

/** Weights that a curve's row shows from bottom to top. */
const curveRange = { least: 0, most: 2 } as const

function curveRows({ draft: of, calls, strings }: TimelineContext): TimelineRow[] {
  return of.weightCurves.map((curve, index) => curveRow(curve, index, of.prompt, calls, strings))
}

/** How high a weight stands in its row, 0 … 1. */
const height = (weight: number): number =>
  Math.min(1, Math.max(0, (weight - curveRange.least) / (curveRange.most - curveRange.least)))

const lastStep = (calls: number): number => Math.max(1, calls - 1)

/** Where a key stands, in calls: the first call is 0. */
const keyStep = ({ step, fraction = 0 }: WeightCurve['keys'][number], calls: number): number =>
  Math.min(lastStep(calls), Math.round(step ?? fraction * lastStep(calls)))

function curveRow(
  curve: WeightCurve,
  index: number,
  prompt: string,
  calls: number,
  { timeline }: Strings,
): TimelineRow {
  const { phrase } = curve
  const keys = curve.keys
    .map(({ weight, ...key }) => ({ at: keyStep({ ...key, weight }, calls), weight }))
    .sort((a, b) => a.at - b.at)
  const set = (next: readonly { readonly at: number; readonly weight: number }[]) =>
    changeCurve(index, {
      ...curve,
      keys: next.map(({ at, weight }) => ({ fraction: Number((at / lastStep(calls)).toFixed(4)), weight })),
    })
  // The middle of the call that a key belongs to.
  const place = (at: number) => (at + 0.5) / calls
  const [first, last] = [keys[0], keys.at(-1)]
  const line = keys.flatMap(({ at, weight }, order) => {
    const point = { at: place(at), height: height(weight) }
    const before = keys[order - 1]
    return curve.shape === 'hold' && before
      ? [{ at: place(at), height: height(before.weight) }, point]
      : [point]
  })
  return {
    id: `curve ${index}`,
    label: phrase,
    title: timeline.curveHint,
    ...(!canCurveAct(prompt, curve) && { problem: timeline.curveRests(phrase) }),
    bars: [],
    line: [
      ...(first ? [{ at: 0, height: height(first.weight) }] : []),
      ...line,
      ...(last ? [{ at: 1, height: height(last.weight) }] : []),
    ],
    handles: keys.map(({ at, weight }, order) => ({
      id: `${order}`,
      label: timeline.curveKey(phrase, order + 1),
      value: at,
      min: keys[order - 1] === undefined ? 0 : (keys[order - 1]?.at ?? 0) + 1,
      max: keys[order + 1] === undefined ? lastStep(calls) : (keys[order + 1]?.at ?? 1) - 1,
      valueText: timeline.curveValue(at + 1, calls, weight),
      move: value => set(keys.map((key, other) => (other === order ? { ...key, at: value } : key))),
      level: {
        value: weight,
        min: curveRange.least,
        max: curveRange.most,
        step: 0.05,
        set: value => set(keys.map((key, other) => (other === order ? { ...key, weight: value } : key))),
      },
      ...(keys.length > 1 && { remove: () => set(keys.filter((_, other) => other !== order)) }),
    })),
    add(share) {
      const at = Math.min(lastStep(calls), Math.max(0, Math.floor(share * calls)))
      const free = freeStep(at, keys, lastStep(calls))
      if (free === undefined) return
      const weight = weightAt(keys, free)
      set([...keys, { at: free, weight: Number(weight.toFixed(2)) }].sort((a, b) => a.at - b.at))
    },
    remove: () => changeRequest({ weightCurves: draft().weightCurves.filter((_, other) => other !== index) }),
  }
}

/** The nearest step that has no key. */
function freeStep(at: number, keys: readonly { readonly at: number }[], last: number): number | undefined {
  for (let away = 0; away <= last; away++) {
    for (const step of [at - away, at + away])
      if (step >= 0 && step <= last && !keys.some(key => key.at === step)) return step
  }
  return undefined
}

function weightAt(keys: readonly { readonly at: number; readonly weight: number }[], at: number): number {
  const after = keys.find(key => key.at > at)
  const before = keys.findLast(key => key.at <= at)
  if (!before || !after) return (before ?? after)?.weight ?? 1
  return before.weight + ((at - before.at) / (after.at - before.at)) * (after.weight - before.weight)
}

function changeCurve(index: number, curve: WeightCurve): void {
  const weightCurves = draft().weightCurves.map((each, at) => (at === index ? curve : each))
  changeRequest({ weightCurves }, `curve ${index}`)
}

/** Gives a word a curve, level at first; the one that it has stays. */
export function addCurve(phrase: string): void {
  const { weightCurves } = draft()
  if (weightCurves.some(each => each.phrase.toLowerCase() === phrase.toLowerCase())) return
  const keys = [
    { fraction: 0, weight: 1 },
    { fraction: 1, weight: 1 },
  ]
  changeRequest({ weightCurves: [...weightCurves, { phrase, keys, shape: 'linear' }] })
}

function editRows({ draft: of, calls, strings }: TimelineContext): TimelineRow[] {
  const { timeline } = strings
  const { edit } = of
  if (!edit) return []
  const row = (key: 'cross' | 'self') =>
    windowOf({
      id: `edit ${key}`,
      label: `${timeline.edit} · ${timeline[key]}`,
      title: key === 'cross' ? timeline.crossHint : timeline.selfHint,
      window: edit[key],
      calls,
      timeline,
      change: next => {
        const now = draft().edit
        if (now) changeRequest({ edit: { ...now, [key]: next } }, `edit ${key}`)
      },
      ...(key === 'cross' && { remove: () => changeRequest({ edit: undefined }) }),
    })
  return [row('cross'), row('self')]
}

function placeRows({ draft: of, calls, strings }: TimelineContext): TimelineRow[] {
  const { timeline } = strings
  const painted = of.paint.map((control, index) =>
    windowOf({
      id: `paint ${index}`,
      label: timeline.painted(control.phrase),
      title: timeline.paintHint,
      window: control.window,
      calls,
      timeline,
      change: window => {
        const paint = draft().paint.map((each, at) => (at === index ? { ...each, window } : each))
        changeRequest({ paint }, `paint window ${index}`)
      },
    }),
  )
  const { regions } = of
  if (!regions) return painted
  return [
    ...painted,
    windowOf({
      id: 'regions',
      label: timeline.regions,
      title: timeline.regionsHint,
      window: regions.window,
      calls,
      timeline,
      change: window => {
        const now = draft().regions
        if (now) changeRequest({ regions: { ...now, window } }, 'regions window')
      },
    }),
  ]
}

function windowOf(options: {
  readonly id: string
  readonly label: string
  readonly title: string
  readonly window: ControlWindow
  readonly calls: number
  readonly timeline: Strings['timeline']
  change(window: ControlWindow): void
  remove?(): void
}): TimelineRow {
  const { id, label, title, window, calls, timeline, change, remove } = options
  return windowRow({
    id,
    label,
    title,
    startLabel: timeline.startOf(label),
    endLabel: timeline.endOf(label),
    start: windowStep(window.start, calls),
    end: windowStep(window.end, calls),
    calls,
    valueText: call => timeline.at(call, calls),
    move: (start, end) => change({ start: windowShare(start, calls), end: windowShare(end, calls) }),
    ...(remove && { remove }),
  })
}

addTimelineSource(promptRows, 10)
addTimelineSource(curveRows, 20)
addTimelineSource(editRows, 30)
addTimelineSource(placeRows, 40)
