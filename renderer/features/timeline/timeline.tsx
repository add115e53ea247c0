/**
 * Below the picture: what happens at which step, as rows with handles, under the slider that replays the steps. It is
 * there only while something in the request has a place in time.
 */
import { StepForward } from 'lucide-react'
import { type KeyboardEvent, type PointerEvent, useMemo, useRef } from 'react'
import { callsOf } from '../../engine/timeline.ts'
import { useEngine } from '../../state/engine.ts'
import { useRequest } from '../../state/request.ts'
import { useRun } from '../../state/run.ts'
import { useStrings } from '../../strings/index.ts'
import { Button } from '../../ui/button.tsx'
import { type Replay, useReplay } from './replay.ts'
import './guide-rows.ts'
import './request-rows.ts'
import { type TimelineRow, useTimelineSources } from './rows.ts'
import { Track } from './track.tsx'

/** What the request has in time, and over how many calls of the network. */
export function useTimelineRows(): { readonly rows: readonly TimelineRow[]; readonly calls: number } {
  const strings = useStrings()
  const draft = useRequest(state => state.draft)
  const defaults = useEngine(state => state.model?.defaults)
  const { sources, version } = useTimelineSources()
  return useMemo(() => {
    const calls = callsOf(
      draft.steps ?? defaults?.steps ?? 12,
      draft.sampler ?? defaults?.sampler ?? 'ddim',
      draft.source?.strength,
    )
    return { calls, rows: sources.flatMap(({ source }) => source({ draft, calls, strings })) }
  }, [draft, defaults, sources, strings, version])
}

export function Timeline() {
  const { timeline } = useStrings()
  const { rows, calls } = useTimelineRows()
  const replay = useReplay()
  const running = useRun(state =>
    state.phase === 'drawing' ? state.step / Math.max(1, state.steps) : undefined,
  )
  if (rows.length === 0) return null
  const playhead = running ?? (replay && replay.shown < replay.last ? replay.shown / replay.last : undefined)
  return (
    <section
      aria-label={timeline.title}
      className="@container max-h-[min(13rem,34vh)] overflow-y-auto bg-panel px-3 py-2"
    >
      <div className="relative grid grid-cols-[clamp(5rem,22cqw,9rem)_minmax(0,1fr)_3rem] items-center gap-x-2 gap-y-1">
        <Ruler calls={replay?.last ?? calls} replay={replay} />
        {rows.map(row => (
          <Track key={row.id} row={row} calls={calls} />
        ))}
        {playhead !== undefined && (
          <div
            aria-hidden
            className="pointer-events-none absolute inset-y-0 right-[3.5rem] left-[calc(clamp(5rem,22cqw,9rem)+0.5rem)]"
          >
            <div className="absolute inset-y-0 w-px bg-text/60" style={{ left: `${100 * playhead}%` }} />
          </div>
        )}
      </div>
    </section>
  )
}

/** The steps with their numbers; a handle on them replays what was seen. */
function Ruler({ calls, replay }: { readonly calls: number; readonly replay: Replay | undefined }) {
  const { timeline, create, attention } = useStrings()
  const track = useRef<HTMLDivElement>(null)
  // At most a dozen numbers; every step has a tick while there is room.
  const every = Math.max(1, Math.ceil(calls / 12))
  const onPointer = (event: PointerEvent) => {
    const box = track.current?.getBoundingClientRect()
    if (box && replay)
      replay.show(Math.max(1, Math.ceil(((event.clientX - box.left) / box.width) * replay.last)))
  }
  const onKeyDown = (event: KeyboardEvent) => {
    if (!replay) return
    const { shown, last } = replay
    const next = {
      ArrowLeft: shown - 1,
      ArrowDown: shown - 1,
      ArrowRight: shown + 1,
      ArrowUp: shown + 1,
      Home: 1,
      End: last,
    }[event.key]
    if (next === undefined) return
    event.preventDefault()
    event.stopPropagation()
    replay.show(next)
  }
  return (
    <>
      <span className="text-xs text-faint">{timeline.steps}</span>
      <div
        ref={track}
        className="relative h-5 touch-none border-b border-line-strong"
        onPointerDown={event => {
          event.currentTarget.setPointerCapture(event.pointerId)
          onPointer(event)
        }}
        onPointerMove={event => event.currentTarget.hasPointerCapture(event.pointerId) && onPointer(event)}
      >
        {Array.from({ length: Math.floor(calls / every) }, (_, index) => (index + 1) * every).map(step => (
          <span
            key={step}
            aria-hidden
            className="numeric absolute bottom-0 h-full -translate-x-full border-r border-line-strong pr-1 text-2xs leading-4 text-faint"
            style={{ left: `${(100 * step) / calls}%` }}
          >
            {step}
          </span>
        ))}
        {replay && (
          <div
            role="slider"
            tabIndex={0}
            aria-label={create.replay}
            aria-valuemin={1}
            aria-valuemax={replay.last}
            aria-valuenow={replay.shown}
            aria-valuetext={`${create.replayStep} ${create.of(replay.shown, replay.last)}`}
            onKeyDown={onKeyDown}
            className="absolute bottom-0 size-3.5 -translate-x-1/2 translate-y-1/2 rounded-full bg-(--thumb) shadow-[0_1px_3px_rgb(0_0_0/0.5)] ring-1 ring-black/20"
            style={{ left: `${(100 * replay.shown) / replay.last}%` }}
          />
        )}
      </div>
      <span className="flex justify-end">
        {replay?.rerun && (
          <Button
            size="small"
            tone="plain"
            aria-label={attention.rerun}
            title={attention.rerunHint(replay.shown)}
            onClick={replay.rerun}
          >
            <StepForward className="size-3.5" aria-hidden />
          </Button>
        )}
      </span>
    </>
  )
}
