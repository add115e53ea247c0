/**
 * The window in a browser: an HTTP server for this machine's own browser and nobody else. It listens on 127.0.0.1 and
 * ::1, looks at every request with `guard.ts` first, and gives nothing but the gate's page without a session.
 * docs/server.md says what it defends against.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { AttuneError } from '../../model/contract/errors.ts'
import type { HostMethod, HostParams } from '../../model/contract/host-api.ts'
import type { SeatOptions } from '../seat/host-seat.ts'
import {
  bytesReply,
  type ByteReply,
  errorReply,
  type FileQuestion,
  jsonReply,
  statusReply,
  streamOf,
  wholeOf,
} from '../service/byte-reply.ts'
import { answerBytes } from '../service/byte-routes.ts'
import type { HostService } from '../service/service.ts'
import { Bodies, BodyError } from './body.ts'
import { EngineChannels } from './engine-channel.ts'
import { EventStreams } from './events.ts'
import { gatePage, gateScript } from './gate.ts'
import { isJson, refusalOf } from './guard.ts'
import { commonHeaders, pageHeaders } from './headers.ts'
import { Sessions } from './session.ts'
import { staticReply } from './static-files.ts'

export interface ServerOptions {
  /** Of the system's choice when absent. */
  readonly port?: number
  /** The built window. */
  readonly renderer: string
  /** How engines for pages without WebGPU are started. */
  readonly seat?: SeatOptions
  /** Milliseconds for a request's headers, and for all of it; for tests. */
  readonly headersTimeout?: number
  readonly requestTimeout?: number
}

export interface RunningServer {
  readonly port: number
  /** `http://127.0.0.1:PORT` */
  readonly origin: string
  /** The address for a person: with the token of this run. */
  readonly url: string
  /** An address that works once, within two minutes: for starting a browser. */
  launchUrl(): string
  /** Ends open answers within two seconds. The service stays open. */
  close(): Promise<void>
}

const limits = {
  /** Of all headers of a request. */
  headerBytes: 32 << 10,
  connections: 128,
  /** Questions as JSON: a thousand requests with their masks. */
  callBytes: 64 << 20,
  sessionBytes: 1 << 10,
  /** Of all bodies at the same time. */
  heldBytes: 1 << 30,
} as const

/** @throws AttuneError `bad-argument` when the port is taken */
export async function startServer(service: HostService, options: ServerOptions): Promise<RunningServer> {
  const app = new App(service, options)
  const first = await listen(app, options, '127.0.0.1', options.port ?? 0)
  const { port } = first.address() as AddressInfo
  app.port = port
  app.sessions = new Sessions(port)
  // Not every machine has IPv6, and nobody needs both.
  const second = await listen(app, options, '::1', port).catch(() => undefined)
  const servers = second ? [first, second] : [first]
  const origin = `http://127.0.0.1:${port}`
  return {
    port,
    origin,
    url: `${origin}/#token=${app.sessions.token}`,
    launchUrl: () => `${origin}/#token=${app.sessions.launchToken()}`,
    close: async () => {
      await app.close()
      await Promise.all(servers.map(closeServer))
    },
  }
}

async function listen(app: App, options: ServerOptions, host: string, port: number): Promise<Server> {
  const server = createServer(
    {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: options.headersTimeout ?? 10_000,
      requestTimeout: options.requestTimeout ?? 120_000,
      keepAliveTimeout: 10_000,
      connectionsCheckingInterval: Math.min(1_000, (options.headersTimeout ?? 10_000) / 2),
    },
    (request, response) => void app.answer(request, response),
  )
  server.maxConnections = limits.connections
  server.maxHeadersCount = 100
  await new Promise<void>((resolve, reject) => {
    const refuse = (cause: NodeJS.ErrnoException) =>
      reject(
        new AttuneError(
          'bad-argument',
          `Port ${port} of ${host} cannot be used (${cause.code ?? cause.message}).`,
          'Choose another one with --port, or none.',
          { cause },
        ),
      )
    server.once('error', refuse)
    server.listen({ host, port, exclusive: true, ipv6Only: host === '::1' }, () => {
      server.off('error', refuse)
      resolve()
    })
  })
  return server
}

function closeServer(server: Server): Promise<void> {
  return new Promise(resolve => {
    const late = setTimeout(() => server.closeAllConnections(), 2_000)
    server.close(() => {
      clearTimeout(late)
      resolve()
    })
    server.closeIdleConnections()
  })
}

/** What the servers of both addresses share. */
class App {
  readonly #service: HostService
  readonly #options: ServerOptions
  readonly #bodies = new Bodies(limits.heldBytes)
  readonly #events: EventStreams
  readonly #channels: EngineChannels
  port = 0
  sessions = new Sessions(0)

  constructor(service: HostService, options: ServerOptions) {
    this.#service = service
    this.#options = options
    this.#events = new EventStreams(service)
    this.#channels = new EngineChannels(service, options.seat)
  }

