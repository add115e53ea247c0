/** The windows of guides: in which calls each of them acts (model/contract/guides.ts, the rule `diffusers`). */
import { changeRequest, draft } from '../../state/request.ts'
import { addTimelineSource, type TimelineContext, type TimelineRow, windowRow } from './rows.ts'

/** Shares are kept to so many decimals. */
const scale = 10_000

/** Call i acts where i/n ≥ start and (i + 1)/n ≤ end: a start is rounded down, an end up, so that k/n stays k. */
const startShare = (call: number, calls: number): number => Math.floor((call / calls) * scale) / scale
const endShare = (call: number, calls: number): number =>
  Math.min(1, Math.ceil((call / calls) * scale) / scale)
const firstCall = (start: number, calls: number): number => Math.min(calls, Math.ceil(start * calls - 1e-9))
/** With what rounding an end may have added. */
const lastCall = (end: number, calls: number): number => Math.floor(end * calls + 1e-9)

function guideRows({ draft: of, calls, strings }: TimelineContext): TimelineRow[] {
  const { timeline } = strings
  return of.guides
    .filter(({ enabled }) => enabled)
    .map((guide, index) => {
      const label = guide.net?.name ?? timeline.guide(index + 1)
      const start = firstCall(guide.start, calls)
      return windowRow({
        id: `guide ${guide.id}`,
        label,
        title: timeline.guideHint,
        startLabel: timeline.startOf(label),
        endLabel: timeline.endOf(label),
        start,
        end: Math.max(start, lastCall(guide.end, calls)),
        calls,
        valueText: call => timeline.at(call, calls),
        move(from, to) {
          // A guide ends after it starts.
          if (to <= from) return
          const window = { start: startShare(from, calls), end: endShare(to, calls) }
          const guides = draft().guides.map(each => (each.id === guide.id ? { ...each, ...window } : each))
          changeRequest({ guides }, `guide window ${guide.id}`)
        },
      })
    })
}

addTimelineSource(guideRows, 50)
