/** `webContents` of the double: a page of Chromium with Electron's events and guards. */
import { EventEmitter } from 'node:events'
import { readFileSync } from 'node:fs'
import type { CDPSession, Page } from 'playwright'
import { app } from './app.ts'
import { browser } from './browser.ts'
import { makeCodec } from './codec.ts'
import { makeEvent } from './events.ts'
import { codec, frameOf, ipcMain } from './ipc.ts'
import { pageSide } from './page-side.ts'
import { session } from './session.ts'

/** What of `Electron.WebContents` is doubled, besides events. */
export type WebContentsPart = Pick<
  Electron.WebContents,
  | 'id'
  | 'send'
  | 'getURL'
  | 'getTitle'
  | 'isDestroyed'
  | 'isLoading'
  | 'isCrashed'
  | 'reload'
  | 'loadURL'
  | 'executeJavaScript'
  | 'forcefullyCrashRenderer'
  | 'openDevTools'
>

type OpenHandler = (details: { url: string; frameName: string; features: string }) => {
  action: 'allow' | 'deny'
}

let lastId = 0

export class DoubleWebContents extends EventEmitter implements WebContentsPart {
  readonly id = ++lastId
  readonly session = session.defaultSession
  readonly #preferences: Electron.WebPreferences
  #page: Promise<{ page: Page; cdp: CDPSession }> | undefined
  /** Addresses that the main process loads itself: Electron asks nobody about those. */
  readonly #own = new Set<string>()
  /** The page in use: another one's end means nothing. */
  #live: Page | undefined
  #url = ''
  #title = ''
  #destroyed = false
  #crashed = false
  #loading = false
  #openHandler: OpenHandler | undefined

  constructor(preferences: Electron.WebPreferences) {
    super()
    this.#preferences = preferences
    // As Electron: right after making, before the maker can do anything.
    queueMicrotask(() => app.emit('web-contents-created', makeEvent({}), this))
  }

  /** The page; made when it is first needed. */
  page(): Promise<{ page: Page; cdp: CDPSession }> {
    this.#page ??= this.#open()
    return this.#page
  }

