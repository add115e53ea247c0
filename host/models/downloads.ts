/**
 * Downloads of models: a model is one file or a folder of files, and appears in the library when it is whole. Until
 * then it lies in a folder `NAME.partial` beside its place, which knows what it is of: a download that ended with the
 * process is found again there.
 */
import { randomUUID } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { AttuneError, type ErrorRecord } from '../../model/contract/errors.ts'
import { exists, writeFileAtomic } from '../write.ts'
import { checkRelativePath, safeFileName } from './names.ts'
import { transfer, type TransferOptions } from './transfer.ts'

export const downloadPlanSchema = z.strictObject({
  /** The folder (or, of one file, the file) that appears in the library. */
  name: z.string().min(1).max(200),
  files: z
    .array(
      z.strictObject({
        url: z.string().max(4096),
        /** Below the model's folder, with forward slashes. */
        path: z.string().min(1).max(400),
        size: z.int().min(0).optional(),
        sha256: z
          .string()
          .regex(/^[0-9a-fA-F]{64}$/)
          .optional(),
      }),
    )
    .min(1)
    .max(1000),
  /** One file that is no folder: `name` is the file's. */
  isSingleFile: z.boolean().default(false),
})
export type DownloadPlan = z.output<typeof downloadPlanSchema>
export type DownloadPlanInput = z.input<typeof downloadPlanSchema>

export type DownloadState = 'queued' | 'running' | 'paused' | 'done' | 'failed' | 'cancelled'

export interface Download {
  readonly id: string
  readonly name: string
  /** The library's folder. */
  readonly folder: string
  readonly state: DownloadState
  readonly bytes: number
  /** Absent while a file's size is not known. */
  readonly total?: number
  readonly file?: string
  readonly problem?: ErrorRecord
  /** The last sentence: resuming, waiting, begun anew. */
  readonly notice?: string
  /** Files without a published checksum: nobody vouches for them. */
  readonly unverified: readonly string[]
  /** Where the finished model is. */
  readonly path?: string
}

export interface DownloadsOptions {
  /** Passed on to every transfer; read anew at each, since a token may be entered meanwhile. */
  readonly transfer?: () => TransferOptions
  /** Downloads at the same time. */
  readonly parallel?: () => number
}

interface Entry {
  download: Download
  readonly plan: DownloadPlan
  abort?: AbortController
  end?: Promise<void>
}

const planName = 'attune-download.json'
export const partialEnding = '.partial'
/** Progress events of one download per second are enough for eyes. */
const eventEvery = 100

export class Downloads {
  readonly #options: DownloadsOptions
  readonly #entries = new Map<string, Entry>()
  readonly #listeners = new Set<(download: Download) => void>()

  constructor(options: DownloadsOptions = {}) {
    this.#options = options
  }

