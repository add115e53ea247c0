import { AttuneError, invariant } from '../contract/errors.ts'
import {
  checkSteps,
  clamp,
  cleanWeights,
  type Mixture,
  noiseWeights,
  PlannedScheduler,
  weightedSum,
  weightedSum32,
} from './base.ts'
import { refuseFields, type SchedulerConfig, type Settings, settingsFor } from './config.ts'
import { noiseSchedule } from './noise-schedule.ts'
import type { PredictionType, StepResult } from './scheduler.ts'
import { rangeTimesteps } from './spacing.ts'

/** Options of a DDIM run beyond its configuration. */
export interface DdimOptions {
  readonly startIndex: number
  /** The share of DDPM's noise that each step adds: 0 for none (DDIM), 1 for all (DDPM). */
  readonly eta: number
}

/**
 * Denoising diffusion implicit models, Song et al. 2021 (arXiv:2010.02502), equations 12 and 16.
 * Source: diffusers `schedulers/scheduling_ddim.py`.
 */
export class DdimScheduler extends PlannedScheduler {
  private readonly settings: Settings
  private readonly alphasCumprod: Float32Array
  private readonly stride: number
  private readonly eta: number

  /**
   * @throws AttuneError `bad-argument` for impossible steps, `unsupported` for configurations that DDIM or we
   *   cannot serve
   */
  constructor(config: SchedulerConfig, steps: number, { startIndex, eta }: DdimOptions) {
    const settings = settingsFor(config, { clipSample: true, timestepSpacing: 'leading' })
    refuseFields({ thresholding: settings.thresholding })
    const train = settings.numTrainTimesteps
    checkSteps(steps, train, `the model was trained with ${train} timesteps`)
    const { alphasCumprod } = noiseSchedule(settings, false)
    const timesteps = rangeTimesteps(settings, steps, true)
    checkAlphas(settings.predictionType, alphasCumprod, timesteps)
    super({
      kind: 'ddim',
      timesteps,
      sigmas: sigmasForDisplay(alphasCumprod, timesteps),
      startIndex,
      initNoiseSigma: 1,
      predictionType: settings.predictionType,
      drawCount: eta > 0 ? timesteps.length - startIndex : 0,
    })
    this.settings = settings
    this.alphasCumprod = alphasCumprod
    this.stride = Math.floor(train / steps)
    this.eta = eta
  }

  protected override mixture(index: number): Mixture {
    return mixtureOfAlpha(this.alpha(this.timesteps[index] as number))
  }

  protected override advance(
    modelOutput: Float32Array,
    index: number,
    sample: Float32Array,
    noise: () => Float32Array,
  ): StepResult {
    const timestep = this.timesteps[index] as number
    const alpha = this.alpha(timestep)
    const mixture = mixtureOfAlpha(alpha)
    // By the stride and not by the table: under `trailing` the two differ, and diffusers steps by the stride.
    const alphaPrev = this.alpha(timestep - this.stride)

    const clean = cleanWeights(this.predictionType, mixture)
    const original = weightedSum([clean.sample, sample], [clean.output, modelOutput])
    const direction = noiseWeights(this.predictionType, mixture)
    if (this.settings.clipSample) clamp(original, this.settings.clipSampleRange)

    const variance = ((1 - alphaPrev) / (1 - alpha)) * (1 - alpha / alphaPrev)
    const deviation = this.eta * Math.sqrt(variance)
    const towards = Math.sqrt(1 - alphaPrev - deviation * deviation)
    const prevSample = weightedSum32(
      [Math.sqrt(alphaPrev), original],
      [towards * direction.sample, sample],
      [towards * direction.output, modelOutput],
      ...(this.eta > 0 ? [[deviation, noise()] as const] : []),
    )
    return { prevSample, predOriginalSample: Float32Array.from(original) }
  }

  private alpha(timestep: number): number {
    if (timestep >= 0) return this.alphasCumprod[timestep] as number
    return this.settings.setAlphaToOne ? 1 : (this.alphasCumprod[0] as number)
  }
}

/** The mixture of a sample whose signal has the share `alpha` of the variance. */
export function mixtureOfAlpha(alpha: number): Mixture {
  // diffusers subtracts in f32.
  return { signal: Math.sqrt(alpha), noise: Math.sqrt(Math.fround(1 - alpha)) }
}

/** Sigma per timestep, finite under a zero terminal SNR (see {@link Scheduler.sigmas}), and 0 behind. */
export function sigmasForDisplay(alphasCumprod: Float32Array, timesteps: readonly number[]): number[] {
  const sigmas = timesteps.map(timestep => {
    const alpha = Math.max(alphasCumprod[timestep] as number, 2 ** -24)
    return Math.fround(Math.sqrt((1 - alpha) / alpha))
  })
  return [...sigmas, 0]
}

/**
 * Checks that every timestep has a signal in the tables of training, and that the clean sample can be told from it.
 *
 * @throws AttuneError `unsupported` where diffusers would read beyond its table or divide by zero
 */
export function checkAlphas(
  prediction: PredictionType,
  alphasCumprod: Float32Array,
  timesteps: readonly number[],
): void {
  const [first] = timesteps
  invariant(first !== undefined, 'A run without timesteps was planned.')
  const alpha = alphasCumprod[first]
  if (alpha === undefined)
    throw new AttuneError(
      'bad-argument',
      `The first timestep would be ${first}, but the model was trained up to ${alphasCumprod.length - 1}: ` +
        'steps_offset moves the schedule out of its range.',
      'Use fewer steps or another sampler.',
    )
  if (alpha === 0 && prediction === 'epsilon')
    throw new AttuneError(
      'unsupported',
      'The first timestep of this schedule is noise alone (rescale_betas_zero_snr), and a model that predicts ' +
        'the noise cannot tell the picture from it.',
      'Choose the sampler euler, dpmpp_2m or unipc, or a model with v_prediction.',
    )
}