  get mainFrame() {
    return { url: this.#url, parent: null }
  }

  getURL(): string {
    return this.#url
  }

  getTitle(): string {
    return this.#title
  }

  isDestroyed(): boolean {
    return this.#destroyed
  }

  isLoading(): boolean {
    return this.#loading
  }

  isCrashed(): boolean {
    return this.#crashed
  }

  openDevTools(): void {}

  setWindowOpenHandler(handler: OpenHandler): void {
    this.#openHandler = handler
  }

  send(channel: string, ...values: unknown[]): void {
    // Clones at once, and throws at once.
    const text = codec.encode(values)
    void this.page()
      .then(({ cdp }) =>
        cdp.send('Runtime.evaluate', {
          expression: `globalThis.__attuneDispatch?.(${JSON.stringify(channel)}, ${JSON.stringify(text)})`,
        }),
      )
      .catch(() => undefined)
  }

  async executeJavaScript(code: string): Promise<unknown> {
    const { cdp } = await this.page()
    const { result, exceptionDetails } = await cdp.send('Runtime.evaluate', {
      expression: code,
      awaitPromise: true,
      returnByValue: true,
      userGesture: true,
    })
    if (exceptionDetails) {
      const text = exceptionDetails.exception?.description ?? exceptionDetails.text
      throw new Error(text.split('\n')[0]?.replace(/^\w*Error: /, ''))
    }
    return result.value
  }

  async loadURL(address: string): Promise<void> {
    if (this.#destroyed) throw new Error('Object has been destroyed')
    if (this.#crashed) {
      // Playwright cannot use a page that crashed; Electron gives the window another process.
      const old = await this.#page
      this.#page = undefined
      this.#live = undefined
      this.#crashed = false
      await old?.page.close().catch(() => undefined)
    }
    const { page } = await this.page()
    const target = browser.toPage(address)
    this.#own.add(target)
    try {
      await page.goto(target, { waitUntil: 'load', timeout: 60_000 })
    } catch (cause) {
      const code = /net::(ERR_[A-Z_]+)/.exec(String(cause))?.[1] ?? 'ERR_FAILED'
      // Chromium shows a page of its own about it; until it is there, it would break off the next load.
      if (code !== 'ERR_ABORTED')
        await page.waitForURL('chrome-error://**', { timeout: 2000 }).catch(() => undefined)
      // ERR_ABORTED is what a guard or another navigation causes.
      this.emit('did-fail-load', makeEvent({}), code === 'ERR_ABORTED' ? -3 : -2, code, address, true)
      throw new Error(`${code} (${code === 'ERR_ABORTED' ? -3 : -2}) loading '${address}'`, { cause })
    } finally {
      this.#own.delete(target)
    }
  }

  reload(): void {
    void this.loadURL(this.#url).catch(() => undefined)
  }

  forcefullyCrashRenderer(): void {
    void this.page().then(({ page }) => page.goto('chrome://crash', { timeout: 5000 }).catch(() => undefined))
  }

  /** Whether the page wants to stay, as `beforeunload` says. */
  async wantsToStay(): Promise<boolean> {
    const { cdp } = await this.page()
    const asked = cdp.send('Runtime.evaluate', {
      expression: `(() => { const event = new Event('beforeunload', { cancelable: true }); return !dispatchEvent(event) })()`,
      returnByValue: true,
    })
    const late = new Promise<undefined>(resolve => setTimeout(resolve, 2000))
    const answer = await Promise.race([asked, late]).catch(() => undefined)
    return answer?.result.value === true
  }

  /** Closes the page for good. */
  async destroyPage(): Promise<void> {
    if (this.#destroyed) return
    this.#destroyed = true
    this.emit('destroyed')
    const open = await this.#page?.catch(() => undefined)
    await open?.page.close().catch(() => undefined)
  }

  async #open(): Promise<{ page: Page; cdp: CDPSession }> {
    await app.whenReady()
    const page = await browser.context.newPage()
    const cdp = await browser.context.newCDPSession(page)
    await page.exposeBinding('__attuneDouble', async ({ frame }, kind: string, text: string) => {
      const values = codec.decode(text) as [string, ...unknown[]]
      return await this.#asked(kind, values, frame.isDetached() ? null : frameOf(frame))
    })
    await page.addInitScript({ content: this.#script() })
    await this.#guard(page, cdp)
    page.on('domcontentloaded', () => this.emit('dom-ready', makeEvent({})))
    page.on('framenavigated', frame => {
      if (frame !== page.mainFrame() || /^(?:about:blank|chrome-error:)/.test(frame.url())) return
      this.#url = browser.fromPage(frame.url())
      this.emit('did-navigate', makeEvent({}), this.#url, 200, 'OK')
    })
    page.on('load', () => {
      if (/^(?:about:blank|chrome-error:)/.test(page.url())) return
      void page.title().then(
        title => {
          this.#title = title
          this.#loading = false
          this.emit('did-finish-load', makeEvent({}))
          this.emit('did-stop-loading', makeEvent({}))
        },
        () => undefined,
      )
    })
    page.on('crash', () => {
      this.#crashed = true
      const details = { reason: 'crashed', exitCode: 5 }
      this.emit('render-process-gone', makeEvent({}), details)
      app.emit('render-process-gone', makeEvent({}), this, details)
    })
    page.on('close', () => {
      if (this.#live === page) this.emit('double-page-closed')
    })
    this.#live = page
    return { page, cdp }
  }

  /** Stops each document before it is asked for, and asks the guards. */
  async #guard(page: Page, cdp: CDPSession): Promise<void> {
    const { frameTree } = await cdp.send('Page.getFrameTree')
    cdp.on('Fetch.requestPaused', paused => {
      const { requestId, request, frameId } = paused
      const isMainFrame = frameId === frameTree.frame.id
      const url = request.url + (request.urlFragment ?? '')
      const isOwn = isMainFrame && this.#own.has(url)
      if (isMainFrame) {
        this.#loading = true
        this.emit('did-start-loading')
      }
      const stopped =
        !isOwn &&
        this.#isStopped(browser.fromPage(url), isMainFrame, paused.redirectedRequestId !== undefined)
      void (
        stopped
          ? cdp.send('Fetch.failRequest', { requestId, errorReason: 'Aborted' })
          : cdp.send('Fetch.continueRequest', { requestId })
      ).catch(() => undefined)
    })
    await cdp.send('Fetch.enable', { patterns: [{ resourceType: 'Document', requestStage: 'Request' }] })
    // Popups that got past the page's own override are never kept.
    page.on('popup', popup => void popup.close().catch(() => undefined))
  }

  #isStopped(url: string, isMainFrame: boolean, isRedirect: boolean): boolean {
    const details = { url, isMainFrame, isSameDocument: false, frame: null, initiator: null }
    if (isRedirect) {
      const event = makeEvent(details)
      this.emit('will-redirect', event, url, false, isMainFrame)
      return event.defaultPrevented
    }
    const any = makeEvent(details)
    this.emit('will-frame-navigate', any)
    const main = makeEvent(details)
    if (isMainFrame) this.emit('will-navigate', main, url)
    return any.defaultPrevented || main.defaultPrevented
  }

  /** @returns the answer as text of the codec */
  async #asked(
    kind: string,
    values: [string, ...unknown[]],
    frame: ReturnType<typeof frameOf> | null,
  ): Promise<string> {
    const event = makeEvent({
      sender: this,
      senderFrame: frame,
      frameId: 1,
      processId: this.id,
      type: 'frame',
    })
    const [name, ...rest] = values
    switch (kind) {
      case 'invoke':
        return await ipcMain.invoked(event, name, rest)
      case 'send':
        ipcMain.emit(name, event, ...rest)
        return codec.encode(undefined)
      case 'open': {
        const [frameName = '', features = ''] = rest as string[]
        const url = browser.fromPage(name)
        // Without a handler Electron would open a window; the double has none to give and says so.
        if (!this.#openHandler) console.warn(`double: window.open(${url}) without a handler`)
        this.#openHandler?.({ url, frameName, features })
        return codec.encode(undefined)
      }
      case 'permission-request':
        return codec.encode(await this.session.requested(this, name, frame?.url ?? '', rest[0] === true))
      default:
        return codec.encode(this.session.checked(this, name, frame?.url ?? '', rest[0] === true))
    }
  }

  #script(): string {
    const { preload, contextIsolation = true } = this.#preferences
    const source =
      preload === undefined
        ? 'undefined'
        : `function (require, module, exports, process) {\n${readFileSync(preload, 'utf8')}\n}`
    return `(${pageSide.toString()})(${JSON.stringify({ contextIsolation })}, ${makeCodec.toString()}, ${source})`
  }
}
