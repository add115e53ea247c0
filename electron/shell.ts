/**
 * The desktop program: one instance, one window, one host. Everything before `whenReady` is what Electron wants to know
 * before it starts; the rest is in the order in which a person meets it.
 */
import { app, type BrowserWindow, dialog, nativeTheme, session } from 'electron'
import { join } from 'node:path'
import type { HostEvent } from '../model/contract/host-api.ts'
import { recoverWindow, watchGraphics } from './crash.ts'
import { SafeModeMarker } from './crash-budget.ts'
import { chooseFolder, choosePictures, openFolder, openPictures, reveal, trash } from './files.ts'
import type { CreateHost, HostPort, ShellFunctions } from './host-port.ts'
import { HostIpc } from './ipc.ts'
import { showMenu } from './menu.ts'
import { guardNavigation } from './navigation.ts'
import { notifyOfQueue } from './notifications.ts'
import { picturesOfArguments } from './open-files.ts'
import { guardPermissions } from './permissions.ts'
import { registerAppScheme, serveApp } from './protocol.ts'
import { QuitGuard } from './quitting.ts'
import { chromiumSwitches, readShellSettings } from './switches.ts'
import { loadUpdater, startUpdates, updateFeed } from './update.ts'
import { type AppWindow, focusWindow, openWindow } from './window.ts'

export interface ShellPaths {
  readonly preload: string
  /** The window's bundle. */
  readonly renderer: string
  /** Holds `models/storybook`. */
  readonly assets: string
}

/** Starts the program; returns at once. */
export function startShell(createHost: CreateHost, paths: ShellPaths): void {
  registerAppScheme()
  const data = app.getPath('userData')
  for (const [name, value] of chromiumSwitches(
    process.platform,
    readShellSettings(join(data, 'shell.json')),
  )) {
    app.commandLine.appendSwitch(name, value)
  }
  const marker = new SafeModeMarker(
    join(data, 'safe-mode'),
    `${app.getVersion()} ${process.versions['electron'] ?? ''}`,
  )
  const safeMode = marker.isSet()
  if (safeMode) app.disableHardwareAcceleration()
  app.enableSandbox()
  app.setAppUserModelId('app.attune.desktop')
  // Two programs must not write the same queue and index.
  if (!app.requestSingleInstanceLock()) {
    app.quit()
    return
  }
  guardNavigation()
  const shell = new Shell(createHost, paths, data)
  shell.listen()
  watchGraphics(marker, shell)
  if (safeMode) {
    shell.notice(
      'The graphics card is not used, because its process kept crashing. A new version tries it again.',
    )
  }
  app
    .whenReady()
    .then(() => shell.open())
    .catch((error: unknown) => shell.fail(error))
}

class Shell {
  readonly #paths: ShellPaths
  readonly #data: string
  readonly #createHost: CreateHost
  readonly #quitting: QuitGuard
  readonly #ipc: HostIpc
  #host: Promise<HostPort> | undefined
  #running: HostPort | undefined
  #current: AppWindow | undefined
  /** From events that come before the host: macOS opens files before `ready`. */
  readonly #early: string[] = []
  readonly #notices: string[] = []

  constructor(createHost: CreateHost, paths: ShellPaths, data: string) {
    this.#createHost = createHost
    this.#paths = paths
    this.#data = data
    this.#ipc = new HostIpc(
      () => this.#needHost(),
      message => this.log(message),
    )
    this.#quitting = new QuitGuard({
      drawing: async () => {
        if (!this.#running) return 0
        const { jobs, paused } = await this.#running.api.call('jobs.list', {})
        // A paused queue waits for the next start anyway.
        return jobs.filter(job => job.state === 'running' || (job.state === 'queued' && !paused)).length
      },
      ask: count => this.#askToQuit(count),
      finish: async () => {
        this.#window?.hide()
        await Promise.all([this.#current?.saved(), this.#running?.close()])
      },
      quit: () => app.quit(),
    })
  }

