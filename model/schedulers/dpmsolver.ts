import { invariant } from '../contract/errors.ts'
import {
  cleanWeights,
  type Mixture,
  mixtureOfSigma,
  PlannedScheduler,
  type Term,
  weightedSum32,
} from './base.ts'
import { choice, refuseFields, type SchedulerConfig, type Settings, settingsFor } from './config.ts'
import type { StepResult } from './scheduler.ts'
import { solverTable } from './sigma-table.ts'

export type DpmSolverKind = 'dpmpp_2m' | 'dpmpp_2m_karras' | 'dpmpp_sde'

/**
 * DPM-Solver++ (Lu et al. 2022, arXiv:2211.01095), multistep: each step reuses the clean samples that the last
 * ones predicted. `dpmpp_sde` is its stochastic form (`sde-dpmsolver++`), which asks for a draw at every step.
 * Source: diffusers `schedulers/scheduling_dpmsolver_multistep.py`.
 *
 * The name of the sampler decides over `algorithm_type` of the file, and `dpmpp_2m_karras` over
 * `use_karras_sigmas`; all other fields are the file's.
 */
export class DpmSolverScheduler extends PlannedScheduler {
  private readonly settings: Settings
  private readonly stochastic: boolean
  /** The clean samples predicted so far, the latest last, at most as many as the order. */
  private history: Float32Array[] = []
  /** How many steps this run has taken, at most as many as the order. */
  private warm = 0

  /** @throws AttuneError `bad-argument` for impossible steps, `unsupported` for configurations we cannot serve */
  constructor(
    kind: DpmSolverKind,
    config: SchedulerConfig,
    steps: number,
    { startIndex }: { readonly startIndex: number },
  ) {
    const karras = { useKarrasSigmas: true, useExponentialSigmas: false, useLuLambdas: false }
    const settings = settingsFor(kind === 'dpmpp_2m_karras' ? { ...config, ...karras } : config, {})
    refuseFields({
      thresholding: settings.thresholding,
      variance_type: config.varianceType === 'learned' || config.varianceType === 'learned_range',
    })
    choice('solver_order', String(settings.solverOrder), ['1', '2', '3'])
    choice('solver_type', settings.solverType, ['midpoint', 'heun', 'logrho', 'bh1', 'bh2'])
    const { timesteps, sigmas, initNoiseSigma } = solverTable(settings, steps, 'dpmpp')
    super({
      kind,
      timesteps,
      sigmas,
      startIndex,
      initNoiseSigma,
      predictionType: settings.predictionType,
      drawCount: kind === 'dpmpp_sde' ? timesteps.length - startIndex : 0,
    })
    this.settings = settings
    this.stochastic = kind === 'dpmpp_sde'
  }

  protected override mixture(index: number): Mixture {
    return mixtureOfSigma(this.sigma(index))
  }

  protected override memory(): unknown {
    return { history: this.history, warm: this.warm }
  }

  protected override recall(memory: unknown): void {
    const { history, warm } = memory as { history: Float32Array[]; warm: number }
    this.history = history
    this.warm = warm
  }

  protected override forget(): void {
    this.history = []
    this.warm = 0
  }

  protected override advance(
    modelOutput: Float32Array,
    index: number,
    sample: Float32Array,
    noise: () => Float32Array,
  ): StepResult {
    const clean = cleanWeights(this.predictionType, this.mixture(index))
    const predOriginalSample = weightedSum32([clean.sample, sample], [clean.output, modelOutput])
    this.history = [...this.history, predOriginalSample].slice(-this.settings.solverOrder)

    const order = this.orderAt(index)
    this.warm = Math.min(this.warm + 1, this.settings.solverOrder)
    const terms = this.terms(order, index, sample)
    if (this.stochastic) {
      const decay = this.sigma(index + 1) / this.sigma(index)
      terms.push([this.mixture(index + 1).noise * Math.sqrt(1 - decay * decay), noise()])
    }
    // The caller may keep or change what it gets; the history must not change with it.
    return { prevSample: weightedSum32(...terms), predOriginalSample: predOriginalSample.slice() }
  }

  /** Lower at the start, where history is missing, and near the end, for stability (as diffusers decides). */
  private orderAt(index: number): number {
    const { solverOrder, lowerOrderFinal, eulerAtFinal, finalSigmasType } = this.settings
    const count = this.timesteps.length
    const lowersFinal = lowerOrderFinal && count < 15
    const first =
      this.warm < 1 || (index === count - 1 && (eulerAtFinal || lowersFinal || finalSigmasType === 'zero'))
    // No way to go: the order does not matter, and the higher ones would divide by it.
    if (first || this.sigma(index) === this.sigma(index + 1)) return 1
    if (this.warm < 2 || (index === count - 2 && lowersFinal)) return Math.min(2, solverOrder)
    return solverOrder
  }

  /** The weighted arrays whose sum is the next sample, without the noise. */
  private terms(order: number, index: number, sample: Float32Array): Term[] {
    const here = this.mixture(index)
    const there = this.mixture(index + 1)
    // lambda = log(signal / noise) = -log(sigma), so exp(-h) is the ratio of the sigmas.
    const h = this.lambda(index + 1) - this.lambda(index)
    const decay = this.sigma(index + 1) / this.sigma(index)
    const { signal } = there
    // The weights of the sample and of the orders 0, 1 and 2 of the solution's expansion (the paper's D0, D1, D2).
    const weights = this.stochastic
      ? {
          sample: (there.noise / here.noise) * decay,
          zero: signal * (1 - decay * decay),
          midpoint: 0.5 * signal * (1 - decay * decay),
          one: signal * ((1 - decay * decay) / (-2 * h) + 1),
          two: signal * ((1 - decay * decay - 2 * h) / (2 * h) ** 2 - 0.5),
        }
      : {
          sample: there.noise / here.noise,
          zero: -signal * (decay - 1),
          midpoint: -0.5 * signal * (decay - 1),
          one: signal * ((decay - 1) / h + 1),
          two: -signal * ((decay - 1 + h) / h ** 2 - 0.5),
        }
    const [m0, m1, m2] = [...this.history].reverse()
    invariant(m0 !== undefined, 'DPM-Solver++ has no history.')
    const terms: Term[] = [
      [weights.sample, sample],
      [weights.zero, m0],
    ]
    if (order === 1) return terms

    invariant(m1 !== undefined, 'DPM-Solver++ has no second answer.')
    const r0 = (this.lambda(index) - this.lambda(index - 1)) / h
    if (order === 2) {
      const slope = (this.settings.solverType === 'heun' ? weights.one : weights.midpoint) / r0
      return [...terms, [slope, m0], [-slope, m1]]
    }
    invariant(m2 !== undefined, 'DPM-Solver++ has no third answer.')
    const r1 = (this.lambda(index - 1) - this.lambda(index - 2)) / h
    // D1 = d0 + r0 / (r0 + r1) (d0 - d1) and D2 = (d0 - d1) / (r0 + r1), of the difference quotients d0 and d1.
    const bend = (weights.one * r0 + weights.two) / (r0 + r1)
    const d0 = (weights.one + bend) / r0
    const d1 = -bend / r1
    return [...terms, [d0, m0], [d1 - d0, m1], [-d1, m2]]
  }

  private lambda(index: number): number {
    return -Math.log(this.sigma(index))
  }
}