  async close(): Promise<void> {
    this.#events.close()
    await this.#channels.close()
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A browser that leaves is no fault of ours.
    response.on('error', () => undefined)
    request.on('error', () => undefined)
    try {
      const reply = await this.#reply(request, response)
      if (reply) await send(request, response, reply)
    } catch (error) {
      if (response.headersSent || response.destroyed) response.destroy()
      else await send(request, response, errorReply(error)).catch(() => response.destroy())
    }
  }

  /** @returns undefined when the answer is being streamed already */
  async #reply(request: IncomingMessage, response: ServerResponse): Promise<ByteReply | undefined> {
    const refusal = refusalOf(request, this.port)
    if (refusal) return statusReply(refusal.status, refusal.message, { ...refusal.headers })
    const { url = '/', method = '', headers } = request
    const [path = '/', search = ''] = url.split(/\?(.*)/s)
    const isRead = method === 'GET' || method === 'HEAD'
    const question: FileQuestion = {
      method,
      range: headers.range,
      ifRange: headers['if-range'] as string | undefined,
      ifNoneMatch: headers['if-none-match'],
    }
    if (path === '/gate.js' && isRead) return pageReply(gateScript, 'text/javascript; charset=utf-8')
    if (path === '/session') return isRead ? notAllowed('POST') : this.#session(request)
    if (!this.sessions.knows(headers.cookie)) {
      if (path === '/' && isRead) return pageReply(gatePage, 'text/html; charset=utf-8')
      return statusReply(401, 'Open the address that Attune printed: it holds the token of this run.')
    }
    if (path === '/host/call') return isRead ? notAllowed('POST') : this.#call(request)
    if (path === '/host/events') {
      if (method !== 'GET') return notAllowed('GET')
      return this.#events.add(response) ? undefined : statusReply(503, 'Too many windows are open.')
    }
    const body = (limit: number) => this.#bodies.read(request, limit)
    const routed = await this.#channels.answer(method, path.slice(1), body)
    if (routed) return routed
    const reply = await answerBytes(this.#service, {
      method,
      path: path.slice(1),
      query: new URLSearchParams(search),
      header: name => {
        const value = headers[name]
        return Array.isArray(value) ? value.join(', ') : value
      },
      body,
    })
    if (reply) return reply
    const file = await staticReply(this.#options.renderer, path.slice(1), question)
    if (!file) return statusReply(404, 'There is nothing at this address.')
    if (isRead) return file
    if (file.body?.kind === 'file') await file.body.file.close()
    return notAllowed('GET, HEAD')
  }

  async #session(request: IncomingMessage): Promise<ByteReply> {
    const { token } = (await this.#json(request, limits.sessionBytes)) as { token?: unknown }
    const cookie = this.sessions.exchange(token)
    if (cookie === undefined) return statusReply(403, 'The token is not of this run.')
    return jsonReply(200, {}, { 'set-cookie': cookie })
  }

  async #call(request: IncomingMessage): Promise<ByteReply> {
    const { method, params } = (await this.#json(request, limits.callBytes)) as {
      method?: unknown
      params?: unknown
    }
    try {
      // Both are checked by the service.
      const result = await this.#service.call(method as HostMethod, (params ?? {}) as HostParams<HostMethod>)
      return jsonReply(200, { result })
    } catch (error) {
      return errorReply(error)
    }
  }

  /** A body that is a JSON object. @throws BodyError */
  async #json(request: IncomingMessage, limit: number): Promise<object> {
    if (!isJson(request.headers['content-type'])) throw new BodyError(415, 'This must be JSON.')
    const bytes = await this.#bodies.read(request, limit)
    let value: unknown
    try {
      value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    } catch {
      throw new BodyError(400, 'The body is not JSON.')
    }
    if (typeof value === 'object' && value !== null) return value
    throw new BodyError(400, 'The body is not an object.')
  }
}

function pageReply(text: string, type: string): ByteReply {
  return bytesReply(new TextEncoder().encode(text), type, pageHeaders)
}

const notAllowed = (allow: string): ByteReply => statusReply(405, 'This is not answered here.', { allow })

async function send(request: IncomingMessage, response: ServerResponse, reply: ByteReply): Promise<void> {
  const { status, headers, body } = reply
  // Later the request knows it no more; a connection that was cut off has none already.
  const socket = request.socket as Socket | null
  // What was not read would be taken for the next request.
  const isUnread = !request.complete && request.method !== 'GET' && request.method !== 'HEAD'
  const whole = body && (await wholeOf(body))
  response.writeHead(status, { ...commonHeaders, ...headers, ...(isUnread && { connection: 'close' }) })
  if (!body || request.method === 'HEAD') response.end()
  else if (whole) response.end(whole)
  else {
    // Sent at once, so that a stream without messages yet is known to be there.
    response.flushHeaders()
    // Leaving destroys the stream, which closes the file or ends the engine.
    await pipeline(streamOf(body), response).catch(() => undefined)
  }
  if (!isUnread) return
  // The sender hears the answer before the connection ends, if it listens while it sends.
  request.resume()
  setTimeout(() => socket?.destroy(), 500).unref()
}