  /** Events of the program, which may come before it is ready. */
  listen(): void {
    app.on('second-instance', (_event, words, folder) => {
      if (this.#window) focusWindow(this.#window)
      void picturesOfArguments(words.slice(1), folder).then(pictures => this.#openPictures(pictures))
    })
    app.on('open-file', (event, path) => {
      event.preventDefault()
      void this.#openPictures([path])
    })
    app.on('activate', () => {
      if (app.isReady() && this.#running && !this.#window) this.#openWindow()
    })
    app.on('window-all-closed', () => {
      // On macOS a program without windows goes on.
      if (process.platform !== 'darwin' || this.#quitting.mayQuit) app.quit()
    })
    app.on('before-quit', event => this.#quitting.hold(event))
  }

  /** Starts the host and opens the window; both at the same time, so that the window is there sooner. */
  async open(): Promise<void> {
    guardPermissions(session.defaultSession)
    serveApp(this.#paths.renderer, () => this.#needHost())
    showMenu({
      command: command => this.#tell({ type: 'command', command }),
      openPicture: () => {
        void choosePictures(this.#window).then(pictures => this.#openPictures(pictures))
      },
      openFolder: which => {
        const asked = this.#running?.api.call('shell.openFolder', { which })
        asked?.catch((error: unknown) => this.notice(error instanceof Error ? error.message : String(error)))
      },
    })
    this.#host = this.#createHost(this.#functions())
    this.#openWindow()
    const host = await this.#host
    this.#running = host
    const { theme } = await host.api.call('settings.get', {})
    nativeTheme.themeSource = theme
    host.api.subscribe(event => {
      if (event.type === 'settings') nativeTheme.themeSource = event.settings.theme
      this.#tell(event)
    })
    notifyOfQueue(
      host.api,
      () => this.#window?.isFocused() ?? false,
      () => this.#window && focusWindow(this.#window),
    )
    for (const text of this.#notices.splice(0)) this.#tell({ type: 'notice', text })
    void startUpdates({
      feed: updateFeed,
      currentVersion: app.getVersion(),
      load: loadUpdater,
      tell: event => this.#tell(event),
    })
    const words = await picturesOfArguments(process.argv.slice(app.isPackaged ? 1 : 2), process.cwd())
    await this.#openPictures([...this.#early.splice(0), ...words])
  }

  /** The program cannot start: says so and ends. */
  fail(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error)
    const { remedy } = (error ?? {}) as { remedy?: unknown }
    console.error(error)
    dialog.showErrorBox(
      'Attune cannot start',
      typeof remedy === 'string' ? `${message}\n\n${remedy}` : message,
    )
    app.exit(1)
  }

  notice(text: string): void {
    if (this.#running) this.#tell({ type: 'notice', text })
    else this.#notices.push(text)
  }

  log(message: string): void {
    console.warn(`attune: ${message}`)
    this.#running?.api.call('log.write', { level: 'warn', message }).catch(() => undefined)
  }

  quit(): void {
    void this.#quitting.force()
  }

  get #window(): BrowserWindow | undefined {
    const window = this.#current?.window
    return window && !window.isDestroyed() ? window : undefined
  }

  #needHost(): Promise<HostPort> {
    return this.#host ?? Promise.reject(new Error('the host is not started'))
  }

  #tell(event: HostEvent): void {
    this.#ipc.send(event)
  }

  #openWindow(): void {
    const opened = openWindow({ preload: this.#paths.preload, state: join(this.#data, 'window.json') })
    this.#current = opened
    const { window } = opened
    this.#ipc.add(window.webContents)
    recoverWindow(window, this)
    window.on('close', event => {
      if (process.platform !== 'darwin') this.#quitting.hold(event)
      else if (!this.#quitting.mayQuit) this.#closeOnMac(event, window)
    })
    // A page that guards unsaved work must not block the way out that was already agreed to.
    window.webContents.on('will-prevent-unload', event => {
      if (this.#quitting.mayQuit) event.preventDefault()
    })
  }

  /** Closing is not quitting on macOS, but what the page draws ends with it: the same question. */
  #closeOnMac(event: Electron.Event, window: BrowserWindow): void {
    event.preventDefault()
    void (async () => {
      const { jobs } = (await this.#running?.api.call('jobs.list', {})) ?? { jobs: [] }
      const running = jobs.filter(job => job.state === 'running').length
      if (running > 0 && !(await this.#askToQuit(running))) return
      await this.#current?.saved()
      window.destroy()
    })().catch((error: unknown) => this.log(String(error)))
  }

  async #askToQuit(count: number): Promise<boolean> {
    const options = {
      type: 'question' as const,
      message: count === 1 ? 'A picture is being drawn.' : `${count} pictures are in the queue.`,
      detail: 'The one being drawn stops. The queue is kept and waits, paused, for the next start.',
      buttons: ['Keep Drawing', 'Quit'],
      defaultId: 0,
      cancelId: 0,
    }
    const window = this.#window
    const { response } = window
      ? await dialog.showMessageBox(window, options)
      : await dialog.showMessageBox(options)
    return response === 1
  }

  async #openPictures(paths: readonly string[]): Promise<void> {
    if (!this.#running) {
      this.#early.push(...paths)
      return
    }
    await openPictures(this.#running, paths, event => this.#tell(event))
  }

  #functions(): ShellFunctions {
    return {
      shell: 'electron',
      version: app.getVersion(),
      folders: {
        data: this.#data,
        logs: app.getPath('logs'),
        pictures: app.getPath('pictures'),
        assets: this.#paths.assets,
      },
      chooseFolder: title => chooseFolder(this.#window, title),
      reveal,
      openFolder,
      trash,
    }
  }
}
