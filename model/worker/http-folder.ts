/**
 * A model folder over HTTP (or `app://` in Electron): texts are fetched whole, weights by range. Nothing of a large file
 * is kept; small files are kept in blocks until the run is over, because a network reads its weights in hundreds of
 * small pieces and each request costs a millisecond or more.
 */
import { type ByteSource, memorySource } from '../contract/bytes.ts'
import { AttuneError } from '../contract/errors.ts'
import type { ModelFolder } from '../pipeline/folder.ts'

const mebibyte = 2 ** 20
/** Texts of a model folder are small, and so is a file that is read whole when its server knows no ranges. */
const wholeLimit = 64 * mebibyte
/** Files up to this size are fetched once, in large blocks. */
const keptLimit = 48 * mebibyte
const keptBlock = 4 * mebibyte
/** Of larger files: what one small read fetches, and how many of these are kept. Larger reads go past the blocks. */
const smallBlock = 64 * 1024
const smallBlocks = 64

export interface HttpFolderOptions {
  /** For messages; the address when absent. */
  readonly name?: string
  /** In place of the global `fetch`: for tests. */
  readonly fetch?: typeof fetch
}

/** A folder that can let go of what it holds in memory and goes on working. */
export interface TrimmableFolder extends ModelFolder {
  trim(): void
}

/** @throws AttuneError `bad-argument` when `address` is not an absolute address. */
export function openHttpFolder(address: string, options: HttpFolderOptions = {}): TrimmableFolder {
  if (!URL.canParse(address)) {
    throw new AttuneError(
      'bad-argument',
      `"${address}" is not an address.`,
      'Give the address of a model folder.',
    )
  }
  const base = new URL(address)
  base.search = ''
  base.hash = ''
  if (!base.pathname.endsWith('/')) base.pathname += '/'
  const name = options.name ?? base.href
  const get = options.fetch ?? fetch.bind(globalThis)
  const sources: HttpSource[] = []

  const urlOf = (path: string): string => {
    const url = new URL(path.split('/').map(encodeURIComponent).join('/'), base)
    // A model's own index names files: it must not lead out of its folder.
    if (url.href.startsWith(base.href)) return url.href
    throw new AttuneError(
      'bad-model',
      `${name} names a file outside of its folder: ${path}.`,
      'Do not use this model.',
    )
  }

  return {
    name,
    async text(path) {
      const response = await request(get, urlOf(path))
      if (!(await present(response, urlOf(path)))) return undefined
      return new TextDecoder().decode(await readWhole(response, urlOf(path)))
    },
    async source(path) {
      const source = await openSource(get, urlOf(path))
      if (source instanceof HttpSource) sources.push(source)
      return source
    },
    trim() {
      for (const source of sources) source.trim()
    },
    close() {
      for (const source of sources.splice(0)) source.trim()
      return Promise.resolve()
    },
  }
}

/** A file read by ranges. */
class HttpSource implements ByteSource {
  readonly name: string
  readonly byteLength: number
  readonly #get: typeof fetch
  readonly #version: string | null
  readonly #blockBytes: number
  /** In the order of their last use. */
  readonly #blocks = new Map<number, Promise<Uint8Array>>()

  constructor(get: typeof fetch, url: string, byteLength: number, version: string | null) {
    this.#get = get
    this.name = url
    this.byteLength = byteLength
    this.#version = version
    this.#blockBytes = byteLength <= keptLimit ? keptBlock : smallBlock
  }

  async read(offset: number, byteLength: number, into?: Uint8Array): Promise<Uint8Array> {
    if (offset < 0 || byteLength < 0 || offset + byteLength > this.byteLength) {
      throw new AttuneError(
        'bad-file',
        `${this.name}: bytes ${offset} to ${offset + byteLength} lie outside the file of ${this.byteLength} bytes.`,
        'The file is cut off: download it again.',
      )
    }
    if (byteLength === 0) return into?.subarray(0, 0) ?? new Uint8Array(0)
    const first = Math.floor(offset / this.#blockBytes)
    const last = Math.floor((offset + byteLength - 1) / this.#blockBytes)
    const past = this.#blockBytes === smallBlock && last - first > 1
    if (past || (first === last && !into)) {
      const whole = past ? await this.#fetch(offset, byteLength) : await this.#block(first)
      const start = past ? 0 : offset - first * this.#blockBytes
      const found = whole.subarray(start, start + byteLength)
      if (!into) return found
      into.set(found)
      return into.subarray(0, byteLength)
    }
    const target = into ?? new Uint8Array(byteLength)
    for (let index = first; index <= last; index++) {
      const block = await this.#block(index)
      const start = index * this.#blockBytes
      const from = Math.max(offset, start)
      const to = Math.min(offset + byteLength, start + block.byteLength)
      target.set(block.subarray(from - start, to - start), from - offset)
    }
    return target.subarray(0, byteLength)
  }

  trim(): void {
    this.#blocks.clear()
  }

  #block(index: number): Promise<Uint8Array> {
    const start = index * this.#blockBytes
    const block =
      this.#blocks.get(index) ??
      this.#fetch(start, Math.min(this.#blockBytes, this.byteLength - start)).catch((error: unknown) => {
        this.#blocks.delete(index)
        throw error
      })
    this.#blocks.delete(index)
    this.#blocks.set(index, block)
    const oldest = this.#blocks.keys().next().value
    if (this.#blockBytes === smallBlock && this.#blocks.size > smallBlocks && oldest !== undefined) {
      this.#blocks.delete(oldest)
    }
    return block
  }

  async #fetch(offset: number, byteLength: number): Promise<Uint8Array> {
    const end = offset + byteLength - 1
    const response = await request(this.#get, this.name, `bytes=${offset}-${end}`)
    const range = contentRange(response)
    if (response.status !== 206 || (range && (range.start !== offset || range.end !== end))) {
      await response.body?.cancel()
      throw response.status === 206 ? changed(this.name) : refused(response, this.name)
    }
    // Weights of two versions of a file must never be mixed.
    if ((range?.total ?? this.byteLength) !== this.byteLength || versionOf(response) !== this.#version) {
      await response.body?.cancel()
      throw changed(this.name)
    }
    const bytes = new Uint8Array(await body(response, this.name))
    if (bytes.byteLength === byteLength) return bytes
    throw new AttuneError(
      'bad-file',
      `${this.name}: the server sent ${bytes.byteLength} of ${byteLength} bytes from ${offset} on.`,
      'Check the connection and try again.',
    )
  }
}

