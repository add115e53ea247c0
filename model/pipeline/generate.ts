/**
 * From a request to a picture: text → keys and values → the denoising loop → the decoder. The loop is short and yields
 * after every step (D10): progress, preview and stopping belong to the caller.
 *
 * diffusers: pipelines/stable_diffusion/pipeline_stable_diffusion{,_img2img,_inpaint}.py.
 */
import { AttuneError, invariant } from '../contract/errors.ts'
import { checkSize, type ResolvedRequest } from '../contract/request.ts'
import type { CaptureOptions, LiveMaps } from '../attention/capture.ts'
import type { CapturedAttention, CapturedWord } from '../attention/captured.ts'
import type { SpotMap, SpotPoint } from '../attention/spot.ts'
import type { MeterReading } from '../attention/meter.ts'
import type { Backend, Program } from '../graph/program.ts'
import type { Pixels } from '../image/resample.ts'
import { correctedForStableDiffusion, createScheduler, type Scheduler } from '../schedulers/index.ts'
import { joinFloats } from '../tensor/join.ts'
import { toChannelsFirst, toChannelsLast } from '../tensor/layout.ts'
import { timestepSinusoid } from '../unet/timestep.ts'
import { latentsToVae } from '../vae/autoencoder-kl.ts'
import { type AutoencodeStep, decodeLatents } from './autoencode.ts'
import { checkpointOf, type RunCheckpoint, takeUp, type Trajectory } from './checkpoint.ts'
import { Conditioning } from './conditioning.ts'
import type { DiffusionModel } from './diffusion-model.ts'
import { findNonFiniteLayer, firstNonFinite, nonFiniteError } from './finite.ts'
import { type GuideInputs, type GuideReading, Guides } from './guides.ts'
import { type ImagePromptInputs, ImagePrompts } from './image-prompts.ts'
import { type NoiseInputs, RunNoise } from './noise.ts'
import { previewOf } from './preview.ts'
import { type ControlEffect, Seam } from './seam.ts'
import { withSwaps } from './swaps.ts'
import { blendKept, type LatentSize, prepareStart, type StartInputs } from './start.ts'

export interface GenerateInputs extends StartInputs, NoiseInputs {
  /** Watch what words do: the picture keeps every bit. */
  readonly capture?: CaptureOptions
  /** Evaluations, counted from 0, before which the run can be taken up again: `RunCheckpoint`s in the result. */
  readonly keep?: 'all' | readonly number[]
  /** Go on from a checkpoint of a run of the same model, size, sampler and steps. */
  readonly resume?: RunCheckpoint
  /** Evaluate once more without each control, when it first acts, to tell how much it does. */
  readonly measureEffects?: boolean
  /** The evaluation, counted from 0, at which it is measured what each source (text, regions) brings. */
  readonly meterAt?: number | 'middle'
  /** Also see what a point of the picture looks at (its attention to itself). */
  readonly spot?: SpotPoint
  /** Of an edit: decode the picture that it began with as well. */
  readonly sourcePicture?: boolean
  /** Pictures that guide the drawing through ControlNets. */
  readonly guides?: GuideInputs
  /** Pictures that stand beside the words, through IP-Adapters. */
  readonly imagePrompts?: ImagePromptInputs
}

/** What is known after a step. */
export interface DenoiseProgress {
  /** Finished evaluations of the network, 1 … steps. */
  readonly step: number
  readonly steps: number
  readonly sigma: number
  readonly milliseconds: number
  /** The clean picture as far as it can be told, at latent size; for models with preview factors. */
  readonly preview?: Pixels
  /** With `capture.live`: the maps of the captured words by grid, summed over its layers and the steps so far. */
  readonly maps?: readonly LiveMaps[]
  /** The words of these maps. */
  readonly words?: readonly CapturedWord[]
  /** This is no step: a tile of a picture that is encoded or decoded in tiles is done. */
  readonly tile?: AutoencodeStep
  /** This is no step: something about the controls that the person should know before the run. */
  readonly notice?: string
}

export interface GeneratedPicture {
  readonly picture: Pixels
  /** Final latents [1, C, h, w]. */
  readonly latents: Latents
  /** Of an edit: what it began with. */
  readonly source?: { readonly latents: Latents; readonly picture?: Pixels }
  /** With `capture`. */
  readonly attention?: CapturedAttention
  /** With `capture`: what the prompt multiplies each captured token with, by its dialect. */
  readonly tokenWeights?: readonly number[]
  /** The evaluations of the run, one entry each; of a run that was taken up, from its beginning. */
  readonly schedule: RunSchedule
  /** With `keep`, in order. */
  readonly checkpoints?: readonly RunCheckpoint[]
  /** With `measureEffects`, and always of an edit. */
  readonly effects?: readonly ControlEffect[]
  /** With `spot`, over the whole run. */
  readonly spot?: SpotMap
  /** With `meterAt`, of the conditional half. */
  readonly meter?: MeterReading
  /** With `guides`: how strong their residuals were, evaluation by evaluation. */
  readonly guides?: readonly GuideReading[]
  /** Milliseconds by stage. */
  readonly timings: Readonly<Record<'text' | 'compile' | 'denoise' | 'decode', number>>
  /** Bytes of activations of the largest program. */
  readonly activationBytes: number
}

