/**
 * Downloading one file: resumed by ranges where the server can, checked by size and SHA-256, retried while there is
 * progress, and under its name only when it is whole. Servers are not trusted: every header is compared with what was
 * asked for and with what came before.
 */
import type { IncomingMessage } from 'node:http'
import { mkdir, stat, statfs } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { AttuneError } from '../../model/contract/errors.ts'
import { errorNumber, writeFailure } from '../disk-errors.ts'
import { type HttpPolicy, NetworkError, openUrl } from './http.ts'
import { type OpenForWriting, PartFile, sha256Of } from './part-file.ts'
import { readAhead } from './read-ahead.ts'

export interface TransferRequest {
  readonly url: string
  /** Where the whole file goes. */
  readonly path: string
  /** Known from whoever publishes the file. */
  readonly size?: number
  readonly sha256?: string
}

export interface TransferOptions extends HttpPolicy {
  readonly signal?: AbortSignal
  readonly onProgress?: (bytes: number, total: number | undefined) => void
  /** Sentences that the person may want to see: resumed, begun anew and why, waiting. */
  readonly onNotice?: (text: string) => void
  /** Tries in a row without a new byte. */
  readonly retries?: number
  /** Milliseconds without a byte after which a connection counts as dead. */
  readonly stallTimeout?: number
  /** Largest file that is taken, whatever the server says. */
  readonly maxBytes?: number
  /** Bytes that must stay free. */
  readonly marginBytes?: number
  readonly freeBytes?: (folder: string) => Promise<number>
  readonly sleep?: (milliseconds: number, signal: AbortSignal) => Promise<void>
  readonly openForWriting?: OpenForWriting
}

export interface TransferResult {
  readonly path: string
  readonly bytes: number
  readonly sha256: string
  /** Whether the digest was known before; otherwise nobody vouches for the file. */
  readonly isVerified: boolean
}

const defaults = {
  retries: 5,
  stallTimeout: 30_000,
  maxBytes: 200e9,
  marginBytes: 512 << 20,
  longestWait: 600_000,
} as const

/**
 * Downloads a file. Cancelling, failing and being killed leave a part from which the next call goes on.
 * @throws AttuneError `cancelled`, `network`, `disk-full`, or naming otherwise what is wrong and what to do
 */
export async function transfer(
  request: TransferRequest,
  options: TransferOptions = {},
): Promise<TransferResult> {
  const signal = options.signal ?? new AbortController().signal
  const there = await existing(request, signal)
  if (there) return there
  await mkdir(dirname(request.path), { recursive: true })
  const part = await PartFile.open(request.path, request.url, options.openForWriting)
  try {
    await attempts(part, request, options, signal)
    return await finish(part, request)
  } catch (error) {
    throw signal.aborted ? cancelled(signal) : writeError(request.path, error)
  } finally {
    await part.flush().catch(() => undefined)
    await part.close().catch(() => undefined)
  }
}

/** A file of that name: ours from before, or something else. */
async function existing(request: TransferRequest, signal: AbortSignal): Promise<TransferResult | undefined> {
  const info = await stat(request.path).catch(() => undefined)
  if (!info) return undefined
  if (info.isFile() && request.sha256 !== undefined) {
    const sha256 = await sha256Of(request.path, signal)
    if (sha256 === request.sha256.toLowerCase())
      return { path: request.path, bytes: info.size, sha256, isVerified: true }
  }
  throw new AttuneError(
    'bad-file',
    `${request.path} is there already, and is not this file.`,
    'Remove it, or choose another folder.',
  )
}

