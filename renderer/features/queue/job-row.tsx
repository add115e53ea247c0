/** One job of the queue: its words, its settings in one line, its progress, and what can be done with it. */
import { GripVertical, Image, Pause, Play, RotateCcw, Trash2, X } from 'lucide-react'
import { memo } from 'react'
import type { HostJob } from '../../../model/contract/host-api.ts'
import { pictureUrl, thumbnailUrl } from '../../host/client.ts'
import { type Strings, useStrings } from '../../strings/index.ts'
import { IconButton } from '../../ui/button.tsx'
import { cx } from '../../ui/class-names.ts'
import { formatDuration } from '../gallery/format.ts'
import { showPicture } from '../gallery/gallery-actions.ts'
import { cancelJob, isPending, moveJob, pauseJob, removeJob, resumeJob, retryJob } from './queue-state.ts'

export const JobRow = memo(function JobRow({
  job,
  canMove,
}: {
  readonly job: HostJob
  readonly canMove: boolean
}) {
  const { queue } = useStrings()
  const { id, request, state, progress, problem, secondsLeft, picture } = job
  const share = progress && progress.steps > 0 ? progress.step / progress.steps : 0
  const facts = [
    state === 'running' && progress ? queue.step(progress.step, progress.steps) : stateName(job, queue),
    isPending(job) && secondsLeft !== undefined ? formatDuration(secondsLeft) : undefined,
    queue.seed(request.seed),
  ]
  return (
    <div
      // One stop for the row's own keys; its buttons follow.
      tabIndex={0}
      role="group"
      aria-label={queue.job(request.prompt, stateName(job, queue))}
      aria-keyshortcuts={canMove ? 'Alt+ArrowUp Alt+ArrowDown' : undefined}
      draggable={canMove}
      onDragStart={event => event.dataTransfer.setData('application/x-attune-job', id)}
      onKeyDown={event => {
        if (event.target !== event.currentTarget) return
        const by = { ArrowUp: -1, ArrowDown: 1 }[event.key]
        if (by !== undefined && event.altKey && canMove) moveJob(id, by)
        else if (event.key === 'Delete') void (canMove ? cancelJob(id) : removeJob(id))
        else return
        event.preventDefault()
      }}
      className="group flex items-start gap-2 rounded-lg py-2 pr-1 pl-1 hover:bg-raised focus-visible:-outline-offset-2"
    >
      <GripVertical
        className={cx(
          'mt-2.5 size-4 shrink-0 text-faint',
          canMove ? 'opacity-40 group-hover:opacity-100' : 'invisible',
        )}
        aria-hidden
      />
      <Thumb picture={picture} isFailed={state === 'failed'} />
      <div className="min-w-0 grow">
        <p
          className="truncate text-sm"
          title={[request.prompt, request.width && `${request.width} × ${request.height}`]
            .filter(Boolean)
            .join('\n')}
        >
          {request.prompt}
        </p>
        <p className={cx('numeric truncate text-xs', state === 'failed' ? 'text-danger' : 'text-faint')}>
          {facts.filter(Boolean).join(' · ')}
        </p>
        {problem && state === 'failed' && (
          <p className="selectable mt-1 text-xs text-soft">
            {problem.message} {problem.remedy}
          </p>
        )}
        {state === 'running' && (
          <div
            role="progressbar"
            aria-label={queue.running}
            aria-valuemin={0}
            aria-valuemax={100}
            aria-valuenow={Math.round(100 * share)}
            className="mt-1.5 h-1 overflow-hidden rounded-full bg-line"
          >
            <div
              className="h-full rounded-full bg-accent transition-[width] duration-300"
              style={{ width: `${100 * share}%` }}
            />
          </div>
        )}
      </div>
      <Buttons job={job} />
    </div>
  )
})

function stateName({ state }: HostJob, queue: Strings['queue']): string {
  return {
    queued: queue.queued,
    running: queue.running,
    paused: queue.pausedOne,
    done: queue.done,
    failed: queue.failed,
    cancelled: queue.cancelled,
  }[state]
}

function Thumb({ picture, isFailed }: { readonly picture: number | undefined; readonly isFailed: boolean }) {
  return (
    <span className="grid size-9 shrink-0 place-items-center overflow-hidden rounded-md bg-field text-faint">
      {picture === undefined ? (
        isFailed ? (
          <X className="size-4 text-danger" aria-hidden />
        ) : (
          <Image className="size-4 opacity-60" aria-hidden />
        )
      ) : (
        <img
          src={thumbnailUrl(picture, 'queue')}
          alt=""
          className="size-full object-cover"
          onError={event => {
            // The key of the content is not known here; the picture itself is.
            const whole = pictureUrl(picture)
            if (!event.currentTarget.src.endsWith(whole)) event.currentTarget.src = whole
          }}
        />
      )}
    </span>
  )
}

function Buttons({ job }: { readonly job: HostJob }) {
  const { queue } = useStrings()
  const { id, state, picture } = job
  return (
    <div className="flex shrink-0 items-center">
      {state === 'queued' && (
        <IconButton label={queue.pause} size="small" onClick={() => void pauseJob(id)}>
          <Pause aria-hidden />
        </IconButton>
      )}
      {state === 'paused' && (
        <IconButton label={queue.resume} size="small" onClick={() => void resumeJob(id)}>
          <Play aria-hidden />
        </IconButton>
      )}
      {(state === 'failed' || state === 'cancelled') && (
        <IconButton label={queue.retry} size="small" onClick={() => void retryJob(job)}>
          <RotateCcw aria-hidden />
        </IconButton>
      )}
      {picture !== undefined && (
        <IconButton label={queue.show} size="small" onClick={() => void showPicture(picture)}>
          <Image aria-hidden />
        </IconButton>
      )}
      {state === 'queued' || state === 'running' || state === 'paused' ? (
        <IconButton label={queue.cancel} size="small" onClick={() => void cancelJob(id)}>
          <X aria-hidden />
        </IconButton>
      ) : (
        <IconButton label={queue.remove} size="small" onClick={() => void removeJob(id)}>
          <Trash2 aria-hidden />
        </IconButton>
      )}
    </div>
  )
}
