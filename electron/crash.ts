/** When a page or the graphics process dies: the window comes back with a message, but never in a loop. */
import { app, dialog, type BrowserWindow } from 'electron'
import { CrashBudget, type SafeModeMarker } from './crash-budget.ts'
import { appPage } from './policy.ts'

export interface CrashActions {
  /** Shows a sentence in the page, as soon as it listens. */
  notice(text: string): void
  log(message: string): void
  /** Quits without asking: there is nobody left who draws. */
  quit(): void
}

/** Ways in which a page ends that are no crash. */
const quiet = new Set(['clean-exit'])

/** Reloads a window whose page died. */
export function recoverWindow(window: BrowserWindow, actions: CrashActions): void {
  const budget = new CrashBudget(2, 60_000)
  const reload = () => {
    if (window.isDestroyed()) return
    actions.notice('The page stopped working and was opened again. Pictures and queue are kept.')
    void window.loadURL(appPage).catch((error: unknown) => actions.log(`the page did not load: ${error}`))
  }
  window.webContents.on('render-process-gone', (_event, details) => {
    if (quiet.has(details.reason)) return
    actions.log(`the page is gone: ${details.reason} (${details.exitCode})`)
    if (budget.crashed()) {
      reload()
      return
    }
    void dialog
      .showMessageBox(window, {
        type: 'error',
        message: 'The page keeps crashing.',
        detail:
          details.reason === 'oom'
            ? 'The memory is used up. Draw smaller pictures, or choose a smaller model.'
            : 'Pictures and queue are kept. If it goes on, draw smaller pictures or update the graphics driver.',
        buttons: ['Try Again', 'Quit'],
        defaultId: 0,
        cancelId: 1,
      })
      .then(({ response }) => {
        if (response !== 0) return actions.quit()
        budget.forgive()
        reload()
      })
  })
  window.on('unresponsive', () => actions.log('the page does not answer'))
}

/**
 * Watches the graphics process. Chromium starts it again by itself, and ends the whole program when that keeps failing:
 * before it does, the next start is marked to do without.
 */
export function watchGraphics(marker: SafeModeMarker, actions: CrashActions): void {
  const budget = new CrashBudget(2, 30_000)
  app.on('child-process-gone', (_event, details) => {
    if (details.type !== 'GPU' || quiet.has(details.reason)) return
    actions.log(`the graphics process is gone: ${details.reason} (${details.exitCode})`)
    if (budget.crashed()) {
      actions.notice('The graphics process stopped and was started again.')
      return
    }
    marker.set()
    actions.notice('The graphics process keeps crashing. The next start does without the graphics card.')
  })
}
