import { AttuneError } from '../contract/errors.ts'
import { checkSteps } from './base.ts'
import type { Settings } from './config.ts'
import { type NoiseSchedule, noiseSchedule } from './noise-schedule.ts'
import { choice, refuseFields } from './config.ts'
import {
  curvedSigmas,
  logarithms,
  roundHalfEven,
  sigmaAt,
  solverTimesteps,
  timestepOfSigma,
} from './spacing.ts'

/** Above this a run is a slip of the keyboard; diffusers has no bound for its sigma-based samplers. */
const mostSteps = 10_000

/** The factor of unit noise at the start of an Euler or Heun run (`init_noise_sigma`). */
export function initialSigma(settings: Settings, sigmas: readonly number[]): number {
  const largest = Math.max(...sigmas)
  // Under `leading` the first sigma is below that of pure noise, and the sample holds a share of (absent) signal.
  return settings.timestepSpacing === 'leading' ? Math.sqrt(largest ** 2 + 1) : largest
}

/**
 * Checks the number of steps of an Euler or Heun run. They may exceed the timesteps of training where sigmas are
 * interpolated; under `leading` all timesteps would be the same.
 *
 * @throws AttuneError `bad-argument`
 */
export function checkSigmaSteps(settings: Settings, steps: number): void {
  const train = settings.numTrainTimesteps
  if (settings.timestepSpacing === 'leading')
    checkSteps(steps, train, `the model was trained with ${train} timesteps`)
  else checkSteps(steps, mostSteps, 'nothing is gained by so many')
}

export interface SolverTable {
  /** Whole timesteps, falling. */
  readonly timesteps: number[]
  /** Sigma per timestep, f32, and the final one behind. */
  readonly sigmas: number[]
  readonly initNoiseSigma: number
}

/**
 * Timesteps and sigmas of the multistep solvers (DPMSolverMultistepScheduler and UniPCMultistepScheduler
 * `.set_timesteps`).
 *
 * @param family the two classes differ in details: DPM-Solver++ clips lambda, rounds curved timesteps unless the
 *   betas are cosine, and takes the final sigma of training where UniPC takes the last sigma of the curve
 * @throws AttuneError `bad-argument` for impossible steps, `unsupported` for sigmas that we do not offer
 */
export function solverTable(settings: Settings, steps: number, family: 'dpmpp' | 'unipc'): SolverTable {
  refuseFields({ use_beta_sigmas: settings.useBetaSigmas, use_flow_sigmas: settings.useFlowSigmas })
  const train = settings.numTrainTimesteps
  const curvedRequested = settings.useKarrasSigmas || settings.useExponentialSigmas || settings.useLuLambdas
  if (curvedRequested) checkSteps(steps, mostSteps, 'nothing is gained by so many')
  else
    checkSteps(steps, train - 1, `the model was trained with ${train} timesteps, and each step needs its own`)

  const schedule = noiseSchedule(settings, true)
  const largest = schedule.sigmas[schedule.sigmas.length - 1] as number
  const smallest = schedule.sigmas[0] as number
  const logSigmas = logarithms(schedule.sigmas)
  const cosine = settings.betaSchedule === 'squaredcos_cap_v2'

  let curved = curvedSigmas(settings, largest, smallest, steps)
  if (family === 'dpmpp' && settings.useLuLambdas && !settings.useKarrasSigmas)
    curved = luSigmas(logSigmas, steps)
  let timesteps: number[]
  let sigmas: number[]
  if (curved) {
    sigmas = curved
    const rounds = settings.useKarrasSigmas || (settings.useLuLambdas && family === 'dpmpp')
    timesteps = curved.map(sigma => {
      const timestep = timestepOfSigma(sigma, logSigmas)
      return rounds && !(family === 'dpmpp' && cosine) ? roundHalfEven(timestep) : Math.trunc(timestep)
    })
  } else {
    const last = family === 'dpmpp' ? train - clippedTimesteps(schedule, settings.lambdaMinClipped) : train
    timesteps = solverTimesteps(settings, steps, last)
    sigmas = timesteps.map(timestep => sigmaAt(schedule.sigmas, timestep))
    checkDistinct(timesteps, steps)
  }

  choice('final_sigmas_type', settings.finalSigmasType, ['zero', 'sigma_min'])
  const minimum = curved && family === 'unipc' ? (curved[curved.length - 1] as number) : smallest
  const final = settings.finalSigmasType === 'zero' ? 0 : minimum
  return { timesteps, sigmas: [...sigmas, final].map(Math.fround), initNoiseSigma: 1 }
}

/** Evenly spaced log sigmas: Lu et al. 2022, "DPM-Solver", with rho 1. */
function luSigmas(logSigmas: Float32Array, steps: number): number[] {
  const start = logSigmas[logSigmas.length - 1] as number
  const end = logSigmas[0] as number
  return Array.from({ length: steps }, (_, i) => {
    const ramp = steps === 1 ? 0 : i === steps - 1 ? 1 : i * (1 / (steps - 1))
    return Math.exp(start + ramp * (end - start))
  })
}

/** How many training timesteps have a lambda = log(signal / noise) below the threshold. */
function clippedTimesteps({ alphasCumprod }: NoiseSchedule, threshold: number): number {
  let count = 0
  for (const alpha of alphasCumprod) {
    const signal = Math.fround(Math.log(Math.fround(Math.sqrt(alpha))))
    const noise = Math.fround(Math.log(Math.fround(Math.sqrt(Math.fround(1 - alpha)))))
    if (Math.fround(signal - noise) < threshold) count++
  }
  return count
}

/** A multistep solver divides by the distance between two timesteps. */
function checkDistinct(timesteps: readonly number[], steps: number): void {
  if (new Set(timesteps).size !== timesteps.length)
    throw new AttuneError(
      'bad-argument',
      `${steps} steps are too many: two of them would fall on one timestep of training.`,
      'Use fewer steps.',
    )
}
