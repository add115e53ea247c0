/** `BrowserWindow` of the double: a page in the shared Chromium, with the bounds and states of a window. */
import { EventEmitter } from 'node:events'
import { pathToFileURL } from 'node:url'
import { app } from './app.ts'
import { makeEvent } from './events.ts'
import { DoubleWebContents } from './web-contents.ts'

/** What of `Electron.BrowserWindow` is doubled, besides events. */
export type WindowPart = Pick<
  Electron.BrowserWindow,
  | 'id'
  | 'loadURL'
  | 'show'
  | 'hide'
  | 'focus'
  | 'isFocused'
  | 'isVisible'
  | 'minimize'
  | 'isMinimized'
  | 'restore'
  | 'maximize'
  | 'unmaximize'
  | 'isMaximized'
  | 'setFullScreen'
  | 'isFullScreen'
  | 'getBounds'
  | 'getNormalBounds'
  | 'setBounds'
  | 'getSize'
  | 'setSize'
  | 'getTitle'
  | 'setTitle'
  | 'setBackgroundColor'
  | 'getBackgroundColor'
  | 'getMinimumSize'
  | 'close'
  | 'destroy'
  | 'isDestroyed'
  | 'reload'
>

let lastId = 0

export class DoubleWindow extends EventEmitter implements WindowPart {
  static getAllWindows(): DoubleWindow[] {
    return all.filter(window => !window.isDestroyed())
  }

  static getFocusedWindow(): DoubleWindow | null {
    return DoubleWindow.getAllWindows().find(window => window.isFocused()) ?? null
  }

  static fromId(id: number): DoubleWindow | null {
    return DoubleWindow.getAllWindows().find(window => window.id === id) ?? null
  }

  static fromWebContents(contents: unknown): DoubleWindow | null {
    return DoubleWindow.getAllWindows().find(window => window.webContents === contents) ?? null
  }

  readonly id = ++lastId
  readonly webContents: DoubleWebContents
  /** For tests. */
  readonly options: Electron.BrowserWindowConstructorOptions
  #bounds: Electron.Rectangle
  #title: string
  #background: string
  #visible: boolean
  #focused = false
  #minimized = false
  #maximized = false
  #full = false
  #destroyed = false
  #closing = false

  constructor(options: Electron.BrowserWindowConstructorOptions = {}) {
    super()
    if (!app.isReady()) throw new Error('Cannot create BrowserWindow before app is ready')
    this.options = options
    const { x = 240, y = 60, width = 800, height = 600 } = options
    this.#bounds = {
      x,
      y,
      width: Math.max(width, options.minWidth ?? 0),
      height: Math.max(height, options.minHeight ?? 0),
    }
    this.#title = options.title ?? app.name
    this.#background = options.backgroundColor ?? '#FFFFFF'
    this.#visible = options.show ?? true
    this.#focused = this.#visible
    this.webContents = new DoubleWebContents(options.webPreferences ?? {})
    all.push(this)
    app.windows.push(this)
    this.webContents.on('did-finish-load', () => {
      this.#title = this.webContents.getTitle() || this.#title
      if (!readied.has(this)) this.emit('ready-to-show', makeEvent({}))
      readied.add(this)
    })
    this.webContents.on('double-page-closed', () => {
      // The page called window.close().
      if (!this.#destroyed && !this.webContents.isCrashed()) this.close()
    })
    app.emit('browser-window-created', makeEvent({}), this)
  }

  loadURL(url: string): Promise<void> {
    return this.webContents.loadURL(url)
  }

  loadFile(path: string): Promise<void> {
    return this.webContents.loadURL(pathToFileURL(path).href)
  }

  show(): void {
    const was = this.#visible
    this.#visible = true
    this.#focused = true
    if (!was) this.emit('show')
  }

  hide(): void {
    const was = this.#visible
    this.#visible = false
    this.#focused = false
    if (was) this.emit('hide')
  }

  focus(): void {
    this.#focused = true
    this.emit('focus')
  }

  blur(): void {
    this.#focused = false
    this.emit('blur')
  }

  isFocused(): boolean {
    return this.#focused
  }

  isVisible(): boolean {
    return this.#visible
  }

  minimize(): void {
    this.#minimized = true
    this.#focused = false
    this.emit('minimize')
  }

  isMinimized(): boolean {
    return this.#minimized
  }

  restore(): void {
    this.#minimized = false
    this.emit('restore')
  }

  maximize(): void {
    this.#maximized = true
    this.#visible = true
    this.emit('maximize')
  }

  unmaximize(): void {
    this.#maximized = false
    this.emit('unmaximize')
  }

  isMaximized(): boolean {
    return this.#maximized
  }

  setFullScreen(flag: boolean): void {
    this.#full = flag
  }

  isFullScreen(): boolean {
    return this.#full
  }

  getBounds(): Electron.Rectangle {
    return { ...this.#bounds }
  }

  getNormalBounds(): Electron.Rectangle {
    return { ...this.#bounds }
  }

  setBounds(bounds: Partial<Electron.Rectangle>): void {
    this.#bounds = { ...this.#bounds, ...bounds }
    this.emit('resize')
  }

  getSize(): number[] {
    return [this.#bounds.width, this.#bounds.height]
  }

  setSize(width: number, height: number): void {
    this.setBounds({ width, height })
  }

  getMinimumSize(): number[] {
    return [this.options.minWidth ?? 0, this.options.minHeight ?? 0]
  }

  getTitle(): string {
    return this.#title
  }

  setTitle(title: string): void {
    this.#title = title
  }

  setBackgroundColor(color: string): void {
    this.#background = color
  }

  getBackgroundColor(): string {
    return this.#background.toUpperCase()
  }

  reload(): void {
    this.webContents.reload()
  }

  isDestroyed(): boolean {
    return this.#destroyed
  }

  close(): void {
    if (this.#destroyed || this.#closing) return
    const event = makeEvent({})
    this.emit('close', event)
    if (event.defaultPrevented) {
      this.emit('double-close-prevented')
      return
    }
    this.#closing = true
    void (async () => {
      if (this.webContents.getURL() !== '' && (await this.webContents.wantsToStay())) {
        const stay = makeEvent({})
        this.webContents.emit('will-prevent-unload', stay)
        if (!stay.defaultPrevented) {
          this.#closing = false
          this.emit('double-close-prevented')
          return
        }
      }
      this.destroy()
    })()
  }

  destroy(): void {
    if (this.#destroyed) return
    this.#destroyed = true
    this.#visible = false
    all.splice(all.indexOf(this), 1)
    void this.webContents.destroyPage()
    this.emit('double-destroyed')
    const isQuitting = app.isQuitting
    setImmediate(() => {
      this.emit('closed')
      app.windowClosed(this, isQuitting)
    })
  }
}

const all: DoubleWindow[] = []
const readied = new WeakSet<DoubleWindow>()
