import { AttuneError, invariant } from '../contract/errors.ts'
import type { SchedulerConfig } from './config.ts'
import { DdimScheduler } from './ddim.ts'
import { DpmSolverScheduler } from './dpmsolver.ts'
import { EulerAncestralScheduler, EulerScheduler } from './euler.ts'
import { HeunScheduler } from './heun.ts'
import { LcmScheduler } from './lcm.ts'
import { type SamplerId, type Scheduler, samplerIds } from './scheduler.ts'
import { UniPcScheduler } from './unipc.ts'

export interface SchedulerOptions {
  /**
   * Image-to-image: how much of the run remains, within (0, 1]. The run begins where diffusers'
   * `get_timesteps(num_inference_steps, strength)` does. Leave out for a run from noise alone.
   */
  readonly strength?: number | undefined
  /** The evaluation to begin with, for a caller that computes it itself; not together with `strength`. */
  readonly startIndex?: number | undefined
  /** DDIM's share of DDPM noise, within [0, 1]; 0 when left out. Other samplers take no notice. */
  readonly eta?: number | undefined
  /**
   * `time_cond_proj_dim` of the UNet's configuration. A number means a consistency model that wants the guidance
   * scale as an embedding, which we do not offer.
   */
  readonly timeCondProjDim?: number | null | undefined
}

/**
 * A scheduler for one run.
 *
 * @param id the sampler
 * @param config the model's scheduler configuration, of any class; what it leaves out takes the defaults of the
 *   sampler's own class, as diffusers' `X.from_config(config)` does
 * @param steps the number of steps; Heun evaluates the network 2 * steps - 1 times, the others once a step
 * @throws AttuneError `bad-argument` for steps, strengths and the like that no run can have; `unsupported` for a
 *   configuration that the sampler, or we, cannot serve; `bad-model` for a configuration that contradicts itself
 */
export function createScheduler(
  id: SamplerId,
  config: SchedulerConfig,
  steps: number,
  options: SchedulerOptions = {},
): Scheduler {
  if (!samplerIds.includes(id))
    throw new AttuneError(
      'bad-argument',
      `There is no sampler called '${String(id)}'.`,
      `Use one of ${samplerIds.join(', ')}.`,
    )
  const startIndex = firstIndex(id, steps, options)
  const eta = options.eta ?? 0
  if (!(eta >= 0 && eta <= 1))
    throw new AttuneError('bad-argument', `The eta ${eta} is not within 0 and 1.`, 'Use 0 for plain DDIM.')
  if (id === 'lcm' && typeof options.timeCondProjDim === 'number')
    throw new AttuneError(
      'unsupported',
      'This consistency model wants the guidance scale as an embedding (time_cond_proj_dim of its UNet).',
      'Use an LCM LoRA, or a model without time_cond_proj_dim.',
    )
  const scheduler = construct(id, config, steps, { startIndex, eta })
  if (startIndex >= scheduler.timesteps.length)
    throw new AttuneError(
      'bad-argument',
      `A run of ${scheduler.timesteps.length} evaluations cannot begin at ${startIndex}.`,
      'Begin earlier, or raise the strength.',
    )
  return scheduler
}

/**
 * The step with which image-to-image begins: `t_start` of diffusers' pipelines.
 *
 * @returns from 0 (strength 1) to steps - 1
 * @throws AttuneError `bad-argument` when the strength is not within (0, 1], or leaves no step to take
 */
export function startStep(steps: number, strength: number): number {
  if (!(strength > 0 && strength <= 1))
    throw new AttuneError(
      'bad-argument',
      `The strength ${strength} is not above 0 and at most 1.`,
      'Use a small strength to stay near the picture, 1 to begin from noise alone.',
    )
  const remaining = Math.min(Math.trunc(steps * strength), steps)
  if (remaining < 1)
    throw new AttuneError(
      'bad-argument',
      `At strength ${strength}, none of ${steps} steps would be taken.`,
      `Use at least ${Math.ceil(1 / strength)} steps, or a higher strength.`,
    )
  return steps - remaining
}

/** How many evaluations of the network a full step takes: `order` of diffusers' classes. */
function evaluationsPerStep(id: SamplerId): number {
  return id === 'heun' ? 2 : 1
}

function firstIndex(id: SamplerId, steps: number, { strength, startIndex }: SchedulerOptions): number {
  invariant(strength === undefined || startIndex === undefined, 'Both strength and startIndex were given.')
  // A bad number of steps is reported by the sampler, which knows the bound.
  if (strength !== undefined && Number.isInteger(steps) && steps > 0)
    return startStep(steps, strength) * evaluationsPerStep(id)
  const index = startIndex ?? 0
  if (!Number.isInteger(index) || index < 0 || index % evaluationsPerStep(id) !== 0)
    throw new AttuneError(
      'bad-argument',
      `A ${id} run cannot begin at evaluation ${index}.`,
      'Begin at the first evaluation of a step.',
    )
  return index
}

function construct(
  id: SamplerId,
  config: SchedulerConfig,
  steps: number,
  options: { readonly startIndex: number; readonly eta: number },
): Scheduler {
  switch (id) {
    case 'ddim':
      return new DdimScheduler(config, steps, options)
    case 'euler':
      return new EulerScheduler(config, steps, options)
    case 'euler_a':
      return new EulerAncestralScheduler(config, steps, options)
    case 'heun':
      return new HeunScheduler(config, steps, options)
    case 'dpmpp_2m':
    case 'dpmpp_2m_karras':
    case 'dpmpp_sde':
      return new DpmSolverScheduler(id, config, steps, options)
    case 'unipc':
      return new UniPcScheduler(config, steps, options)
    case 'lcm':
      return new LcmScheduler(config, steps, options)
  }
}
