/** The queue as the window sees it: jobs with their pictures in the gallery, and how long they will take. */
import { join } from 'node:path'
import { AttuneError } from '../../model/contract/errors.ts'
import type { HostJob, QueuedRequest } from '../../model/contract/host-api.ts'
import { type DrawInputs, drawInputsSchema, inputKeys } from '../../model/contract/inputs.ts'
import type { Gallery } from '../gallery/gallery.ts'
import { JobQueue, type QueueEvent } from '../jobs/queue.ts'
import { drawInputsOf, type HostFacts, type HostRunner, withDrawInputs } from './facts.ts'
import type { InputStore } from './inputs.ts'
import type { HostModels } from './models.ts'
import { pictureName } from '../picture-name.ts'
import { jobView } from './views.ts'

export interface QueueParts {
  readonly facts: HostFacts
  readonly gallery: Gallery
  readonly models: HostModels
  readonly inputs: InputStore
  readonly outputFolder: () => string
}

export class HostQueue {
  readonly #queue: JobQueue
  readonly #runner: HostRunner
  readonly #gallery: Gallery
  readonly #models: HostModels
  readonly #inputs: InputStore
  /** By job. Promises, so that a list waits for a picture that is just being read. */
  readonly #pictures = new Map<string, Promise<number | undefined>>()

  private constructor(queue: JobQueue, runner: HostRunner, { gallery, models, inputs }: QueueParts) {
    this.#queue = queue
    this.#runner = runner
    this.#gallery = gallery
    this.#models = models
    this.#inputs = inputs
  }

  /** Opens the queue of the last time. Undefined without a runner. Nothing is drawn before `start`. */
  static async open(parts: QueueParts): Promise<{ queue: HostQueue; notices: string[] } | undefined> {
    const { facts, models, inputs, outputFolder } = parts
    const now = facts.now ?? (() => new Date())
    const runner = facts.openRunner?.({
      version: facts.version,
      now,
      findModel: id => models.findUsable(id),
      findNet: id => models.findNet(id),
      readInput: (key, what) => inputs.read(key, what),
    })
    if (!runner) return undefined
    const { queue, notices } = await JobQueue.open({
      file: join(facts.dataFolder, 'jobs.jsonl'),
      runner,
      outputFolder,
      now,
      fileName: ({ request }, time) => pictureName(request, time),
    })
    const waiting = queue.jobs.flatMap(job => {
      const drawn = drawInputsOf(job)
      return drawn ? inputKeys(drawn) : []
    })
    // A folder that cannot be tidied is no reason not to draw.
    await inputs.prune(new Set(waiting)).catch(() => undefined)
    return { queue: new HostQueue(queue, runner, parts), notices }
  }

  start(): void {
    this.#queue.start()
  }

  subscribe(listener: (event: QueueEvent) => void): () => void {
    return this.#queue.subscribe(event => {
      if (event.type === 'picture') void this.#pictureOf(event.id, event.file)
      if (event.type === 'idle') this.#runner.rest()
      listener(event)
    })
  }

  describeSeat(): ReturnType<HostRunner['describe']> {
    return this.#runner.describe()
  }

  async list(): Promise<{ jobs: HostJob[]; paused: boolean }> {
    const estimate = this.#queue.estimate()
    const jobs = await Promise.all(
      this.#queue.jobs.map(async job =>
        jobView(
          job,
          estimate.jobs.get(job.id),
          job.state === 'done' && job.file !== undefined
            ? await this.#pictureOf(job.id, job.file)
            : undefined,
        ),
      ),
    )
    return { jobs, paused: this.#queue.isPaused }
  }

  async add(
    requests: readonly QueuedRequest[],
    model: string | undefined,
    interrupted = false,
  ): Promise<HostJob[]> {
    // A job keeps the model that was chosen when it was added, whatever is chosen later.
    const { id } = await this.#models.findUsable(model)
    const added: string[] = []
    // Nothing is queued when one cannot be drawn.
    const checked = requests.map(({ inputs, ...rest }) => ({ ...rest, inputs: checkInputs(inputs) }))
    for (const { inputs } of checked) if (inputs) await this.#inputs.check(inputs)
    for (const { template, inputs, ...request } of checked) {
      const all = withDrawInputs({ model: id }, inputs)
      added.push((await this.#queue.add(request, all, template, interrupted)).id)
    }
    return (await this.list()).jobs.filter(job => added.includes(job.id))
  }

  reorder(id: string, before: string | undefined): Promise<void> {
    return this.#queue.reorder(id, before)
  }

  cancel(id: string): Promise<void> {
    return this.#queue.cancel(id)
  }

  pause(id: string | undefined): Promise<void> {
    return id === undefined ? this.#queue.pauseAll() : this.#queue.pause(id)
  }

  resume(id: string | undefined): Promise<void> {
    return id === undefined ? this.#queue.resumeAll() : this.#queue.resume(id)
  }

  /** One job, or all that are over. */
  remove(id: string | undefined): Promise<void> {
    return id === undefined ? this.#queue.clearFinished() : this.#queue.remove(id)
  }

  async close(): Promise<void> {
    await this.#queue.close()
    await this.#runner.close()
  }

  #pictureOf(id: string, file: string): Promise<number | undefined> {
    let picture = this.#pictures.get(id)
    if (!picture) {
      // It may have been deleted, or its folder may no longer be one of the gallery.
      picture = this.#gallery.add(file).then(
        found => found?.id,
        () => undefined,
      )
      this.#pictures.set(id, picture)
    }
    return picture
  }
}

/** @throws AttuneError `bad-argument` for more than a journal's line takes */
function checkInputs(given: QueuedRequest['inputs']): DrawInputs | undefined {
  if (given === undefined) return undefined
  const inputs = drawInputsSchema.parse(given)
  if (JSON.stringify(inputs).length <= journalTextLimit) return inputs
  throw new AttuneError(
    'bad-argument',
    'The names of the guides’ networks and pictures are too long to be kept.',
    'Use fewer guides, or shorter paths.',
  )
}

/** Characters of one input of a job (`host/jobs/journal.ts`). */
const journalTextLimit = 10_000

/** What every question to the queue says where nothing can draw. */
export function noQueue(): AttuneError {
  return new AttuneError(
    'unsupported',
    'This door of Attune has no engine of its own to draw queued pictures.',
    'Draw them in the window one by one.',
  )
}