  get list(): readonly Download[] {
    return [...this.#entries.values()].map(({ download }) => download)
  }

  /** @returns a function that ends the subscription */
  subscribe(listener: (download: Download) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Begins a download, or goes on with an unfinished one of the same name.
   * @throws AttuneError `bad-argument` for a plan that is not safe, or a name that is taken
   */
  async add(input: DownloadPlanInput, folder: string): Promise<Download> {
    const plan = checkPlan(input)
    const busy = [...this.#entries.values()].find(
      ({ download }) => download.name === plan.name && download.folder === folder && !isOver(download.state),
    )
    if (busy) return busy.download
    if (await exists(join(folder, plan.name)))
      throw new AttuneError(
        'bad-argument',
        `${plan.name} is in ${folder} already.`,
        'Choose another name or folder.',
      )
    const staging = stagingOf(folder, plan.name)
    await mkdir(staging, { recursive: true })
    await writeFileAtomic(join(staging, planName), new TextEncoder().encode(JSON.stringify(plan)), {
      overwrite: true,
    })
    return this.#enter(plan, folder, 'queued')
  }

  /** Finds downloads that ended with the process, as paused ones. */
  async findUnfinished(folder: string): Promise<Download[]> {
    const found: Download[] = []
    const names = await readdir(folder).catch(() => [])
    for (const name of names.filter(candidate => candidate.endsWith(partialEnding))) {
      const plan = await readPlan(join(folder, name, planName))
      const isKnown = this.list.some(download => download.folder === folder && download.name === plan?.name)
      if (plan && !isKnown && stagingOf(folder, plan.name) === join(folder, name))
        found.push(this.#enter(plan, folder, 'paused'))
    }
    return found
  }

  async pause(id: string): Promise<void> {
    await this.#stop(id, 'paused')
  }

  /** Stops a download and removes what has come of it. */
  async cancel(id: string): Promise<void> {
    const entry = await this.#stop(id, 'cancelled')
    if (entry.download.state !== 'done')
      await rm(stagingOf(entry.download.folder, entry.plan.name), { recursive: true, force: true })
  }

  /** Goes on with a paused or failed download. */
  resume(id: string): void {
    const entry = this.#need(id)
    if (entry.download.state !== 'paused' && entry.download.state !== 'failed') return
    const { problem: _, ...rest } = entry.download
    this.#change(entry, { ...rest, state: 'queued' })
    this.#pump()
  }

  /** Forgets a download that is over. */
  remove(id: string): void {
    if (isOver(this.#need(id).download.state)) this.#entries.delete(id)
  }

  /** Waits until a download is over or held. */
  async settled(id: string): Promise<Download> {
    for (;;) {
      const entry = this.#need(id)
      if (entry.end) await entry.end
      else if (entry.download.state !== 'queued') return entry.download
      else await new Promise(resolve => setTimeout(resolve, 5))
    }
  }

  /** Holds all downloads. */
  async close(): Promise<void> {
    await Promise.all(
      [...this.#entries.values()]
        .filter(({ download }) => !isOver(download.state))
        .map(({ download }) => this.pause(download.id)),
    )
  }

  #enter(plan: DownloadPlan, folder: string, state: DownloadState): Download {
    const total = totalOf(plan)
    const download: Download = {
      id: randomUUID(),
      name: plan.name,
      folder,
      state,
      bytes: 0,
      unverified: plan.files.filter(file => file.sha256 === undefined).map(file => file.path),
      ...(total !== undefined && { total }),
    }
    const entry: Entry = { download, plan }
    this.#entries.set(download.id, entry)
    this.#change(entry, download)
    // Not at once: the caller first gets the download that events will be about.
    setImmediate(() => this.#pump())
    return download
  }

  #need(id: string): Entry {
    const entry = this.#entries.get(id)
    if (entry) return entry
    throw new AttuneError('bad-argument', 'The download is no longer in the list.', 'Reload the list.')
  }

  #change(entry: Entry, download: Download): void {
    entry.download = download
    for (const listener of this.#listeners) listener(download)
  }

  async #stop(id: string, state: 'paused' | 'cancelled'): Promise<Entry> {
    const entry = this.#need(id)
    if (isOver(entry.download.state) && entry.download.state !== 'failed') return entry
    entry.abort?.abort(new AttuneError('cancelled', 'The download was stopped.', 'Resume it at any time.'))
    await entry.end
    if (!isOver(entry.download.state) || entry.download.state === 'failed')
      this.#change(entry, { ...entry.download, state })
    this.#pump()
    return entry
  }

  #pump(): void {
    const entries = [...this.#entries.values()]
    let running = entries.filter(({ end }) => end !== undefined).length
    const most = Math.max(1, this.#options.parallel?.() ?? 2)
    for (const entry of entries) {
      if (running >= most) return
      if (entry.download.state !== 'queued' || entry.end) continue
      running++
      entry.abort = new AbortController()
      entry.end = this.#run(entry, entry.abort.signal).finally(() => {
        delete entry.end
        this.#pump()
      })
    }
  }

  async #run(entry: Entry, signal: AbortSignal): Promise<void> {
    const { plan } = entry
    const { folder } = entry.download
    const staging = stagingOf(folder, plan.name)
    this.#change(entry, { ...entry.download, state: 'running' })
    try {
      let before = 0
      for (const file of plan.files) {
        const path = join(staging, ...file.path.split('/'))
        const known = await stat(path).catch(() => undefined)
        // Whole since an earlier try; without a digest its size is all that is known of it.
        const bytes =
          known?.isFile() && file.sha256 === undefined
            ? known.size
            : await this.#transfer(entry, file, path, before, signal)
        before += bytes
        this.#change(entry, { ...entry.download, bytes: before, file: file.path })
      }
      const path = await publish(staging, folder, plan)
      const { notice: _, file: __, ...rest } = entry.download
      this.#change(entry, { ...rest, state: 'done', bytes: before, total: before, path })
    } catch (error) {
      if (signal.aborted) return this.#change(entry, { ...entry.download, state: 'paused' })
      const problem =
        error instanceof AttuneError
          ? error.toRecord()
          : new AttuneError(
              'internal',
              `The download failed: ${String(error)}`,
              'Please report it.',
            ).toRecord()
      this.#change(entry, { ...entry.download, state: 'failed', problem })
    }
  }

  async #transfer(
    entry: Entry,
    file: DownloadPlan['files'][number],
    path: string,
    before: number,
    signal: AbortSignal,
  ): Promise<number> {
    const options = this.#options.transfer?.() ?? {}
    let told = 0
    const result = await transfer(
      {
        url: file.url,
        path,
        ...(file.size !== undefined && { size: file.size }),
        ...(file.sha256 !== undefined && { sha256: file.sha256 }),
      },
      {
        ...options,
        signal,
        onNotice: notice => this.#change(entry, { ...entry.download, notice }),
        onProgress: (bytes, total) => {
          const time = performance.now()
          if (time - told < eventEvery) return
          told = time
          const isAlone = entry.plan.files.length === 1 && total !== undefined
          this.#change(entry, {
            ...entry.download,
            bytes: before + bytes,
            file: file.path,
            ...(isAlone && { total }),
          })
        },
      },
    )
    return result.bytes
  }
}

