import { AttuneError, invariant } from '../contract/errors.ts'
import {
  cleanWeights,
  type Mixture,
  mixtureOfSigma,
  noiseWeights,
  PlannedScheduler,
  type Term,
  weightedSum32,
} from './base.ts'
import { choice, refuseFields, type SchedulerConfig, type Settings, settingsFor } from './config.ts'
import type { StepResult } from './scheduler.ts'
import { solverTable } from './sigma-table.ts'

/** The sample that the last step began with, and the order that it used: what the corrector corrects. */
interface LastStep {
  readonly sample: Float32Array
  readonly order: number
}

/**
 * UniPC, the unified predictor-corrector of Zhao et al. 2023 (arXiv:2302.04867), with B(h) = h (`bh1`) or
 * e^h - 1 (`bh2`): each evaluation first corrects the sample that it was made on, then predicts the next.
 * Source: diffusers `schedulers/scheduling_unipc_multistep.py`, including its simplified coefficients at order 1
 * of the corrector and order 2 of the predictor.
 */
export class UniPcScheduler extends PlannedScheduler {
  private readonly settings: Settings
  /** The converted answers so far, the latest last, at most as many as the order. */
  private history: Float32Array[] = []
  private last: LastStep | undefined
  private warm = 0

  /** @throws AttuneError `bad-argument` for impossible steps, `unsupported` for configurations we cannot serve */
  constructor(config: SchedulerConfig, steps: number, { startIndex }: { readonly startIndex: number }) {
    const settings = settingsFor(config, { solverType: 'bh2' })
    refuseFields({
      thresholding: settings.thresholding,
      solver_p: (config.other['solver_p'] ?? null) !== null,
    })
    choice('solver_order', String(settings.solverOrder), ['1', '2', '3'])
    choice('solver_type', settings.solverType, ['bh1', 'bh2', 'midpoint', 'heun', 'logrho'])
    if (!settings.lowerOrderFinal && settings.finalSigmasType === 'zero' && settings.solverOrder > 1)
      throw new AttuneError(
        'unsupported',
        'UniPC cannot end at sigma 0 with lower_order_final switched off: it would divide by zero.',
        'Set lower_order_final to true in scheduler_config.json, or choose another sampler.',
      )
    const { timesteps, sigmas, initNoiseSigma } = solverTable(settings, steps, 'unipc')
    super({
      kind: 'unipc',
      timesteps,
      sigmas,
      startIndex,
      initNoiseSigma,
      predictionType: settings.predictionType,
      drawCount: 0,
    })
    this.settings = settings
  }

  protected override mixture(index: number): Mixture {
    return mixtureOfSigma(this.sigma(index))
  }

  protected override memory(): unknown {
    return { history: this.history, last: this.last, warm: this.warm }
  }

  protected override recall(memory: unknown): void {
    const { history, last, warm } = memory as {
      history: Float32Array[]
      last: LastStep | undefined
      warm: number
    }
    this.history = history
    this.last = last
    this.warm = warm
  }

  protected override forget(): void {
    this.history = []
    this.last = undefined
    this.warm = 0
  }

  protected override advance(modelOutput: Float32Array, index: number, sample: Float32Array): StepResult {
    const { predictX0, solverOrder, lowerOrderFinal, disableCorrector } = this.settings
    const mixture = this.mixture(index)
    const clean = cleanWeights(this.predictionType, mixture)
    const predOriginalSample = weightedSum32([clean.sample, sample], [clean.output, modelOutput])
    const direction = noiseWeights(this.predictionType, mixture)
    const answer = predictX0
      ? predOriginalSample.slice()
      : weightedSum32([direction.sample, sample], [direction.output, modelOutput])

    // `history` still ends with the answer of the last evaluation: the corrector needs it so.
    const corrected =
      this.last !== undefined && !disableCorrector.includes(index - 1)
        ? this.correct(answer, this.last, index)
        : sample.slice()
    this.history = [...this.history, answer].slice(-solverOrder)

    const final = lowerOrderFinal ? Math.min(solverOrder, this.timesteps.length - index) : solverOrder
    const order = Math.min(final, this.warm + 1)
    this.warm = Math.min(this.warm + 1, solverOrder)
    this.last = { sample: corrected, order }
    return { prevSample: this.predict(corrected, order, index), predOriginalSample }
  }

