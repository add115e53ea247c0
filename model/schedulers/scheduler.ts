/**
 * What the denoising loop knows of a sampler. A scheduler is made for one run: it owns the table of timesteps, and
 * turns the network's answer at one evaluation into the sample for the next.
 *
 * All arrays are flat and of any layout: the arithmetic is element by element. Coefficients are computed in f64
 * from tables that are rounded to f32 where diffusers rounds them.
 */
export const samplerIds = [
  'ddim',
  'euler',
  'euler_a',
  'heun',
  'dpmpp_2m',
  'dpmpp_2m_karras',
  'dpmpp_sde',
  'unipc',
  'lcm',
] as const

export type SamplerId = (typeof samplerIds)[number]

export const predictionTypes = ['epsilon', 'v_prediction', 'sample'] as const

/** What the network predicts: the noise, the velocity (Salimans and Ho 2022), or the clean sample. */
export type PredictionType = (typeof predictionTypes)[number]

export interface StepResult {
  /** The sample for the next evaluation; after the last one, the final latents. */
  readonly prevSample: Float32Array
  /** The clean sample as far as this evaluation can tell: what a preview shows. */
  readonly predOriginalSample: Float32Array
}

/** Where a scheduler stands in its run. */
export interface SchedulerSnapshot {
  readonly kind: SamplerId
  readonly timesteps: number
  /** The evaluation that is due. */
  readonly nextIndex: number
  /** The sampler's own history; structured-cloneable. */
  readonly memory: unknown
}

export interface Scheduler {
  readonly kind: SamplerId
  /**
   * One entry per evaluation of the network (Heun: two per step but for the last), as given to it. Whole numbers
   * for DDIM, DPM-Solver++, UniPC and LCM; possibly fractional for the Euler family.
   */
  readonly timesteps: readonly number[]
  /**
   * The noise-to-signal ratio sigma per evaluation, of the same length as `timesteps`. Under a zero terminal SNR
   * it is 4096 at the start, the value that diffusers' sigma-based classes put for infinity.
   */
  readonly sigmas: readonly number[]
  /** The evaluation to begin with: 0, or further on when a picture is given (image-to-image). */
  readonly startIndex: number
  /** The factor of unit noise that makes the first sample of a run from noise alone. */
  readonly initNoiseSigma: number
  readonly predictionType: PredictionType
  /** How many draws `step` will ask for from `startIndex` to the end, to check a file of draws before the run. */
  readonly drawCount: number

  /** The network's input at evaluation `index`: a new array. */
  scaleModelInput(sample: Float32Array, index: number): Float32Array

  /**
   * Moves the sample on by one evaluation. Indices go up by one from `startIndex`.
   *
   * @param modelOutput the network's (guided) answer to `scaleModelInput(sample, index)` at `timesteps[index]`
   * @param sample the sample before, unscaled; it is not changed
   * @param noise the next draw of unit noise, of the sample's length; called only by the samplers that add noise
   * @throws AttuneError `internal` when lengths disagree or an index is skipped
   */
  step(modelOutput: Float32Array, index: number, sample: Float32Array, noise: () => Float32Array): StepResult

  /**
   * The clean sample with the noise of evaluation `index` on it: how image-to-image starts, and how inpainting
   * renews what must not change. A new array.
   */
  addNoise(original: Float32Array, noise: Float32Array, index: number): Float32Array

  /** All that a later run needs to go on from here: plain data, a copy. */
  snapshot(): SchedulerSnapshot

  /**
   * Goes back to a snapshot of a scheduler with the same table.
   * @throws AttuneError `internal` for one of another sampler or another number of steps
   */
  restore(snapshot: SchedulerSnapshot): void

  /** Forgets the history of earlier steps: the next run begins at `startIndex` and repeats the first bit for bit. */
  reset(): void
}
