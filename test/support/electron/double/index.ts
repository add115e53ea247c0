/**
 * The module `electron` as the double gives it to a main process: bundled to one CommonJS file and put in its place by
 * hooks.cjs. What it lacks, a shell that uses it notices at once: it is undefined.
 */
import { app } from './app.ts'
import { browser } from './browser.ts'
import { ipcMain } from './ipc.ts'
import { DoubleMenu, DoubleMenuItem } from './menu.ts'
import { protocol, session } from './session.ts'
import { dialog, DoubleNotification, nativeTheme, recorded, screen, shell } from './small.ts'
import { DoubleWindow } from './window.ts'

export { app, dialog, ipcMain, nativeTheme, protocol, screen, session, shell }
export { DoubleWindow as BrowserWindow, DoubleMenu as Menu, DoubleMenuItem as MenuItem }
export { DoubleNotification as Notification }

/** Names that Electron has too: a part that Electron dropped or never had cannot stay in the double. */
const parts = {
  app,
  dialog,
  ipcMain,
  nativeTheme,
  protocol,
  screen,
  session,
  shell,
  BrowserWindow: DoubleWindow,
  Menu: DoubleMenu,
  MenuItem: DoubleMenuItem,
  Notification: DoubleNotification,
} satisfies Partial<Record<keyof typeof Electron, unknown>>

/** For tests: what Electron has not. */
export const double = { recorded, browser, parts }

interface Asked {
  readonly id: number
  readonly source: string
  readonly argument: unknown
}

// The test's side of the same wire is launch.ts.
if (process.send) {
  process.on('message', (message: Asked) => {
    void (async () => {
      try {
        // The test's own function, by its source, as Playwright's ElectronApplication.evaluate does.
        const run = new Function(`return (${message.source})`)() as (
          parts: unknown,
          argument: unknown,
        ) => unknown
        const value = await run({ ...parts, double }, message.argument)
        process.send?.({ id: message.id, value })
      } catch (error) {
        process.send?.({ id: message.id, error: error instanceof Error ? error.message : String(error) })
      }
    })()
  })
  void app.whenReady().then(() => process.send?.({ ready: { port: browser.port } }))
}
