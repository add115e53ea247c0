/**
 * A run between two evaluations, to be taken up again: "rerun from here" with other weights or another painted bias.
 * With nothing changed the rest of the run repeats bit for bit.
 */
import { AttuneError } from '../contract/errors.ts'
import type { Program } from '../graph/program.ts'
import type { Scheduler, SchedulerSnapshot } from '../schedulers/scheduler.ts'
import type { RunNoise } from './noise.ts'

/** One picture while it is drawn; an edit draws two. */
export interface Trajectory {
  /** [C, h, w] */
  latents: Float32Array
  readonly scheduler: Scheduler
}

/** Plain data, structured-cloneable. */
export interface RunCheckpoint {
  /** The evaluation that is due, among the scheduler's. */
  readonly index: number
  /** The same, counted from the first that is made. */
  readonly call: number
  readonly pictures: readonly { readonly latents: Float32Array; readonly scheduler: SchedulerSnapshot }[]
  /** Draws of step noise that were used. */
  readonly draws: number
  /** Sums of captured attention, by state; empty where nothing is captured. */
  readonly states: Readonly<Record<string, Float32Array>>
}

/** What a run is before evaluation `index`. Reads captured sums back, where there are any. */
export async function checkpointOf(
  index: number,
  call: number,
  pictures: readonly Trajectory[],
  noise: RunNoise,
  unet: Program,
): Promise<RunCheckpoint> {
  return {
    index,
    call,
    pictures: pictures.map(({ latents, scheduler }) => ({
      latents: latents.slice(),
      scheduler: scheduler.snapshot(),
    })),
    draws: noise.used,
    states: unet.graph.states?.size ? await unet.readStates() : {},
  }
}

/**
 * Puts a new run where the checkpoint's was. Captured sums are taken over where they are of the same words.
 * @throws AttuneError `bad-argument` for a checkpoint of another kind of run
 */
export function takeUp(
  { pictures: kept, draws, states }: RunCheckpoint,
  pictures: readonly Trajectory[],
  noise: RunNoise,
  unet: Program,
): void {
  const fits =
    kept.length === pictures.length &&
    kept.every(({ latents, scheduler }, i) => {
      const picture = pictures[i]
      return (
        picture?.latents.length === latents.length &&
        picture.scheduler.kind === scheduler.kind &&
        picture.scheduler.timesteps.length === scheduler.timesteps
      )
    })
  if (!fits) {
    throw new AttuneError(
      'bad-argument',
      'The kept step belongs to a run of another size, sampler or number of steps.',
      'Keep those as they were, or draw from the beginning.',
    )
  }
  for (const [i, picture] of pictures.entries()) {
    const { latents, scheduler } = kept[i] as (typeof kept)[number]
    picture.latents = latents.slice()
    picture.scheduler.restore(scheduler)
  }
  noise.skip(draws)
  const own = unet.graph.states
  const same = Object.entries(states).filter(
    ([name, values]) => own?.get(name)?.before.shape.reduce((a, b) => a * b, 1) === values.length,
  )
  if (own && same.length === own.size) unet.writeStates(Object.fromEntries(same))
}
