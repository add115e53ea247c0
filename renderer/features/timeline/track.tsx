/** A row of the timeline: its bars or its curve, and handles that are dragged or moved with the arrow keys. */
import { Plus, TriangleAlert, X } from 'lucide-react'
import { type KeyboardEvent, type PointerEvent, useRef } from 'react'
import { useStrings } from '../../strings/index.ts'
import { IconButton } from '../../ui/button.tsx'
import { cx } from '../../ui/class-names.ts'
import type { TimelineBar, TimelineHandle, TimelineRow } from './rows.ts'

/** What a key changes: along the run, and up and down. */
const keys: Readonly<Record<string, readonly [along: number, up: number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  PageDown: [-4, 0],
  PageUp: [4, 0],
  ArrowDown: [0, -1],
  ArrowUp: [0, 1],
}

const within = (value: number, least: number, most: number): number => Math.min(most, Math.max(least, value))

export function Track({ row, calls }: { readonly row: TimelineRow; readonly calls: number }) {
  const { timeline } = useStrings()
  const track = useRef<HTMLDivElement>(null)
  const { add } = row
  const hasLine = row.line !== undefined
  const shareAt = (clientX: number) => {
    const box = track.current?.getBoundingClientRect()
    return box ? within((clientX - box.left) / box.width, 0, 1) : 0
  }
  return (
    <>
      <div className="flex min-w-0 items-center gap-1" title={row.problem ?? row.title}>
        {row.problem !== undefined && (
          <TriangleAlert className="size-3.5 shrink-0 text-warning" aria-hidden />
        )}
        <span className={cx('truncate text-xs', row.problem === undefined ? 'text-soft' : 'text-warning')}>
          {row.label}
        </span>
        {row.problem !== undefined && <span className="sr-only">{row.problem}</span>}
      </div>
      <div
        ref={track}
        className={cx('relative rounded bg-field', hasLine ? 'h-12' : 'h-5')}
        onDoubleClick={event => add?.(shareAt(event.clientX))}
      >
        {row.bars.map((bar, at) => (
          <Bar key={at} bar={bar} />
        ))}
        {row.line && <Line points={row.line} isQuiet={row.problem !== undefined} />}
        {row.handles.map(handle => (
          <Handle
            key={handle.id}
            handle={handle}
            calls={calls}
            isPoint={hasLine}
            track={() => track.current}
            shareAt={shareAt}
          />
        ))}
      </div>
      <div className="flex justify-end">
        {add && (
          <IconButton label={timeline.addPoint(row.label)} size="small" onClick={() => add(0.5)}>
            <Plus aria-hidden />
          </IconButton>
        )}
        {row.remove && (
          <IconButton label={timeline.removeRow(row.label)} size="small" onClick={() => row.remove?.()}>
            <X aria-hidden />
          </IconButton>
        )}
      </div>
    </>
  )
}

const tones = {
  on: 'bg-accent/35 text-text',
  other: 'bg-cool/30 text-text',
  quiet: 'bg-raised text-soft',
} as const

function Bar({ bar: { from, to, tone, text } }: { readonly bar: TimelineBar }) {
  if (to <= from) return null
  return (
    <div
      title={text}
      className={cx(
        'absolute inset-y-0 overflow-hidden border-r border-field px-1.5 first:rounded-l',
        tones[tone],
      )}
      style={{ left: `${100 * from}%`, width: `${100 * (to - from)}%` }}
    >
      {text && <span className="block truncate text-2xs leading-5">{text}</span>}
    </div>
  )
}

function Line({
  points,
  isQuiet,
}: {
  readonly points: NonNullable<TimelineRow['line']>
  readonly isQuiet: boolean
}) {
  const path = points.map(({ at, height }) => `${100 * at},${100 * (1 - height)}`).join(' ')
  return (
    <svg
      viewBox="0 0 100 100"
      preserveAspectRatio="none"
      aria-hidden
      className={cx('absolute inset-0 size-full overflow-visible', isQuiet ? 'text-faint' : 'text-accent')}
    >
      <line
        x1={0}
        x2={100}
        y1={50}
        y2={50}
        stroke="var(--line-strong)"
        strokeDasharray="2 4"
        vectorEffect="non-scaling-stroke"
      />
      <polyline
        points={path}
        fill="none"
        stroke="currentColor"
        strokeWidth={1.5}
        vectorEffect="non-scaling-stroke"
      />
    </svg>
  )
}

function Handle({
  handle,
  calls,
  isPoint,
  track,
  shareAt,
}: {
  readonly handle: TimelineHandle
  readonly calls: number
  readonly isPoint: boolean
  track(): HTMLElement | null
  shareAt(clientX: number): number
}) {
  const { level } = handle
  const move = (value: number) => {
    const next = within(value, handle.min, handle.max)
    if (next !== handle.value) handle.move(next)
  }
  const raise = (value: number) => {
    if (!level) return
    const next = Number(within(Math.round(value / level.step) * level.step, level.min, level.max).toFixed(2))
    if (next !== level.value) level.set(next)
  }
  const onDrag = (event: PointerEvent) => {
    if (!event.currentTarget.hasPointerCapture(event.pointerId)) return
    const share = shareAt(event.clientX)
    // Points lie in the middle of their call, borders between two.
    const along = isPoint ? Math.floor(share * calls) : Math.round(share * calls)
    const box = track()?.getBoundingClientRect()
    // One direction at a time, each as its own change: both are read from the request as it is.
    if (along !== handle.value) return move(along)
    if (level && box)
      raise(level.min + (1 - (event.clientY - box.top) / box.height) * (level.max - level.min))
  }
  const onKeyDown = (event: KeyboardEvent) => {
    const by = keys[event.key]
    if (by && (by[0] !== 0 || level)) {
      if (by[0] !== 0) move(handle.value + by[0])
      else if (level) raise(level.value + by[1] * level.step)
    } else if (by) move(handle.value + by[1])
    else if (event.key === 'Home') move(handle.min)
    else if (event.key === 'End') move(handle.max)
    else if ((event.key === 'Delete' || event.key === 'Backspace') && handle.remove) handle.remove()
    else return
    event.preventDefault()
    event.stopPropagation()
  }
  const place = isPoint ? (handle.value + 0.5) / calls : handle.value / calls
  const height = level ? (level.value - level.min) / (level.max - level.min) : 0.5
  return (
    <div
      role="slider"
      tabIndex={0}
      aria-label={handle.label}
      aria-valuemin={handle.min}
      aria-valuemax={handle.max}
      aria-valuenow={handle.value}
      aria-valuetext={handle.valueText}
      title={handle.valueText}
      onPointerDown={event => {
        event.currentTarget.setPointerCapture(event.pointerId)
        event.currentTarget.focus()
        event.preventDefault()
      }}
      onPointerMove={onDrag}
      onDoubleClick={event => event.stopPropagation()}
      onKeyDown={onKeyDown}
      className={cx(
        'absolute z-10 -translate-x-1/2 touch-none rounded-full bg-(--thumb) shadow-[0_1px_3px_rgb(0_0_0/0.5)] ring-1 ring-black/20 transition-transform hover:scale-125',
        isPoint ? 'size-3 translate-y-1/2 cursor-move' : 'inset-y-0.5 w-1.5 cursor-ew-resize',
      )}
      style={{ left: `${100 * place}%`, ...(isPoint && { bottom: `${100 * height}%` }) }}
    />
  )
}
