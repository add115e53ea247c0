/** `ipcMain` of the double, and what arrives from pages. */
import { EventEmitter } from 'node:events'
import type { Frame } from 'playwright'
import { browser } from './browser.ts'
import { makeCodec } from './codec.ts'

export const codec = makeCodec()

type Handler = (event: Electron.IpcMainInvokeEvent, ...values: unknown[]) => unknown

export class DoubleIpcMain extends EventEmitter {
  readonly #handlers = new Map<string, Handler>()

  handle(channel: string, handler: Handler): void {
    if (this.#handlers.has(channel)) {
      throw new Error(`Attempted to register a second handler for '${channel}'`)
    }
    if (typeof handler !== 'function') {
      throw new Error(`Expected handler to be a function, but found type '${typeof handler}'`)
    }
    this.#handlers.set(channel, handler)
  }

  handleOnce(channel: string, handler: Handler): void {
    this.handle(channel, (event, ...values) => {
      this.removeHandler(channel)
      return handler(event, ...values)
    })
  }

  removeHandler(channel: string): void {
    this.#handlers.delete(channel)
  }

  /** A page's `ipcRenderer.invoke`. @returns the reply as text */
  async invoked(event: object, channel: string, values: unknown[]): Promise<string> {
    const handler = this.#handlers.get(channel)
    try {
      if (!handler) return codec.encode({ error: `No handler registered for '${channel}'` })
      return codec.encode({ value: await handler(event as Electron.IpcMainInvokeEvent, ...values) })
    } catch (error) {
      return codec.encode({ error: String(error) })
    }
  }
}

export const ipcMain = new DoubleIpcMain() satisfies Pick<
  Electron.IpcMain,
  'handle' | 'handleOnce' | 'removeHandler'
>

/** What of a frame handlers may look at. */
export interface DoubleFrame extends Pick<Electron.WebFrameMain, 'url' | 'origin' | 'name'> {
  readonly parent: DoubleFrame | null
  readonly top: DoubleFrame | null
}

/** A Playwright frame as handlers see frames. */
export function frameOf(frame: Frame): DoubleFrame {
  const parent = frame.parentFrame()
  const url = browser.fromPage(frame.url())
  return {
    url,
    origin: /^[a-z][a-z0-9+.-]*:\/\/[^/]*/i.exec(url)?.[0] ?? 'null',
    name: frame.name(),
    get parent() {
      return parent ? frameOf(parent) : null
    },
    get top() {
      let top = frame
      for (let above = top.parentFrame(); above; above = top.parentFrame()) top = above
      return frameOf(top)
    },
  }
}