  /** UniP: from the corrected sample of evaluation `index` to the sample of the next. */
  private predict(sample: Float32Array, order: number, index: number): Float32Array {
    const expansion = this.expansion(index, index + 1, order)
    if (expansion === undefined) return sample.slice()
    const { matrix, constants, scale, quotients } = expansion
    const weights =
      order === 1
        ? []
        : order === 2
          ? [0.5]
          : solve(
              matrix.slice(0, -1).map(row => row.slice(0, -1)),
              constants.slice(0, -1),
            )
    const terms = weights.flatMap((weight, i) => quotients(i, scale * weight))
    return weightedSum32(...expansion.base(sample), ...terms)
  }

  /** UniC: the sample of evaluation `index` again, now that the network's answer there is known. */
  private correct(answer: Float32Array, last: LastStep, index: number): Float32Array {
    const expansion = this.expansion(index - 1, index, last.order)
    if (expansion === undefined) return last.sample.slice()
    const { matrix, constants, scale, quotients } = expansion
    const weights = last.order === 1 ? [0.5] : solve(matrix, constants)
    const newest = scale * (weights[weights.length - 1] as number)
    const terms = weights.slice(0, -1).flatMap((weight, i) => quotients(i, scale * weight))
    return weightedSum32(
      ...expansion.base(last.sample),
      ...terms,
      [newest, answer],
      [-newest, this.answer(0)],
    )
  }

  /**
   * The parts that predictor and corrector share for the way from evaluation `from` to `to`; undefined when the two
   * have one sigma and there is no way to go.
   */
  private expansion(from: number, to: number, order: number) {
    const { predictX0, solverType } = this.settings
    const here = this.mixture(from)
    const there = this.mixture(to)
    const h = this.lambda(to) - this.lambda(from)
    if (h === 0) return undefined
    const ratios: number[] = []
    for (let i = 1; i < order; i++) ratios.push((this.lambda(from - i) - this.lambda(from)) / h)
    const signed = predictX0 ? -h : h
    const phi1 = Math.expm1(signed)
    const B = solverType === 'bh1' ? signed : phi1

    const matrix: number[][] = []
    const constants: number[] = []
    let phi = phi1 / signed - 1
    let factorial = 1
    for (let i = 1; i <= order; i++) {
      matrix.push([...ratios, 1].map(ratio => ratio ** (i - 1)))
      constants.push((phi * factorial) / B)
      factorial *= i + 1
      phi = phi / signed - 1 / factorial
    }
    const target = predictX0 ? there.signal : there.noise
    const keep = predictX0 ? there.noise / here.noise : there.signal / here.signal
    return {
      matrix,
      constants,
      /** The weight of the sum of difference quotients. */
      scale: -target * B,
      base: (sample: Float32Array): Term[] => [
        [keep, sample],
        [-target * phi1, this.answer(0)],
      ],
      /** The i-th difference quotient (m_i - m_0) / r_i with a weight. */
      quotients: (i: number, weight: number): Term[] => {
        const share = weight / (ratios[i] as number)
        return [
          [share, this.answer(i + 1)],
          [-share, this.answer(0)],
        ]
      },
    }
  }

  /** The answer of so many evaluations ago; 0 is the latest in the history. */
  private answer(ago: number): Float32Array {
    const values = this.history[this.history.length - 1 - ago]
    invariant(values !== undefined, `UniPC has no answer of ${ago} evaluations ago.`)
    return values
  }

  private lambda(index: number): number {
    return -Math.log(this.sigma(index))
  }
}

/** Solves a small system of linear equations by elimination with row exchange. */
function solve(matrix: readonly (readonly number[])[], constants: readonly number[]): number[] {
  const size = constants.length
  const rows = matrix.map((row, i) => [...row, constants[i] as number])
  for (let column = 0; column < size; column++) {
    let pivot = column
    for (let i = column + 1; i < size; i++) {
      if (Math.abs(rows[i]?.[column] as number) > Math.abs(rows[pivot]?.[column] as number)) pivot = i
    }
    const row = rows[pivot] as number[]
    rows[pivot] = rows[column] as number[]
    rows[column] = row
    for (let i = 0; i < size; i++) {
      if (i === column) continue
      const target = rows[i] as number[]
      const factor = (target[column] as number) / (row[column] as number)
      for (let j = column; j <= size; j++) target[j] = (target[j] as number) - factor * (row[j] as number)
    }
  }
  return rows.map((row, i) => (row[size] as number) / (row[i] as number))
}
