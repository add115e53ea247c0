/** The window: title bar, rail, the chosen screen, status bar, and what lies over them. */
import { lazy, Suspense, useEffect, useState } from 'react'
import { DropZone } from '../features/gallery/drop-zone.tsx'
import { QueueDrawer } from '../features/queue/queue-drawer.tsx'
import { useUi } from '../state/ui.ts'
import { Toasts } from '../ui/toasts.tsx'
import { TipProvider } from '../ui/tooltip.tsx'
import { CommandPalette } from './command-palette.tsx'
import { Conditions } from './conditions.tsx'
import { ErrorBoundary } from './error-boundary.tsx'
import { listenToKeys } from './keyboard.ts'
import { Rail } from './rail.tsx'
import { screens } from './screens.tsx'
import { ShortcutsSheet } from './shortcuts-sheet.tsx'
import { StatusBar } from './status-bar.tsx'
import { TitleBar } from './title-bar.tsx'

// Seldom needed, and not small.
const ExportDialog = lazy(() =>
  import('../features/export/export-dialog.tsx').then(m => ({ default: m.ExportDialog })),
)

export function App() {
  const screen = useUi(state => state.screen)
  const Shown = (screens.find(({ id }) => id === screen) ?? screens[0])?.component
  useEffect(listenToKeys, [])
  return (
    <TipProvider delayDuration={500}>
      <div className="grid h-full grid-cols-[3.5rem_minmax(0,1fr)] grid-rows-[2.5rem_minmax(0,1fr)_1.75rem]">
        <TitleBar />
        <Rail />
        <main className="flex min-h-0 min-w-0 flex-col" id={`screen-${screen}`}>
          <Conditions />
          <div className="min-h-0 grow">
            <ErrorBoundary key={screen}>
              <Suspense>{Shown && <Shown />}</Suspense>
            </ErrorBoundary>
          </div>
        </main>
        <StatusBar />
      </div>
      <QueueDrawer />
      <DropZone />
      <CommandPalette />
      <ShortcutsSheet />
      <ExportPlace />
      <Toasts />
    </TipProvider>
  )
}

/** Its script is fetched when it is first opened, and stays. */
function ExportPlace() {
  const isOpen = useUi(state => state.dialog === 'export')
  const [wasOpen, setWasOpen] = useState(false)
  if (isOpen && !wasOpen) setWasOpen(true)
  return wasOpen ? (
    <Suspense>
      <ExportDialog />
    </Suspense>
  ) : null
}