function isOver(state: DownloadState): boolean {
  return state === 'done' || state === 'failed' || state === 'cancelled'
}

function stagingOf(folder: string, name: string): string {
  return join(folder, `${name}${partialEnding}`)
}

function totalOf(plan: DownloadPlan): number | undefined {
  let total = 0
  for (const { size } of plan.files) {
    if (size === undefined) return undefined
    total += size
  }
  return total
}

/** @throws AttuneError `bad-argument` for a plan that is not safe or not one */
export function checkPlan(input: unknown): DownloadPlan {
  const parsed = downloadPlanSchema.safeParse(input)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    throw new AttuneError(
      'bad-argument',
      `The list of files cannot be used: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'unknown'}.`,
      'Get the model from another place.',
    )
  }
  const plan = parsed.data
  if (safeFileName(plan.name) !== plan.name) checkRelativePath(`${plan.name}/`)
  for (const { path } of plan.files) checkRelativePath(path)
  // Of two names that differ in case only, some systems keep one file.
  const names = new Set(plan.files.map(({ path }) => path.toLowerCase()))
  if (
    names.size !== plan.files.length ||
    names.has(planName) ||
    (plan.isSingleFile && plan.files.length !== 1)
  )
    throw new AttuneError(
      'bad-argument',
      'The list of files names one file twice.',
      'Get the model from another place.',
    )
  return plan
}

async function readPlan(path: string): Promise<DownloadPlan | undefined> {
  try {
    return checkPlan(JSON.parse(await readFile(path, 'utf8')))
  } catch {
    return undefined
  }
}

/** The whole model gets its name at once: half of one is never listed. */
async function publish(staging: string, folder: string, plan: DownloadPlan): Promise<string> {
  const target = join(folder, plan.name)
  if (await exists(target))
    throw new AttuneError('bad-file', `${target} is there already.`, 'Remove it, then resume the download.')
  const [only] = plan.files
  if (plan.isSingleFile && only) {
    await rename(join(staging, ...only.path.split('/')), target)
    await rm(staging, { recursive: true, force: true })
  } else {
    await rm(join(staging, planName), { force: true })
    await rename(staging, target)
  }
  return target
}
