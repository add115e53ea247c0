import { AttuneError } from '../contract/errors.ts'
import type { Settings, Spacing } from './config.ts'

/**
 * Which training timesteps a run of `steps` visits, and their sigmas: numpy's arithmetic, step by step, since a
 * timestep that is rounded the other way is another picture.
 */

/** `np.linspace(start, stop, count)`. One point is the start. */
export function linspace(start: number, stop: number, count: number): number[] {
  const step = (stop - start) / (count - 1)
  return Array.from({ length: count }, (_, i) =>
    i > 0 && i === count - 1 ? stop : i === 0 ? start : i * step + start,
  )
}

/** `np.round`: to the nearest whole number, halves to the even one. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1
  return floor % 2 === 0 ? floor : floor + 1
}

/** `np.arange(start, 0, -ratio)`, rounded, less one: the last timestep of each of the equal parts of training. */
function trailing(start: number, ratio: number): number[] {
  const count = Math.ceil(-start / -ratio)
  const delta = start - ratio - start
  // For some counts (61 of 1000 is the first) numpy's range has one value too many, which diffusers turns into
  // the timestep -1. No network knows it, and we leave it out.
  return Array.from({ length: count }, (_, i) => roundHalfEven(start + i * delta) - 1).filter(t => t >= 0)
}

/**
 * Timesteps, falling, of the classes that evaluate `steps` points of the whole range (DDIM, Euler, Heun).
 * Lin et al. 2023, table 2, names the spacings.
 *
 * @param whole round the points of `linspace` (DDIM) or keep them fractional in f32 (Euler, Heun)
 */
export function rangeTimesteps(settings: Settings, steps: number, whole: boolean): number[] {
  const { numTrainTimesteps: train, stepsOffset } = settings
  const spacing: Spacing = settings.timestepSpacing
  switch (spacing) {
    case 'linspace':
      return linspace(0, train - 1, steps)
        .map(t => (whole ? roundHalfEven(t) : Math.fround(t)))
        .reverse()
    case 'leading': {
      const ratio = Math.floor(train / steps)
      return Array.from({ length: steps }, (_, i) => (steps - 1 - i) * ratio + stepsOffset)
    }
    case 'trailing':
      return trailing(train, train / steps)
  }
}

/**
 * Timesteps, falling, of the multistep solvers (DPM-Solver++, UniPC): `linspace` and `leading` divide the range
 * into steps + 1 points and leave the last out, because the final sigma is added behind them.
 *
 * @param last how many training timesteps to use; fewer than all under `lambda_min_clipped`
 */
export function solverTimesteps(settings: Settings, steps: number, last: number): number[] {
  const spacing: Spacing = settings.timestepSpacing
  switch (spacing) {
    case 'linspace':
      return linspace(0, last - 1, steps + 1)
        .map(roundHalfEven)
        .reverse()
        .slice(0, -1)
    case 'leading': {
      const ratio = Math.floor(last / (steps + 1))
      return Array.from({ length: steps }, (_, i) => (steps - i) * ratio + settings.stepsOffset)
    }
    case 'trailing':
      return trailing(last, settings.numTrainTimesteps / steps)
  }
}

/** `np.interp` over the training sigmas: linear between whole timesteps, constant beyond the ends. */
export function sigmaAt(sigmas: Float32Array, timestep: number): number {
  const last = sigmas.length - 1
  if (timestep <= 0) return sigmas[0] as number
  if (timestep >= last) return sigmas[last] as number
  const below = Math.floor(timestep)
  const low = sigmas[below] as number
  const high = sigmas[below + 1] as number
  return (high - low) * (timestep - below) + low
}

/**
 * The fractional timestep whose training sigma is `sigma`, by linear interpolation of log sigma, within the range
 * of training (diffusers' `_sigma_to_t`).
 */
export function timestepOfSigma(sigma: number, logSigmas: Float32Array): number {
  const logSigma = Math.log(Math.max(sigma, 1e-10))
  let below = 0
  for (let i = 0; i < logSigmas.length; i++) if (logSigma >= (logSigmas[i] as number)) below = i
  below = Math.min(below, logSigmas.length - 2)
  const low = logSigmas[below] as number
  const high = logSigmas[below + 1] as number
  const weight = Math.min(1, Math.max(0, (low - logSigma) / (low - high)))
  return (1 - weight) * below + weight * (below + 1)
}

/** log sigma of every training timestep, f32. */
export function logarithms(sigmas: Float32Array): Float32Array {
  return sigmas.map(Math.log)
}

/**
 * Replaces evenly spaced sigmas by a curve between their ends, when the configuration asks for one.
 *
 * - Karras et al. 2022, "Elucidating the design space of diffusion-based generative models", equation 5, rho 7
 * - exponential: evenly spaced in log sigma
 *
 * @param from the first sigma, the largest; `sigma_max` of the configuration wins
 * @param to the last sigma, the smallest; `sigma_min` of the configuration wins
 * @returns undefined when the configuration asks for no curve
 * @throws AttuneError `bad-model` when it asks for two
 */
export function curvedSigmas(
  settings: Settings,
  from: number,
  to: number,
  steps: number,
): number[] | undefined {
  const { useKarrasSigmas, useExponentialSigmas } = settings
  if (useKarrasSigmas && useExponentialSigmas)
    throw new AttuneError(
      'bad-model',
      'The scheduler configuration asks for use_karras_sigmas and use_exponential_sigmas together.',
      'Switch one of them off.',
    )
  const sigmaMax = settings.sigmaMax ?? from
  const sigmaMin = settings.sigmaMin ?? to
  if (useKarrasSigmas) {
    const rho = 7
    const start = sigmaMax ** (1 / rho)
    const end = sigmaMin ** (1 / rho)
    return linspace(0, 1, steps).map(ramp => (start + ramp * (end - start)) ** rho)
  }
  if (useExponentialSigmas) return linspace(Math.log(sigmaMax), Math.log(sigmaMin), steps).map(Math.exp)
  return undefined
}
