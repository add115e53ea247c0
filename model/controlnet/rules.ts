/**
 * When a guide acts and how strongly, as the programs count that people know (conventions C15). Pure arithmetic.
 *
 * Sources: diffusers pipelines/controlnet/pipeline_controlnet.py (`controlnet_keep`) and models/controlnets/controlnet.py
 * (guess mode); lllyasviel/ControlNet gradio_*.py (0.825 to the power of 12 − i); Mikubill/sd-webui-controlnet
 * scripts/hook.py; InvokeAI stable_diffusion/extensions/controlnet.py; ComfyUI comfy/controlnet.py and
 * model_sampling.py (`percent_to_sigma`).
 */
import type { ControlGuide, GuideMode, SoftWeights } from '../contract/guides.ts'

export interface Evaluation {
  /** From 0, of those that are made. */
  readonly index: number
  readonly count: number
  /** The training step, 0 to 999. */
  readonly timestep: number
}

/** True when a guide's window holds an evaluation. */
export function isGuideActive(
  { start, end, rule }: Pick<ControlGuide, 'start' | 'end' | 'rule'>,
  { index, count, timestep }: Evaluation,
): boolean {
  switch (rule) {
    case 'diffusers':
      return !(index / count < start || (index + 1) / count > end)
    case 'webui':
      return start <= index / count && index / count <= end
    case 'invoke':
      return index >= Math.floor(start * count) && index <= Math.ceil(end * count)
    case 'comfy':
      // Sigma grows with the training step, so comparing these is comparing those.
      return (
        (start <= 0 || timestep <= (1 - start) * lastTimestep) &&
        (end >= 1 || timestep >= (1 - end) * lastTimestep)
      )
  }
}

const lastTimestep = 999
const softBase = 0.825

/** The law of soft weights of a guide. */
export function softLawOf({
  mode,
  rule,
  softWeights,
}: Pick<ControlGuide, 'mode' | 'rule' | 'softWeights'>): SoftWeights {
  if (softWeights) return softWeights
  if (mode === 'balanced' || mode === 'unbalanced') return 'none'
  return rule === 'diffusers' ? 'log' : 'power'
}

/** Factors of `count` slots from the first layer to the middle, whose own is 1. */
export function softWeights(law: SoftWeights, count: number): number[] {
  return Array.from({ length: count }, (_, i) => {
    if (law === 'none' || count === 1) return 1
    return law === 'power' ? softBase ** (count - 1 - i) : 10 ** (i / (count - 1) - 1)
  })
}

/** True for modes in which the unconditional half is drawn without the guide. */
export function isConditionalOnly(mode: GuideMode): boolean {
  return mode === 'control' || mode === 'unbalanced'
}
