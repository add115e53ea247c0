/** The keys of all commands, by what they are about. */
import { showDialog, useUi } from '../state/ui.ts'
import { useStrings } from '../strings/index.ts'
import { Dialog } from '../ui/dialog.tsx'
import { Keys } from '../ui/keys.tsx'
import { commands } from './commands.ts'

const groups = ['groupDraw', 'groupWords', 'groupPicture', 'groupWindow'] as const

export function ShortcutsSheet() {
  const strings = useStrings()
  const open = useUi(state => state.dialog === 'shortcuts')
  return (
    <Dialog
      open={open}
      onClose={() => showDialog(undefined)}
      title={strings.app.shortcuts}
      className="w-[min(44rem,calc(100vw-2rem))]"
    >
      <div className="columns-2 gap-8 overflow-y-auto p-5" tabIndex={0}>
        {groups.map(group => (
          <section key={group} className="mb-5 break-inside-avoid">
            <h3 className="label mb-1">{strings.app[group]}</h3>
            <dl>
              {commands
                .filter(command => command.group === group && command.keys)
                .map(command => (
                  <div key={command.id} className="flex h-7 items-center justify-between gap-4">
                    <dt>{command.label(strings)}</dt>
                    <dd>
                      <Keys keys={command.keys ?? ''} />
                    </dd>
                  </div>
                ))}
            </dl>
          </section>
        ))}
      </div>
    </Dialog>
  )
}