async function attempts(
  part: PartFile,
  request: TransferRequest,
  options: TransferOptions,
  signal: AbortSignal,
): Promise<void> {
  const retries = options.retries ?? defaults.retries
  const sleep = options.sleep ?? ((milliseconds, stop) => wait(milliseconds, undefined, { signal: stop }))
  for (let failures = 0; ; ) {
    signal.throwIfAborted()
    const before = part.length
    try {
      await attempt(part, request, options, signal)
      return
    } catch (error) {
      if (signal.aborted || !(error instanceof NetworkError)) throw error
      await part.flush()
      failures = part.length > before ? 1 : failures + 1
      if (failures > retries) throw error
      // Doubling, with some chance so that many do not come back at the same moment.
      const backoff = Math.min(30_000, 500 * 2 ** failures) * (0.75 + Math.random() / 2)
      const pause = error.retryAfter ?? backoff
      if (pause > defaults.longestWait) throw error
      options.onNotice?.(`${error.message} Trying again in ${Math.max(1, Math.round(pause / 1000))} s.`)
      await sleep(pause, signal)
    }
  }
}

/** One request: from where the part ends to the end of the file, or as far as the connection lasts. */
async function attempt(
  part: PartFile,
  request: TransferRequest,
  options: TransferOptions,
  signal: AbortSignal,
): Promise<void> {
  const name = basename(request.path)
  const validator = strongValidator(part)
  // Without either, bytes of two versions could meet in one file.
  if (part.length > 0 && validator === undefined && request.sha256 === undefined) await part.reset()
  const total = request.size ?? part.state.size
  if (total !== undefined && part.length === total && part.length > 0) return
  if (total !== undefined && part.length > total) await part.reset()
  const from = part.length
  const headers: Record<string, string> = {}
  if (from > 0) {
    headers['range'] = `bytes=${from}-`
    if (validator !== undefined) headers['if-range'] = validator
  }
  const { response } = await openUrl(request.url, headers, options, signal)
  // Listens from now on: a connection that breaks while the headers are looked at would not be noticed.
  const pieces = readAhead(response)
  try {
    if (response.statusCode === 416 && isWhole(response, part)) return
    const size = await accept(response, part, request, options, name)
    if (part.length > 0) options.onNotice?.(`Resuming ${name} at ${percent(part.length, size)}.`)
    await checkSpace(request.path, part.length, size, options)
    await receive(response, pieces, part, size, request, options, signal)
  } finally {
    response.destroy()
  }
}

/** "Nothing after that" is the answer for a part that is whole already. */
function isWhole({ headers }: IncomingMessage, part: PartFile): boolean {
  const size = /^bytes \*\/(\d{1,16})$/.exec(headers['content-range'] ?? '')?.[1]
  const isSame = headers.etag === undefined || headers.etag === part.state.etag
  return part.length > 0 && Number(size ?? -1) === part.length && isSame
}

/** Compares the answer with the question. @returns the whole file's size, where the server says it */
async function accept(
  response: IncomingMessage,
  part: PartFile,
  request: TransferRequest,
  options: TransferOptions,
  name: string,
): Promise<number | undefined> {
  const { statusCode = 0, headers } = response
  const from = part.length
  if (statusCode === 416 && from > 0) {
    // More was asked for than there is: the file on the server is another one.
    await part.reset()
    throw new NetworkError(`The server has no more of ${name}; it is begun anew.`, 'Resume the download.')
  }
  if (statusCode !== 200 && statusCode !== 206) throw statusError(response, name)
  const encoding = headers['content-encoding']
  if (encoding !== undefined && encoding !== 'identity')
    throw wrongFile(`The server sends ${name} compressed (${encoding.slice(0, 20)}), so it cannot be checked`)
  if (/^text\/html\b/i.test(headers['content-type'] ?? '') && !/\.html?$/i.test(name)) throw webPage(name)
  let size: number | undefined
  if (statusCode === 206) {
    const range = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16}|\*)$/.exec(headers['content-range'] ?? '')
    if (Number(range?.[1] ?? -1) !== from) {
      await part.reset()
      throw new NetworkError(
        `The server sent another part of ${name} than was asked for; it is begun anew.`,
        'Resume the download.',
      )
    }
    size = range?.[3] === '*' ? undefined : Number(range?.[3])
    const etag = headers.etag
    const isOther =
      (etag !== undefined && part.state.etag !== undefined && etag !== part.state.etag) ||
      (size !== undefined && part.state.size !== undefined && size !== part.state.size)
    if (isOther) {
      await part.reset()
      throw new NetworkError(`${name} has changed on the server; it is begun anew.`, 'Resume the download.')
    }
  } else {
    if (from > 0) {
      const hasChanged = headers.etag !== undefined && headers.etag !== part.state.etag
      await part.reset()
      options.onNotice?.(
        hasChanged
          ? `${name} has changed on the server; it is begun anew.`
          : `The server cannot resume ${name}; it is begun anew.`,
      )
    }
    const length = headers['content-length']
    size = length === undefined ? undefined : Number(length)
  }
  const most = options.maxBytes ?? defaults.maxBytes
  if (size !== undefined && request.size !== undefined && size !== request.size)
    throw wrongFile(`The server's ${name} has ${size} bytes, but should have ${request.size}`)
  if (size !== undefined && size > most)
    throw wrongFile(`${name} has ${size} bytes, more than the ${most} that are taken`)
  await part.describe({
    ...(headers.etag !== undefined && { etag: headers.etag }),
    ...(headers['last-modified'] !== undefined && { lastModified: headers['last-modified'] }),
    ...((size ?? part.state.size) !== undefined && { size: size ?? part.state.size }),
  })
  return size
}

