/** The window: title bar, rail, the chosen screen, status bar, and what lies over them. */
import { Suspense, useEffect } from 'react'
import { DropZone } from '../features/gallery/drop-zone.tsx'
import { QueueDrawer } from '../features/queue/queue-drawer.tsx'
import { useUi } from '../state/ui.ts'
import { Toasts } from '../ui/toasts.tsx'
import { TipProvider } from '../ui/tooltip.tsx'
import { CommandPalette } from './command-palette.tsx'
import { ErrorBoundary } from './error-boundary.tsx'
import { listenToKeys } from './keyboard.ts'
import { Rail } from './rail.tsx'
import { screens } from './screens.tsx'
import { ShortcutsSheet } from './shortcuts-sheet.tsx'
import { StatusBar } from './status-bar.tsx'
import { TitleBar } from './title-bar.tsx'

export function App() {
  const screen = useUi(state => state.screen)
  const Shown = (screens.find(({ id }) => id === screen) ?? screens[0])?.component
  useEffect(listenToKeys, [])
  return (
    <TipProvider delayDuration={500}>
      <div className="grid h-full grid-cols-[3.5rem_minmax(0,1fr)] grid-rows-[2.5rem_minmax(0,1fr)_1.75rem]">
        <TitleBar />
        <Rail />
        <main className="min-h-0 min-w-0" id={`screen-${screen}`}>
          <ErrorBoundary key={screen}>
            <Suspense>{Shown && <Shown />}</Suspense>
          </ErrorBoundary>
        </main>
        <StatusBar />
      </div>
      <QueueDrawer />
      <DropZone />
      <CommandPalette />
      <ShortcutsSheet />
      <Toasts />
    </TipProvider>
  )
}
