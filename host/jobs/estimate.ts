/** How long a queue will take: recent milliseconds per step and pixel, times what is left. */
import type { Timing } from './journal.ts'
import type { Job } from './runner.ts'

export interface QueueEstimate {
  /** Seconds until everything that waits is drawn; absent before the first picture. */
  readonly secondsLeft?: number
  /** Seconds by job, for those that wait or are drawn. */
  readonly jobs: ReadonlyMap<string, number>
}

/** Networks cost about as much as they have pixels; attention makes large pictures dearer than this says. */
export function estimateQueue(jobs: readonly Job[], timings: readonly Timing[]): QueueEstimate {
  const usable = timings.filter(
    ({ steps, pixels, milliseconds }) => steps > 0 && pixels > 0 && milliseconds > 0,
  )
  if (!usable.length) return { jobs: new Map() }
  const perUnit = median(usable.map(({ steps, pixels, milliseconds }) => milliseconds / (steps * pixels)))
  const usualSteps = median(usable.map(({ steps }) => steps))
  const usualPixels = median(usable.map(({ pixels }) => pixels))
  const seconds = new Map<string, number>()
  let total = 0
  for (const { id, state, request, progress } of jobs) {
    if (state !== 'queued' && state !== 'running') continue
    const steps = progress ? progress.steps - progress.step : (request.steps ?? usualSteps)
    const pixels = request.width && request.height ? request.width * request.height : usualPixels
    const left = (steps * pixels * perUnit) / 1000
    seconds.set(id, left)
    total += left
  }
  return { secondsLeft: total, jobs: seconds }
}

/** Of a few values: one slow picture (a cold driver) must not spoil the guess. */
function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2
}
