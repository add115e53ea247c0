import { AttuneError, invariant } from '../contract/errors.ts'
import type { PredictionType, SamplerId, Scheduler, SchedulerSnapshot, StepResult } from './scheduler.ts'

/** A weight and the array that it multiplies. */
export type Term = readonly [weight: number, values: Float32Array | Float64Array]

/** The weighted sum of arrays of one length, accumulated in f64. */
export function weightedSum(...terms: readonly Term[]): Float64Array {
  const sum = new Float64Array(terms[0]?.[1].length ?? 0)
  for (const [weight, values] of terms) {
    for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + weight * (values[i] as number)
  }
  return sum
}

/** The same, rounded once to f32. */
export function weightedSum32(...terms: readonly Term[]): Float32Array {
  return Float32Array.from(weightedSum(...terms))
}

/** How a noisy sample holds a clean one: `signal` * clean + `noise` * unit noise. */
export interface Mixture {
  readonly signal: number
  readonly noise: number
}

/** The variance-preserving mixture of a sigma (noise over signal): the squares add up to 1. */
export function mixtureOfSigma(sigma: number): Mixture {
  const signal = 1 / Math.sqrt(sigma * sigma + 1)
  return { signal, noise: sigma * signal }
}

/**
 * The clean sample as weights of the noisy sample and of the network's answer, for variance-preserving samples
 * (DDIM, DPM-Solver++, UniPC, LCM).
 */
export function cleanWeights(prediction: PredictionType, { signal, noise }: Mixture): Weights {
  switch (prediction) {
    case 'epsilon':
      return { sample: 1 / signal, output: -noise / signal }
    case 'v_prediction':
      return { sample: signal, output: -noise }
    case 'sample':
      return { sample: 0, output: 1 }
  }
}

/** The noise as weights of the noisy sample and of the network's answer, for variance-preserving samples. */
export function noiseWeights(prediction: PredictionType, { signal, noise }: Mixture): Weights {
  switch (prediction) {
    case 'epsilon':
      return { sample: 0, output: 1 }
    case 'v_prediction':
      return { sample: noise, output: signal }
    case 'sample':
      return { sample: 1 / noise, output: -signal / noise }
  }
}

/** The same as {@link cleanWeights} for samples that are clean + sigma * noise (the Euler family). */
export function cleanWeightsOfSigma(prediction: PredictionType, sigma: number): Weights {
  switch (prediction) {
    case 'epsilon':
      return { sample: 1, output: -sigma }
    case 'v_prediction':
      return { sample: 1 / (sigma * sigma + 1), output: -sigma / Math.sqrt(sigma * sigma + 1) }
    case 'sample':
      return { sample: 0, output: 1 }
  }
}

export interface Weights {
  readonly sample: number
  readonly output: number
}

export function clamp(values: Float64Array, limit: number): void {
  for (let i = 0; i < values.length; i++) values[i] = Math.max(-limit, Math.min(limit, values[i] as number))
}

/** The part of a run that is settled before it starts. */
export interface Plan {
  readonly kind: SamplerId
  readonly timesteps: readonly number[]
  /** One sigma per evaluation, and behind them where the last step leads to. */
  readonly sigmas: readonly number[]
  readonly startIndex: number
  readonly initNoiseSigma: number
  readonly predictionType: PredictionType
  readonly drawCount: number
}

/** What all samplers share: the tables, the checks, and the order of the calls. */
export abstract class PlannedScheduler implements Scheduler {
  readonly kind: SamplerId
  readonly timesteps: readonly number[]
  readonly sigmas: readonly number[]
  readonly startIndex: number
  readonly initNoiseSigma: number
  readonly predictionType: PredictionType
  readonly drawCount: number
  /** The sigma before and behind each step: one more than there are evaluations. */
  protected readonly sigmaTable: readonly number[]
  private nextIndex: number

