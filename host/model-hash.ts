/**
 * The SHA-256 of a model's weights, for the record of a picture. Gigabytes are hashed once: beside the drawing, in a
 * thread of its own, and remembered by path, size and time of change. No picture waits for it.
 */
import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { z } from 'zod'
import { writeFileAtomic } from './write.ts'

/** Digests that are remembered; the oldest go. */
const rememberedDigests = 500
const cacheByteLimit = 1 << 20

const cacheSchema = z.object({
  version: z.literal(1),
  digests: z.array(
    z.object({ path: z.string(), size: z.number(), mtimeMs: z.number(), sha256: z.string().length(64) }),
  ),
})
type Cache = z.output<typeof cacheSchema>['digests']

/** Where this user's caches lie. */
export function cacheFolder(env: Readonly<Record<string, string | undefined>> = process.env): string {
  if (process.platform === 'win32')
    return join(env['LOCALAPPDATA'] ?? join(homedir(), 'AppData', 'Local'), 'Attune')
  if (process.platform === 'darwin') return join(homedir(), 'Library', 'Caches', 'Attune')
  return join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'attune')
}

export interface ModelHashOptions {
  /** Where digests are remembered; in the user's cache folder unless given. */
  readonly cacheFile?: string
  /** Gives up hashing when it is aborted. */
  readonly signal?: AbortSignal
}

/**
 * The digest of files that are one model: that of the file, or of several, the digest of the lines "digest  name" in the
 * order given (as `sha256sum` prints them).
 * @returns undefined when a file cannot be read, changes meanwhile, or the work is given up: a record without a digest is
 *   still a record
 */
export async function modelDigest(
  files: readonly string[],
  options: ModelHashOptions = {},
): Promise<string | undefined> {
  const digests: string[] = []
  for (const file of files) {
    const digest = await fileDigest(file, options)
    if (digest === undefined) return undefined
    digests.push(digest)
  }
  return join256(files, digests)
}

/** Like `modelDigest`, of what is remembered; undefined where something is not. Reads no weights. */
export async function knownModelDigest(
  files: readonly string[],
  options: ModelHashOptions = {},
): Promise<string | undefined> {
  const cache = await readCache(cachePath(options))
  const digests: string[] = []
  for (const file of files) {
    const facts = await factsOf(file)
    const known = facts && find(cache, facts)
    if (!known) return undefined
    digests.push(known)
  }
  return join256(files, digests)
}

/** The line of `file` in a folder's committed SHA256SUMS; for models that come with Attune. */
export async function committedDigest(folder: string, file: string): Promise<string | undefined> {
  const sums = await readFile(join(folder, 'SHA256SUMS'), 'utf8').catch(() => '')
  for (const line of sums.split('\n')) {
    const [, digest, name] = /^([0-9a-f]{64}) [ *](.+)$/.exec(line.trimEnd()) ?? []
    if (name === file) return digest
  }
  return undefined
}

interface FileFacts {
  readonly path: string
  readonly size: number
  readonly mtimeMs: number
}

async function fileDigest(path: string, options: ModelHashOptions): Promise<string | undefined> {
  const before = await factsOf(path)
  if (!before) return undefined
  const file = cachePath(options)
  const known = find(await readCache(file), before)
  if (known) return known
  const sha256 = await hashInThread(path, options.signal)
  const after = await factsOf(path)
  if (sha256 === undefined || after?.size !== before.size || after.mtimeMs !== before.mtimeMs)
    return undefined
  // Read again: another run may have added to it meanwhile. Losing one of two digests costs only time.
  const others = (await readCache(file)).filter(entry => entry.path !== path)
  const digests = [...others, { ...before, sha256 }].slice(-rememberedDigests)
  const text = JSON.stringify({ version: 1, digests })
  // A cache that cannot be written is no failure of the picture.
  await writeFileAtomic(file, new TextEncoder().encode(text), { overwrite: true }).catch(() => undefined)
  return sha256
}

async function factsOf(path: string): Promise<FileFacts | undefined> {
  const info = await stat(path).catch(() => undefined)
  return info?.isFile() ? { path, size: info.size, mtimeMs: info.mtimeMs } : undefined
}

function find(cache: Cache, { path, size, mtimeMs }: FileFacts): string | undefined {
  return cache.find(entry => entry.path === path && entry.size === size && entry.mtimeMs === mtimeMs)?.sha256
}

function cachePath({ cacheFile }: ModelHashOptions): string {
  return cacheFile ?? join(cacheFolder(), 'model-digests.json')
}

/** A cache that is missing, damaged or not ours is an empty one. */
async function readCache(path: string): Promise<Cache> {
  const info = await stat(path).catch(() => undefined)
  if (!info?.isFile() || info.size > cacheByteLimit) return []
  try {
    const parsed = cacheSchema.safeParse(JSON.parse(await readFile(path, 'utf8')))
    return parsed.success ? parsed.data.digests : []
  } catch {
    return []
  }
}

/** Plain JavaScript, so that the thread needs no loader. */
const threadCode = `
const { parentPort, workerData } = require('node:worker_threads')
const { createHash } = require('node:crypto')
const { closeSync, openSync, readSync } = require('node:fs')
const file = openSync(workerData, 'r')
const hash = createHash('sha256')
const piece = Buffer.alloc(1 << 20)
for (let read; (read = readSync(file, piece)) > 0; ) hash.update(read < piece.length ? piece.subarray(0, read) : piece)
closeSync(file)
parentPort.postMessage(hash.digest('hex'))
`

/** Node's hash is synchronous: on the thread that draws, a second of it would be a second without a step. */
function hashInThread(path: string, signal: AbortSignal | undefined): Promise<string | undefined> {
  if (signal?.aborted) return Promise.resolve(undefined)
  return new Promise(resolve => {
    const worker = new Worker(threadCode, { eval: true, workerData: path, execArgv: [] })
    const stop = (): void => void worker.terminate()
    signal?.addEventListener('abort', stop, { once: true })
    worker.once('message', (digest: unknown) => resolve(typeof digest === 'string' ? digest : undefined))
    worker.once('error', () => resolve(undefined))
    worker.once('exit', () => {
      signal?.removeEventListener('abort', stop)
      resolve(undefined)
    })
  })
}

function join256(files: readonly string[], digests: readonly string[]): string | undefined {
  if (digests.length <= 1) return digests[0]
  const lines = digests.map((digest, i) => `${digest}  ${basename(files[i] ?? '')}\n`)
  return createHash('sha256').update(lines.join('')).digest('hex')
}