/** Asks for the first byte: the answer tells whether the file is there, its size, and whether ranges work. */
async function openSource(get: typeof fetch, url: string): Promise<ByteSource | undefined> {
  const response = await request(get, url, 'bytes=0-0')
  if (response.status === 416) {
    await response.body?.cancel()
    return memorySource(url, new Uint8Array(0))
  }
  if (!(await present(response, url))) return undefined
  if (response.status !== 206) return memorySource(url, await readWhole(response, url))
  const version = versionOf(response)
  let total = contentRange(response)?.total
  await response.body?.cancel()
  // A server of another origin may hide Content-Range; Content-Length it may not.
  total ??= await sizeByHead(get, url)
  return new HttpSource(get, url, total, version)
}

async function sizeByHead(get: typeof fetch, url: string): Promise<number> {
  const response = await request(get, url, undefined, 'HEAD')
  const length = Number(response.headers.get('content-length') ?? NaN)
  if (response.ok && Number.isSafeInteger(length) && length > 0) return length
  throw new AttuneError(
    'unsupported',
    `The server does not tell the size of ${url}.`,
    'Serve the model with Content-Range and Content-Length headers (Access-Control-Expose-Headers).',
  )
}

/** One request; a broken connection is tried once more. @throws AttuneError `network` when the server is out of reach. */
async function request(get: typeof fetch, url: string, range?: string, method = 'GET'): Promise<Response> {
  const init: RequestInit = {
    method,
    // Chromium's cache lets one request at a time at a file, and weights would push everything else out of it.
    cache: 'no-store',
    ...(range !== undefined && { headers: { range } }),
  }
  for (let attempt = 1; ; attempt++) {
    try {
      return await get(url, init)
    } catch (error) {
      if (attempt > 1) throw unreachable(url, error)
    }
  }
}

/** False when there is no such file. @throws AttuneError `bad-file` for any other refusal. */
async function present(response: Response, url: string): Promise<boolean> {
  // Servers of single-page applications answer every path with their page.
  const page = response.ok && /^text\/html\b/.test(response.headers.get('content-type') ?? '')
  if (response.ok && !page) return true
  await response.body?.cancel()
  if (page || response.status === 404 || response.status === 410) return false
  throw refused(response, url)
}

/** The whole body, up to `wholeLimit`. */
async function readWhole(response: Response, url: string): Promise<Uint8Array> {
  const tooLarge = (): AttuneError =>
    new AttuneError(
      'unsupported',
      `${url} is larger than ${wholeLimit / mebibyte} MiB, and its server does not answer range requests.`,
      'Serve the model from a server that answers "Range" with 206 Partial Content.',
    )
  if (Number(response.headers.get('content-length') ?? 0) > wholeLimit) {
    await response.body?.cancel()
    throw tooLarge()
  }
  const reader = response.body?.getReader()
  if (!reader) return new Uint8Array(0)
  const pieces: Uint8Array[] = []
  let length = 0
  for (;;) {
    const { done, value } = await reader.read().catch((error: unknown) => {
      throw unreachable(url, error)
    })
    if (done) break
    length += value.byteLength
    if (length > wholeLimit) {
      await reader.cancel()
      throw tooLarge()
    }
    pieces.push(value)
  }
  const bytes = new Uint8Array(length)
  let offset = 0
  for (const piece of pieces) {
    bytes.set(piece, offset)
    offset += piece.byteLength
  }
  return bytes
}

function body(response: Response, url: string): Promise<ArrayBuffer> {
  return response.arrayBuffer().catch((error: unknown) => {
    throw unreachable(url, error)
  })
}

function contentRange(response: Response): { start: number; end: number; total?: number } | undefined {
  const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '')
  if (!match) return undefined
  const [, start, end, total] = match
  return { start: Number(start), end: Number(end), ...(total !== '*' && { total: Number(total) }) }
}

/** What changes when a file changes; a weak ETag may stay the same, so the date goes with it. */
function versionOf(response: Response): string | null {
  return response.headers.get('etag') ?? response.headers.get('last-modified')
}

const unreachable = (url: string, cause: unknown): AttuneError =>
  new AttuneError(
    'network',
    `${url} could not be fetched (${cause instanceof Error ? cause.message : String(cause)}).`,
    'Check that the server runs and can be reached, then try again.',
    { cause },
  )

const refused = ({ status, statusText }: Response, url: string): AttuneError =>
  new AttuneError(
    'bad-file',
    `The server refused ${url} (${[status, statusText].filter(Boolean).join(' ')}).`,
    'Check the address and the rights to read it.',
  )

const changed = (url: string): AttuneError =>
  new AttuneError('bad-file', `${url} changed while it was in use.`, 'Open the model again.')
