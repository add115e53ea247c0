/**
 * The engine of the command line: opens the model and a backend in this process, runs the request, and reports what
 * it cost.
 */
import { fileURLToPath } from 'node:url'
import { readMask, readPicture } from '../host/images.ts'
import { StepMapsCollector } from '../host/maps/step-maps.ts'
import { openBackend } from '../host/seat/backend.ts'
import { type HostModelFolder, openModelFolder } from '../host/model-folder.ts'
import type { StepMaps } from '../model/attention/recording.ts'
import { AttuneError } from '../model/contract/errors.ts'
import { type ResolvedRequest, resolveRequest } from '../model/contract/request.ts'
import type { Backend } from '../model/graph/program.ts'
import { DiffusionModel } from '../model/pipeline/diffusion-model.ts'
import { readJson } from '../model/pipeline/folder.ts'
import {
  type DenoiseProgress,
  type GeneratedPicture,
  type GenerateInputs,
  generate,
} from '../model/pipeline/generate.ts'
import { repair, type RepairedPicture, type RepairProgress } from '../model/pipeline/repair.ts'
import { withSwaps } from '../model/pipeline/swaps.ts'
import { workOf } from '../model/pipeline/work.ts'
import type { NpyArray } from '../model/tensor/npy.ts'
import type { Engine, GenerateHooks, GenerateJob, GenerateResult } from './engine.ts'
import { type OpenGuides, openGuides } from './guide-files.ts'
import { type OpenImagePrompts, openImagePrompts } from './image-prompt-files.ts'
import { ModelDigest } from './model-record.ts'

/** The embedded model, in the repository and in the packed application. */
export const embeddedModel = fileURLToPath(new URL('../assets/models/storybook', import.meta.url))

export const localEngine: Engine = {
  async runGenerate(job, hooks) {
    const started = performance.now()
    const { model, folder } = await openModel(job, hooks)
    let guides: OpenGuides | undefined
    let images: OpenImagePrompts | undefined
    try {
      const digest = await ModelDigest.lookUp(folder, job.model === undefined, { signal: hooks.signal })
      const recorded = await digest.record(job.model)
      const other = job.recordedModel && otherModelNotice(job.recordedModel, recorded)
      if (other) hooks.onNotice(other)
      const request = resolveRequest(job.request, model.defaults, model.sizeFactor, job.init)
      if (request.guides) {
        guides = await openGuides(job.guides, request.guides, model, request, hooks.signal)
      }
      if (request.imagePrompts) images = await openImagePrompts(job.imagePrompts, model, hooks.signal)
      const loaded = performance.now()
      const { gigaflop, parameters } = workOf(model, request, guides?.nets)
      const { backend: wanted } = job
      const backend = await openBackend(
        { backend: wanted, precision: request.precision, gigaflop, parameters },
        hooks.onNotice,
      )
      try {
        const opened = performance.now()
        const {
          result,
          used,
          repair: repaired,
          steps,
          perStep,
        } = await draw(model, backend, request, { job, hooks, digest, guides, images })
        const timings = {
          load: loaded - started,
          device: opened - loaded,
          ...result.timings,
          total: performance.now() - started,
          stepMedian: median(steps),
        }
        return {
          picture: result.picture,
          latents: result.latents,
          ...(result.source?.picture && { source: result.source.picture }),
          ...(result.effects && { effects: result.effects }),
          ...(repaired && { repair: repaired }),
          // Also captured for a repair, where nobody asked to see it.
          ...(job.capture && result.attention && { attention: result.attention }),
          ...(job.capture && result.tokenWeights && { tokenWeights: result.tokenWeights }),
          ...(perStep && { perStep }),
          ...(result.spot && { spot: result.spot }),
          ...(result.meter && { meter: result.meter }),
          schedule: result.schedule,
          used,
          model: await digest.record(job.model),
          ...(guides && { nets: await guides.records() }),
          ...(images && { adapters: await images.records() }),
          adapter: { backend: backend.name as 'webgpu' | 'wasm' | 'cpu', name: backend.description },
          timings,
          peakBytes: { host: process.resourceUsage().maxRSS * 1024, gpu: result.activationBytes },
        } satisfies GenerateResult
      } finally {
        await backend.dispose()
      }
    } finally {
      await guides?.close()
      await images?.close()
      await model.close()
    }
  },
}

interface OpenedModel {
  readonly model: DiffusionModel
  readonly folder: HostModelFolder
}

async function openModel(job: GenerateJob, hooks: GenerateHooks): Promise<OpenedModel> {
  const tokenizer = job.tokenizer === undefined ? undefined : await openModelFolder(job.tokenizer)
  if (job.model !== undefined) {
    const chosen = await openModelFolder(job.model)
    return { model: await DiffusionModel.open(chosen, tokenizer), folder: chosen }
  }
  const folder = await openModelFolder(embeddedModel).catch(() => undefined)
  const state = folder && ((await readJson(folder, 'storybook.json')) as { status?: unknown } | undefined)
  const status = typeof state?.status === 'string' ? state.status : ''
  if (!folder || (await folder.text('model_index.json')) === undefined || /untrained/.test(status)) {
    throw new AttuneError(
      'unsupported',
      'The embedded model is not trained yet in this version.',
      'Draw with a model of your own: --model FOLDER (diffusers layout, Stable Diffusion 1.x or 2.x).',
    )
  }
  if (/training/.test(status)) {
    hooks.onNotice('The embedded model is still in training: expect simple pictures with soft edges.')
  }
  return { model: await DiffusionModel.open(folder, tokenizer), folder }
}

