/** A loopback server with a tiny window, and ways to ask it that no browser and no `fetch` would use. */
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { type IncomingMessage, request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { openHost } from '../../host/seat/open-host.ts'
import { type RunningServer, type ServerOptions, startServer } from '../../host/server/server.ts'
import type { HostFacts } from '../../host/service/facts.ts'
import type { HostService } from '../../host/service/service.ts'
import { facts, lastingFolder } from './service-support.ts'

export interface TestServer {
  readonly server: RunningServer
  readonly service: HostService
  readonly place: HostFacts
  readonly renderer: string
  /** Of a session: `attune-PORT=…`. */
  readonly cookie: string
  /** Asks with the session, by `fetch`. */
  get(path: string, headers?: Record<string, string>): Promise<Response>
  post(path: string, body: string | Uint8Array, headers?: Record<string, string>): Promise<Response>
  call(method: string, params?: unknown): Promise<Response>
  close(): Promise<void>
}

export async function testServer(
  options: Partial<ServerOptions> = {},
  more: Partial<HostFacts> = {},
): Promise<TestServer> {
  const renderer = join(await lastingFolder(), 'renderer')
  await mkdir(join(renderer, 'assets'), { recursive: true })
  await writeFile(join(renderer, 'index.html'), '<!doctype html><title>The window</title>')
  await writeFile(join(renderer, 'assets', 'main-abc.js'), 'export const x = 1\n')
  await writeFile(join(renderer, '.secret.txt'), 'hidden')
  const place = await facts(more)
  const service = await openHost(place)
  const server = await startServer(service, { renderer, ...options })
  const cookie = await sessionOf(server)
  const ask = (path: string, init: RequestInit & { headers: Record<string, string> }) =>
    fetch(server.origin + path, { ...init, headers: { cookie, ...init.headers }, redirect: 'error' })
  return {
    server,
    service,
    place,
    renderer,
    cookie,
    get: (path, headers = {}) => ask(path, { headers }),
    post: (path, body, headers = {}) =>
      ask(path, {
        method: 'POST',
        body: body as BodyInit,
        headers: { 'x-attune': '1', 'content-type': 'application/octet-stream', ...headers },
      }),
    call: (method, params = {}) =>
      ask('/host/call', {
        method: 'POST',
        body: JSON.stringify({ method, params }),
        headers: { 'x-attune': '1', 'content-type': 'application/json' },
      }),
    close: async () => {
      await server.close()
      await service.close()
    },
  }
}

export const tokenOf = (url: string): string => new URL(url).hash.slice('#token='.length)

export function exchange(server: RunningServer, token: string): Promise<Response> {
  return fetch(`${server.origin}/session`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-attune': '1' },
    body: JSON.stringify({ token }),
  })
}

export async function sessionOf(server: RunningServer): Promise<string> {
  const answer = await exchange(server, tokenOf(server.url))
  return answer.headers.get('set-cookie')?.split(';')[0] ?? ''
}

export interface RawAnswer {
  readonly status: number
  readonly text: string
}

/** Bytes as they are, over a socket of our own. @returns what came until the server ended, or the first answer */
export async function raw(port: number, text: string, host = '127.0.0.1'): Promise<RawAnswer> {
  const socket = connect({ port, host })
  await once(socket, 'connect')
  let answer = ''
  socket.setEncoding('latin1')
  socket.on('data', (data: string) => {
    answer += data
    // Ours are short: the head is enough.
    if (answer.includes('\r\n\r\n')) socket.destroy()
  })
  socket.on('error', () => undefined)
  socket.write(text)
  await once(socket, 'close')
  return { status: Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0), text: answer }
}

/** A GET whose path and headers `fetch` would mend. */
export async function plain(
  port: number,
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<{ status: number; headers: Record<string, unknown>; body: Buffer }> {
  const request = httpRequest({ host: '127.0.0.1', port, path, method, headers, agent: false })
  request.end()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  const pieces: Buffer[] = []
  for await (const piece of response) pieces.push(piece as Buffer)
  return { status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(pieces) }
}

/** As the engine resolves one. */
export const request = {
  prompt: 'a red car',
  negativePrompt: '',
  width: 2,
  height: 1,
  steps: 4,
  guidanceScale: 3,
  guidanceRescale: 0,
  seed: '77',
  rng: 'cpu',
  sampler: 'ddim',
  precision: 'f32',
  clipSkip: 1,
}
export const header = { width: 2, height: 1, channels: 3, request, model: { name: 'storybook' } }
/** As the contract's header has it. */
export const encoded = (value: unknown) => encodeURIComponent(JSON.stringify(value))