async function receive(
  response: IncomingMessage,
  pieces: () => Promise<Uint8Array | undefined>,
  part: PartFile,
  size: number | undefined,
  request: TransferRequest,
  options: TransferOptions,
  signal: AbortSignal,
): Promise<void> {
  const name = basename(request.path)
  const stallTimeout = options.stallTimeout ?? defaults.stallTimeout
  const most = Math.min(
    options.maxBytes ?? defaults.maxBytes,
    size ?? request.size ?? Number.POSITIVE_INFINITY,
  )
  const stop = () => response.destroy(signal.reason as Error)
  signal.addEventListener('abort', stop, { once: true })
  const stalled = () => response.destroy(new Error('stalled'))
  let timer = setTimeout(stalled, stallTimeout)
  try {
    for (;;) {
      // What goes wrong with the connection is worth another try; what goes wrong with the disk is not.
      const bytes = await pieces().catch((cause: unknown) => {
        throw signal.aborted
          ? cancelled(signal)
          : new NetworkError(
              `The connection broke off while ${name} came, at ${percent(part.length, size)}.`,
              'Check the connection, and resume the download.',
              { cause },
            )
      })
      if (!bytes) break
      clearTimeout(timer)
      timer = setTimeout(stalled, stallTimeout)
      if (part.length === 0) checkBeginning(bytes, name)
      if (part.length + bytes.length > most) {
        await part.reset()
        throw wrongFile(`The server sends more of ${name} than the ${most} bytes that it should have`)
      }
      await part.append(bytes)
      options.onProgress?.(part.length, size)
    }
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', stop)
  }
  const wanted = size ?? request.size
  if (!response.complete || (wanted !== undefined && part.length < wanted))
    throw new NetworkError(
      `The connection ended before ${name} was whole, at ${percent(part.length, wanted)}.`,
      'Check the connection, and resume the download.',
    )
}

/** Sign-in pages of hotels and pointers of Git LFS come with status 200 under any type. */
function checkBeginning(bytes: Uint8Array, name: string): void {
  const head = new TextDecoder('latin1').decode(bytes.subarray(0, 200)).trimStart().toLowerCase()
  if (/^<(!doctype html|html|head|body|script)\b/.test(head) && !/\.html?$/i.test(name)) throw webPage(name)
  if (head.startsWith('version https://git-lfs'))
    throw wrongFile(`The server sent a Git LFS pointer instead of ${name}`)
}

async function finish(part: PartFile, request: TransferRequest): Promise<TransferResult> {
  const name = basename(request.path)
  if (request.size !== undefined && part.length !== request.size)
    throw wrongFile(`${name} came with ${part.length} bytes, but should have ${request.size}`)
  const sha256 = part.sha256()
  if (request.sha256 !== undefined && sha256 !== request.sha256.toLowerCase()) {
    const aside = await part.reject()
    throw new AttuneError(
      'bad-file',
      `The checksum of ${name} differs from the published one: it was damaged on the way, or is another file. It is kept as ${aside}.`,
      'Download it again; if it happens twice, report it to the site.',
    )
  }
  await part.flush()
  const bytes = part.length
  await part.publish()
  return { path: request.path, bytes, sha256, isVerified: request.sha256 !== undefined }
}

