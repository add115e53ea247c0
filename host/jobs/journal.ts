/**
 * The queue's memory: a file of JSON lines, one for each thing that happened, flushed before it counts. A crash can cut
 * only the last line, which then did not happen. When the file is opened, and when it has grown, it is written anew
 * with what still matters, atomically. A text file, not a table: a person can read what was asked for and drawn.
 */
import { type FileHandle, mkdir, open, readFile, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { AttuneError, errorCodes, type ErrorRecord } from '../../model/contract/errors.ts'
import { promptTemplateSchema } from '../../model/contract/prompt.ts'
import { generateRequestSchema } from '../../model/contract/request.ts'
import { writeFileAtomic } from '../write.ts'
import { type Job, jobStates } from './runner.ts'

const problemSchema = z.object({
  code: z.enum(errorCodes),
  message: z.string(),
  remedy: z.string().optional(),
})

const jobSchema = z.object({
  id: z.string().min(1).max(100),
  request: generateRequestSchema,
  inputs: z.record(z.string().max(100), z.string().max(10_000)),
  template: promptTemplateSchema.optional(),
  added: z.string(),
  state: z.enum(jobStates),
  file: z.string().optional(),
  problem: problemSchema.optional(),
})

const timingSchema = z.object({ steps: z.number(), pixels: z.number(), milliseconds: z.number() })

const entrySchema = z.discriminatedUnion('op', [
  z.object({ op: z.literal('header'), format: z.literal('attune-jobs'), version: z.number() }),
  z.object({ op: z.literal('add'), job: jobSchema }),
  z.object({
    op: z.literal('state'),
    id: z.string(),
    state: z.enum(jobStates),
    file: z.string().optional(),
    problem: problemSchema.optional(),
  }),
  /** About to write this file: should the process end here, the file tells whether the job is done. */
  z.object({ op: z.literal('saving'), id: z.string(), path: z.string(), sha256: z.string() }),
  z.object({ op: z.literal('order'), ids: z.array(z.string()) }),
  z.object({ op: z.literal('remove'), id: z.string() }),
  z.object({ op: z.literal('pause'), all: z.boolean() }),
  z.object({ op: z.literal('timing'), timing: timingSchema }),
])

export type JournalEntry = z.output<typeof entrySchema>
/** A job as it is kept: progress is for now. */
export type StoredJob = Omit<Job, 'progress'>
export type Timing = z.output<typeof timingSchema>

export interface JournalState {
  /** In the queue's order. */
  readonly jobs: StoredJob[]
  readonly saving: ReadonlyMap<string, { readonly path: string; readonly sha256: string }>
  readonly timings: Timing[]
  readonly isPaused: boolean
}

export const journalVersion = 1
const byteLimit = 256 << 20
/** Timings that estimates are made of. */
export const timingsKept = 30

export class Journal {
  readonly #path: string
  #file: FileHandle | undefined
  #writing: Promise<void> = Promise.resolve()
  #lines = 0

  private constructor(path: string) {
    this.#path = path
  }

  /**
   * Reads the journal. Lines that cannot be read are left out and said; then the whole file is kept aside.
   * @throws AttuneError `bad-file` when it was written by a newer version, or cannot be read at all
   */
  static async open(
    path: string,
    now: () => Date,
  ): Promise<{ journal: Journal; state: JournalState; notices: string[] }> {
    await mkdir(dirname(path), { recursive: true })
    const info = await stat(path).catch(() => undefined)
    const notices: string[] = []
    let state: JournalState = { jobs: [], saving: new Map(), timings: [], isPaused: false }
    if (info) {
      const isReadable = info.isFile() && info.size <= byteLimit
      const { entries, unread } = isReadable
        ? parse(await readFile(path, 'utf8'))
        : { entries: [], unread: 1 }
      state = replay(entries)
      if (unread > 0) {
        const aside = `${path}.broken-${now().toISOString().replaceAll(/[:.]/g, '-')}`
        await rename(path, aside)
        notices.push(
          `A part of the queue was damaged: ${state.jobs.length} jobs could be read. The file as it was is kept as ${aside}.`,
        )
      }
    }
    return { journal: new Journal(path), state, notices }
  }

  /** Lines since the file was last written anew. */
  get lines(): number {
    return this.#lines
  }

  /** Writes the file anew with what still matters. */
  compact(state: JournalState): Promise<void> {
    return this.#inTurn(async () => {
      const entries: JournalEntry[] = [
        { op: 'header', format: 'attune-jobs', version: journalVersion },
        ...state.timings.map(timing => ({ op: 'timing' as const, timing })),
        ...state.jobs.map(job => ({ op: 'add' as const, job })),
        ...[...state.saving].map(([id, { path, sha256 }]) => ({ op: 'saving' as const, id, path, sha256 })),
        { op: 'pause', all: state.isPaused },
      ]
      const text = entries.map(entry => `${JSON.stringify(entry)}\n`).join('')
      await this.#file?.close()
      this.#file = undefined
      await writeFileAtomic(this.#path, new TextEncoder().encode(text), { overwrite: true })
      this.#lines = 0
    })
  }

  /** Adds what happened; resolves when it is on the disk. */
  append(...entries: readonly JournalEntry[]): Promise<void> {
    const text = entries.map(entry => `${JSON.stringify(entry)}\n`).join('')
    return this.#inTurn(async () => {
      this.#file ??= await open(this.#path, 'a')
      await this.#file.appendFile(text)
      await this.#file.datasync()
      this.#lines += entries.length
    })
  }

  async close(): Promise<void> {
    await this.#inTurn(async () => {
      await this.#file?.close()
      this.#file = undefined
    })
  }

  #inTurn(action: () => Promise<void>): Promise<void> {
    const done = this.#writing.then(action).catch((cause: unknown) => {
      throw new AttuneError(
        'bad-file',
        `The queue cannot be saved in ${this.#path}: ${cause instanceof Error ? cause.message : String(cause)}.`,
        'Free some space, or check that the folder may be written to.',
        { cause },
      )
    })
    // One failure must not stop what comes later.
    this.#writing = done.catch(() => undefined)
    return done
  }
}

