/**
 * Comparing folders with the index: what is new, changed or gone. A file counts as unchanged while its size and time
 * are. Files are read a few at a time, rows are written in short transactions, and between two pieces of work
 * everything else in the process has its turn.
 */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isPictureName, type PictureFacts, readPictureFacts } from './picture-file.ts'
import type { KnownFile, Store } from './store.ts'

export interface ScanProgress {
  readonly folder: string
  readonly found: number
  readonly read: number
}

export interface ScanResult {
  readonly added: number
  readonly changed: number
  readonly missing: number
  /** Folders that could not be listed, with why. */
  readonly problems: readonly string[]
}

export interface ScanOptions {
  readonly isFavourite: (key: string) => boolean
  readonly signal: AbortSignal
  readonly onProgress?: (progress: ScanProgress) => void
  /** Filled with every folder that was listed and its time of change, for a cheap look later. */
  readonly directories: Map<string, number>
}

const readers = 6
/** Rows of one transaction, and milliseconds after which it ends early. */
const batch = { rows: 40, milliseconds: 12 } as const
const depthLimit = 12
/** Rows of the index that are fetched at once. */
const pageSize = 2_000

/** Brings the index up to date with one folder and those below it. */
export async function scanFolder(store: Store, folder: string, options: ScanOptions): Promise<ScanResult> {
  const problems: string[] = []
  const known = await knownFiles(store, folder)
  const waiting: { path: string; isNew: boolean }[] = []
  const seen = new Set<string>()
  const isListed = await walk(folder, 0, options, problems, async paths => {
    const infos = await mapLimited(paths, 16, path => stat(path).catch(() => undefined))
    for (const [i, path] of paths.entries()) {
      const info = infos[i]
      if (!info?.isFile()) continue
      seen.add(path)
      const row = known.get(path)
      const isSame = row && row.bytes === info.size && row.changed === info.mtimeMs
      if (!isSame) waiting.push({ path, isNew: !row })
      else if (row.state !== 'here') store.setState(row.id, 'here')
    }
  })
  if (!isListed) problems.push(`The folder ${folder} cannot be read; its pictures are shown as missing.`)
  const gone = [...known.values()].filter(row => !seen.has(row.path))
  for (const part of chunks(gone, 200)) {
    options.signal.throwIfAborted()
    store.transaction(() => {
      // Deleted by us, with a crash before the row went; all others may come back with their drive.
      for (const { id, state } of part) {
        if (state === 'deleting' && isListed) store.remove(id)
        else if (state === 'here') store.setState(id, 'missing')
      }
    })
    await pause()
  }
  const { added, changed } = await readAll(store, folder, waiting, options)
  return { added, changed, missing: gone.filter(row => row.state === 'here').length, problems }
}

async function knownFiles(store: Store, folder: string): Promise<Map<string, KnownFile>> {
  const known = new Map<string, KnownFile>()
  for (let after = 0; ; ) {
    const page = store.known(folder, after, pageSize)
    for (const row of page) known.set(row.path, row)
    if (page.length < pageSize) return known
    after = page.at(-1)?.id ?? after
    await pause()
  }
}

/** Lists a folder and those below. Links to folders are not followed: they may lead in circles. */
async function walk(
  folder: string,
  depth: number,
  options: ScanOptions,
  problems: string[],
  onFiles: (paths: string[]) => Promise<void>,
): Promise<boolean> {
  options.signal.throwIfAborted()
  // Before listing: a file that appears meanwhile changes the time once more.
  const info = await stat(folder).catch(() => undefined)
  const entries = info && (await readdir(folder, { withFileTypes: true }).catch(() => undefined))
  if (!info || !entries) return false
  options.directories.set(folder, info.mtimeMs)
  const names = entries.filter(entry => !entry.isDirectory() && isPictureName(entry.name))
  for (const part of chunks(names, 256)) await onFiles(part.map(entry => join(folder, entry.name)))
  if (depth >= depthLimit) return true
  for (const entry of entries) {
    if (!entry.isDirectory() || entry.name.startsWith('.')) continue
    const below = join(folder, entry.name)
    if (!(await walk(below, depth + 1, options, problems, onFiles)))
      problems.push(`The folder ${below} cannot be read.`)
  }
  return true
}

async function readAll(
  store: Store,
  folder: string,
  waiting: readonly { path: string; isNew: boolean }[],
  options: ScanOptions,
): Promise<{ added: number; changed: number }> {
  let added = 0
  let changed = 0
  let next = 0
  let finished = 0
  const ready: { path: string; isNew: boolean; facts: PictureFacts }[] = []
  const write = async (least: number) => {
    while (ready.length > least) {
      const until = performance.now() + batch.milliseconds
      store.transaction(() => {
        for (let rows = 0; ready.length && rows < batch.rows && performance.now() < until; rows++) {
          const { path, isNew, facts } = ready.shift() as (typeof ready)[number]
          store.put(path, folder, facts, options.isFavourite(facts.key))
          if (isNew) added++
          else changed++
        }
      })
      options.onProgress?.({ folder, found: waiting.length, read: finished })
      await pause()
    }
  }
  const reader = async () => {
    while (next < waiting.length) {
      options.signal.throwIfAborted()
      const { path, isNew } = waiting[next++] as (typeof waiting)[number]
      // A file that goes between listing and reading is simply not there.
      const facts = await readPictureFacts(path).catch(() => undefined)
      finished++
      if (facts) ready.push({ path, isNew, facts })
      // Parsing is not free either.
      await pause()
      if (ready.length >= batch.rows) await write(batch.rows)
    }
  }
  await Promise.all(Array.from({ length: readers }, reader))
  await write(0)
  return { added, changed }
}

/** Gives everything else a turn: timers, sockets, the window's messages. */
export function pause(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}

function* chunks<T>(items: readonly T[], size: number): Generator<T[]> {
  for (let i = 0; i < items.length; i += size) yield items.slice(i, i + size)
}

/** Maps with a number of calls at the same time, results in order. */
export async function mapLimited<T, R>(
  items: readonly T[],
  limit: number,
  action: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = []
  let next = 0
  const worker = async () => {
    while (next < items.length) {
      const i = next++
      results[i] = await action(items[i] as T)
    }
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker))
  return results
}
