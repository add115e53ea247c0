/**
 * Answers of bytes, for any transport: what Electron's `app://` and the loopback server send. Files are opened before
 * the answer begins, so that its size and its bytes are of one file, whatever happens to the name meanwhile.
 */
import type { FileHandle } from 'node:fs/promises'
import { open } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { AttuneError, type ErrorCode, type ErrorRecord } from '../../model/contract/errors.ts'
import { toErrorRecord } from './errors.ts'

export type ByteBody =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'file'; readonly file: FileHandle; readonly start: number; readonly length: number }
  | { readonly kind: 'stream'; readonly stream: AsyncIterable<Uint8Array> }

export interface ByteReply {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body?: ByteBody
}

/** What is asked for of a file. */
export interface FileQuestion {
  readonly method: string
  readonly range?: string | undefined
  readonly ifRange?: string | undefined
  readonly ifNoneMatch?: string | undefined
}

/** What no answer of user's files may do in a browser: be a page, run, be read by others. */
const fileHeaders = {
  'x-content-type-options': 'nosniff',
  'cross-origin-resource-policy': 'same-origin',
  'content-security-policy': "default-src 'none'; sandbox; frame-ancestors 'none'",
} as const

/** Pieces in which files are read. */
const pieceBytes = 1 << 20
/** Up to here a part of a file is read at once. */
const smallBytes = 4 << 20

export function jsonReply(status: number, value: unknown, headers: Record<string, string> = {}): ByteReply {
  const bytes = new TextEncoder().encode(JSON.stringify(value))
  return {
    status,
    headers: {
      'content-type': 'application/json; charset=utf-8',
      'content-length': String(bytes.byteLength),
      'cache-control': 'no-store',
      ...fileHeaders,
      ...headers,
    },
    body: { kind: 'bytes', bytes },
  }
}

export function bytesReply(bytes: Uint8Array, type: string, headers: Record<string, string> = {}): ByteReply {
  return {
    status: 200,
    headers: {
      'content-type': type,
      'content-length': String(bytes.byteLength),
      'cache-control': 'no-store',
      ...fileHeaders,
      ...headers,
    },
    body: { kind: 'bytes', bytes },
  }
}

/** Codes whose cause is not what was asked for. */
const statuses: Partial<Record<ErrorCode, number>> = { internal: 500, 'disk-full': 507 }

/** An error as JSON { error }; what the person asked for wrongly is 422, what we did wrongly 500. */
export function errorReply(error: unknown, status?: number): ByteReply {
  const record: ErrorRecord = toErrorRecord(error)
  // A transport's own errors know theirs.
  const own = (error as { status?: unknown } | undefined)?.status
  const usual = typeof own === 'number' ? own : (statuses[record.code] ?? 422)
  return jsonReply(status ?? usual, { error: record })
}

/** No such thing, or not in this way. */
export function statusReply(
  status: number,
  message: string,
  headers: Record<string, string> = {},
): ByteReply {
  const error: ErrorRecord = { code: 'bad-argument', message }
  return jsonReply(status, { error }, headers)
}

export interface FileOptions {
  readonly type: string
  /** `private, no-cache` unless given: kept, and asked for again each time. */
  readonly cache?: string
  /** Bytes that the file must begin with. */
  readonly signature?: Uint8Array
}

/**
 * A file, or the part of it that is asked for (RFC 9110, 14: one range; anything else that is wrong is ignored).
 * @param path an ordinary file
 */
export async function fileReply(
  path: string,
  question: FileQuestion,
  options: FileOptions,
): Promise<ByteReply> {
  const file = await open(path, 'r').catch(() => undefined)
  if (!file) return statusReply(404, 'There is no such file.')
  let isKept = false
  try {
    const info = await file.stat({ bigint: true })
    if (!info.isFile() || !(await beginsWith(file, options.signature)))
      return statusReply(404, 'There is no such file.')
    const size = Number(info.size)
    const etag = `"${info.size.toString(36)}-${info.mtimeNs.toString(36)}-${info.ino.toString(36)}"`
    const headers: Record<string, string> = {
      ...fileHeaders,
      'content-type': options.type,
      'accept-ranges': 'bytes',
      'cache-control': options.cache ?? 'private, no-cache',
      etag,
    }
    if (question.ifNoneMatch !== undefined && namesTag(question.ifNoneMatch, etag))
      return { status: 304, headers }
    // A part of another version than the asker has would be mixed with it: the whole file instead.
    const isSame = question.ifRange === undefined || question.ifRange === etag
    const range = isSame && question.method === 'GET' ? parseRange(question.range, size) : undefined
    if (range === 'beyond')
      return statusReply(416, 'The file has no such bytes.', { 'content-range': `bytes */${size}` })
    const start = range?.start ?? 0
    const length = range?.length ?? size
    headers['content-length'] = String(length)
    if (range) headers['content-range'] = `bytes ${start}-${start + length - 1}/${size}`
    const status = range ? 206 : 200
    if (question.method === 'HEAD' || length === 0) return { status, headers }
    isKept = true
    return { status, headers, body: { kind: 'file', file, start, length } }
  } finally {
    if (!isKept) await file.close()
  }
}

