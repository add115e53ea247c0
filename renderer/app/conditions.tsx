/**
 * The strip under the title bar for what lasts: pictures that wait for room on the disk, a host that does not answer, a
 * machine without a graphics adapter. Nothing of it stands in the way of drawing.
 */
import { Cpu, HardDrive, Unplug } from 'lucide-react'
import type { ReactNode } from 'react'
import { callHost } from '../host/client.ts'
import { retryUnsaved, useConditions } from '../state/conditions.ts'
import { useEngine } from '../state/engine.ts'
import { reportError } from '../state/ui.ts'
import { useStrings } from '../strings/index.ts'
import { Button } from '../ui/button.tsx'
import { cx } from '../ui/class-names.ts'

export function Conditions() {
  const { app } = useStrings()
  const { isHostGone, unsaved, hasReadGraphics } = useConditions()
  const problem = useEngine(state => state.problem)
  const last = unsaved.at(-1)?.error
  return (
    <>
      {isHostGone && (
        <Strip icon={<Unplug aria-hidden />} title={app.offlineTitle} isUrgent>
          {app.offline}
        </Strip>
      )}
      {last && !isHostGone && (
        <Strip
          icon={<HardDrive aria-hidden />}
          title={last.code === 'disk-full' ? app.diskFull(unsaved.length) : app.unsaved(unsaved.length)}
          isUrgent
          actions={
            <>
              <Button size="small" onClick={() => void retryUnsaved()}>
                {app.retry}
              </Button>
              <Button
                size="small"
                tone="plain"
                onClick={() => void callHost('shell.openFolder', { which: 'pictures' }).catch(reportError)}
              >
                {app.openPictures}
              </Button>
            </>
          }
        >
          {last.message} {last.remedy}
        </Strip>
      )}
      {problem && !hasReadGraphics && (
        <Strip
          icon={<Cpu aria-hidden />}
          title={app.noGraphics}
          actions={
            <Button
              size="small"
              tone="plain"
              onClick={() => useConditions.setState({ hasReadGraphics: true })}
            >
              {app.dismiss}
            </Button>
          }
        >
          {app.processorHint} {problem.message}
        </Strip>
      )}
    </>
  )
}

function Strip({
  icon,
  title,
  isUrgent = false,
  actions,
  children,
}: {
  readonly icon: ReactNode
  readonly title: string
  readonly isUrgent?: boolean
  readonly actions?: ReactNode
  readonly children: ReactNode
}) {
  return (
    <section
      role={isUrgent ? 'alert' : 'status'}
      aria-label={title}
      className="flex shrink-0 items-center gap-3 border-b border-line bg-warning-wash px-4 py-2 text-xs"
    >
      <span className={cx('[&_svg]:size-4', isUrgent ? 'text-danger' : 'text-warning')}>{icon}</span>
      <p className="selectable min-w-0 grow">
        <strong className="font-semibold">{title}</strong>{' '}
        <span className="break-words text-soft">{children}</span>
      </p>
      {actions}
    </section>
  )
}
