/**
 * Draws queued jobs in the engine's thread. The thread is started with the first job and keeps its model for the next;
 * when there has been nothing to do for a while, it ends and gives its memory back.
 */
import { pathToFileURL } from 'node:url'
import { AttuneError } from '../../model/contract/errors.ts'
import { recordedInputs } from '../../model/contract/inputs.ts'
import { makeRecord, recordKeyword, writeRecord } from '../../model/contract/record.ts'
import { infotextKeyword, infotextOf } from '../../model/image/infotext.ts'
import { EngineClient } from '../../model/worker/client.ts'
import { encodePng } from '../images.ts'
import type { Job, JobHooks, JobResult } from '../jobs/runner.ts'
import { recordedDigest } from '../service/digest.ts'
import {
  drawInputsOf,
  type HostRunner,
  modelOfJob,
  type RunnerContext,
  type RunnerModel,
} from '../service/facts.ts'
import { type HostSeat, type SeatOptions, startHostSeat } from './host-seat.ts'
import { engineInputsOf } from './inputs.ts'

export interface SeatRunnerOptions extends SeatOptions {
  /** Milliseconds without a job after which the thread ends. */
  readonly restAfter?: number
  /** Milliseconds that a stop may take: a step of a slow machine, or its compilation, can take a minute. */
  readonly stopWithin?: number
}

/** A thread, which may be starting still. */
interface Starting {
  readonly seat: HostSeat
  readonly ready: Promise<Started>
  /** As soon as it answers. */
  started?: Started
}

interface Started {
  readonly seat: HostSeat
  readonly client: EngineClient
  /** Path of the model that is open. */
  model?: string
}

export class SeatRunner implements HostRunner {
  readonly #context: RunnerContext
  readonly #options: SeatRunnerOptions
  #starting: Starting | undefined
  #adapter: Promise<{ name: string; backend: string } | undefined> | undefined
  #timer: NodeJS.Timeout | undefined
  #isRunning = false

  constructor(context: RunnerContext, options: SeatRunnerOptions = {}) {
    this.#context = context
    this.#options = options
  }

  async run(job: Job, hooks: JobHooks): Promise<JobResult> {
    clearTimeout(this.#timer)
    this.#isRunning = true
    let late: NodeJS.Timeout | undefined
    // A stop is heard between two steps. One that is not is made by ending the thread; the next job starts another.
    const stop = () => {
      late = setTimeout(() => void this.#drop(0), this.#options.stopWithin ?? 3_000)
    }
    hooks.signal.addEventListener('abort', stop, { once: true })
    try {
      const model = await this.#context.findModel(modelOfJob(job))
      hooks.signal.throwIfAborted()
      const started = await this.#start()
      return await this.#draw(started, model, job, hooks)
    } catch (error) {
      // A seat that failed by itself answers nothing any more; another is started for the next job.
      if (!(error instanceof AttuneError) || error.code === 'internal') await this.#drop()
      throw error
    } finally {
      clearTimeout(late)
      hooks.signal.removeEventListener('abort', stop)
      this.#isRunning = false
    }
  }

  async #draw(started: Started, model: RunnerModel, job: Job, hooks: JobHooks): Promise<JobResult> {
    const { client, seat } = started
    if (started.model !== model.path) {
      delete started.model
      await client.open({ kind: 'url', url: pathToFileURL(model.path).href, name: model.name })
      started.model = model.path
    }
    const drawn = drawInputsOf(job)
    const inputs = drawn ? await engineInputsOf(drawn, this.#context) : {}
    hooks.signal.throwIfAborted()
    const result = await client.generate(job.request, inputs, {
      signal: hooks.signal,
      onNotice: text => hooks.onNotice(text),
      onProgress({ step, steps, tile }) {
        if (!tile) hooks.onProgress({ step, steps })
        // Also after a stop: the thread must come to read the message that says so.
        hooks.checkpoint().then(seat.go, seat.go)
      },
    })
    const { used, adapter, timings, picture } = result
    const sha256 = await recordedDigest(model)
    const record = makeRecord({
      appVersion: this.#context.version,
      created: this.#context.now(),
      request: { ...used, ...(job.template && { template: job.template }) } as Parameters<
        typeof makeRecord
      >[0]['request'],
      model: { name: model.name, ...(sha256 !== undefined && { sha256 }) },
      ...(drawn && { inputs: recordedInputs(drawn) }),
      machine: { backend: adapter.backend, adapter: adapter.name },
    })
    const png = await encodePng(picture, [
      { keyword: infotextKeyword, text: infotextOf(record) },
      { keyword: recordKeyword, text: writeRecord(record) },
    ])
    const { denoise } = timings
    return {
      png,
      steps: used.steps,
      width: used.width,
      height: used.height,
      ...(denoise !== undefined && { denoiseMilliseconds: denoise }),
    }
  }

  describe(): Promise<{ name: string; backend: string } | undefined> {
    // Asked once: a driver does not come and go, and a thread costs a second.
    this.#adapter ??= this.#start().then(
      ({ client }) => {
        if (!this.#isRunning) this.rest()
        return client.adapter
          ? { name: client.adapter.name, backend: 'webgpu' }
          : { name: 'the processor', backend: 'wasm' }
      },
      () => undefined,
    )
    return this.#adapter
  }

  rest(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      if (!this.#isRunning) void this.#drop()
    }, this.#options.restAfter ?? 60_000)
    this.#timer.unref()
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#drop()
  }

  #start(): Promise<Started> {
    if (this.#starting) return this.#starting.ready
    const seat = startHostSeat({ ...this.#options, lockStep: true })
    const ready = EngineClient.start(seat.port).then(
      client => {
        starting.started = { seat, client }
        return starting.started
      },
      async (error: unknown) => {
        if (this.#starting === starting) this.#starting = undefined
        await seat.end()
        throw error
      },
    )
    const starting: Starting = { seat, ready }
    this.#starting = starting
    return ready
  }

  /** One that is starting is not waited for, nor one that hangs. */
  async #drop(patience = 2_000): Promise<void> {
    const starting = this.#starting
    this.#starting = undefined
    if (!starting) return
    if (starting.started && patience > 0) {
      const late = new Promise<void>(done => setTimeout(done, patience).unref())
      await Promise.race([starting.started.client.close(), late])
    }
    await starting.seat.end()
  }
}
