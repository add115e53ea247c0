/** Beside the loud button: other ways to draw what Create shows. */
import { ChevronUp, Grid3x3, ListPlus } from 'lucide-react'
import type { ReactNode } from 'react'
import { useRequest } from '../../state/request.ts'
import { showScreen } from '../../state/ui.ts'
import { useStrings } from '../../strings/index.ts'
import { Keys } from '../../ui/keys.tsx'
import { Popover, PopoverClose } from '../../ui/popover.tsx'
import { queueDraft } from './queue-state.ts'

export function DrawMenu() {
  const { queue } = useStrings()
  const count = useRequest(state => state.draft.count)
  return (
    <Popover
      label={queue.more}
      side="top"
      align="end"
      trigger={
        <button
          type="button"
          aria-label={queue.more}
          className="grid h-10 w-8 shrink-0 place-items-center rounded-md bg-raised text-soft ring-1 ring-line ring-inset hover:text-text"
        >
          <ChevronUp className="size-4" aria-hidden />
        </button>
      }
    >
      <ul className="-m-2 min-w-56">
        <Item
          icon={<ListPlus className="size-4" aria-hidden />}
          label={count > 1 ? queue.addMany(count) : queue.add}
          keys="Mod+Shift+Enter"
          onClick={() => void queueDraft()}
        />
        <Item
          icon={<Grid3x3 className="size-4" aria-hidden />}
          label={queue.plot}
          onClick={() => showScreen('plot')}
        />
      </ul>
    </Popover>
  )
}

function Item(props: {
  readonly icon: ReactNode
  readonly label: string
  readonly keys?: string
  onClick(): void
}) {
  return (
    <li>
      <PopoverClose asChild>
        <button
          type="button"
          onClick={props.onClick}
          className="flex w-full items-center gap-2.5 rounded-md px-3 py-2 text-left hover:bg-accent-wash [&_svg]:text-soft"
        >
          {props.icon}
          <span className="grow">{props.label}</span>
          {props.keys && <Keys keys={props.keys} />}
        </button>
      </PopoverClose>
    </li>
  )
}