function parse(text: string): { entries: JournalEntry[]; unread: number } {
  const entries: JournalEntry[] = []
  let unread = 0
  const lines = text.split('\n')
  // What follows the last line end was cut by a crash, and did not happen.
  lines.pop()
  for (const line of lines) {
    if (line.trim() === '') continue
    let json: unknown
    try {
      json = JSON.parse(line)
    } catch {
      unread++
      continue
    }
    const parsed = entrySchema.safeParse(json)
    if (!parsed.success) unread++
    else if (parsed.data.op === 'header' && parsed.data.version > journalVersion) {
      throw new AttuneError(
        'bad-file',
        'The queue was written by a newer Attune.',
        'Update Attune, or move the file jobs.jsonl aside to begin a new queue.',
      )
    } else entries.push(parsed.data)
  }
  return { entries, unread }
}

function replay(entries: readonly JournalEntry[]): JournalState {
  const jobs = new Map<string, StoredJob>()
  const saving = new Map<string, { path: string; sha256: string }>()
  const timings: Timing[] = []
  let order: string[] = []
  let isPaused = false
  for (const entry of entries) {
    switch (entry.op) {
      case 'add':
        // JSON has no undefined: what is absent is absent.
        jobs.set(entry.job.id, entry.job as StoredJob)
        order.push(entry.job.id)
        break
      case 'state': {
        const job = jobs.get(entry.id)
        if (!job) break
        const { problem: _, file: __, ...rest } = job
        jobs.set(entry.id, {
          ...rest,
          state: entry.state,
          ...(entry.file !== undefined && { file: entry.file }),
          ...(entry.problem && { problem: entry.problem as ErrorRecord }),
        })
        if (entry.state !== 'running') saving.delete(entry.id)
        break
      }
      case 'saving':
        saving.set(entry.id, { path: entry.path, sha256: entry.sha256 })
        break
      case 'order':
        order = entry.ids
        break
      case 'remove':
        jobs.delete(entry.id)
        saving.delete(entry.id)
        break
      case 'pause':
        isPaused = entry.all
        break
      case 'timing':
        timings.push(entry.timing)
        break
      case 'header':
        break
    }
  }
  // An order names each job once; those it does not name come last.
  const ids = [...new Set([...order, ...jobs.keys()])]
  return {
    jobs: ids.map(id => jobs.get(id)).filter(job => job !== undefined),
    saving,
    timings: timings.slice(-timingsKept),
    isPaused,
  }
}
