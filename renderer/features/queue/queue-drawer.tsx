/** The queue at the right edge, over any screen: what is drawn, what waits and in which order, what has ended. */
import { CheckCheck, CircleAlert, ListVideo, Pause, Play, X } from 'lucide-react'
import { type DragEvent, useEffect, useRef, useState } from 'react'
import { useStrings } from '../../strings/index.ts'
import { Button, IconButton } from '../../ui/button.tsx'
import { Empty } from '../../ui/empty.tsx'
import { formatDuration } from '../gallery/format.ts'
import { JobRow } from './job-row.tsx'
import {
  clearEnded,
  followQueue,
  isPending,
  pauseAll,
  placeJob,
  resumeAll,
  secondsLeft,
  toggleQueue,
  useQueue,
} from './queue-state.ts'

export function QueueDrawer() {
  const { queue } = useStrings()
  const { isOpen } = useQueue()
  useEffect(followQueue, [])
  if (!isOpen) return null
  return (
    <aside
      aria-label={queue.title}
      className="glow-in fixed top-10 right-0 bottom-7 z-30 flex w-[min(24rem,calc(100vw-3.5rem))] flex-col border-t border-l border-line bg-panel shadow-pop"
    >
      <Drawer />
    </aside>
  )
}

function Drawer() {
  const { queue } = useStrings()
  const { jobs, paused } = useQueue()
  const panel = useRef<HTMLDivElement>(null)
  const [over, setOver] = useState<string>()
  // The focus comes here and goes back to where it was.
  useEffect(() => {
    const before = document.activeElement
    panel.current?.focus()
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus()
    }
  }, [])
  // A row that goes takes the focus with it: the drawer's keys would be deaf.
  useEffect(() => {
    if (document.activeElement === document.body) panel.current?.focus()
  }, [jobs])
  const pending = jobs.filter(isPending)
  const ended = jobs.filter(job => !isPending(job)).toReversed()
  const left = secondsLeft(jobs)
  const onDrop = (event: DragEvent, before: string | undefined) => {
    const id = event.dataTransfer.getData('application/x-attune-job')
    setOver(undefined)
    if (id === '') return
    event.preventDefault()
    placeJob(id, before)
  }
  const dropOn = (id: string | undefined) => ({
    onDragOver: (event: DragEvent) => {
      if (!event.dataTransfer.types.includes('application/x-attune-job')) return
      event.preventDefault()
      setOver(id ?? 'end')
    },
    onDrop: (event: DragEvent) => onDrop(event, id),
  })
  return (
    <div
      ref={panel}
      tabIndex={-1}
      onKeyDown={event => {
        if (event.key !== 'Escape') return
        event.preventDefault()
        toggleQueue()
      }}
      className="flex min-h-0 grow flex-col outline-none"
    >
      <header className="flex items-center gap-1 py-2 pr-2 pl-4">
        <div className="min-w-0 grow">
          <h2 className="text-base font-semibold">{queue.title}</h2>
          {pending.length > 0 && (
            <p className="numeric text-xs text-soft">
              {queue.waiting(pending.length)}
              {left !== undefined && ` · ${queue.left(formatDuration(left))}`}
            </p>
          )}
        </div>
        {(paused || pending.length > 0) && (
          <Button size="small" onClick={() => void (paused ? resumeAll() : pauseAll())}>
            {paused ? <Play className="size-3.5" aria-hidden /> : <Pause className="size-3.5" aria-hidden />}
            {paused ? queue.resumeAll : queue.pauseAll}
          </Button>
        )}
        {ended.length > 0 && (
          <IconButton label={queue.clearDone} onClick={() => void clearEnded()}>
            <CheckCheck aria-hidden />
          </IconButton>
        )}
        <IconButton label={queue.close} keys="Escape" onClick={toggleQueue}>
          <X aria-hidden />
        </IconButton>
      </header>
      {paused && (
        <p
          role="status"
          className="mx-4 mb-2 flex gap-2 rounded-md bg-warning-wash px-3 py-2 text-xs text-warning"
        >
          <CircleAlert className="mt-px size-3.5 shrink-0" aria-hidden />
          {queue.paused}
        </p>
      )}
      {jobs.length === 0 ? (
        <Empty icon={<ListVideo aria-hidden />} title={queue.emptyTitle}>
          {queue.emptyBody}
        </Empty>
      ) : (
        <div className="min-h-0 grow overflow-y-auto px-2 pb-4">
          <ol aria-label={queue.moveHint} className="flex flex-col">
            {pending.map(job => (
              <li
                key={job.id}
                {...dropOn(job.id)}
                className={over === job.id ? 'shadow-[0_-2px_0_var(--accent)]' : undefined}
              >
                <JobRow job={job} canMove={job.state !== 'running'} />
              </li>
            ))}
          </ol>
          {pending.length > 0 && <div className="h-3" {...dropOn(undefined)} />}
          <ul className="flex flex-col opacity-90">
            {ended.map(job => (
              <li key={job.id}>
                <JobRow job={job} canMove={false} />
              </li>
            ))}
          </ul>
        </div>
      )}
    </div>
  )
}
