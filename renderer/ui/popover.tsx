/** A small panel beside what opened it. */
import { Popover as Radix } from 'radix-ui'
import type { ReactNode } from 'react'

export function Popover({
  trigger,
  children,
  label,
  side = 'bottom',
  align = 'start',
}: {
  readonly trigger: ReactNode
  readonly children: ReactNode
  readonly label: string
  readonly side?: 'top' | 'right' | 'bottom' | 'left'
  readonly align?: 'start' | 'center' | 'end'
}) {
  return (
    <Radix.Root>
      <Radix.Trigger asChild>{trigger}</Radix.Trigger>
      <Radix.Portal>
        <Radix.Content
          aria-label={label}
          side={side}
          align={align}
          sideOffset={6}
          collisionPadding={8}
          className="glow-in z-40 max-h-(--radix-popover-content-available-height) max-w-80 overflow-auto rounded-lg bg-raised p-3 text-sm shadow-pop"
        >
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  )
}

export const PopoverClose = Radix.Close
