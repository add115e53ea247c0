import { invariant } from '../contract/errors.ts'
import {
  clamp,
  cleanWeightsOfSigma,
  type Mixture,
  PlannedScheduler,
  weightedSum,
  weightedSum32,
} from './base.ts'
import { choice, refuseFields, type SchedulerConfig, type Settings, settingsFor } from './config.ts'
import { noiseSchedule } from './noise-schedule.ts'
import type { StepResult } from './scheduler.ts'
import { checkSigmaSteps, initialSigma } from './sigma-table.ts'
import { curvedSigmas, logarithms, rangeTimesteps, sigmaAt, timestepOfSigma } from './spacing.ts'

/** What the second half of a step needs of the first. */
interface HalfStep {
  readonly derivative: Float64Array
  readonly sample: Float32Array
}

/**
 * Heun's second-order method on the probability flow ODE: Karras et al. 2022 (arXiv:2206.00364), algorithm 1. A
 * step is two evaluations (Euler to the next sigma, then back with the mean slope), the last step is one.
 * Source: diffusers `schedulers/scheduling_heun_discrete.py`. Like it, pays no heed to rescale_betas_zero_snr.
 */
export class HeunScheduler extends PlannedScheduler {
  private readonly settings: Settings
  private half: HalfStep | undefined

  /**
   * @param options.startIndex an even number: the first evaluation of a step
   * @throws AttuneError `bad-argument` for impossible steps, `unsupported` for configurations we cannot serve
   */
  constructor(config: SchedulerConfig, steps: number, { startIndex }: { readonly startIndex: number }) {
    const settings: Settings = {
      ...settingsFor(config, { betaStart: 0.00085, betaEnd: 0.012 }),
      rescaleBetasZeroSnr: false,
    }
    refuseFields({ use_beta_sigmas: settings.useBetaSigmas })
    checkSigmaSteps(settings, steps)
    const { timesteps, sigmas } = heunTable(settings, steps)
    super({
      kind: 'heun',
      timesteps,
      sigmas,
      startIndex,
      initNoiseSigma: initialSigma(settings, sigmas),
      predictionType: settings.predictionType,
      drawCount: 0,
    })
    this.settings = settings
  }

  protected override mixture(index: number): Mixture {
    return { signal: 1, noise: this.sigma(index) }
  }

  protected override scale(sample: Float32Array, index: number): Float32Array {
    return weightedSum32([1 / Math.sqrt(this.sigma(index) ** 2 + 1), sample])
  }

  protected override advance(modelOutput: Float32Array, index: number, sample: Float32Array): StepResult {
    const sigma = this.sigma(index)
    const clean = cleanWeightsOfSigma(this.predictionType, sigma)
    const original = weightedSum([clean.sample, sample], [clean.output, modelOutput])
    if (this.settings.clipSample) clamp(original, this.settings.clipSampleRange)
    const derivative = weightedSum([1 / sigma, sample], [-1 / sigma, original])
    const predOriginalSample = Float32Array.from(original)

    if (index % 2 === 0) {
      this.half = { derivative, sample: sample.slice() }
      return {
        prevSample: weightedSum32([1, sample], [this.sigma(index + 1) - sigma, derivative]),
        predOriginalSample,
      }
    }
    const { half } = this
    invariant(half !== undefined, 'The second half of a Heun step came without the first.')
    this.half = undefined
    const distance = sigma - this.sigma(index - 1)
    return {
      prevSample: weightedSum32(
        [1, half.sample],
        [distance / 2, half.derivative],
        [distance / 2, derivative],
      ),
      predOriginalSample,
    }
  }

  protected override memory(): unknown {
    return this.half
  }

  protected override recall(memory: unknown): void {
    this.half = memory as HalfStep | undefined
  }

  protected override forget(): void {
    this.half = undefined
  }
}

/** Timesteps and sigmas per evaluation: the first once, all others twice, and the final zero. */
function heunTable(settings: Settings, steps: number): { timesteps: number[]; sigmas: number[] } {
  choice('beta_schedule', settings.betaSchedule, ['linear', 'scaled_linear', 'squaredcos_cap_v2', 'exp'])
  const schedule = noiseSchedule(settings, false)
  const logSigmas = logarithms(schedule.sigmas)
  let timesteps = rangeTimesteps(settings, steps, false)
  let sigmas = timesteps.map(timestep => sigmaAt(schedule.sigmas, timestep))
  const curved = curvedSigmas(settings, sigmas[0] as number, sigmas[sigmas.length - 1] as number, steps)
  if (curved) {
    sigmas = curved
    timesteps = curved.map(sigma => Math.fround(timestepOfSigma(sigma, logSigmas)))
  }
  return { timesteps: twice(timesteps), sigmas: [...twice(sigmas.map(Math.fround)), 0] }
}

/** Every value but the first a second time. */
function twice(values: readonly number[]): number[] {
  return values.flatMap((value, i) => (i === 0 ? [value] : [value, value]))
}
