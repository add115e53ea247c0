/**
 * Which text holds at which step: A1111's step arithmetic.
 *
 * The schedule is built over the number of denoiser calls (a sampler that calls twice a step has twice as many), and a
 * segment is chosen by comparing a counter of calls that begins at 0 with the segment's last step: so the first
 * segment gets one call more than its number says. That is how A1111 draws, and is kept.
 */
import type { Span } from './source.ts'
import { joinRuns } from './source.ts'
import type { ScheduleNode, When } from './types.ts'

export interface TimelineOptions {
  /** Steps of the run, times calls a step. */
  readonly calls: number
  /**
   * A1111 before 1.6: a number below 1 is a share of the steps, any other a step, whatever it is written like.
   */
  readonly oldTimeline?: boolean
  /**
   * For the second pass of a run in two passes: shares from 1 to 2, and steps beyond those of the first pass, speak of
   * it. Not on the old timeline.
   */
  readonly firstPassCalls?: number
}

/** A text and the last step, counted from 1, that it is meant for. */
export interface Segment {
  readonly end: number
  /** Ranges of the text as typed. */
  readonly runs: readonly Span[]
}

/** The segments of a schedule in order; the last ends with the run. Neighbours may have equal texts. */
export function segmentsOf(nodes: readonly ScheduleNode[], options: TimelineOptions): Segment[] {
  const ends = new Set([options.calls])
  collectEnds(nodes, options, ends)
  return [...ends].sort((a, b) => a - b).map(end => ({ end, runs: runsAt(nodes, end, options) }))
}

/** Index of the segment at a denoiser call, counted from 0. */
export function segmentAt(segments: readonly Pick<Segment, 'end'>[], call: number): number {
  const found = segments.findIndex(({ end }) => call <= end)
  // Beyond the end A1111 falls back to the first; a run never gets there.
  return Math.max(found, 0)
}

/** The step at which a text changes: what is before holds up to and including it. */
export function switchStep({ value, hasPoint }: When, options: TimelineOptions): number {
  const { calls, oldTimeline = false, firstPassCalls } = options
  const isShare = oldTimeline ? value < 1 : hasPoint
  const second = firstPassCalls !== undefined && !oldTimeline
  const steps = isShare ? (value - (second ? 1 : 0)) * calls : value - (second ? firstPassCalls : 0)
  return Math.min(calls, Math.trunc(steps))
}

function collectEnds(nodes: readonly ScheduleNode[], options: TimelineOptions, ends: Set<number>): void {
  for (const node of nodes) {
    if (node.kind === 'switch') {
      const step = switchStep(node.when, options)
      // What would end before the first step does not exist: the later text holds throughout.
      if (step >= 1) ends.add(step)
      collectEnds(node.before, options, ends)
      collectEnds(node.after, options, ends)
    } else if (node.kind === 'alternate') {
      for (let step = 1; step <= options.calls; step++) ends.add(step)
      for (const option of node.options) collectEnds(option, options, ends)
    }
  }
}

/** The text of a step, counted from 1. */
export function runsAt(
  nodes: readonly ScheduleNode[],
  step: number,
  options: TimelineOptions,
): readonly Span[] {
  let runs: readonly Span[] = []
  for (const node of nodes) {
    if (node.kind === 'text') runs = joinRuns(runs, node.runs)
    else if (node.kind === 'switch') {
      const chosen = step <= switchStep(node.when, options) ? node.before : node.after
      runs = joinRuns(runs, runsAt(chosen, step, options))
    } else {
      const chosen = node.options[(step - 1) % node.options.length] ?? []
      runs = joinRuns(runs, runsAt(chosen, step, options))
    }
  }
  return runs
}
