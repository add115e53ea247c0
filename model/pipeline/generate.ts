/**
 * From a request to a picture: text → keys and values → the denoising loop → the decoder. The loop is short and yields
 * after every step (D10): progress, preview and stopping belong to the caller.
 *
 * diffusers: pipelines/stable_diffusion/pipeline_stable_diffusion{,_img2img,_inpaint}.py.
 */
import { AttuneError, invariant } from '../contract/errors.ts'
import { checkSize, type ResolvedRequest } from '../contract/request.ts'
import { type CaptureOptions, CapturePlan, type LiveMaps } from '../attention/capture.ts'
import type { CapturedAttention } from '../attention/captured.ts'
import type { Backend, Program } from '../graph/program.ts'
import type { Pixels } from '../image/resample.ts'
import { gaussianSource } from '../random/source.ts'
import { correctedForStableDiffusion, createScheduler, type Scheduler } from '../schedulers/index.ts'
import { toChannelsFirst, toChannelsLast } from '../tensor/layout.ts'
import { timestepSinusoid } from '../unet/timestep.ts'
import { latentsToVae } from '../vae/autoencoder-kl.ts'
import { type AutoencodeStep, decodeLatents } from './autoencode.ts'
import { Conditioning } from './conditioning.ts'
import type { DiffusionModel } from './diffusion-model.ts'
import { findNonFiniteLayer, firstNonFinite, nonFiniteError } from './finite.ts'
import { previewOf } from './preview.ts'
import { blendKept, type LatentSize, prepareStart, type StartInputs } from './start.ts'

export interface GenerateInputs extends StartInputs {
  /** The draws of samplers that add noise: [C, h, w] each, in order; the seed's stream goes on when absent. */
  readonly stepNoise?: readonly Float32Array[]
  /** Watch what words do: the picture keeps every bit. */
  readonly capture?: CaptureOptions
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
  /** With `capture.live`: the maps of the captured words, summed over the steps so far, by grid. */
  readonly maps?: readonly LiveMaps[]
  /** This is no step: a tile of a picture that is encoded or decoded in tiles is done. */
  readonly tile?: AutoencodeStep
}

export interface GeneratedPicture {
  readonly picture: Pixels
  /** Final latents [1, C, h, w]. */
  readonly latents: { readonly shape: readonly number[]; readonly data: Float32Array }
  /** With `capture`. */
  readonly attention?: CapturedAttention
  /** Milliseconds by stage. */
  readonly timings: Readonly<Record<'text' | 'compile' | 'denoise' | 'decode', number>>
  /** Bytes of activations of the largest program. */
  readonly activationBytes: number
}

/**
 * Draws one picture.
 * @param signal checked between steps; the engine stays usable after a stop.
 * @throws AttuneError `bad-argument`, `cancelled` (or the signal's own reason), `non-finite`, and what the backend throws.
 */
