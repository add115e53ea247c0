/** Messages in the corner, and the line that screen readers speak. */
import { CircleAlert, CircleCheck, Info, X } from 'lucide-react'
import { dismiss, type Message, useUi } from '../state/ui.ts'
import { useStrings } from '../strings/index.ts'
import { Button, IconButton } from './button.tsx'
import { cx } from './class-names.ts'

const icons = { info: Info, good: CircleCheck, problem: CircleAlert } as const
const colours = { info: 'text-soft', good: 'text-good', problem: 'text-danger' } as const

export function Toasts() {
  const { app } = useStrings()
  const messages = useUi(state => state.messages)
  const announcement = useUi(state => state.announcement)
  return (
    <>
      <section
        aria-label={app.notifications}
        className="pointer-events-none fixed right-4 bottom-10 z-50 flex w-80 flex-col gap-2"
      >
        {messages.map(message => (
          <Toast key={message.id} message={message} />
        ))}
      </section>
      <div role="status" className="sr-only">
        {announcement}
      </div>
    </>
  )
}

function Toast({ message }: { readonly message: Message }) {
  const { app } = useStrings()
  const Icon = icons[message.tone]
  return (
    <div
      role={message.tone === 'problem' ? 'alert' : 'status'}
      className="glow-in pointer-events-auto flex items-start gap-2 rounded-lg bg-raised p-3 shadow-pop"
    >
      <Icon className={cx('mt-0.5 size-4 shrink-0', colours[message.tone])} aria-hidden />
      <div className="selectable grow">
        <p>{message.text}</p>
        {message.detail && <p className="text-soft">{message.detail}</p>}
        {message.action && (
          <Button
            size="small"
            className="mt-2"
            onClick={() => {
              message.action?.run()
              dismiss(message.id)
            }}
          >
            {message.action.label}
          </Button>
        )}
      </div>
      <IconButton label={app.dismiss} size="small" onClick={() => dismiss(message.id)}>
        <X aria-hidden />
      </IconButton>
    </div>
  )
}