interface Drawing {
  readonly result: GeneratedPicture
  /** The request that made it. */
  readonly used: ResolvedRequest
  readonly repair?: RepairedPicture['repair']
  /** Milliseconds of each evaluation. */
  readonly steps: readonly number[]
  /** With `capture.live`. */
  readonly perStep?: StepMaps | undefined
}

interface Surroundings {
  readonly job: GenerateJob
  readonly hooks: GenerateHooks
  readonly digest: ModelDigest
  readonly guides: OpenGuides | undefined
  readonly images: OpenImagePrompts | undefined
}

async function draw(
  model: DiffusionModel,
  backend: Backend,
  request: ResolvedRequest,
  { job, hooks, digest, guides, images }: Surroundings,
): Promise<Drawing> {
  const inputs = await readInputs(job, request, guides, images)
  const steps: number[] = []
  // A repair draws several times: which of them is kept is known at its end.
  const drawings = new Map<number, StepMapsCollector>()
  const show = (progress: DenoiseProgress | RepairProgress): void => {
    digest.begin()
    guides?.hash()
    images?.hash()
    const { step, steps: total, sigma, milliseconds, tile, notice } = progress
    const attempt = 'attempt' in progress && {
      attempt: { number: progress.attempt, of: progress.attempts },
    }
    if (notice !== undefined) return hooks.onNotice(notice)
    if (tile) {
      const { notice: told, milliseconds: _, ...shown } = tile
      if (told !== undefined) hooks.onNotice(told)
      return hooks.onProgress({ step, steps: total, sigma, tile: shown, ...attempt })
    }
    steps.push(milliseconds)
    if (job.capture?.live) {
      const number = 'attempt' in progress ? progress.attempt : 1
      const collector = drawings.get(number) ?? new StepMapsCollector()
      drawings.set(number, collector)
      collector.take(progress)
    }
    const secondsLeft = ((total - step) * median(steps)) / 1000
    hooks.onProgress({ step, steps: total, sigma, secondsLeft, ...attempt })
  }
  if (job.repair) {
    const result = await finish(repair(model, backend, request, job.repair, inputs, hooks.signal), show)
    const { kind, kept } = result.repair
    // The best seed is drawn once more in full, where it was only looked at.
    const whole = kind === 'seeds' ? drawings.get(job.repair.tries + 1) : undefined
    const perStep = (whole ?? drawings.get(kept + 1))?.read()
    return { result, used: result.request, repair: result.repair, steps, perStep }
  }
  // The record keeps swaps as they were typed.
  const result = await finish(generate(model, backend, withSwaps(request), inputs, hooks.signal), show)
  return { result, used: request, steps, perStep: drawings.get(1)?.read() }
}

async function finish<T, R>(run: AsyncGenerator<T, R>, show: (progress: T) => void): Promise<R> {
  for (;;) {
    const next = await run.next()
    if (next.done) return next.value
    show(next.value)
  }
}

/** What to say where a picture is drawn by another model than before; undefined where nothing tells them apart. */
export function otherModelNotice(
  before: { readonly name?: string; readonly sha256?: string },
  now: { readonly name: string; readonly sha256?: string },
): string | undefined {
  const hasDigests = before.sha256 !== undefined && now.sha256 !== undefined
  // Names are for people: the embedded model's was written small in earlier versions.
  const isNamedSo = before.name === undefined || before.name.toLowerCase() === now.name.toLowerCase()
  // A1111 names a model by the first ten digits.
  const isSame = hasDigests ? now.sha256.startsWith(before.sha256.toLowerCase()) : isNamedSo
  if (isSame) return undefined
  const [was, is] = isNamedSo
    ? [`another state of ${now.name} (${before.sha256?.slice(0, 10)})`, now.sha256?.slice(0, 10) ?? now.name]
    : [before.name, now.name]
  return `The picture was drawn by ${was}, and this is ${is}: its recomputed original will be another picture. Name its model with --model.`
}

async function readInputs(
  job: GenerateJob,
  request: ResolvedRequest,
  guides: OpenGuides | undefined,
  images: OpenImagePrompts | undefined,
): Promise<GenerateInputs> {
  const { width, height } = request
  return {
    ...(job.initialLatents && { initialNoise: floats(job.initialLatents) }),
    ...(job.stepNoise && { stepNoise: draws(job.stepNoise) }),
    ...(job.init && { init: await readPicture(job.init.path, width, height) }),
    ...(job.mask && { mask: await readMask(job.mask, width, height) }),
    ...(job.capture && { capture: job.capture }),
    ...(job.spot && { spot: job.spot }),
    ...(job.meterAt !== undefined && { meterAt: job.meterAt }),
    ...(job.measureEffects && { measureEffects: true }),
    ...(job.sourcePicture && { sourcePicture: true }),
    ...(guides &&
      request.guides && {
        guides: { guides: request.guides, nets: guides.nets, pictures: guides.pictures },
      }),
    ...(images &&
      request.imagePrompts && {
        imagePrompts: {
          prompts: request.imagePrompts,
          adapters: images.adapters,
          pictures: images.pictures,
        },
      }),
  }
}

function floats({ data }: NpyArray): Float32Array {
  return data instanceof Float32Array ? data : Float32Array.from(data)
}

/** [draws, 1, C, h, w] → one array a draw. */
function draws(array: NpyArray): Float32Array[] {
  const count = array.shape[0] ?? 0
  const data = floats(array)
  const size = count > 0 ? data.length / count : 0
  return Array.from({ length: count }, (_, index) => data.slice(index * size, (index + 1) * size))
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}
