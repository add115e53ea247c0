/**
 * The desktop shell, its bundles unchanged, with a stub host and a small page: what a page may ask, do and see. Under the
 * double on Chromium, or in the real Electron that ATTUNE_ELECTRON names.
 */
import { describe, expect, it } from 'vitest'
import {
  canRun,
  type MainGlobals,
  onDouble,
  type PageGlobals,
  ready,
  runsIn,
  until,
  useShell,
} from '../support/electron/shell-test.ts'

const { launch } = useShell()

describe.skipIf(!canRun)(`the shell in ${runsIn}`, () => {
  it('fault C1, C2: opens one locked window with one bridge, and answers only what may be asked', async () => {
    const shell = await launch()
    const page = await ready(shell)
    expect(await page.evaluate(() => [isSecureContext, crossOriginIsolated])).toEqual([true, true])
    expect(
      await page.evaluate(() => {
        const { attuneHost } = globalThis as unknown as PageGlobals
        return [
          Object.keys(attuneHost).sort(),
          Object.isFrozen(attuneHost),
          'require' in globalThis,
          'process' in globalThis,
        ]
      }),
    ).toEqual([['call', 'subscribe'], true, false, false])
    const ask = (method: string, params?: unknown) =>
      page.evaluate(
        ([method, params]) =>
          (globalThis as unknown as PageGlobals).attuneHost.call(method as string, params),
        [method, params],
      )
    expect(await ask('app.info')).toMatchObject({ ok: true, value: { shell: 'electron' } })
    expect(await ask('gallery.remove', { ids: [1] })).toEqual({
      ok: false,
      error: { code: 'bad-file', message: 'It is gone.', remedy: 'Rescan the gallery.' },
    })
    expect(await ask('__proto__')).toMatchObject({ ok: false, error: { code: 'bad-argument' } })
    expect(await ask('gallery.get', { id: 1, extra: 2 })).toMatchObject({
      ok: false,
      error: { code: 'bad-argument' },
    })
    // Headers as the page sees them.
    const seen = await page.evaluate(async () => {
      const own = await fetch('index.html')
      const picture = await fetch('host/pictures/1')
      const markup = await fetch('host/pictures/2')
      const range = await fetch('big.wasm', { headers: { range: 'bytes=10-19' } })
      const posted = await fetch('host/recipe', { method: 'POST', body: new Uint8Array(100_000) })
      return {
        policy: own.headers.get('content-security-policy'),
        picture: [
          picture.status,
          picture.headers.get('content-type'),
          [...new Uint8Array(await picture.arrayBuffer())],
        ],
        markup: [markup.headers.get('content-type'), markup.headers.get('content-security-policy')],
        range: [range.status, (await range.arrayBuffer()).byteLength, range.headers.get('content-range')],
        posted: await posted.json(),
        missing: (await fetch('host/nowhere')).status,
        broken: (await fetch('host/broken')).status,
        traversal: (await fetch('..%2f..%2fpackage.json')).status,
        double: (await fetch('%252e%252e/package.json')).status,
        written: (await fetch('index.html', { method: 'PUT', body: 'x' })).status,
      }
    })
    expect(seen.policy).toContain("default-src 'none'")
    expect(seen).toMatchObject({
      picture: [200, 'image/png', [1, 2, 3, 4]],
      markup: ['application/octet-stream', "default-src 'none'; sandbox"],
      range: [206, 10, 'bytes 10-19/200000'],
      posted: { bytes: 100_000 },
      missing: 404,
      broken: 500,
      traversal: 404,
      double: 404,
      written: 405,
    })
    // The policy holds: no inline script, no eval, nothing from elsewhere.
    const forbidden = await page.evaluate(async () => {
      const script = document.createElement('script')
      script.textContent = 'globalThis.inlineRan = true'
      document.body.append(script)
      const foreign = await fetch('https://example.org/').then(
        () => 'read',
        () => 'refused',
      )
      const frame = document.createElement('iframe')
      frame.src = 'index.html'
      const violated = new Promise(resolve => {
        document.addEventListener('securitypolicyviolation', event => {
          if (event.effectiveDirective === 'frame-src') resolve('frame refused')
        })
        setTimeout(() => resolve('no violation'), 3000)
      })
      document.body.append(frame)
      return ['inlineRan' in globalThis, foreign, await violated]
    })
    expect(forbidden).toEqual([false, 'refused', 'frame refused'])
    const facts = await shell.evaluate(({ BrowserWindow, app }) => {
      const [window] = BrowserWindow.getAllWindows()
      return {
        count: BrowserWindow.getAllWindows().length,
        url: window?.webContents.getURL(),
        title: window?.getTitle(),
        visible: window?.isVisible(),
        sandbox: (app as unknown as { doubled?: { sandbox: boolean } }).doubled?.sandbox ?? true,
      }
    })
    expect(facts).toEqual({
      count: 1,
      url: 'app://attune/',
      title: 'Attune test',
      visible: true,
      sandbox: true,
    })

    // C1: a subframe, and a message of a frame that is gone. The double lets a page forge them.
    if (onDouble) {
      const before = await shell.evaluate(() => (globalThis as unknown as MainGlobals).stubHost.calls.length)
      const refused = await shell.evaluate(async ({ ipcMain, BrowserWindow }) => {
        const [window] = BrowserWindow.getAllWindows()
        const sender = window?.webContents
        const frame = { url: 'app://attune/', parent: null }
        const forged = {
          gone: { sender, senderFrame: null },
          subframe: { sender, senderFrame: { url: 'app://attune/', parent: frame } },
          foreign: { sender, senderFrame: { url: 'https://example.org/', parent: null } },
          lookalike: { sender, senderFrame: { url: 'app://attune.example.org/', parent: null } },
          blank: { sender, senderFrame: { url: 'about:blank', parent: null } },
          picture: { sender, senderFrame: { url: 'app://attune/host/pictures/2', parent: null } },
          stranger: { sender: {}, senderFrame: frame },
        }
        const invoked = (
          ipcMain as unknown as {
            invoked(event: object, channel: string, values: unknown[]): Promise<string>
          }
        ).invoked.bind(ipcMain)
        const answers: Record<string, boolean> = {}
        for (const [name, event] of Object.entries(forged)) {
          answers[name] = (await invoked(event, 'attune:call', ['app.info', {}])).includes('refused')
        }
        answers['own'] = (
          await invoked({ sender, senderFrame: frame }, 'attune:call', ['app.info', {}])
        ).includes('electron')
        return answers
      })
      expect(refused).toEqual({
        gone: true,
        subframe: true,
        foreign: true,
        lookalike: true,
        blank: true,
        picture: true,
        stranger: true,
        own: true,
      })
      const calls = await shell.evaluate(
        () =>
          (globalThis as unknown as MainGlobals).stubHost.calls.filter(({ method }) => method === 'app.info')
            .length,
      )
      expect(calls).toBe(2)
      expect(before).toBeGreaterThan(0)
      expect(shell.output()).toContain('a message was refused: its frame is gone')
    }
  })

  it('goes nowhere else, opens no windows, grants nothing', async () => {
    const shell = await launch()
    await shell.evaluate(({ shell }) => {
      const opened: string[] = []
      Object.assign(globalThis, { openedOutside: opened })
      shell.openExternal = async url => void opened.push(url)
    })
    const page = await ready(shell)
    const home = page.url()
    for (const address of ['https://example.org/', 'host/pictures/2', 'page.js']) {
      await page.evaluate(address => {
        location.href = address
      }, address)
      await new Promise(resolve => setTimeout(resolve, 200))
      expect(page.url(), address).toBe(home)
    }
    const opened = await page.evaluate(() => {
      const links = [
        'https://huggingface.co/a/b',
        'http://huggingface.co/',
        'file:///etc/passwd',
        'ms-settings:privacy',
        'https://example.org/',
        'index.html',
      ]
      return links.map(link => open(link) === null)
    })
    expect(opened).toEqual([true, true, true, true, true, true])
    await new Promise(resolve => setTimeout(resolve, 300))
    expect(
      await shell.evaluate(({ BrowserWindow }) => [
        BrowserWindow.getAllWindows().length,
        (globalThis as unknown as { openedOutside: string[] }).openedOutside,
      ]),
    ).toEqual([1, ['https://huggingface.co/a/b']])
    expect(
      await page.evaluate(async () => [
        await Notification.requestPermission(),
        (await navigator.permissions.query({ name: 'geolocation' })).state,
        (await navigator.permissions.query({ name: 'notifications' })).state,
        await navigator.mediaDevices.getUserMedia({ video: true }).then(
          () => 'read',
          error => error.name,
        ),
      ]),
    ).toEqual(['denied', 'denied', 'denied', 'NotAllowedError'])
    if (onDouble) {
      expect(
        await shell.evaluate(
          ({ session }) => (session.defaultSession as unknown as { handlers: object }).handlers,
        ),
      ).toEqual({ device: true, display: true })
    }
  })

  it('sends menu commands and host events to the page, in order and from the beginning', async () => {
    const shell = await launch()
    const page = await ready(shell)
    await shell.evaluate(({ Menu }) => {
      for (const id of ['generate', 'view.gallery', 'palette'])
        Menu.getApplicationMenu()?.getMenuItemById(id)?.click()
      const { stubHost } = globalThis as unknown as MainGlobals
      stubHost.emit({ type: 'models' })
      stubHost.emit({ type: 'nonsense', secret: 1 })
      stubHost.emit({ type: 'jobs' })
    })
    const events = () => page.evaluate(() => (globalThis as unknown as PageGlobals).events)
    await until(async () => (await events()).length >= 5, 'five events')
    expect(await events()).toEqual([
      { type: 'command', command: 'generate' },
      { type: 'command', command: 'view.gallery' },
      { type: 'command', command: 'palette' },
      { type: 'models' },
      { type: 'jobs' },
    ])
    // The theme of the settings is the window's.
    expect(await shell.evaluate(({ nativeTheme }) => nativeTheme.themeSource)).toBe('system')
    await shell.evaluate(() => {
      const { stubHost } = globalThis as unknown as MainGlobals
      stubHost.emit({ type: 'settings', settings: { theme: 'dark' } })
    })
    expect(
      await shell.evaluate(({ nativeTheme, BrowserWindow }) => [
        nativeTheme.themeSource,
        BrowserWindow.getAllWindows()[0]?.getBackgroundColor(),
      ]),
    ).toEqual(['dark', '#16171A'])
  })
})