async function checkSpace(
  path: string,
  have: number,
  size: number | undefined,
  options: TransferOptions,
): Promise<void> {
  if (size === undefined) return
  const free = await (options.freeBytes ?? freeBytesOf)(dirname(path)).catch(() => undefined)
  // Some network folders do not say: then writing will tell.
  if (free === undefined) return
  const need = size - have + (options.marginBytes ?? defaults.marginBytes)
  if (free >= need) return
  throw new AttuneError(
    'disk-full',
    `The disk has ${megabytes(free)} free, but ${basename(path)} needs ${megabytes(need)}.`,
    `Free ${megabytes(need - free)}, or choose a folder on another disk; then resume.`,
  )
}

/** Bytes that this user may still write in a folder. */
export async function freeBytesOf(folder: string): Promise<number> {
  const info = await statfs(folder)
  return info.bavail * info.bsize
}

function strongValidator(part: PartFile): string | undefined {
  const { etag, lastModified } = part.state
  if (etag !== undefined && !etag.startsWith('W/')) return etag
  return etag === undefined ? lastModified : undefined
}

function statusError(response: IncomingMessage, name: string): AttuneError {
  const { statusCode = 0, headers } = response
  if (statusCode === 401 || statusCode === 403)
    return new AttuneError(
      'unsupported',
      `The server does not give ${name} to everybody (${statusCode}).`,
      'Sign in on the site and accept the licence of the model, then give its access token.',
    )
  if (statusCode === 404 || statusCode === 410)
    return new AttuneError('bad-file', `${name} is not on the server (${statusCode}).`, 'Check the address.')
  if (statusCode === 429 || statusCode >= 500 || statusCode === 408) {
    const retryAfter = retryAfterOf(headers['retry-after'])
    const why = statusCode === 429 ? 'asks to wait' : 'has a problem'
    return new NetworkError(`The server ${why} (${statusCode}).`, 'Resume the download later.', {
      ...(retryAfter !== undefined && { retryAfter }),
    })
  }
  return new AttuneError(
    'bad-file',
    `The server answered ${statusCode} instead of ${name}.`,
    'Check the address.',
  )
}

/** Seconds, or a date. */
function retryAfterOf(value: string | undefined): number | undefined {
  if (value === undefined) return undefined
  const milliseconds = /^\d{1,9}$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now()
  return Number.isFinite(milliseconds) ? Math.max(0, milliseconds) : undefined
}

function wrongFile(what: string): AttuneError {
  return new AttuneError('bad-file', `${what}.`, 'Check the address, or get the file from another place.')
}

function webPage(name: string): AttuneError {
  return new AttuneError(
    'bad-file',
    `The server sent a web page instead of ${name}.`,
    'Open the address in a browser: a network or the site may want you to sign in first.',
  )
}

function cancelled(signal: AbortSignal): AttuneError {
  if (signal.reason instanceof AttuneError) return signal.reason
  return new AttuneError('cancelled', 'The download was cancelled.', 'Resume it at any time.')
}

/** What could not be written; the part that was flushed stays, and the next call goes on from it. */
function writeError(path: string, error: unknown): unknown {
  if (error instanceof AttuneError || errorNumber(error) === '') return error
  const told = writeFailure(error, path)
  if (told.code !== 'disk-full') return told
  return new AttuneError(
    'disk-full',
    `The disk is full; ${basename(path)} is not whole yet.`,
    'Free some space, then resume the download.',
    { cause: error },
  )
}

function percent(bytes: number, size: number | undefined): string {
  return size ? `${Math.floor((100 * bytes) / size)} %` : megabytes(bytes)
}

function megabytes(bytes: number): string {
  return bytes < 1e9 ? `${Math.ceil(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`
}
