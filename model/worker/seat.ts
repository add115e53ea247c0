/**
 * A seat of the engine: answers the messages of `messages.ts` with one model, one backend and one run at a time. What
 * depends on the place (how a GPU is found, how messages travel) comes from outside, so that a Worker of a page and a
 * worker of the host are the same seat.
 */
import { AttuneError } from '../contract/errors.ts'
import { parseRequest, type Precision, resolveRequest } from '../contract/request.ts'
import type { LiveMaps } from '../attention/capture.ts'
import type { CapturedWord } from '../attention/captured.ts'
import { LiveWordMaps } from '../attention/live.ts'
import type { Backend } from '../graph/program.ts'
import type { RunCheckpoint } from '../pipeline/checkpoint.ts'
import { DiffusionModel } from '../pipeline/diffusion-model.ts'
import type { ModelFolder } from '../pipeline/folder.ts'
import { type GenerateInputs, generate } from '../pipeline/generate.ts'
import { type Work, workOf } from '../pipeline/work.ts'
import { SeatNets } from './guides.ts'
import { noiseOf, putBack, sizedPictures } from './inputs.ts'
import { joinFloats } from '../tensor/join.ts'
import { explainPrompt } from '../text/explain.ts'
import {
  type AdapterFacts,
  type BackendChoice,
  type EngineMessage,
  type EngineProgress,
  type EngineRequest,
  idOf,
  type ModelLocation,
  type OpenedModel,
  parseEngineRequest,
  type RuntimeOptions,
  toErrorRecord,
} from './messages.ts'

export interface SeatBackend extends Backend {
  /** @throws the failure of a device that was lost since the last run. */
  check(): void
  /** One line for the person, where the choice is not the usual one. */
  readonly notice: string | undefined
}

/** What a run asks of a backend. */
export interface BackendWish {
  readonly choice: BackendChoice
  readonly precision: Precision
  readonly work: Work
}

/** What the place gives to the seat. */
export interface SeatPlace {
  /** @throws AttuneError `unsupported` when there is none. */
  describeAdapter(): Promise<AdapterFacts>
  openBackend(wish: BackendWish): Promise<SeatBackend>
  openFolder(location: ModelLocation): Promise<ModelFolder & { trim?(): void }>
  /** Called before the first model is opened, and at each later one. */
  prepareRuntime(options: RuntimeOptions): Promise<void>
  post(message: EngineMessage): void
}

interface Opened {
  readonly model: DiffusionModel
  readonly folders: readonly (ModelFolder & { trim?(): void })[]
  /** ControlNets that were opened for it. */
  readonly nets: SeatNets
}

export class EngineSeat {
  readonly #place: SeatPlace
  #opened: Opened | undefined
  #backend: { readonly key: string; readonly backend: SeatBackend } | undefined
  /** Of the last run that was asked to keep steps; gone with its model. */
  #kept: readonly RunCheckpoint[] = []
  /** What is being done now, and how to stop it. */
  #task: { readonly id: number; readonly controller: AbortController; done: Promise<void> } | undefined

  constructor(place: SeatPlace) {
    this.#place = place
  }

