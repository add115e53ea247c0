/** "Use again": everything, only the prompt, only the seed. */
import { ChevronDown, Undo2 } from 'lucide-react'
import { useStrings } from '../../strings/index.ts'
import { Button } from '../../ui/button.tsx'
import { Popover, PopoverClose } from '../../ui/popover.tsx'
import { reuseOfPicture } from './gallery-actions.ts'
import type { ReusePart } from './reuse.ts'

const parts: readonly ReusePart[] = ['all', 'prompt', 'seed']

export function ReuseMenu({ id, tone = 'plain' }: { readonly id: number; readonly tone?: 'plain' | 'loud' }) {
  const { gallery } = useStrings()
  const names: Readonly<Record<ReusePart, string>> = {
    all: gallery.reuseAll,
    prompt: gallery.reusePrompt,
    seed: gallery.reuseSeed,
  }
  return (
    <Popover
      label={gallery.reuse}
      side="top"
      trigger={
        <Button tone={tone}>
          <Undo2 className="size-4" aria-hidden />
          {gallery.reuse}
          <ChevronDown className="size-3.5 opacity-70" aria-hidden />
        </Button>
      }
    >
      <ul className="-m-2 min-w-36">
        {parts.map(part => (
          <li key={part}>
            <PopoverClose asChild>
              <button
                type="button"
                onClick={() => void reuseOfPicture(id, part)}
                className="w-full rounded-md px-3 py-1.5 text-left hover:bg-accent-wash"
              >
                {names[part]}
              </button>
            </PopoverClose>
          </li>
        ))}
      </ul>
    </Popover>
  )
}
