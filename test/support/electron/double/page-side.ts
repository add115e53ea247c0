/**
 * What the double puts into each page before its scripts: `require('electron')` for the preload script, a context bridge
 * that copies as Electron's does, `window.open` and permissions that ask the main process. Injected by its source, so
 * it uses nothing from outside of itself.
 */
/* oxlint-disable unicorn/consistent-function-scoping -- everything must be inside of the function */
import type { Codec } from './codec.ts'

export interface PageSideOptions {
  readonly contextIsolation: boolean
}

/** The preload script as a function: its source stands in the injected text, since a page's policy forbids `eval`. */
export type PreloadScript = (require: unknown, module: unknown, exports: unknown, process: unknown) => void

/** Runs in every new document, in the page's own world: a limit of the double, see docs/electron.md. */
export function pageSide(
  options: PageSideOptions,
  makeCodec: () => Codec,
  preload: PreloadScript | undefined,
): void {
  type Ask = (kind: string, text: string) => Promise<string>
  const page = globalThis as unknown as Record<string, unknown>
  const { encode, decode } = makeCodec()
  const ask = async (kind: string, ...values: unknown[]): Promise<unknown> => {
    const binding = page['__attuneDouble'] as Ask
    return decode(await binding(kind, encode(values)))
  }

  // Windows: the main process decides, and a page gets none.
  page['open'] = (url?: string | URL, name = '', features = '') => {
    void ask(
      'open',
      new URL(String(url ?? 'about:blank'), location.href).href,
      String(name),
      String(features),
    )
    return null
  }
  addEventListener('click', event => {
    const link = (event.target as Element | null)?.closest?.('a[href]') as HTMLAnchorElement | null
    if (!link || event.defaultPrevented) return
    if (link.target === '_blank' || event.ctrlKey || event.metaKey) {
      event.preventDefault()
      void ask('open', link.href, link.target, '')
    }
  })

  // Permissions.
  const main = globalThis.top === globalThis.self
  const request = async (permission: string) => (await ask('permission-request', permission, main)) === true
  const check = async (permission: string) => (await ask('permission-check', permission, main)) === true
  const override = (target: object | undefined, name: string, value: unknown) => {
    if (target) Object.defineProperty(target, name, { value, configurable: true, writable: true })
  }
  if (typeof Notification !== 'undefined') {
    override(Notification, 'requestPermission', async () =>
      (await request('notifications')) ? 'granted' : 'denied',
    )
  }
  override(navigator.permissions, 'query', async ({ name }: { name: string }) => ({
    name,
    state: (await check(name)) ? 'granted' : 'denied',
  }))
  override(navigator.geolocation, 'getCurrentPosition', (_done: unknown, fail?: (error: unknown) => void) => {
    void request('geolocation').then(granted =>
      fail?.({ code: granted ? 2 : 1, message: granted ? '' : 'User denied Geolocation' }),
    )
  })
  override(navigator.mediaDevices, 'getUserMedia', async () => {
    const granted = await request('media')
    throw new DOMException(
      granted ? 'Requested device not found' : 'Permission denied',
      granted ? 'NotFoundError' : 'NotAllowedError',
    )
  })
  override(navigator, 'requestMIDIAccess', async (options?: { sysex?: boolean }) => {
    const granted = await request(options?.sysex ? 'midiSysex' : 'midi')
    throw new DOMException('refused', granted ? 'NotSupportedError' : 'SecurityError')
  })

  // The preload script runs in main frames only.
  if (preload === undefined || !main) return
  const listeners = new Map<string, Set<(event: unknown, ...values: unknown[]) => void>>()
  Object.defineProperty(page, '__attuneDispatch', {
    value: (channel: string, text: string) => {
      const values = decode(text) as unknown[]
      for (const listener of Array.from(listeners.get(channel) ?? []))
        listener({ sender: ipcRenderer }, ...values)
    },
  })
  const on = (channel: string, listener: (event: unknown, ...values: unknown[]) => void) => {
    const all = listeners.get(channel) ?? new Set()
    listeners.set(channel, all.add(listener))
    return ipcRenderer
  }
  const off = (channel: string, listener: (event: unknown, ...values: unknown[]) => void) => {
    listeners.get(channel)?.delete(listener)
    return ipcRenderer
  }
  const ipcRenderer = {
    async invoke(channel: string, ...values: unknown[]) {
      const reply = (await ask('invoke', channel, ...values)) as { error?: string; value?: unknown }
      if (reply.error !== undefined)
        throw new Error(`Error invoking remote method '${channel}': ${reply.error}`)
      return reply.value
    },
    send(channel: string, ...values: unknown[]) {
      void ask('send', channel, ...values)
    },
    on,
    addListener: on,
    off,
    removeListener: off,
    once(channel: string, listener: (event: unknown, ...values: unknown[]) => void) {
      const own = (event: unknown, ...values: unknown[]) => {
        off(channel, own)
        listener(event, ...values)
      }
      return on(channel, own)
    },
    removeAllListeners(channel: string) {
      listeners.delete(channel)
      return ipcRenderer
    },
  }

  /** A copy for the other world: functions become proxies, classes plain objects, errors lose all but their message. */
  const bridged = (value: unknown, depth = 0): unknown => {
    if (depth > 1000) throw new TypeError('Electron contextBridge recursion depth exceeded.')
    if (typeof value === 'function') {
      return (...values: unknown[]) => {
        try {
          return bridged((value as (...all: unknown[]) => unknown)(...values.map(each => bridged(each))))
        } catch (error) {
          throw bridged(error)
        }
      }
    }
    if (typeof value === 'symbol') throw new TypeError('An object could not be cloned.')
    if (value === null || typeof value !== 'object') return value
    if (value instanceof Promise) {
      return value.then(
        each => bridged(each),
        error => {
          throw bridged(error)
        },
      )
    }
    // The real one words it as an uncaught error's report: the reason why answers are envelopes.
    if (value instanceof Error) return new Error(`Uncaught ${value.name}: ${value.message}`)
    if (Array.isArray(value)) return value.map(each => bridged(each, depth + 1))
    if (value instanceof Element) return value
    const kind = Object.prototype.toString.call(value)
    if (kind !== '[object Object]') return decode(encode(value))
    const copy: Record<string, unknown> = {}
    for (const [key, each] of Object.entries(value)) copy[key] = bridged(each, depth + 1)
    return copy
  }
  const freeze = (value: unknown): unknown => {
    if (value !== null && typeof value === 'object' && !ArrayBuffer.isView(value)) {
      for (const each of Object.values(value)) freeze(each)
      Object.freeze(value)
    }
    return value
  }
  const contextBridge = {
    exposeInMainWorld(name: string, api: unknown) {
      if (!options.contextIsolation) {
        throw new Error('contextBridge API can only be used when contextIsolation is enabled')
      }
      if (name in page)
        throw new Error(`Cannot bind an API on top of an existing property on the window object`)
      Object.defineProperty(page, name, { value: freeze(bridged(api)), enumerable: true })
    },
  }
  const electron = { ipcRenderer, contextBridge, webUtils: { getPathForFile: (file: File) => file.name } }
  const require = (name: string) => {
    if (name === 'electron') return electron
    throw new Error(`module not found: ${name}`)
  }
  const module = { exports: {} }
  const process = {
    type: 'renderer',
    sandboxed: true,
    contextIsolated: options.contextIsolation,
    versions: {},
  }
  preload(require, module, module.exports, process)
}