  /** Answers one message. Never throws: whatever goes wrong is posted. */
  async handle(data: unknown): Promise<void> {
    let message: EngineRequest
    try {
      message = parseEngineRequest(data)
    } catch (error) {
      this.#fail(idOf(data), error)
      return
    }
    const { id } = message
    switch (message.type) {
      case 'hello':
        return this.#hello(id)
      case 'open':
        return this.#alone(id, () => this.#open(message))
      case 'generate':
        return this.#alone(id, signal => this.#generate(message, signal))
      case 'explain':
        return this.#explain(message)
      case 'cancel':
        if (this.#task?.id === id) this.#task.controller.abort(stopped())
        return
      case 'close':
        this.#task?.controller.abort(stopped())
        await this.#task?.done
        return this.#alone(id, async () => {
          await this.#dropModel()
          this.#place.post({ type: 'closed', id })
        })
    }
  }

  #fail(id: number | undefined, error: unknown): void {
    this.#place.post({ type: 'error', ...(id !== undefined && { id }), error: toErrorRecord(error) })
  }

  async #hello(id: number): Promise<void> {
    try {
      this.#place.post({ type: 'ready', id, adapter: await this.#place.describeAdapter() })
    } catch (error) {
      this.#place.post({ type: 'ready', id, error: toErrorRecord(error) })
    }
  }

  /** Runs `work` unless something else runs: a queue belongs to the caller, who can show it. */
  async #alone(id: number, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    if (this.#task) {
      const busy = new AttuneError(
        'bad-argument',
        'The engine is busy with another request.',
        'Wait until it is done, or stop it first.',
      )
      this.#fail(id, busy)
      return
    }
    const controller = new AbortController()
    const run = async () => {
      try {
        await work(controller.signal)
      } catch (error) {
        this.#fail(id, error)
      }
    }
    const task = { id, controller, done: Promise.resolve() }
    this.#task = task
    task.done = run().finally(() => {
      this.#task = undefined
    })
    await task.done
  }

  async #open(message: EngineRequest & { type: 'open' }): Promise<void> {
    const started = performance.now()
    await this.#place.prepareRuntime(message.runtime ?? {})
    const folder = await this.#place.openFolder(message.model)
    const tokenizer = message.tokenizer && (await this.#place.openFolder(message.tokenizer))
    const folders = [folder, ...(tokenizer ? [tokenizer] : [])]
    let model: DiffusionModel
    try {
      model = await DiffusionModel.open(folder, tokenizer)
    } catch (error) {
      await Promise.all(folders.map(each => each.close()))
      throw error
    }
    // Only now: a model that cannot be opened leaves the one before it in use.
    await this.#dropModel()
    this.#opened = { model, folders, nets: new SeatNets(location => this.#place.openFolder(location)) }
    const milliseconds = performance.now() - started
    this.#place.post({ type: 'opened', id: message.id, model: factsOf(model), milliseconds })
  }

  async #explain(message: EngineRequest & { type: 'explain' }): Promise<void> {
    const { id, text, dialect, law, steps, isNegative } = message
    try {
      if (!this.#opened) throw noModel()
      const { tokenizer } = this.#opened.model
      const explanation = await explainPrompt(
        text,
        dialect,
        { tokenizer },
        { ...(law && { law }), ...(steps !== undefined && { steps }), ...(isNegative && { isNegative }) },
      )
      this.#place.post({ type: 'explained', id, explanation })
    } catch (error) {
      this.#fail(id, error)
    }
  }

  /** @throws AttuneError `bad-argument` */
  #keptAt(call: number): RunCheckpoint {
    const kept = this.#kept.find(each => each.call === call)
    if (kept) return kept
    const calls = this.#kept.map(each => each.call + 1)
    throw new AttuneError(
      'bad-argument',
      `Step ${call + 1} of the last picture was not kept.`,
      calls.length > 0 ? `These were: ${calls.join(', ')}.` : 'Draw it once more from the beginning.',
    )
  }

  async #generate(
    {
      id,
      request,
      inputs,
      watch = {},
      backend: backendChoice = 'auto',
    }: EngineRequest & { type: 'generate' },
    signal: AbortSignal,
  ): Promise<void> {
    const started = performance.now()
    const opened = this.#opened
    if (!opened) {
      throw noModel()
    }
    const { model } = opened
    const used = resolveRequest(parseRequest(request), model.defaults, model.sizeFactor, inputs.init)
    const { alpha, ...start } = sizedPictures(inputs, used, model.vae.sizeFactor)
    const guides = used.guides && (await opened.nets.prepare(used.guides, inputs.guides, model, used))
    const resume = watch.resume === undefined ? undefined : this.#keptAt(watch.resume)
    const { keep, measureEffects, sourcePicture, spot, meterAt } = watch
    const all: GenerateInputs = {
      ...noiseOf(inputs),
      ...start,
      ...(guides && { guides }),
      ...(watch.capture && { capture: watch.capture }),
      ...(keep && { keep }),
      ...(resume && { resume }),
      ...(measureEffects && { measureEffects }),
      ...(sourcePicture && { sourcePicture }),
      ...(spot && { spot }),
      ...(meterAt !== undefined && { meterAt }),
    }
    const wish = { choice: backendChoice, precision: used.precision, work: workOf(model, used, guides?.nets) }
    const backend = await this.#openBackend(id, wish)
    const device = performance.now() - started
    const steps: number[] = []
    try {
      const run = generate(model, backend, used, all, signal)
      const live = new LiveMessages()
      let next = await run.next()
      for (; !next.done; next = await run.next()) {
        const { tile, milliseconds, notice } = next.value
        if (notice !== undefined) {
          this.#place.post({ type: 'notice', id, text: notice })
          continue
        }
        if (!tile) steps.push(milliseconds)
        if (tile?.notice !== undefined) this.#place.post({ type: 'notice', id, text: tile.notice })
        const { maps, words, ...progress } = next.value
        const shown = maps && words && live.take(words, maps, progress.step)
        this.#place.post({ type: 'progress', id, progress: { ...progress, ...(shown && { maps: shown }) } })
        // A backend on the processor never lets go by itself, and a request to stop would wait for the end.
        await nextTask()
      }
      const { picture, latents, timings, activationBytes, attention, effects, source, checkpoints } =
        next.value
      const shown = alpha && start.init ? putBack(picture, start.init, alpha) : picture
      const { schedule, tokenWeights, spot: looks, meter } = next.value
      if (checkpoints) this.#kept = checkpoints
      this.#place.post({
        type: 'done',
        id,
        result: {
          picture: shown,
          latents: { shape: [...latents.shape], data: latents.data },
          ...(source?.picture && { source: source.picture }),
          ...(attention && { attention: { ...attention, layers: [...attention.layers] } }),
          schedule,
          ...(tokenWeights && { tokenWeights }),
          ...(looks && { spot: looks }),
          ...(meter && { meter }),
          ...(effects && { effects: [...effects] }),
          ...(checkpoints && { kept: checkpoints.map(({ call }) => call) }),
          used,
          adapter: { backend: backend.name, name: backend.description },
          timings: { device, ...timings, stepMedian: median(steps), total: performance.now() - started },
          activationBytes,
        },
      })
    } catch (error) {
      throw await this.#afterFailure(error)
    } finally {
      // Its weights are on the GPU now.
      for (const folder of opened.folders) folder.trim?.()
      opened.nets.trim()
    }
  }

  /**
   * After a clean stop or a refused argument the backend is as good as before. After anything else its weights may be
   * half loaded or its device gone: the next run opens a new one.
   * @returns what to tell: a lost device shows itself first as some failed operation.
   */
  async #afterFailure(error: unknown): Promise<unknown> {
    if (error instanceof AttuneError && (error.code === 'cancelled' || error.code === 'bad-argument'))
      return error
    // The loss is told in a task of its own.
    await nextTask()
    let cause = error
    try {
      this.#backend?.backend.check()
    } catch (lost) {
      cause = lost
    }
    await this.#dropBackend()
    return cause
  }

  async #openBackend(id: number, wish: BackendWish): Promise<SeatBackend> {
    const present = this.#backend
    const key = `${wish.choice} ${wish.precision}`
    if (present?.key === key) {
      try {
        present.backend.check()
        return present.backend
      } catch {
        // Lost while nothing ran: nobody waits for the message, and a new device is asked for.
      }
    }
    await this.#dropBackend()
    const backend = await this.#place.openBackend(wish)
    this.#backend = { key, backend }
    if (backend.notice !== undefined) this.#place.post({ type: 'notice', id, text: backend.notice })
    return backend
  }

  async #dropBackend(): Promise<void> {
    const present = this.#backend
    this.#backend = undefined
    await present?.backend.dispose()
  }

  /** The weights on the GPU go with the model that they belong to. */
  async #dropModel(): Promise<void> {
    const present = this.#opened
    this.#opened = undefined
    this.#kept = []
    await this.#dropBackend()
    await present?.nets.close()
    await present?.model.close()
    await Promise.all(present?.folders.map(folder => folder.close()) ?? [])
  }
}