  constructor(plan: Plan) {
    this.kind = plan.kind
    this.timesteps = plan.timesteps
    this.sigmas = plan.sigmas.slice(0, plan.timesteps.length)
    this.sigmaTable = plan.sigmas
    this.startIndex = plan.startIndex
    this.initNoiseSigma = plan.initNoiseSigma
    this.predictionType = plan.predictionType
    this.drawCount = plan.drawCount
    this.nextIndex = plan.startIndex
  }

  /** @inheritdoc */
  scaleModelInput(sample: Float32Array, index: number): Float32Array {
    this.checkIndex(index)
    return this.scale(sample, index)
  }

  /** @inheritdoc */
  step(
    modelOutput: Float32Array,
    index: number,
    sample: Float32Array,
    noise: () => Float32Array,
  ): StepResult {
    this.checkIndex(index)
    invariant(index === this.nextIndex, `Step ${index} of ${this.kind} came where ${this.nextIndex} was due.`)
    checkLengths(modelOutput, sample)
    const result = this.advance(modelOutput, index, sample, () => {
      const draw = noise()
      checkLengths(draw, sample)
      return draw
    })
    this.nextIndex = index + 1
    return result
  }

  /** @inheritdoc */
  addNoise(original: Float32Array, noise: Float32Array, index: number): Float32Array {
    this.checkIndex(index)
    checkLengths(noise, original)
    const { signal, noise: share } = this.mixture(index)
    return weightedSum32([signal, original], [share, noise])
  }

  /** @inheritdoc */
  snapshot(): SchedulerSnapshot {
    const { kind, nextIndex, timesteps } = this
    return { kind, nextIndex, timesteps: timesteps.length, memory: structuredClone(this.memory()) }
  }

  /** @inheritdoc */
  restore(snapshot: SchedulerSnapshot): void {
    invariant(
      snapshot.kind === this.kind && snapshot.timesteps === this.timesteps.length,
      `A run of ${snapshot.kind} cannot go on with ${this.kind}.`,
    )
    this.nextIndex = snapshot.nextIndex
    this.recall(structuredClone(snapshot.memory))
  }

  /** @inheritdoc */
  reset(): void {
    this.nextIndex = this.startIndex
    this.forget()
  }

  /** The sample as the network wants it; most samplers keep it so already. */
  protected scale(sample: Float32Array, _index: number): Float32Array {
    return sample.slice()
  }

  /** The history of earlier steps as `recall` takes it back. */
  protected memory(): unknown {
    return undefined
  }

  protected recall(_memory: unknown): void {}

  /** Drops the history of earlier steps, where a sampler has one. */
  protected forget(): void {}

  /** How the sample of evaluation `index` is mixed of signal and noise. */
  protected abstract mixture(index: number): Mixture

  protected abstract advance(
    modelOutput: Float32Array,
    index: number,
    sample: Float32Array,
    noise: () => Float32Array,
  ): StepResult

  /** The sigma of evaluation `index`, or where the last step leads to. */
  protected sigma(index: number): number {
    const sigma = this.sigmaTable[index]
    invariant(sigma !== undefined, `${this.kind} has no sigma ${index}.`)
    return sigma
  }

  private checkIndex(index: number): void {
    invariant(
      Number.isInteger(index) && index >= 0 && index < this.timesteps.length,
      `Evaluation ${index} of a ${this.kind} run of ${this.timesteps.length} was asked for.`,
    )
  }
}

function checkLengths(values: Float32Array, sample: Float32Array): void {
  invariant(
    values.length === sample.length,
    `A scheduler step was given ${values.length} numbers for a sample of ${sample.length}.`,
  )
}

/** @throws AttuneError `bad-argument` for a number of steps that no run can have */
export function checkSteps(steps: number, most: number, why: string): void {
  if (!Number.isInteger(steps) || steps < 1)
    throw new AttuneError(
      'bad-argument',
      `${steps} steps cannot be taken.`,
      'Use a whole number of at least 1.',
    )
  if (steps > most)
    throw new AttuneError(
      'bad-argument',
      `${steps} steps are too many: ${why}.`,
      `Use at most ${most} steps.`,
    )
}
