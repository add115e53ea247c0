/** Styles above the prompt: choose one, save one, and the lists that wildcards draw from. */
import { Palette, Plus, Shuffle, Trash2 } from 'lucide-react'
import { useState } from 'react'
import { tell } from '../../state/ui.ts'
import { strings, useStrings } from '../../strings/index.ts'
import { IconButton } from '../../ui/button.tsx'
import { Popover, PopoverClose } from '../../ui/popover.tsx'
import { applyPreset } from './apply.ts'
import { ListsDialog } from './lists-dialog.tsx'
import { SaveStyleDialog } from './save-style-dialog.tsx'
import { type Preset, removePreset, savePreset, useKept } from './storage.ts'

export function StylesMenu() {
  const { presets: words } = useStrings()
  const { presets } = useKept()
  const [dialog, setDialog] = useState<'save' | 'lists'>()
  const row = 'flex w-full items-center gap-2 rounded-md px-2 py-1.5 text-left hover:bg-accent-wash'
  return (
    <>
      <Popover
        label={words.styles}
        trigger={
          <button
            type="button"
            className="flex h-6 items-center gap-1 rounded px-1 text-xs text-faint hover:text-text"
          >
            <Palette className="size-3.5" aria-hidden />
            {words.styles}
          </button>
        }
      >
        <div className="-m-1 w-64">
          {presets.length === 0 && <p className="px-2 pb-2 text-soft">{words.none}</p>}
          <ul className="max-h-64 overflow-y-auto">
            {presets.map(preset => (
              <li key={preset.name} className="flex items-center">
                <PopoverClose asChild>
                  <button
                    type="button"
                    aria-label={words.apply(preset.name)}
                    title={[preset.before, preset.after].filter(Boolean).join(' … ')}
                    onClick={() => applyPreset(preset)}
                    className={`${row} min-w-0`}
                  >
                    <span className="truncate">{preset.name}</span>
                  </button>
                </PopoverClose>
                <IconButton label={words.remove(preset.name)} size="small" onClick={() => remove(preset)}>
                  <Trash2 aria-hidden />
                </IconButton>
              </li>
            ))}
          </ul>
          <div className="mt-1 border-t border-line pt-1">
            <PopoverClose asChild>
              <button type="button" className={row} onClick={() => setDialog('save')}>
                <Plus className="size-4 text-soft" aria-hidden /> {words.saveNew}
              </button>
            </PopoverClose>
            <PopoverClose asChild>
              <button type="button" className={row} onClick={() => setDialog('lists')}>
                <Shuffle className="size-4 text-soft" aria-hidden /> {words.manage}
              </button>
            </PopoverClose>
          </div>
        </div>
      </Popover>
      <SaveStyleDialog open={dialog === 'save'} onClose={() => setDialog(undefined)} />
      <ListsDialog open={dialog === 'lists'} onClose={() => setDialog(undefined)} />
    </>
  )
}

function remove(preset: Preset): void {
  const { presets } = strings()
  void removePreset(preset.name)
  tell({
    tone: 'info',
    text: presets.removed(preset.name),
    action: { label: presets.undo, run: () => void savePreset(preset) },
  })
}