export interface RunSchedule {
  readonly timesteps: readonly number[]
  /** Noise to signal. */
  readonly sigmas: readonly number[]
}

export interface Latents {
  readonly shape: readonly number[]
  readonly data: Float32Array
}

/**
 * Draws one picture.
 * @param signal checked between steps; the engine stays usable after a stop.
 * @throws AttuneError `bad-argument`, `cancelled` (or the signal's own reason), `non-finite`, and what the backend throws.
 */
export async function* generate(
  model: DiffusionModel,
  backend: Backend,
  asked: ResolvedRequest,
  inputs: GenerateInputs = {},
  signal?: AbortSignal,
): AsyncGenerator<DenoiseProgress, GeneratedPicture> {
  const request = withSwaps(asked)
  checkSize(request.width, request.height, model.sizeFactor)
  const size: LatentSize = {
    channels: model.vae.config.latentChannels,
    height: request.height / model.vae.sizeFactor,
    width: request.width / model.vae.sizeFactor,
  }
  const positions = size.height * size.width
  const config = correctedForStableDiffusion(model.schedulerConfig, request.sampler)
  const newScheduler = (): Scheduler =>
    createScheduler(request.sampler, config, request.steps, {
      strength: inputs.init ? request.strength : undefined,
    })
  const scheduler = newScheduler()
  const noise = new RunNoise(request, inputs, size, scheduler)
  const stop = (): void => throwIfAborted(signal)
  const timings = { text: 0, compile: 0, denoise: 0, decode: 0 }
  const programs: Program[] = []
  let guides: Guides | undefined
  let activationBytes = 0
  const compile = async (graph: Parameters<Backend['compile']>[0]): Promise<Program> => {
    stop()
    const started = performance.now()
    const program = await backend.compile(graph)
    timings.compile += performance.now() - started
    activationBytes = Math.max(activationBytes, program.stats.activationBytes)
    programs.push(program)
    return program
  }
  try {
    const first = scheduler.startIndex
    const calls = scheduler.timesteps.length - first
    const meterAt = inputs.meterAt === 'middle' ? Math.floor(calls / 2) : inputs.meterAt
    if (meterAt !== undefined && meterAt >= calls) {
      throw new AttuneError(
        'bad-argument',
        `The meter is to be read at evaluation ${meterAt + 1}, but this run has ${calls}.`,
        `Choose one from 1 to ${calls}.`,
      )
    }
    const timesteps = scheduler.timesteps.slice(first)
    const prompted = ImagePrompts.plan(model, request, inputs.imagePrompts, { timesteps })
    const images = prompted?.act ? prompted : undefined
    const words = new Conditioning(model, request, calls, images)
    const seam = new Seam(model, request, words, {
      calls,
      latent: size,
      capture: inputs.capture,
      spot: inputs.spot,
      images,
    })
    guides = Guides.plan(model, request, inputs.guides, { timesteps, latent: size, words })
    const at = { step: 0, steps: calls, sigma: scheduler.sigmas[first] ?? 0, milliseconds: 0 }
    const notices = [...seam.notices, ...(guides?.notices ?? []), ...(prompted?.notices ?? [])]
    for (const notice of notices) yield { ...at, notice }
    const { batch } = words
    // The text encoder runs beside the compilation where it is another runtime: both wait for other things.
    const encoding = timed(timings, 'text', () => words.encode())
    // Looked at below; a failure before that must not count as unhandled.
    encoding.catch(() => undefined)
    if (backend.name !== 'webgpu') await encoding
    // Before the UNet is there: a vision encoder is as large as it.
    await timed(timings, 'text', () => images?.encode(backend, words.guided, stop) ?? Promise.resolve())

    const timeProgram = await compile(model.unet.recordTimeProjections(scheduler.timesteps.length))
    const { finestChannels, flipSinToCos, freqShift } = timeFacts(model)
    const { timeProjections } = await timeProgram.run({
      timeSinusoid: timestepSinusoid(scheduler.timesteps, finestChannels, flipSinToCos, freqShift),
    })
    words.useProgram(await compile(words.recordKeyValues()))
    const { attentionControls } = seam
    const recorded = {
      batch,
      height: size.height,
      width: size.width,
      textTokens: words.layout.tokens,
      // As diffusers: a latent of odd size is drawn, not refused.
      unevenSizes: true,
      controlNetResiduals: guides?.act === true,
    }
    const denoise = model.unet.recordDenoise({
      ...recorded,
      ...(attentionControls && { attentionControls }),
    })
    const unet = guides?.act ? await guides.program(denoise, backend, compile) : await compile(denoise)
    invariant(timeProjections, 'projections of time')
    await encoding
    if (guides) await timed(timings, 'compile', () => guides?.prepare(backend) ?? Promise.resolve())
    activationBytes = Math.max(activationBytes, guides?.activationBytes ?? 0)

    const autoencode = { backend, compile, stop, tilePixels: request.vaeTile }
    const fullStrength = (request.strength ?? 1) >= 1
    const start = yield* tilesAsProgress(
      prepareStart(model, autoencode, scheduler, size, inputs, noise.draw, fullStrength),
      at,
    )
    const pictures: Trajectory[] = Array.from({ length: words.trajectories }, (_, i) => ({
      latents: start.latents,
      scheduler: i === 0 ? scheduler : newScheduler(),
    }))
    const { resume } = inputs
    if (resume) takeUp(resume, pictures, noise, unet)
    const from = resume?.index ?? first
    const checkpoints: RunCheckpoint[] = []
    let reading: MeterReading | undefined
    const timeWidth = model.unet.timeProjectionWidth
    for (let index = from; index < scheduler.timesteps.length; index++) {
      stop()
      const call = index - first
      const started = performance.now()
      if (inputs.keep === 'all' || inputs.keep?.includes(call)) {
        checkpoints.push(await checkpointOf(index, call, pictures, noise, unet))
      }
      const sigma = scheduler.sigmas[index] ?? 0
      const samples = pictures.map(each => each.scheduler.scaleModelInput(each.latents, index))
      const values = {
        sample: networkInput(
          Array.from({ length: batch }, (_, row) => samples[words.trajectoryOf(row)] as Float32Array),
          start.extraChannels,
          size,
        ),
        timeProjections: timeProjections.slice(index * timeWidth, (index + 1) * timeWidth),
        // Given when they change: a program keeps its inputs.
        ...(await seam.changesAt(call, sigma)),
        ...(guides?.act && (await guides.changesAt(call, samples))),
      }
      const guided = (output: Float32Array): Float32Array[] => {
        const planes = toChannelsFirst(output, size.channels, positions)
        return pictures.map((_, trajectory) => words.guide(planes, trajectory))
      }
      const outputs = await unet.run(values)
      const { modelOutput } = outputs
      invariant(modelOutput, 'the UNet gives modelOutput')
      if (firstNonFinite(modelOutput) >= 0) {
        const layer = await findNonFiniteLayer(unet.graph, backend, {
          ...seam.current,
          ...guides?.current,
          ...values,
        })
        throw nonFiniteError(`The network's answer at step ${call + 1}`, layer, request.precision)
      }
      const predictions = guided(modelOutput)
      if (meterAt === call) {
        const meter = seam.meter()
        const controls = meter.controls(seam.plainControls)
        const beside = model.unet.recordDenoise({ ...recorded, attentionControls: controls })
        const metered = await compile(guides?.beside(beside) ?? beside)
        const { sample, timeProjections: time } = values
        const answer = await metered.run({
          sample,
          timeProjections: time,
          ...guides?.current,
          ...seam.meterInputs(meter, call),
        })
        reading = meter.read(answer, seam.conditionalRow, call + 1)
      }
      if (inputs.measureEffects) {
        await seam.measureAt(call, sigma, predictions, async changed => {
          const answer = await unet.run(changed)
          return guided(answer['modelOutput'] as Float32Array)
        })
      }
      seam.watchSpot(outputs)
      noise.begin()
      let predOriginalSample = new Float32Array()
      for (const [i, picture] of pictures.entries()) {
        const step = picture.scheduler.step(
          predictions[i] as Float32Array,
          index,
          picture.latents,
          noise.replay(),
        )
        picture.latents = start.blend
          ? blendKept(step.prevSample, start.blend, scheduler, index + 1)
          : step.prevSample
        predOriginalSample = step.predOriginalSample as Float32Array<ArrayBuffer>
      }
      seam.blendAt(call, outputs, pictures)
      const milliseconds = performance.now() - started
      timings.denoise += milliseconds
      yield {
        step: call + 1,
        steps: calls,
        sigma,
        milliseconds,
        ...(model.preview && {
          preview: previewOf(predOriginalSample, size.width, size.height, model.preview),
        }),
        ...(inputs.capture?.live && { maps: seam.liveMaps(outputs), words: seam.words }),
      }
    }
    for (const { latents } of pictures) {
      if (firstNonFinite(latents) >= 0)
        throw nonFiniteError('The final latents', undefined, request.precision)
    }

    stop()
    const attention = seam.hasCapture ? seam.read(await unet.readStates(), calls) : undefined
    const began = performance.now() - timings.compile
    const results = pictures.map(
      ({ latents }): Latents => ({
        shape: [1, size.channels, size.height, size.width],
        data: latents,
      }),
    )
    const last = results.at(-1)
    invariant(last, 'a picture')
    const decode = async function* (latents: Latents): AsyncGenerator<DenoiseProgress, Pixels> {
      const vaeLatents = toChannelsLast(
        latentsToVae(latents.data, model.vae.config),
        size.channels,
        positions,
      )
      const { image, program: decoder } = yield* tilesAsProgress(
        decodeLatents(model.vae, vaeLatents, size, autoencode),
        { step: calls, steps: calls, sigma: 0 },
      )
      if (firstNonFinite(image) >= 0) {
        const layer = decoder && (await findNonFiniteLayer(decoder.graph, backend, { latents: vaeLatents }))
        throw nonFiniteError('The decoded picture', layer, request.precision)
      }
      return toPixels(image, request.width, request.height)
    }
    const picture = yield* decode(last)
    const [before] = results
    const source = results.length > 1 &&
      before && {
        latents: before,
        ...(inputs.sourcePicture && { picture: yield* decode(before) }),
      }
    // Compilation counts for itself.
    timings.decode = performance.now() - timings.compile - began
    const effects = seam.effectsOf(results.map(({ data }) => data))
    return {
      picture,
      latents: last,
      ...(source && { source }),
      ...(attention && { attention }),
      ...(attention && seam.tokenWeights && { tokenWeights: seam.tokenWeights }),
      schedule: {
        timesteps,
        sigmas: scheduler.sigmas.slice(first, first + calls),
      },
      ...(inputs.keep && { checkpoints }),
      ...(effects.length > 0 && { effects }),
      ...(reading && { meter: reading }),
      ...(guides?.readings.length && { guides: guides.readings }),
      ...(seam.spot && { spot: seam.spot }),
      timings,
      activationBytes,
    }
  } finally {
    guides?.dispose()
    for (const program of programs) program.dispose()
  }
}

