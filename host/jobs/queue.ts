/**
 * The queue of pictures to draw: one at a time, in an order that can be changed, kept in a journal. A job is done when
 * its picture is on the disk, not before; one that was drawn while the process ended comes back paused.
 */
import { createHash, randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AttuneError } from '../../model/contract/errors.ts'
import type { PromptTemplate } from '../../model/contract/prompt.ts'
import {
  type GenerateRequest,
  type GenerateRequestInput,
  parseRequest,
} from '../../model/contract/request.ts'
import { readPngHeader } from '../../model/image/png-text.ts'
import { writeCode } from '../disk-errors.ts'
import { writeFileNew } from '../write.ts'
import { estimateQueue, type QueueEstimate } from './estimate.ts'
import {
  Journal,
  type JournalEntry,
  type JournalState,
  type StoredJob,
  type Timing,
  timingsKept,
} from './journal.ts'
import type { Job, JobHooks, JobInputs, JobProgress, JobResult, JobRunner } from './runner.ts'

export interface JobQueueOptions {
  /** The journal, e.g. `jobs.jsonl` in the data folder. */
  readonly file: string
  readonly runner: JobRunner
  /** Where pictures are written; asked for at each picture, since settings change. */
  readonly outputFolder: () => string
  readonly now?: () => Date
  /** The name of a job's picture. */
  readonly fileName?: (job: Job, now: Date) => string
}

export type QueueEvent =
  | { readonly type: 'changed' }
  | { readonly type: 'progress'; readonly id: string; readonly progress: JobProgress }
  | { readonly type: 'notice'; readonly id?: string; readonly text: string }
  | { readonly type: 'picture'; readonly id: string; readonly file: string }
  /** Nothing is left to draw. */
  | { readonly type: 'idle' }

const limits = { jobs: 10_000, finishedKept: 500, journalLines: 2_000 } as const

interface Running {
  readonly id: string
  readonly abort: AbortController
  readonly end: Promise<void>
  progress?: JobProgress
  /** Open while the runner waits at a checkpoint. */
  wake?: () => void
}

export class JobQueue {
  readonly #options: JobQueueOptions
  readonly #journal: Journal
  readonly #now: () => Date
  readonly #listeners = new Set<(event: QueueEvent) => void>()
  readonly #jobs = new Map<string, StoredJob>()
  /** Pictures that could not be written: kept until they can be. */
  readonly #unsaved = new Map<string, JobResult>()
  readonly #timings: Timing[]
  #order: string[]
  #isPaused: boolean
  #isStarted = false
  #isClosed = false
  #running: Running | undefined

  private constructor(options: JobQueueOptions, journal: Journal, state: JournalState) {
    this.#options = options
    this.#journal = journal
    this.#now = options.now ?? (() => new Date())
    this.#timings = [...state.timings]
    this.#isPaused = state.isPaused
    this.#order = state.jobs.map(job => job.id)
    for (const job of state.jobs) this.#jobs.set(job.id, job)
  }

