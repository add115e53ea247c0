/** `app` of the double: the program's life as Electron orders it, one instance, paths, switches. */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { existsSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { createServer } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { browser } from './browser.ts'
import { makeEvent } from './events.ts'

/** What of `Electron.App` is doubled. */
export type AppPart = Pick<
  Electron.App,
  | 'whenReady'
  | 'isReady'
  | 'quit'
  | 'exit'
  | 'focus'
  | 'getPath'
  | 'setPath'
  | 'getName'
  | 'setName'
  | 'getVersion'
  | 'getAppPath'
  | 'getLocale'
  | 'isPackaged'
  | 'name'
  | 'requestSingleInstanceLock'
  | 'hasSingleInstanceLock'
  | 'releaseSingleInstanceLock'
  | 'enableSandbox'
  | 'disableHardwareAcceleration'
  | 'setAppUserModelId'
  | 'setAboutPanelOptions'
>

interface QuittingWindow {
  isDestroyed(): boolean
  close(): void
  destroy(): void
  once(event: string, listener: () => void): unknown
}

export class DoubleApp extends EventEmitter implements AppPart {
  isPackaged = false
  name: string
  /** What tests look at. */
  readonly doubled = { sandbox: false, hardware: true, modelId: '' }
  readonly commandLine = makeCommandLine()
  readonly windows: QuittingWindow[] = []
  readonly #folder = process.env['ATTUNE_DOUBLE_APP'] ?? process.cwd()
  readonly #package: { name?: string; productName?: string; version?: string }
  readonly #paths = new Map<string, string>()
  readonly #ready: Promise<void>
  #isReady = false
  #isQuitting = false
  #lock: { file: string; close(): void } | undefined

  constructor() {
    super()
    const file = join(this.#folder, 'package.json')
    this.#package = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {}
    this.name = this.#package.productName ?? this.#package.name ?? 'Electron'
    this.#ready = this.#start()
  }

  async #start(): Promise<void> {
    await browser.start()
    // The main script is loaded whole before Electron is ready.
    await new Promise(resolve => setImmediate(resolve))
    this.#isReady = true
    this.emit('will-finish-launching')
    this.emit('ready', makeEvent({}), {})
  }

  whenReady(): Promise<void> {
    return this.#ready
  }

  isReady(): boolean {
    return this.#isReady
  }

  quit(): void {
    if (this.#isQuitting) return
    const before = makeEvent({})
    this.emit('before-quit', before)
    if (before.defaultPrevented) return
    this.#isQuitting = true
    void this.#closeAll().then(closed => {
      if (!closed) {
        this.#isQuitting = false
        return
      }
      const will = makeEvent({})
      this.emit('will-quit', will)
      if (will.defaultPrevented) {
        this.#isQuitting = false
        return
      }
      void this.#end(0)
    })
  }

  exit(code = 0): void {
    this.#isQuitting = true
    for (const window of this.windows.slice()) if (!window.isDestroyed()) window.destroy()
    void this.#end(code)
  }

  /** @returns false when a window did not close */
  async #closeAll(): Promise<boolean> {
    for (const window of this.windows.slice()) {
      if (window.isDestroyed()) continue
      const closed = await new Promise<boolean>(resolve => {
        // Electron tells `will-quit` before the last window's `closed`.
        window.once('double-destroyed', () => resolve(true))
        window.once('double-close-prevented', () => resolve(false))
        window.close()
      })
      if (!closed) return false
    }
    return true
  }

  async #end(code: number): Promise<void> {
    this.emit('quit', makeEvent({}), code)
    this.releaseSingleInstanceLock()
    await Promise.race([browser.close(), new Promise(resolve => setTimeout(resolve, 3000))])
    process.exit(code)
  }

  get isQuitting(): boolean {
    return this.#isQuitting
  }

  /** A window has gone: as Electron, tells when it was the last one, unless the program quits. */
  windowClosed(window: QuittingWindow, isQuitting: boolean): void {
    const at = this.windows.indexOf(window)
    if (at >= 0) this.windows.splice(at, 1)
    if (this.windows.length || isQuitting) return
    // Without a listener Electron quits by itself.
    if (!this.emit('window-all-closed')) this.quit()
  }

  focus(): void {}

  getPath(name: string): string {
    const set = this.#paths.get(name)
    if (set !== undefined) return set
    const home = process.env['HOME'] ?? homedir()
    const appData = process.env['XDG_CONFIG_HOME'] ?? join(home, '.config')
    switch (name) {
      case 'home':
        return home
      case 'appData':
        return appData
      case 'userData':
        return this.commandLine.getSwitchValue('user-data-dir') || join(appData, this.name)
      case 'logs':
        return join(this.getPath('userData'), 'logs')
      case 'temp':
        return tmpdir()
      case 'exe':
        return process.execPath
      case 'pictures':
        return join(home, 'Pictures')
      case 'documents':
      case 'downloads':
      case 'desktop':
        return join(home, `${name[0]?.toUpperCase()}${name.slice(1)}`)
      default:
        throw new Error(`Failed to get '${name}' path`)
    }
  }

  setPath(name: string, path: string): void {
    this.#paths.set(name, path)
  }

  getName(): string {
    return this.name
  }

  setName(name: string): void {
    this.name = name
  }

  getVersion(): string {
    return this.#package.version ?? '0.0.0'
  }

  getAppPath(): string {
    return this.#folder
  }

  getLocale(): string {
    return 'en-US'
  }

  enableSandbox(): void {
    if (this.#isReady) throw new Error('app.enableSandbox() can only be called before app is ready')
    this.doubled.sandbox = true
  }

  disableHardwareAcceleration(): void {
    if (this.#isReady)
      throw new Error('app.disableHardwareAcceleration() can only be called before app is ready')
    this.doubled.hardware = false
  }

  setAppUserModelId(id: string): void {
    this.doubled.modelId = id
  }

  setAboutPanelOptions(): void {}

  hasSingleInstanceLock(): boolean {
    return this.#lock !== undefined
  }

  requestSingleInstanceLock(): boolean {
    if (this.#lock) return true
    const data = this.getPath('userData')
    mkdirSync(data, { recursive: true })
    const file = join(data, 'SingletonLock')
    // Names of sockets are short.
    const socket = join(
      tmpdir(),
      `attune-double-${createHash('sha256').update(data).digest('hex').slice(0, 16)}`,
    )
    if (!takeLock(file)) {
      tellFirst(socket)
      return false
    }
    rmSync(socket, { force: true })
    const server = createServer({ allowHalfOpen: true }, connection => {
      let text = ''
      connection.on('data', part => {
        text += part
      })
      connection.on('end', () => {
        const { words, folder } = JSON.parse(text) as { words: string[]; folder: string }
        this.emit('second-instance', makeEvent({}), words, folder, null)
        connection.end('ok')
      })
      connection.on('error', () => undefined)
    })
    server.listen(socket)
    server.unref()
    this.#lock = { file, close: () => server.close() }
    return true
  }

  releaseSingleInstanceLock(): void {
    this.#lock?.close()
    if (this.#lock) rmSync(this.#lock.file, { force: true })
    this.#lock = undefined
  }
}

function takeLock(file: string): boolean {
  try {
    const lock = openSync(file, 'wx')
    writeSync(lock, String(process.pid))
    return true
  } catch {
    const holder = Number(readFileSync(file, 'utf8'))
    try {
      process.kill(holder, 0)
      return false
    } catch {
      // Whoever held it is dead.
      rmSync(file, { force: true })
      return takeLock(file)
    }
  }
}

/** Synchronous, as Electron's is: the second instance may end at once. */
function tellFirst(socket: string): void {
  const script = `
    const text = process.argv[1]
    let attempts = 0
    const tell = () => {
      const connection = require('net').createConnection(${JSON.stringify(socket)}, () => connection.end(text))
      connection.on('data', () => process.exit(0))
      connection.on('error', () => (++attempts < 20 ? setTimeout(tell, 100) : process.exit(1)))
    }
    tell()`
  const message = JSON.stringify({ words: process.argv, folder: process.cwd() })
  spawnSync(process.execPath, ['-e', script, message], { timeout: 10_000, env: {} })
}

function makeCommandLine(): Pick<
  Electron.CommandLine,
  'appendSwitch' | 'appendArgument' | 'hasSwitch' | 'getSwitchValue' | 'removeSwitch'
> {
  const switches = new Map<string, string>()
  for (const word of process.argv.slice(2)) {
    const found = /^--([^=]+)(?:=(.*))?$/.exec(word)
    if (found) switches.set(found[1] ?? '', found[2] ?? '')
  }
  return {
    appendSwitch: (name, value = '') => void switches.set(name, value),
    appendArgument: () => undefined,
    hasSwitch: name => switches.has(name),
    getSwitchValue: name => switches.get(name) ?? '',
    removeSwitch: name => void switches.delete(name),
  }
}

export const app = new DoubleApp()
