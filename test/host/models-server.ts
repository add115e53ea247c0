/** A web server that misbehaves as it is told, plain or with a certificate that it signs itself. */
import { createHash, createSign, generateKeyPairSync } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterEach, expect } from 'vitest'
import { transfer, type TransferOptions } from '../../host/models/transfer.ts'
import { temporaryFolder } from '../cli/support.ts'

/** Answers the nth request (from 0). */
export type Script = (request: IncomingMessage, response: ServerResponse, n: number) => void

export interface TestServer {
  readonly url: string
  readonly requests: readonly { readonly url: string; readonly headers: IncomingMessage['headers'] }[]
}

const closing: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

export async function serve(
  script: Script,
  certificate?: { key: string; cert: string },
): Promise<TestServer> {
  const requests: { url: string; headers: IncomingMessage['headers'] }[] = []
  const listener: RequestListener = (request, response) => {
    requests.push({ url: request.url ?? '', headers: request.headers })
    script(request, response, requests.length - 1)
  }
  const server = certificate ? createSecureServer(certificate, listener) : createServer(listener)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  closing.push(
    () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  )
  const { port } = server.address() as AddressInfo
  return { url: `http${certificate ? 's' : ''}://127.0.0.1:${port}/model.safetensors`, requests }
}

/** Bytes that look like weights: no two ranges are alike. */
export const payload = Uint8Array.from(
  { length: 300_000 },
  (_, i) => (Math.imul(i + 1, 2654435761) >>> 13) & 255,
)
export const sha256 = createHash('sha256').update(payload).digest('hex')
export const etag = '"v1"'

/** What a good server does: whole files and ranges, with a strong validator. */
export const sendWell: Script = (request, response) => sendBody(request, response, payload)

export function sendBody(
  request: IncomingMessage,
  response: ServerResponse,
  body: Uint8Array,
  tag = etag,
): void {
  const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')
  const from = range && request.headers['if-range'] === tag ? Number(range[1]) : undefined
  const headers = { etag: tag, 'content-type': 'application/octet-stream' }
  if (from === undefined) response.writeHead(200, { ...headers, 'content-length': body.length }).end(body)
  else if (from >= body.length) response.writeHead(416, { 'content-range': `bytes */${body.length}` }).end()
  else
    response
      .writeHead(206, {
        ...headers,
        'content-length': body.length - from,
        'content-range': `bytes ${from}-${body.length - 1}/${body.length}`,
      })
      .end(body.subarray(from))
}

/** Like a good server, but the connection breaks after so many bytes. */
export function sendAndBreak(request: IncomingMessage, response: ServerResponse, bytes: number): void {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
  const rest = payload.length - from
  response.writeHead(from ? 206 : 200, {
    etag,
    'content-length': rest,
    ...(from && { 'content-range': `bytes ${from}-${payload.length - 1}/${payload.length}` }),
  })
  response.write(payload.subarray(from, from + Math.min(bytes, rest)), () => response.destroy())
}

/** A certificate for 127.0.0.1, signed by itself. */
export function selfSigned(): { key: string; cert: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const algorithm = sequence(oid('2a8648ce3d040302'))
  const name = sequence(der(0x31, sequence(oid('550403'), der(0x0c, Buffer.from('attune test')))))
  const time = (year: number) => der(0x18, Buffer.from(`${year}0101000000Z`))
  const extension = (id: string, value: Buffer) => sequence(oid(id), der(0x04, value))
  const extensions = der(
    0xa3,
    sequence(
      extension('551d11', sequence(der(0x87, Buffer.from([127, 0, 0, 1])))),
      extension('551d13', sequence(der(0x01, Buffer.from([0xff])))),
    ),
  )
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.from([1])),
    algorithm,
    name,
    sequence(time(2020), time(2090)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    extensions,
  )
  const signature = createSign('sha256').update(body).sign(privateKey)
  const whole = sequence(body, algorithm, der(0x03, Buffer.concat([Buffer.from([0]), signature])))
  const base64 = whole.toString('base64').replaceAll(/.{64}/g, '$&\n')
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`,
  }
}

function der(tag: number, content: Buffer): Buffer {
  const { length } = content
  const head = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255]
  return Buffer.concat([Buffer.from([tag, ...head]), content])
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts))
}

function oid(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, 'hex'))
}

export interface Case {
  readonly folder: string
  readonly path: string
  readonly notices: string[]
  readonly waits: number[]
  readonly options: TransferOptions
}

export async function place(more: TransferOptions = {}): Promise<Case> {
  const folder = await temporaryFolder()
  const notices: string[] = []
  const waits: number[] = []
  const options: TransferOptions = {
    allowInsecure: true,
    allowPrivate: true,
    retries: 2,
    onNotice: text => notices.push(text),
    sleep: milliseconds => {
      waits.push(milliseconds)
      return Promise.resolve()
    },
    freeBytes: () => Promise.resolve(1e12),
    ...more,
  }
  return { folder, path: join(folder, 'model.safetensors'), notices, waits, options }
}

/** Downloads what must come whole and right. */
export async function gets(url: string, { path, folder, options }: Case, more: { size?: number } = {}) {
  const result = await transfer({ url, path, sha256, ...more }, options)
  expect(result).toEqual({ path, bytes: payload.length, sha256, isVerified: true })
  expect((await readFile(path)).equals(payload)).toBe(true)
  expect(await readdir(folder)).toEqual(['model.safetensors'])
}