async function beginsWith(file: FileHandle, signature: Uint8Array | undefined): Promise<boolean> {
  if (!signature) return true
  const head = new Uint8Array(signature.length)
  const { bytesRead } = await file.read(head, 0, head.length, 0)
  return bytesRead === head.length && head.every((byte, at) => byte === signature[at])
}

const namesTag = (header: string, etag: string): boolean =>
  header.split(',').some(tag => tag.trim().replace(/^W\//, '') === etag)

/** Undefined: the whole file. */
export function parseRange(
  header: string | undefined,
  size: number,
): { readonly start: number; readonly length: number } | 'beyond' | undefined {
  // Fifteen digits are exact as a double.
  const [, first, last] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? '') ?? []
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined
  if (first === '') {
    const length = Math.min(Number(last), size)
    return length === 0 ? 'beyond' : { start: size - length, length }
  }
  const start = Number(first)
  if (last !== '' && Number(last) < start) return undefined
  if (start >= size) return 'beyond'
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1)
  return { start, length: end - start + 1 }
}

/** The bytes of a body, as Node streams them. The file is closed at its end, and when the stream is destroyed. */
export function streamOf(body: ByteBody): Readable {
  if (body.kind === 'bytes') return Readable.from([body.bytes])
  if (body.kind === 'stream') return Readable.from(body.stream, { objectMode: false, highWaterMark: 1 << 20 })
  return Readable.from(piecesOf(body), { objectMode: false, highWaterMark: pieceBytes })
}

/** Larger pieces than a read stream would take, and fewer turns of the event loop. */
async function* piecesOf({ file, start, length }: ByteBody & { kind: 'file' }): AsyncGenerator<Uint8Array> {
  try {
    for (let done = 0; done < length; ) {
      const piece = await readPiece(file, start + done, Math.min(pieceBytes, length - done))
      done += piece.byteLength
      yield piece
    }
  } finally {
    await file.close()
  }
}

/**
 * A small body at once, which spares a stream; undefined for one that is to be streamed.
 * @throws when the file has become shorter: then the answer ends early, and is not taken for whole
 */
export async function wholeOf(body: ByteBody): Promise<Uint8Array | undefined> {
  if (body.kind === 'bytes') return body.bytes
  if (body.kind === 'stream' || body.length > smallBytes) return undefined
  try {
    const pieces: Uint8Array[] = []
    for (let done = 0; done < body.length; ) {
      const piece = await readPiece(body.file, body.start + done, body.length - done)
      done += piece.byteLength
      pieces.push(piece)
    }
    return pieces.length === 1 ? pieces[0] : Buffer.concat(pieces)
  } finally {
    await body.file.close()
  }
}

async function readPiece(file: FileHandle, position: number, length: number): Promise<Uint8Array> {
  // Not of Node's pool, and not filled with zeros first: all of it is read into.
  const piece = Buffer.allocUnsafeSlow(length)
  const { bytesRead } = await file.read(piece, 0, length, position)
  if (bytesRead === 0) throw new AttuneError('bad-file', 'The file has become shorter.', 'Load it again.')
  return piece.subarray(0, bytesRead)
}

/** As the Response that Electron's `protocol.handle` takes. */
export function responseOf({ status, headers, body }: ByteReply): Response {
  if (!body) return new Response(null, { status, headers })
  if (body.kind === 'bytes') return new Response(body.bytes as Uint8Array<ArrayBuffer>, { status, headers })
  const stream = Readable.toWeb(streamOf(body)) as ReadableStream<Uint8Array>
  return new Response(stream, { status, headers })
}