  /** Reads the queue. Nothing is drawn before `start`. */
  static async open(options: JobQueueOptions): Promise<{ queue: JobQueue; notices: string[] }> {
    const { journal, state, notices } = await Journal.open(options.file, options.now ?? (() => new Date()))
    const queue = new JobQueue(options, journal, state)
    for (const job of state.jobs) {
      if (job.state !== 'running') continue
      const saving = state.saving.get(job.id)
      const isWhole = saving && (await digestOf(saving.path)) === saving.sha256
      queue.#jobs.set(
        job.id,
        isWhole
          ? { ...job, state: 'done', file: saving.path }
          : { ...job, state: 'paused', problem: interrupted.toRecord() },
      )
      notices.push(
        isWhole
          ? `A picture that was finished when Attune ended was found: ${saving.path}.`
          : 'Attune ended while a picture was drawn; its job is paused and can be resumed.',
      )
    }
    await queue.#compact()
    return { queue, notices }
  }

  get jobs(): readonly Job[] {
    return this.#order.map(id => this.#view(id)).filter(job => job !== undefined)
  }

  get(id: string): Job | undefined {
    return this.#view(id)
  }

  /** Whether the whole queue is held. */
  get isPaused(): boolean {
    return this.#isPaused
  }

  #view(id: string): Job | undefined {
    const job = this.#jobs.get(id)
    const progress = this.#running?.id === id ? this.#running.progress : undefined
    return job && { ...job, ...(progress && { progress }) }
  }

  /** @returns a function that ends the subscription */
  subscribe(listener: (event: QueueEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #emit(event: QueueEvent): void {
    for (const listener of this.#listeners) listener(event)
  }

  /** Begins to draw what is queued. */
  start(): void {
    this.#isStarted = true
    this.#pump()
  }

  /**
   * Adds a job at the end; resolves when it would survive a crash.
   * @param template what the prompts were drawn from
   * @throws AttuneError `bad-argument` for a request that cannot be used
   */
  async add(
    request: GenerateRequestInput,
    inputs: JobInputs = {},
    template?: PromptTemplate,
    wasInterrupted = false,
  ): Promise<Job> {
    const checked: GenerateRequest = parseRequest(request)
    if (this.#jobs.size >= limits.jobs)
      throw new AttuneError(
        'bad-argument',
        `The queue holds ${limits.jobs} jobs already.`,
        'Remove some, or wait until they are drawn.',
      )
    const job: StoredJob = {
      id: randomUUID(),
      request: checked,
      inputs: { ...inputs },
      ...(template && { template }),
      state: wasInterrupted ? 'paused' : 'queued',
      added: this.#now().toISOString(),
      ...(wasInterrupted && { problem: interrupted.toRecord() }),
    }
    await this.#journal.append({ op: 'add', job })
    this.#jobs.set(job.id, job)
    this.#order.push(job.id)
    this.#emit({ type: 'changed' })
    this.#pump()
    return job
  }

  /** Moves a job before another, or to the end. */
  async reorder(id: string, before?: string): Promise<void> {
    this.#need(id)
    if (before !== undefined) this.#need(before)
    if (before === id) return
    const order = this.#order.filter(other => other !== id)
    order.splice(before === undefined ? order.length : order.indexOf(before), 0, id)
    this.#order = order
    await this.#journal.append({ op: 'order', ids: order })
    this.#emit({ type: 'changed' })
  }

  /** Cancels a job; one that is drawn stops at its next step. */
  async cancel(id: string): Promise<void> {
    const job = this.#need(id)
    const running = this.#running
    if (running?.id === id) {
      running.abort.abort(new AttuneError('cancelled', 'The job was cancelled.'))
      running.wake?.()
      await running.end
      return
    }
    if (job.state === 'queued' || job.state === 'paused') await this.#setState(id, 'cancelled')
    this.#unsaved.delete(id)
  }

  /** Holds one job; one that is drawn waits at its next step. */
  async pause(id: string): Promise<void> {
    const job = this.#need(id)
    if (job.state === 'queued' || job.state === 'running') await this.#setState(id, 'paused')
  }

  /** Lets a paused job go on, and draws a failed or cancelled one again. */
  async resume(id: string): Promise<void> {
    const job = this.#need(id)
    if (job.state === 'done' || job.state === 'running' || job.state === 'queued') return
    const running = this.#running
    const isHeld = running?.id === id
    await this.#setState(id, isHeld ? 'running' : 'queued')
    if (isHeld && !this.#isPaused) running.wake?.()
    this.#pump()
  }

  /** Holds everything; the job that is drawn waits at its next step. */
  async pauseAll(): Promise<void> {
    this.#isPaused = true
    await this.#journal.append({ op: 'pause', all: true })
    this.#emit({ type: 'changed' })
  }

  async resumeAll(): Promise<void> {
    this.#isPaused = false
    await this.#journal.append({ op: 'pause', all: false })
    const running = this.#running
    if (running && this.#jobs.get(running.id)?.state === 'running') running.wake?.()
    this.#emit({ type: 'changed' })
    this.#pump()
  }

  /** Removes a job from the list (its picture stays); one that is drawn is cancelled. */
  async remove(id: string): Promise<void> {
    await this.cancel(id)
    this.#jobs.delete(id)
    this.#order = this.#order.filter(other => other !== id)
    await this.#journal.append({ op: 'remove', id })
    this.#emit({ type: 'changed' })
  }

  /** Removes all jobs that are done, failed or cancelled. */
  async clearFinished(): Promise<void> {
    const finished = this.#order.filter(id => isFinished(this.#jobs.get(id)))
    for (const id of finished) this.#jobs.delete(id)
    this.#order = this.#order.filter(id => this.#jobs.has(id))
    await this.#journal.append(...finished.map(id => ({ op: 'remove' as const, id })))
    this.#emit({ type: 'changed' })
  }

  /** How long the queue will take, by the step times of recent pictures. */
  estimate(): QueueEstimate {
    return estimateQueue(this.jobs, this.#timings)
  }

  /** Stops drawing (the job comes back paused) and closes the journal. */
  async close(): Promise<void> {
    this.#isClosed = true
    const running = this.#running
    running?.abort.abort(new AttuneError('cancelled', 'Attune is closing.'))
    running?.wake?.()
    await running?.end
    await this.#journal.close()
  }

  #need(id: string): StoredJob {
    const job = this.#jobs.get(id)
    if (job) return job
    throw new AttuneError('bad-argument', 'The job is no longer in the queue.', 'Reload the queue.')
  }

  async #setState(
    id: string,
    state: StoredJob['state'],
    more: Pick<StoredJob, 'file' | 'problem'> = {},
  ): Promise<void> {
    const job = this.#jobs.get(id)
    if (!job) return
    const { problem: _, file: __, ...rest } = job
    this.#jobs.set(id, { ...rest, state, ...more })
    this.#emit({ type: 'changed' })
    await this.#journal.append({ op: 'state', id, state, ...more })
  }

  #pump(): void {
    if (!this.#isStarted || this.#isPaused || this.#isClosed || this.#running) return
    const id = this.#order.find(candidate => this.#jobs.get(candidate)?.state === 'queued')
    if (id === undefined) return
    const abort = new AbortController()
    const end = this.#draw(id, abort)
      .catch((error: unknown) => {
        // Only the journal can fail here: without it the next job would not be kept either.
        this.#isPaused = true
        this.#emit({ type: 'notice', id, text: error instanceof Error ? error.message : String(error) })
      })
      .finally(() => {
        this.#running = undefined
        this.#emit({ type: 'changed' })
        if (this.#order.some(other => this.#jobs.get(other)?.state === 'queued')) this.#pump()
        else this.#emit({ type: 'idle' })
      })
    this.#running = { id, abort, end }
  }

  async #draw(id: string, abort: AbortController): Promise<void> {
    // Once around, so that #running is set before anything reports.
    await Promise.resolve()
    await this.#setState(id, 'running')
    try {
      const kept = this.#unsaved.get(id)
      const result =
        kept ?? (await this.#options.runner.run(this.#view(id) as Job, this.#hooks(id, abort.signal)))
      abort.signal.throwIfAborted()
      await this.#save(id, result)
    } catch (error) {
      if (this.#isClosed) return this.#setState(id, 'paused', { problem: interrupted.toRecord() })
      if (abort.signal.aborted) return this.#setState(id, 'cancelled')
      if (error instanceof UnsavedError) {
        // The next picture would not find space either.
        this.#isPaused = true
        await this.#setState(id, 'paused', { problem: error.toRecord() })
        this.#emit({ type: 'notice', id, text: error.message })
        await this.#journal.append({ op: 'pause', all: true })
        return
      }
      const problem =
        error instanceof AttuneError
          ? error.toRecord()
          : new AttuneError('internal', `Drawing failed: ${String(error)}`, 'Please report it.').toRecord()
      await this.#setState(id, 'failed', { problem })
    }
    if (this.#journal.lines > limits.journalLines) await this.#compact()
  }

  #hooks(id: string, signal: AbortSignal): JobHooks {
    return {
      signal,
      onProgress: progress => {
        if (this.#running?.id !== id) return
        this.#running.progress = progress
        this.#emit({ type: 'progress', id, progress })
      },
      onNotice: text => this.#emit({ type: 'notice', id, text }),
      checkpoint: async () => {
        signal.throwIfAborted()
        while ((this.#isPaused || this.#jobs.get(id)?.state === 'paused') && !signal.aborted) {
          await new Promise<void>(resolve => {
            if (this.#running?.id === id) this.#running.wake = resolve
            else resolve()
          })
        }
        signal.throwIfAborted()
      },
    }
  }

  /** The picture first, then the journal: "done" is never said of what is not there. */
  async #save(id: string, result: JobResult): Promise<void> {
    readPngHeader(result.png)
    const job = this.#view(id) as Job
    const now = this.#now()
    const path = join(this.#options.outputFolder(), (this.#options.fileName ?? defaultName)(job, now))
    const sha256 = createHash('sha256').update(result.png).digest('hex')
    let file: string
    try {
      await this.#journal.append({ op: 'saving', id, path, sha256 })
      file = await writeFileNew(path, result.png)
    } catch (error) {
      this.#unsaved.set(id, result)
      throw new UnsavedError(error)
    }
    this.#unsaved.delete(id)
    const entries: JournalEntry[] = [{ op: 'state', id, state: 'done', file }]
    if (result.denoiseMilliseconds !== undefined) {
      const timing = {
        steps: result.steps,
        pixels: result.width * result.height,
        milliseconds: result.denoiseMilliseconds,
      }
      this.#timings.push(timing)
      if (this.#timings.length > timingsKept) this.#timings.shift()
      entries.push({ op: 'timing', timing })
    }
    const { problem: _, ...rest } = this.#need(id)
    this.#jobs.set(id, { ...rest, state: 'done', file })
    this.#emit({ type: 'picture', id, file })
    await this.#journal.append(...entries)
  }

  /** Writes the journal anew; the oldest finished jobs go. */
  async #compact(): Promise<void> {
    const finished = this.#order.filter(id => isFinished(this.#jobs.get(id)))
    for (const id of finished.slice(0, Math.max(0, finished.length - limits.finishedKept)))
      this.#jobs.delete(id)
    this.#order = this.#order.filter(id => this.#jobs.has(id))
    await this.#journal.compact({
      jobs: this.#order.map(id => this.#jobs.get(id)).filter(job => job !== undefined),
      saving: new Map(),
      timings: this.#timings,
      isPaused: this.#isPaused,
    })
  }
}

const interrupted = new AttuneError(
  'cancelled',
  'Attune ended while this picture was drawn.',
  'Resume it to draw it from the beginning.',
)

/** A picture that is drawn and could not be written. */
class UnsavedError extends AttuneError {
  constructor(cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause)
    const code = writeCode(cause)
    const remedy = cause instanceof AttuneError ? cause.remedy : undefined
    super(
      code,
      `The picture is drawn, but could not be saved: ${why}`,
      code === 'disk-full' || remedy === undefined
        ? 'Free some space, then resume the job.'
        : `${remedy} Then resume the job.`,
      { cause },
    )
  }
}

function isFinished(job: StoredJob | undefined): boolean {
  return job?.state === 'done' || job?.state === 'failed' || job?.state === 'cancelled'
}

/** The date so that folders sort, the seed so that people recognise, the id so that names do not meet. */
function defaultName(job: Job, now: Date): string {
  const parts = [now.getFullYear(), now.getMonth() + 1, now.getDate(), now.getHours(), now.getMinutes()]
  const [year, month, day, hour, minute] = parts.map(part => String(part).padStart(2, '0'))
  return `attune-${year}${month}${day}-${hour}${minute}-${job.request.seed}-${job.id.slice(0, 8)}.png`
}

async function digestOf(path: string): Promise<string | undefined> {
  const bytes = await readFile(path).catch(() => undefined)
  return bytes && createHash('sha256').update(bytes).digest('hex')
}
