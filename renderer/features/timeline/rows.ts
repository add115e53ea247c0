/**
 * What a timeline shows, without saying what it is about: rows with bars, lines and handles. Features that act on a part
 * of the run give their rows through `addTimelineSource`; the timeline knows none of them.
 *
 * Places are shares of the run, 0 … 1: call k of n of the network lies from k/n to (k + 1)/n.
 */
import { create } from 'zustand'
import type { RequestDraft } from '../../state/request.ts'
import type { Strings } from '../../strings/index.ts'

export interface TimelineBar {
  readonly from: number
  readonly to: number
  /** `on`: it acts; `other`: what takes its place; `quiet`: it rests. */
  readonly tone: 'on' | 'other' | 'quiet'
  readonly text?: string
}

/** Something that is moved along the run: by pointer, by arrow keys. */
export interface TimelineHandle {
  readonly id: string
  /** What is moved, for screen readers. */
  readonly label: string
  /** In calls of the network. */
  readonly value: number
  readonly min: number
  readonly max: number
  readonly valueText: string
  move(value: number): void
  /** A second direction, up and down. */
  readonly level?: {
    readonly value: number
    readonly min: number
    readonly max: number
    readonly step: number
    set(value: number): void
  }
  /** Delete takes it away. */
  remove?(): void
}

export interface TimelineRow {
  readonly id: string
  readonly label: string
  /** What it does, in a sentence. */
  readonly title?: string
  readonly bars: readonly TimelineBar[]
  /** A curve: places and heights, both 0 … 1. A row with one is higher. */
  readonly line?: readonly { readonly at: number; readonly height: number }[]
  readonly handles: readonly TimelineHandle[]
  /** It cannot act as things are; why. */
  readonly problem?: string
  /** Adds a handle at a place. */
  add?(at: number): void
  /** Takes the whole row away. */
  remove?(): void
}

export interface TimelineContext {
  readonly draft: RequestDraft
  /** Calls of the network in the run. */
  readonly calls: number
  readonly strings: Strings
}

export type TimelineSource = (context: TimelineContext) => readonly TimelineRow[]

/** In the order in which they are shown. */
export const useTimelineSources = create<{
  readonly sources: readonly { readonly order: number; readonly source: TimelineSource }[]
  /** Rises when a source has other rows without a change of the request. */
  readonly version: number
}>(() => ({ sources: [], version: 0 }))

/**
 * Adds rows to the timeline.
 * @param order lower ones come first: 10 prompts, 20 curves, 30 edits, 40 places; guides take 50
 * @returns takes them away
 */
export function addTimelineSource(source: TimelineSource, order: number): () => void {
  useTimelineSources.setState(({ sources }) => ({
    sources: [...sources, { order, source }].toSorted((a, b) => a.order - b.order),
  }))
  return () =>
    useTimelineSources.setState(({ sources }) => ({
      sources: sources.filter(each => each.source !== source),
    }))
}

/** For sources that look at more than the request: their rows are read again. */
export function touchTimeline(): void {
  useTimelineSources.setState(({ version }) => ({ version: version + 1 }))
}

/** A window [start, end] of the run as a row with a handle at each end. */
export function windowRow(options: {
  readonly id: string
  readonly label: string
  readonly title?: string
  /** Of what the handles are the ends, such as "the region's window". */
  readonly startLabel: string
  readonly endLabel: string
  /** In calls. */
  readonly start: number
  readonly end: number
  readonly calls: number
  readonly problem?: string
  valueText(call: number): string
  move(start: number, end: number): void
  remove?(): void
}): TimelineRow {
  const { id, label, title, start, end, calls, problem, remove } = options
  return {
    id,
    label,
    ...(title !== undefined && { title }),
    ...(problem !== undefined && { problem }),
    ...(remove && { remove }),
    bars: [{ from: start / calls, to: end / calls, tone: problem === undefined ? 'on' : 'quiet' }],
    handles: [
      {
        id: 'start',
        label: options.startLabel,
        value: start,
        min: 0,
        max: end,
        valueText: options.valueText(start),
        move: value => options.move(value, end),
      },
      {
        id: 'end',
        label: options.endLabel,
        value: end,
        min: start,
        max: calls,
        valueText: options.valueText(end),
        move: value => options.move(start, value),
      },
    ],
  }
}