export async function* generate(
  model: DiffusionModel,
  backend: Backend,
  request: ResolvedRequest,
  inputs: GenerateInputs = {},
  signal?: AbortSignal,
): AsyncGenerator<DenoiseProgress, GeneratedPicture> {
  checkSize(request.width, request.height, model.sizeFactor)
  const size: LatentSize = {
    channels: model.vae.config.latentChannels,
    height: request.height / model.vae.sizeFactor,
    width: request.width / model.vae.sizeFactor,
  }
  const positions = size.height * size.width
  const config = correctedForStableDiffusion(model.schedulerConfig, request.sampler)
  const scheduler = createScheduler(request.sampler, config, request.steps, {
    strength: inputs.init ? request.strength : undefined,
  })
  const noise = noiseOf(request, inputs, size, scheduler)
  const stop = (): void => throwIfAborted(signal)
  const timings = { text: 0, compile: 0, denoise: 0, decode: 0 }
  const programs: Program[] = []
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
    const calls = scheduler.timesteps.length - scheduler.startIndex
    const words = new Conditioning(model, request, calls)
    const { batch, textTokens } = words
    const watched = inputs.capture && words.captureText(inputs.capture.half ?? 'cond')
    const capture = watched && new CapturePlan(watched, inputs.capture)
    const { attentionControls } = words.attentionControls()
    const controls = capture ? capture.controls(watched.sample, attentionControls) : attentionControls
    // The text encoder runs beside the compilation where it is another runtime: both wait for other things.
    const encoding = timed(timings, 'text', () => words.encode())
    // Looked at below; a failure before that must not count as unhandled.
    encoding.catch(() => undefined)
    if (backend.name !== 'webgpu') await encoding

    const timeProgram = await compile(model.unet.recordTimeProjections(scheduler.timesteps.length))
    const { finestChannels, flipSinToCos, freqShift } = timeFacts(model)
    const { timeProjections } = await timeProgram.run({
      timeSinusoid: timestepSinusoid(scheduler.timesteps, finestChannels, flipSinToCos, freqShift),
    })
    words.useProgram(await compile(words.recordKeyValues()))
    const unet = await compile(
      model.unet.recordDenoise({
        batch,
        height: size.height,
        width: size.width,
        textTokens,
        ...(controls && { attentionControls: controls }),
        // As diffusers: a latent of odd size is drawn, not refused.
        unevenSizes: true,
      }),
    )
    invariant(timeProjections, 'projections of time')
    await encoding

    const steps = calls
    const autoencode = { backend, compile, stop, tilePixels: request.vaeTile }
    const fullStrength = (request.strength ?? 1) >= 1
    const start = yield* tilesAsProgress(
      prepareStart(model, autoencode, scheduler, size, inputs, noise.draw, fullStrength),
      { step: 0, steps, sigma: scheduler.sigmas[scheduler.startIndex] ?? 0 },
    )
    let latents = start.latents
    const timeWidth = model.unet.timeProjectionWidth
    for (let index = scheduler.startIndex; index < scheduler.timesteps.length; index++) {
      stop()
      const started = performance.now()
      const scaled = scheduler.scaleModelInput(latents, index)
      const values = {
        sample: networkInput(scaled, start.extraChannels, batch, size),
        timeProjections: timeProjections.slice(index * timeWidth, (index + 1) * timeWidth),
        // Given when they change: a program keeps its inputs.
        ...(await words.changesAt(index - scheduler.startIndex)),
        ...(index === scheduler.startIndex && capture?.inputs),
      }
      const outputs = await unet.run(values)
      const { modelOutput } = outputs
      invariant(modelOutput, 'the UNet gives modelOutput')
      if (firstNonFinite(modelOutput) >= 0) {
        const layer = await findNonFiniteLayer(unet.graph, backend, {
          ...words.current,
          ...capture?.inputs,
          ...values,
        })
        throw nonFiniteError(
          `The network's answer at step ${index - scheduler.startIndex + 1}`,
          layer,
          request.precision,
        )
      }
      const output = toChannelsFirst(modelOutput, size.channels, positions)
      const prediction = words.guide(output)
      const { prevSample, predOriginalSample } = scheduler.step(prediction, index, latents, noise.step)
      latents = start.blend ? blendKept(prevSample, start.blend, scheduler, index + 1) : prevSample
      const milliseconds = performance.now() - started
      timings.denoise += milliseconds
      yield {
        step: index - scheduler.startIndex + 1,
        steps,
        sigma: scheduler.sigmas[index] ?? 0,
        milliseconds,
        ...(model.preview && {
          preview: previewOf(predOriginalSample, size.width, size.height, model.preview),
        }),
        ...(inputs.capture?.live && capture && { maps: capture.liveMaps(outputs) }),
      }
    }
    if (firstNonFinite(latents) >= 0) throw nonFiniteError('The final latents', undefined, request.precision)

    stop()
    const attention = capture?.read(await unet.readStates(), request, calls)
    const began = performance.now() - timings.compile
    const vaeLatents = toChannelsLast(latentsToVae(latents, model.vae.config), size.channels, positions)
    const { image, program: decoder } = yield* tilesAsProgress(
      decodeLatents(model.vae, vaeLatents, size, autoencode),
      { step: steps, steps, sigma: 0 },
    )
    if (firstNonFinite(image) >= 0) {
      const layer = decoder && (await findNonFiniteLayer(decoder.graph, backend, { latents: vaeLatents }))
      throw nonFiniteError('The decoded picture', layer, request.precision)
    }
    const picture = toPixels(image, request.width, request.height)
    // Compilation counts for itself.
    timings.decode = performance.now() - timings.compile - began
    return {
      picture,
      latents: { shape: [1, size.channels, size.height, size.width], data: latents },
      ...(attention && { attention }),
      timings,
      activationBytes,
    }
  } finally {
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

/** [C, h, w] and what an inpainting model sees beside it → [B, h, w, C (+ 1 + C)], the same for all rows. */
function networkInput(
  sample: Float32Array,
  extra: Float32Array | undefined,
  batch: number,
  size: LatentSize,
): Float32Array {
  const positions = size.height * size.width
  const planes = new Float32Array(sample.length + (extra?.length ?? 0))
  planes.set(sample)
  if (extra) planes.set(extra, sample.length)
  const one = toChannelsLast(planes, planes.length / positions, positions)
  if (batch === 1) return one
  const both = new Float32Array(batch * one.length)
  for (let b = 0; b < batch; b++) both.set(one, b * one.length)
  return both
}

interface Noise {
  readonly draw: (count: number) => Float32Array
  readonly step: () => Float32Array
}

/** The seed's stream, or the given draws; wrong numbers of draws are refused before the run. */
function noiseOf(
  request: ResolvedRequest,
  inputs: GenerateInputs,
  { channels, height, width }: LatentSize,
  scheduler: Scheduler,
): Noise {
  const count = channels * height * width
  const wrong = (what: string, length: number): AttuneError =>
    new AttuneError(
      'bad-argument',
      `${what} has ${length} numbers; this run needs ${count} (${channels}x${height}x${width}).`,
      'Make the file for this model and this size.',
    )
  if (inputs.initialNoise && inputs.initialNoise.length !== count) {
    throw wrong('The initial noise', inputs.initialNoise.length)
  }
  const given = inputs.stepNoise
  if (given) {
    const odd = given.find(each => each.length !== count)
    if (odd) throw wrong('A draw of the step noise', odd.length)
    if (given.length < scheduler.drawCount) {
      throw new AttuneError(
        'bad-argument',
        `The step noise holds ${given.length} draws; ${request.sampler} needs ${scheduler.drawCount} for this run.`,
        'Add draws to the file, or take fewer steps.',
      )
    }
  }
  const source = gaussianSource(request.rng === 'philox' ? 'cuda' : 'cpu', BigInt(request.seed))
  let used = 0
  return {
    draw: length => source.randn(length),
    step: () => given?.[used++] ?? source.randn(count),
  }
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
