import { AttuneError } from '../contract/errors.ts'
import {
  checkSteps,
  clamp,
  cleanWeights,
  type Mixture,
  PlannedScheduler,
  weightedSum,
  weightedSum32,
} from './base.ts'
import { refuseFields, type SchedulerConfig, type Settings, settingsFor } from './config.ts'
import { checkAlphas, mixtureOfAlpha, sigmasForDisplay } from './ddim.ts'
import { noiseSchedule } from './noise-schedule.ts'
import type { StepResult } from './scheduler.ts'
import { linspace } from './spacing.ts'

/** The standard deviation of the data that the boundary condition assumes. */
const sigmaData = 0.5

/**
 * Latent consistency models, Luo et al. 2023 (arXiv:2310.04378): every evaluation jumps to a clean sample, and
 * fresh noise brings it back to the next level. For models (or LoRAs) distilled for it.
 * Source: diffusers `schedulers/scheduling_lcm.py`.
 */
export class LcmScheduler extends PlannedScheduler {
  private readonly settings: Settings
  private readonly alphasCumprod: Float32Array

  /** @throws AttuneError `bad-argument` for impossible steps, `unsupported` for what LCM or we cannot serve */
  constructor(config: SchedulerConfig, steps: number, { startIndex }: { readonly startIndex: number }) {
    const settings = settingsFor(config, {
      betaStart: 0.00085,
      betaEnd: 0.012,
      betaSchedule: 'scaled_linear',
      timestepSpacing: 'leading',
    })
    refuseFields({ thresholding: settings.thresholding })
    const { numTrainTimesteps: train, originalInferenceSteps: distilled } = settings
    if (distilled > train)
      throw new AttuneError(
        'bad-model',
        `The scheduler configuration has ${distilled} original_inference_steps for ${train} num_train_timesteps.`,
        'Take scheduler_config.json from the model as it was published.',
      )
    checkSteps(steps, distilled, `LCM models are distilled for a schedule of ${distilled} steps`)
    const { alphasCumprod } = noiseSchedule(settings, false)
    const timesteps = lcmTimesteps(train, distilled, steps)
    checkAlphas(settings.predictionType, alphasCumprod, timesteps)
    super({
      kind: 'lcm',
      timesteps,
      sigmas: sigmasForDisplay(alphasCumprod, timesteps),
      startIndex,
      initNoiseSigma: 1,
      predictionType: settings.predictionType,
      drawCount: steps - 1 - startIndex,
    })
    this.settings = settings
    this.alphasCumprod = alphasCumprod
  }

  protected override mixture(index: number): Mixture {
    return mixtureOfAlpha(this.alphasCumprod[this.timesteps[index] as number] as number)
  }

  protected override advance(
    modelOutput: Float32Array,
    index: number,
    sample: Float32Array,
    noise: () => Float32Array,
  ): StepResult {
    const clean = cleanWeights(this.predictionType, this.mixture(index))
    const original = weightedSum([clean.sample, sample], [clean.output, modelOutput])
    if (this.settings.clipSample) clamp(original, this.settings.clipSampleRange)

    // The boundary condition of a consistency model: at timestep 0 it must return its input.
    const scaled = (this.timesteps[index] as number) * this.settings.timestepScaling
    const skip = sigmaData ** 2 / (scaled ** 2 + sigmaData ** 2)
    const out = scaled / Math.sqrt(scaled ** 2 + sigmaData ** 2)
    const denoised = weightedSum([out, original], [skip, sample])

    const predOriginalSample = Float32Array.from(denoised)
    if (index === this.timesteps.length - 1)
      return { prevSample: predOriginalSample.slice(), predOriginalSample }
    const next = this.mixture(index + 1)
    const prevSample = weightedSum32([next.signal, denoised], [next.noise, noise()])
    return { prevSample, predOriginalSample }
  }
}

/** `steps` of the timesteps that the model was distilled at, evenly spaced by their place, falling. */
function lcmTimesteps(train: number, distilled: number, steps: number): number[] {
  const stride = Math.floor(train / distilled)
  // np.linspace(0, distilled, steps, endpoint=False)
  return linspace(0, distilled, steps + 1)
    .slice(0, steps)
    .map(place => (distilled - Math.floor(place)) * stride - 1)
}
