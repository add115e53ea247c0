/** The queue's place on the rail, with the number of pictures that wait. */
import { ListVideo } from 'lucide-react'
import { useStrings } from '../../strings/index.ts'
import { cx } from '../../ui/class-names.ts'
import { isPending, toggleQueue, useQueue } from './queue-state.ts'

export function QueueButton() {
  const { queue } = useStrings()
  const { jobs, isOpen, paused } = useQueue()
  const count = jobs.filter(isPending).length
  return (
    <button
      type="button"
      aria-label={queue.open(count)}
      aria-expanded={isOpen}
      onClick={toggleQueue}
      className={cx(
        'relative flex w-13 shrink-0 flex-col items-center gap-0.5 rounded-lg py-1.5 text-[0.625rem] leading-3 font-medium transition-colors',
        isOpen ? 'bg-raised text-text' : 'text-faint hover:text-text',
      )}
    >
      <ListVideo className={cx('size-[1.125rem]', isOpen && 'text-accent')} aria-hidden />
      <span className="max-w-full truncate">{queue.rail}</span>
      {count > 0 && (
        <span
          aria-hidden
          className={cx(
            'numeric absolute top-0 right-0 min-w-4 rounded-full px-1 text-center text-[0.625rem] leading-4 font-semibold',
            paused ? 'bg-line-strong text-text' : 'bg-accent text-on-accent',
          )}
        >
          {count > 99 ? '99+' : count}
        </span>
      )}
    </button>
  )
}
