/** The top of the window; in Electron it is what the window is dragged by. */
import { Redo2, Search, Undo2 } from 'lucide-react'
import { useEngine } from '../state/engine.ts'
import { redoRequest, undoRequest, useRequest } from '../state/request.ts'
import { showDialog } from '../state/ui.ts'
import { useStrings } from '../strings/index.ts'
import { IconButton } from '../ui/button.tsx'
import { Keys } from '../ui/keys.tsx'

export function TitleBar() {
  const { app } = useStrings()
  const model = useEngine(state => state.modelName)
  const canUndo = useRequest(state => state.past.length > 0)
  const canRedo = useRequest(state => state.future.length > 0)
  return (
    <header className="drag-region col-span-2 grid grid-cols-[1fr_auto_1fr] items-center bg-app pr-2 pl-4">
      <div className="flex items-center gap-2">
        <svg viewBox="0 0 24 12" className="w-6 text-accent" aria-hidden>
          <path
            d="M1 9c4 0 4-6.500 8-6.500s4 6.500 8 6.500 3.500-4 6-4"
            fill="none"
            stroke="currentColor"
            strokeWidth="2.250"
            strokeLinecap="round"
          />
        </svg>
        <h1 className="text-sm font-semibold tracking-tight">Attune</h1>
        {model && <span className="ml-1 truncate text-xs text-faint">{model}</span>}
      </div>
      <button
        type="button"
        onClick={() => showDialog('palette')}
        className="no-drag field flex h-7 w-[min(22rem,34vw)] items-center gap-2 px-2 text-xs text-faint"
      >
        <Search className="size-3.5" aria-hidden />
        <span className="grow text-left">{app.searchCommands}</span>
        <Keys keys="Mod+K" />
      </button>
      <div className="no-drag flex justify-end gap-1">
        <IconButton label={app.undo} keys="Mod+Z" disabled={!canUndo} onClick={() => undoRequest()}>
          <Undo2 aria-hidden />
        </IconButton>
        <IconButton label={app.redo} keys="Mod+Shift+Z" disabled={!canRedo} onClick={() => redoRequest()}>
          <Redo2 aria-hidden />
        </IconButton>
      </div>
    </header>
  )
}
