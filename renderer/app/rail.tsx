/** The left rail: the screens. */
import { CircleHelp } from 'lucide-react'
import { QueueButton } from '../features/queue/queue-button.tsx'
import { showDialog, showScreen, useUi } from '../state/ui.ts'
import { useStrings } from '../strings/index.ts'
import { IconButton } from '../ui/button.tsx'
import { cx } from '../ui/class-names.ts'
import { screens } from './screens.tsx'

export function Rail() {
  const strings = useStrings()
  const shown = useUi(state => state.screen)
  return (
    <nav
      aria-label={strings.app.mainNavigation}
      className="flex min-h-0 flex-col items-center gap-1 overflow-y-auto bg-app pb-2"
    >
      {screens.map(({ id, icon: Icon, label }) => (
        <button
          key={id}
          type="button"
          aria-current={shown === id ? 'page' : undefined}
          onClick={() => showScreen(id)}
          className={cx(
            'flex w-13 flex-col items-center gap-0.5 rounded-lg py-1.5 text-[0.625rem] leading-3 font-medium transition-colors',
            shown === id ? 'bg-raised text-text' : 'text-faint hover:text-text',
          )}
        >
          <Icon className={cx('size-[1.125rem]', shown === id && 'text-accent')} aria-hidden />
          <span className="max-w-full truncate">{label(strings)}</span>
        </button>
      ))}
      <div className="grow" />
      <QueueButton />
      <IconButton label={strings.app.shortcuts} keys="?" side="right" onClick={() => showDialog('shortcuts')}>
        <CircleHelp aria-hidden />
      </IconButton>
    </nav>
  )
}
