/** One guide of a run, before anything is computed: what it names is found, what cannot act is refused. */
import { prepareMask, type PreparedMask } from '../attention/controls/mask.ts'
import { AttuneError } from '../contract/errors.ts'
import type { ControlGuide } from '../contract/guides.ts'
import type { ResolvedRequest } from '../contract/request.ts'
import type { ControlNetModel } from '../controlnet/control-net-model.ts'
import { isConditionalOnly, isGuideActive, softLawOf, softWeights } from '../controlnet/rules.ts'
import type { Pixels } from '../image/resample.ts'
import { curveValue } from '../prompt/curves.ts'
import type { TextRow } from './rows.ts'

/** Guides as plain data, and what they name. */
export interface GuideInputs {
  readonly guides: readonly ControlGuide[]
  readonly nets: ReadonlyMap<string, ControlNetModel>
  /** Of any size; RGB. */
  readonly pictures: ReadonlyMap<string, Pixels>
  /**
   * Also tell how strong the residuals are: each one's norm, or of each position as well. They are read from the device
   * for it, which takes time on a GPU.
   */
  readonly watch?: 'norms' | 'maps'
}

/** One net with one picture. */
export interface PlannedGuide {
  readonly index: number
  readonly asked: ControlGuide
  readonly net: ControlNetModel
  readonly picture: Pixels
  /** Rows of the UNet's batch that it acts on. */
  readonly rows: readonly number[]
  /** Its factor on each slot without the weight. */
  readonly factors: readonly number[]
  /** Its weight at each evaluation; 0 outside of its window. */
  readonly weights: readonly number[]
  readonly mask: PreparedMask | undefined
}

export interface GuideSurroundings {
  readonly request: ResolvedRequest
  readonly timesteps: readonly number[]
  readonly rows: readonly TextRow[]
  /** C of each slot of the UNet. */
  readonly slotChannels: readonly number[]
  /** For messages. */
  readonly modelName: string
}

/** @throws AttuneError `bad-argument`, `bad-model` */
export function planGuide(
  { guides, nets, pictures }: GuideInputs,
  index: number,
  { request, timesteps, rows, slotChannels, modelName }: GuideSurroundings,
): PlannedGuide {
  const asked = guides[index] as ControlGuide
  const net = nets.get(asked.model)
  const picture = pictures.get(asked.image)
  if (!net || !picture) {
    const [what, which] = net ? ['picture', asked.image] : ['ControlNet', asked.model]
    throw new AttuneError(
      'bad-argument',
      `Guide ${index + 1} names the ${what} "${which}", which was not given.`,
      `Give the ${what}, or leave the guide out.`,
    )
  }
  if (net.slotChannels.join() !== slotChannels.join()) {
    throw new AttuneError(
      'bad-model',
      `${net.name} was opened for another model: it gives residuals of ${net.slotChannels.join()} channels, ${modelName} takes ${slotChannels.join()}.`,
      'Open it for this model.',
    )
  }
  const count = slotChannels.length
  if (asked.slots && asked.slots.length !== count) {
    throw new AttuneError(
      'bad-argument',
      `Guide ${index + 1} (${asked.model}) has ${asked.slots.length} factors of slots; this model has ${count}.`,
      `Give ${count} factors, from the first layer to the middle.`,
    )
  }
  const conditional = isConditionalOnly(asked.mode) || net.facts.globalPool
  const soft = softWeights(softLawOf(asked), count)
  const calls = timesteps.length
  const callsPerStep = request.sampler === 'heun' ? 2 : 1
  return {
    index,
    asked,
    net,
    picture,
    rows: rows.flatMap(({ half }, row) => (conditional && half !== 'cond' ? [] : [row])),
    factors: soft.map((each, slot) => each * (asked.slots?.[slot] ?? 1)),
    weights: timesteps.map((timestep, call) => {
      if (!isGuideActive(asked, { index: call, count: calls, timestep })) return 0
      if (typeof asked.weight === 'number') return asked.weight
      // A curve of words counts in the same way.
      const [step, steps] = [Math.floor(call / callsPerStep), Math.ceil(calls / callsPerStep)]
      return curveValue({ phrase: '', ...asked.weight }, step, steps)
    }),
    mask: asked.mask && prepareMask(asked.mask, { picture: request, name: `guide ${asked.model}` }),
  }
}

/** Programs of one UNet that a GPU holds: with each of two guides, with both, and alone. */
const mostPrograms = 4

/**
 * The distinct sets of guides that act over the steps, by key, where nets and UNet can be one graph for each: where
 * nothing stands between their answers and the UNet. Undefined where they cannot.
 */
export function joinedSets(
  guides: readonly PlannedGuide[],
  { watch }: GuideInputs,
  batch: number,
): ReadonlyMap<string, readonly number[]> | undefined {
  const isPlain = guides.every(
    ({ rows, mask, net }) => rows.length === batch && !mask && !net.facts.globalPool,
  )
  if (watch || !isPlain) return undefined
  const calls = guides[0]?.weights.length ?? 0
  const sets = new Map<string, readonly number[]>()
  for (let call = 0; call < calls; call++) {
    const active = guides.flatMap(({ weights }, index) => (weights[call] === 0 ? [] : [index]))
    sets.set(active.join(), active)
  }
  return sets.size <= mostPrograms ? sets : undefined
}
