import { cleanWeightsOfSigma, type Mixture, PlannedScheduler, type Weights, weightedSum32 } from './base.ts'
import { choice, refuseFields, type SchedulerConfig, type Settings, settingsFor } from './config.ts'
import { linspaceFloat32, noiseSchedule } from './noise-schedule.ts'
import type { SamplerId, StepResult } from './scheduler.ts'
import { curvedSigmas, logarithms, rangeTimesteps, sigmaAt, timestepOfSigma } from './spacing.ts'
import { checkSigmaSteps, initialSigma } from './sigma-table.ts'

/** The sigma-based Euler samplers: samples are clean + sigma * noise, and the network sees them rescaled. */
abstract class SigmaScheduler extends PlannedScheduler {
  protected override mixture(index: number): Mixture {
    return { signal: 1, noise: this.sigma(index) }
  }

  protected override scale(sample: Float32Array, index: number): Float32Array {
    return weightedSum32([1 / Math.sqrt(this.sigma(index) ** 2 + 1), sample])
  }

  /** The clean sample, as weights of sample and output, at evaluation `index`. */
  protected clean(index: number): Weights {
    return cleanWeightsOfSigma(this.predictionType, this.sigma(index))
  }
}

/**
 * Euler's method on the probability flow ODE: Karras et al. 2022 (arXiv:2206.00364), algorithm 2 without churn.
 * Source: diffusers `schedulers/scheduling_euler_discrete.py`.
 */
export class EulerScheduler extends SigmaScheduler {
  /** @throws AttuneError `bad-argument` for impossible steps, `unsupported` for configurations we cannot serve */
  constructor(config: SchedulerConfig, steps: number, { startIndex }: { readonly startIndex: number }) {
    const settings = settingsFor(config, {})
    refuseFields({ use_beta_sigmas: settings.useBetaSigmas })
    checkSigmaSteps(settings, steps)
    const { timesteps, sigmas } = eulerTable(settings, steps)
    super({
      kind: 'euler',
      timesteps,
      sigmas,
      startIndex,
      initNoiseSigma: initialSigma(settings, sigmas),
      predictionType: settings.predictionType,
      drawCount: 0,
    })
  }

  protected override advance(modelOutput: Float32Array, index: number, sample: Float32Array): StepResult {
    return eulerStep(this.clean(index), this.sigma(index), this.sigma(index + 1), modelOutput, sample)
  }
}

/**
 * Euler's method to a lower sigma than the next one, and noise back up to it (k-diffusion's
 * `sample_euler_ancestral`). Asks for a draw at every step, the last included, as diffusers does.
 * Source: diffusers `schedulers/scheduling_euler_ancestral_discrete.py`.
 */
export class EulerAncestralScheduler extends SigmaScheduler {
  /** @throws AttuneError `bad-argument` for impossible steps, `unsupported` for configurations we cannot serve */
  constructor(config: SchedulerConfig, steps: number, { startIndex }: { readonly startIndex: number }) {
    const settings = settingsFor(config, {})
    // diffusers has not implemented `sample` here either.
    choice('prediction_type', settings.predictionType, ['epsilon', 'v_prediction'])
    checkSigmaSteps({ ...settings, useKarrasSigmas: false, useExponentialSigmas: false }, steps)
    const schedule = noiseSchedule(settings, true)
    const timesteps = rangeTimesteps(settings, steps, false)
    const sigmas = [...timesteps.map(timestep => Math.fround(sigmaAt(schedule.sigmas, timestep))), 0]
    super({
      kind: 'euler_a' satisfies SamplerId,
      timesteps,
      sigmas,
      startIndex,
      initNoiseSigma: initialSigma(settings, sigmas),
      predictionType: settings.predictionType,
      drawCount: timesteps.length - startIndex,
    })
  }

  protected override advance(
    modelOutput: Float32Array,
    index: number,
    sample: Float32Array,
    noise: () => Float32Array,
  ): StepResult {
    const from = this.sigma(index)
    const to = this.sigma(index + 1)
    const up = Math.sqrt((to ** 2 * (from ** 2 - to ** 2)) / from ** 2)
    const down = Math.sqrt(to ** 2 - up ** 2)
    const { prevSample, predOriginalSample } = eulerStep(this.clean(index), from, down, modelOutput, sample)
    return { prevSample: weightedSum32([1, prevSample], [up, noise()]), predOriginalSample }
  }
}

/** prev = sample + (sample - clean) / from * (to - from), as weights of sample and output. */
function eulerStep(
  clean: Weights,
  from: number,
  to: number,
  modelOutput: Float32Array,
  sample: Float32Array,
): StepResult {
  const share = (to - from) / from
  return {
    prevSample: weightedSum32([1 + share * (1 - clean.sample), sample], [-share * clean.output, modelOutput]),
    predOriginalSample: weightedSum32([clean.sample, sample], [clean.output, modelOutput]),
  }
}

/** Timesteps and sigmas of EulerDiscreteScheduler.set_timesteps. */
function eulerTable(settings: Settings, steps: number): { timesteps: number[]; sigmas: number[] } {
  const schedule = noiseSchedule(settings, true)
  const logSigmas = logarithms(schedule.sigmas)
  let timesteps = rangeTimesteps(settings, steps, false)
  choice('interpolation_type', settings.interpolationType, ['linear', 'log_linear'])
  let sigmas =
    settings.interpolationType === 'linear'
      ? timesteps.map(timestep => sigmaAt(schedule.sigmas, timestep))
      : Array.from(
          linspaceFloat32(logSigmas[logSigmas.length - 1] as number, logSigmas[0] as number, steps + 1).map(
            Math.exp,
          ),
        )
  const curved = curvedSigmas(settings, sigmas[0] as number, sigmas[sigmas.length - 1] as number, steps)
  if (curved) {
    sigmas = curved
    timesteps = curved.map(sigma => Math.fround(timestepOfSigma(sigma, logSigmas)))
  }
  choice('final_sigmas_type', settings.finalSigmasType, ['zero', 'sigma_min'])
  const final = settings.finalSigmasType === 'zero' ? 0 : (schedule.sigmas[0] as number)
  const rounded = [...sigmas, final].map(Math.fround)
  choice('timestep_type', settings.timestepType, ['discrete', 'continuous'])
  if (settings.timestepType === 'continuous' && settings.predictionType === 'v_prediction') {
    // The networks of EDM and Stable Video Diffusion are told log(sigma) / 4.
    timesteps = rounded.slice(0, -1).map(sigma => Math.fround(0.25 * Math.log(sigma)))
  }
  return { timesteps, sigmas: rounded }
}
