/** The window: locked down, where it was last time, shown when there is something to see. */
import { BrowserWindow, nativeTheme, screen } from 'electron'
import { appPage } from './policy.ts'
import {
  placeWindow,
  readWindowState,
  smallestWindow,
  type WindowState,
  writeWindowState,
} from './window-state.ts'

/** What every window's page may do; said in full, so that a changed default changes nothing. */
export const webPreferences = {
  contextIsolation: true,
  sandbox: true,
  nodeIntegration: false,
  nodeIntegrationInWorker: false,
  nodeIntegrationInSubFrames: false,
  webSecurity: true,
  allowRunningInsecureContent: false,
  experimentalFeatures: false,
  webviewTag: false,
  navigateOnDragDrop: false,
  spellcheck: false,
  // A drawing goes on while the window is behind another.
  backgroundThrottling: false,
} as const

/** The page's own background (renderer/theme), so that nothing flashes before the first picture. */
const backgrounds = { dark: '#16171a', light: '#f4f4f2' } as const

export interface WindowPaths {
  readonly preload: string
  /** Where the window's place is kept. */
  readonly state: string
}

export interface AppWindow {
  readonly window: BrowserWindow
  /** Waits until its place is written. */
  saved(): Promise<void>
}

/** Opens a window and loads the page; it shows itself. */
export function openWindow(paths: WindowPaths): AppWindow {
  const kept = readWindowState(paths.state)
  const main = screen.getPrimaryDisplay()
  const others = screen.getAllDisplays().filter(display => display.id !== main.id)
  const window = new BrowserWindow({
    ...placeWindow(
      kept,
      [main, ...others].map(display => display.workArea),
    ),
    minWidth: smallestWindow.width,
    minHeight: smallestWindow.height,
    show: false,
    title: 'Attune',
    backgroundColor: backgroundColor(),
    webPreferences: { ...webPreferences, preload: paths.preload },
  })
  if (kept?.maximized) window.maximize()
  if (kept?.fullScreen) window.setFullScreen(true)

  const show = () => {
    if (!window.isDestroyed() && !window.isVisible()) window.show()
  }
  window.once('ready-to-show', show)
  // A page that fails must be seen as well, and some window systems never say that a hidden window is ready.
  window.webContents.once('did-finish-load', show)
  window.webContents.once('did-fail-load', show)

  const onTheme = () => {
    if (!window.isDestroyed()) window.setBackgroundColor(backgroundColor())
  }
  nativeTheme.on('updated', onTheme)
  let writing = Promise.resolve()
  window.once('close', () => {
    const state = stateOf(window)
    writing = writing.then(() => writeWindowState(paths.state, state))
  })
  window.once('closed', () => nativeTheme.off('updated', onTheme))
  void window.loadURL(appPage).catch((error: unknown) => console.error('the page did not load:', error))
  return {
    window,
    saved: async () => {
      if (!window.isDestroyed()) {
        const state = stateOf(window)
        writing = writing.then(() => writeWindowState(paths.state, state))
      }
      await writing
    },
  }
}

function backgroundColor(): string {
  return nativeTheme.shouldUseDarkColors ? backgrounds.dark : backgrounds.light
}

function stateOf(window: BrowserWindow): WindowState {
  return {
    version: 1,
    // Those to return to from full screen, not those of the screen.
    bounds: window.getNormalBounds(),
    maximized: window.isMaximized(),
    fullScreen: window.isFullScreen(),
  }
}

/** Brings a window to the front. */
export function focusWindow(window: BrowserWindow): void {
  if (window.isDestroyed()) return
  if (window.isMinimized()) window.restore()
  window.show()
  window.focus()
}