/** Passes tiles on as progress between two steps. */
async function* tilesAsProgress<T>(
  run: AsyncGenerator<AutoencodeStep, T>,
  at: Pick<DenoiseProgress, 'step' | 'steps' | 'sigma'>,
): AsyncGenerator<DenoiseProgress, T> {
  for (;;) {
    const next = await run.next()
    if (next.done) return next.value
    yield { ...at, milliseconds: next.value.milliseconds, tile: next.value }
  }
}

function timeFacts(model: DiffusionModel): {
  finestChannels: number
  flipSinToCos: boolean
  freqShift: number
} {
  const { levels, flipSinToCos, freqShift } = model.unet.config
  return { finestChannels: levels[0]?.channels ?? 0, flipSinToCos, freqShift }
}

/** [C, h, w] of each row and what an inpainting model sees beside it → [B, h, w, C (+ 1 + C)]. */
function networkInput(
  samples: readonly Float32Array[],
  extra: Float32Array | undefined,
  size: LatentSize,
): Float32Array {
  const positions = size.height * size.width
  const rows = new Map<Float32Array, Float32Array>()
  const lastOf = (sample: Float32Array): Float32Array => {
    const planes = extra ? joinFloats([sample, extra]) : sample
    return toChannelsLast(planes, planes.length / positions, positions)
  }
  for (const sample of samples) if (!rows.has(sample)) rows.set(sample, lastOf(sample))
  return joinFloats(samples.map(sample => rows.get(sample) as Float32Array))
}

/** −1 … 1 [H, W, 3] → bytes, rounded as numpy rounds (half to even). */
function toPixels(image: Float32Array, width: number, height: number): Pixels {
  const data = new Uint8Array(image.length)
  for (let i = 0; i < image.length; i++) {
    const value = Math.min(Math.max((image[i] as number) / 2 + 0.5, 0), 1) * 255
    const floor = Math.floor(value)
    const rest = value - floor
    data[i] = rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor
  }
  return { width, height, channels: 3, data }
}

async function timed<Key extends string, T>(
  timings: Record<Key, number>,
  stage: Key,
  work: () => Promise<T>,
): Promise<T> {
  const started = performance.now()
  const result = await work()
  timings[stage] += performance.now() - started
  return result
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return
  throw signal.reason instanceof AttuneError
    ? signal.reason
    : new AttuneError('cancelled', 'The run was stopped.', 'Run again to start over.')
}
