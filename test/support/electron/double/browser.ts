/**
 * The double's Chromium and its server: custom schemes are served on 127.0.0.1 under `http://HOST.SCHEME.localhost:PORT`,
 * which Chromium takes for a secure context as it takes a privileged scheme; each host of a scheme is an origin of its
 * own, as in Electron.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { type Browser, type BrowserContext, chromium } from 'playwright'
import { type SharedChromium, startChromium } from '../chromium.ts'

export type SchemeHandler = (request: Request) => Response | Promise<Response>

export class DoubleBrowser {
  readonly handlers = new Map<string, SchemeHandler>()
  port = 0
  #own: SharedChromium | undefined
  #browser: Browser | undefined
  #context: BrowserContext | undefined
  readonly #server = createServer((request, response) => {
    this.#answer(request, response).catch((error: unknown) => {
      // Electron answers a handler that throws with a network error.
      if (process.env['ATTUNE_DOUBLE_DEBUG']) console.error(error)
      response.destroy()
    })
  })

  /** Connects to the Chromium that ATTUNE_DOUBLE_CDP names, else starts one. */
  async start(): Promise<void> {
    await new Promise<void>(resolve => {
      this.#server.listen(0, '127.0.0.1', resolve)
    })
    this.port = (this.#server.address() as AddressInfo).port
    let endpoint = process.env['ATTUNE_DOUBLE_CDP']
    if (!endpoint) {
      this.#own = await startChromium()
      endpoint = this.#own.endpoint
    }
    this.#browser = await chromium.connectOverCDP(endpoint)
    this.#context = await this.#browser.newContext({ viewport: null, acceptDownloads: false })
  }

  get context(): BrowserContext {
    if (!this.#context) throw new Error('the double has not started its browser')
    return this.#context
  }

  async close(): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    await this.#context?.close().catch(() => undefined)
    await this.#browser?.close().catch(() => undefined)
    await this.#own?.close()
  }

  /** `app://attune/x` → `http://attune.app.localhost:PORT/x`; other addresses as they are. */
  toPage(address: string): string {
    const found = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]+)(.*)$/i.exec(address)
    const [, scheme = '', host = '', rest = ''] = found ?? []
    if (!found || !this.handlers.has(scheme)) return address
    return `http://${host}.${scheme}.localhost:${this.port}${rest === '' ? '/' : rest}`
  }

  /** The other way round. */
  fromPage(address: string): string {
    const found = new RegExp(`^http://([^/]+)\\.([^./]+)\\.localhost:${this.port}(/.*)?$`).exec(address)
    return found ? `${found[2]}://${found[1]}${found[3] ?? ''}` : address
  }

  async #answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const found = /^(.+)\.([^.]+)\.localhost:\d+$/.exec(incoming.headers.host ?? '')
    const handler = this.handlers.get(found?.[2] ?? '')
    if (!found || !handler) {
      outgoing.writeHead(404).end()
      return
    }
    const headers = new Headers()
    for (const [name, value] of Object.entries(incoming.headers)) {
      if (typeof value !== 'string' || name === 'host' || name === 'connection') continue
      headers.set(name, name === 'origin' || name === 'referer' ? this.fromPage(value) : value)
    }
    const withBody = incoming.method !== 'GET' && incoming.method !== 'HEAD'
    const init = {
      method: incoming.method ?? 'GET',
      headers,
      ...(withBody && { body: Readable.toWeb(incoming) as ReadableStream, duplex: 'half' }),
    }
    const response = await handler(new Request(`${found[2]}://${found[1]}${incoming.url}`, init))
    outgoing.writeHead(response.status, Object.fromEntries(response.headers))
    if (response.body && incoming.method !== 'HEAD') {
      Readable.fromWeb(response.body as Parameters<typeof Readable.fromWeb>[0])
        .on('error', () => outgoing.destroy())
        .pipe(outgoing)
    } else outgoing.end()
  }
}

/** The one of this process. */
export const browser = new DoubleBrowser()
