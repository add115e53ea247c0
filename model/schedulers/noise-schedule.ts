import { AttuneError } from '../contract/errors.ts'
import type { Settings } from './config.ts'
import { choice } from './config.ts'

/** The noise of training: per training timestep, how much signal and how much noise the network has seen. */
export interface NoiseSchedule {
  /** The product of (1 - beta) up to each timestep, rounded to f32 as in diffusers. */
  readonly alphasCumprod: Float32Array
  /** sqrt((1 - alphaCumprod) / alphaCumprod), rounded to f32 as in diffusers. Ascending. */
  readonly sigmas: Float32Array
}

/**
 * The noise schedule that a configuration describes.
 *
 * Every number is rounded to f32 exactly where diffusers (torch, float32 tables) rounds it. That is not pedantry:
 * under a zero terminal SNR the last signals are differences of nearly equal numbers, and computing them more
 * precisely than the network was trained with moves sigma in the fifth digit.
 *
 * @param settings the configuration; `trained_betas` wins over `beta_schedule`
 * @param finiteEnd under a zero terminal SNR, put 2^-24 for the last signal, as diffusers' sigma-based classes do;
 *   DDIM and LCM keep the zero
 * @throws AttuneError `unsupported` for an unknown beta schedule, `bad-model` for betas that are no noise schedule
 */
export function noiseSchedule(settings: Settings, finiteEnd: boolean): NoiseSchedule {
  let betas = trainingBetas(settings)
  if (settings.rescaleBetasZeroSnr) betas = rescaleZeroTerminalSnr(betas)
  const alphasCumprod = cumulativeProduct(betas.map(beta => 1 - beta))
  if (settings.rescaleBetasZeroSnr && finiteEnd) alphasCumprod[alphasCumprod.length - 1] = 2 ** -24
  const sigmas = alphasCumprod.map(alpha => Math.sqrt(Math.fround(Math.fround(1 - alpha) / alpha)))
  for (const alpha of alphasCumprod) {
    if (!(alpha >= 0 && alpha <= 1))
      throw new AttuneError(
        'bad-model',
        'The betas of the scheduler configuration are not within 0 and 1.',
        'Take scheduler_config.json from the model as it was published.',
      )
  }
  return { alphasCumprod, sigmas }
}

/** One beta per training timestep, f32. */
function trainingBetas(settings: Settings): Float32Array {
  const { numTrainTimesteps: count, betaStart, betaEnd, betaSchedule, trainedBetas } = settings
  if (trainedBetas !== undefined) {
    if (trainedBetas.length !== count)
      throw new AttuneError(
        'bad-model',
        `The scheduler configuration has ${trainedBetas.length} trained_betas for ${count} num_train_timesteps.`,
        'Take scheduler_config.json from the model as it was published.',
      )
    return Float32Array.from(trainedBetas)
  }
  choice('beta_schedule', betaSchedule, ['linear', 'scaled_linear', 'squaredcos_cap_v2', 'exp'])
  switch (betaSchedule) {
    case 'linear':
      return linspaceFloat32(betaStart, betaEnd, count)
    case 'scaled_linear':
      // The schedule of latent diffusion: linear in the square root.
      return linspaceFloat32(Math.sqrt(betaStart), Math.sqrt(betaEnd), count).map(root => root * root)
    case 'squaredcos_cap_v2':
      // Nichol and Dhariwal 2021, "Improved denoising diffusion probabilistic models".
      return betasForAlphaBar(count, t => Math.cos((((t + 0.008) / 1.008) * Math.PI) / 2) ** 2)
    case 'exp':
      return betasForAlphaBar(count, t => Math.exp(t * -12))
  }
}

/** Betas whose running product of (1 - beta) follows `alphaBar` over t from 0 to 1; none above 0.999. */
function betasForAlphaBar(count: number, alphaBar: (t: number) => number): Float32Array {
  const betas = new Float32Array(count)
  for (let i = 0; i < count; i++)
    betas[i] = Math.min(1 - alphaBar((i + 1) / count) / alphaBar(i / count), 0.999)
  return betas
}

/** `torch.linspace(start, end, count)` in f32: from both ends towards the middle, each value rounded once. */
export function linspaceFloat32(start: number, end: number, count: number): Float32Array {
  const first = Math.fround(start)
  const last = Math.fround(end)
  if (count === 1) return Float32Array.of(first)
  const step = Math.fround(Math.fround(last - first) / (count - 1))
  const half = Math.floor(count / 2)
  return Float32Array.from({ length: count }, (_, i) =>
    i < half ? first + step * i : last - step * (count - i - 1),
  )
}

/** `torch.cumprod` of f32 values on the CPU: multiplied in f64, each product rounded to f32. */
function cumulativeProduct(values: Float32Array): Float32Array {
  let product = 1
  return values.map(value => {
    product *= value
    return product
  })
}

/**
 * Moves and stretches the square roots of the signal so that the last is zero and the first stays.
 * Lin et al. 2023, "Common diffusion noise schedules and sample steps are flawed", algorithm 1.
 */
function rescaleZeroTerminalSnr(betas: Float32Array): Float32Array {
  const roots = cumulativeProduct(betas.map(beta => 1 - beta)).map(Math.sqrt)
  const first = roots[0] as number
  const last = roots[roots.length - 1] as number
  const stretch = Math.fround(first / Math.fround(first - last))
  const signals = roots.map(root => Math.fround(root - last) * stretch).map(root => root * root)
  return signals.map((signal, i) => 1 - Math.fround(i === 0 ? signal : signal / (signals[i - 1] as number)))
}
