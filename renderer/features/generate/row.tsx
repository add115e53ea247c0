/** A setting with its name, and what puts the model's own value back. */
import { RotateCcw } from 'lucide-react'
import type { ReactNode } from 'react'
import { changeRequest, type RequestDraft } from '../../state/request.ts'
import { useStrings } from '../../strings/index.ts'
import { IconButton } from '../../ui/button.tsx'

export function Row({
  label,
  hint,
  reset,
  children,
}: {
  readonly label: string
  readonly hint?: string
  /** What puts the model's own value back; false where it is in use. */
  readonly reset?: Partial<RequestDraft> | false
  readonly children: ReactNode
}) {
  const { create } = useStrings()
  return (
    <div>
      <div className="mb-1 flex h-5 items-center justify-between">
        <span className="label" title={hint}>
          {label}
        </span>
        {reset && (
          <IconButton label={create.reset} size="small" onClick={() => changeRequest(reset)}>
            <RotateCcw aria-hidden />
          </IconButton>
        )}
      </div>
      <div className="flex items-center gap-3">{children}</div>
    </div>
  )
}
