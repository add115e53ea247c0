/** A dialog over the window: keeps the keyboard inside, closes with Escape, gives the focus back. */
import { X } from 'lucide-react'
import { Dialog as Radix } from 'radix-ui'
import type { ReactNode } from 'react'
import { useStrings } from '../strings/index.ts'
import { cx } from './class-names.ts'
import { IconButton } from './button.tsx'

export function Dialog({
  open,
  onClose,
  title,
  children,
  className,
  bare = false,
}: {
  readonly open: boolean
  onClose(): void
  readonly title: string
  readonly children: ReactNode
  readonly className?: string
  /** The title is for screen readers only. */
  readonly bare?: boolean
}) {
  const { app } = useStrings()
  return (
    <Radix.Root open={open} onOpenChange={next => !next && onClose()}>
      <Radix.Portal>
        <Radix.Overlay className="fixed inset-0 z-40 bg-black/50" />
        <Radix.Content
          aria-describedby={undefined}
          // Else the button that closes is focused first, its tooltip opens, and Escape closes that and not the dialog.
          onOpenAutoFocus={event => {
            if (bare) return
            event.preventDefault()
            if (event.currentTarget instanceof HTMLElement) event.currentTarget.focus()
          }}
          className={cx(
            'glow-in fixed outline-none top-[12vh] left-1/2 z-50 flex max-h-[76vh] w-[min(36rem,calc(100vw-2rem))] -translate-x-1/2 flex-col rounded-xl bg-panel shadow-pop',
            className,
          )}
        >
          {bare ? (
            <Radix.Title className="sr-only">{title}</Radix.Title>
          ) : (
            <header className="flex items-center justify-between border-b border-line py-3 pr-3 pl-5">
              <Radix.Title className="text-lg font-semibold">{title}</Radix.Title>
              <Radix.Close asChild>
                <IconButton label={app.close}>
                  <X aria-hidden />
                </IconButton>
              </Radix.Close>
            </header>
          )}
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  )
}