function factsOf(model: DiffusionModel): OpenedModel {
  return {
    name: model.folder.name,
    task: model.task,
    sizeFactor: model.sizeFactor,
    latentChannels: model.vae.config.latentChannels,
    hasPreview: model.preview !== undefined,
    ...(model.vocabulary && { vocabulary: model.vocabulary }),
    defaults: model.defaults,
  }
}

const nextTask = (): Promise<void> => new Promise(resolve => setTimeout(resolve))

const noModel = (): AttuneError =>
  new AttuneError('bad-argument', 'No model is open.', 'Open a model before drawing.')

/** Maps of a run as messages carry them: one a word, at the finest grid. */
class LiveMessages {
  #maps: LiveWordMaps | undefined

  take(words: readonly CapturedWord[], grids: readonly LiveMaps[], step: number): EngineProgress['maps'] {
    const finest = grids.reduce<LiveMaps | undefined>(
      (best, each) => (best && best.width * best.height >= each.width * each.height ? best : each),
      undefined,
    )
    if (!finest) return undefined
    const tokens = finest.sums.length / (finest.width * finest.height)
    this.#maps ??= new LiveWordMaps(words, tokens, finest)
    this.#maps.replace(
      grids.map(({ sums, layers, ...grid }) => ({ ...grid, layers, data: sums.map(sum => sum / layers) })),
      step,
    )
    const maps = this.#maps.maps()
    const { width, height } = finest
    return { words: [...words], width, height, data: joinFloats(maps.map(({ data }) => data)) }
  }
}

const stopped = (): AttuneError =>
  new AttuneError('cancelled', 'The run was stopped.', 'Run again to start over.')

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}
