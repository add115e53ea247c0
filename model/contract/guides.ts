/**
 * What a request may ask of ControlNets (Zhang et al. 2023): pictures that guide the drawing beside the words. Plain
 * values, as everything in a request; nets and pictures are named here and handed over by each door beside it.
 */
import { z } from 'zod'
import { maskSchema } from './controls.ts'
import { AttuneError } from './errors.ts'
import { weightCurveSchema } from './prompt.ts'

export const guideLimits = {
  /** Nets in one picture: each costs a third of the UNet and more. */
  guides: 8,
  weight: 10,
  /** SD 1.x has 13 slots; deeper networks have more. */
  slots: 64,
  name: 1000,
} as const

/**
 * How the window counts, with i of n the evaluation from 0:
 *
 *   diffusers   i/n ≥ start and (i+1)/n ≤ end
 *   webui       start ≤ i/n ≤ end
 *   invoke      ⌊start·n⌋ ≤ i ≤ ⌈end·n⌉
 *   comfy       (1 − start)·999 ≥ t ≥ (1 − end)·999 with t the training step; 0 and 1 are without bound
 */
export const guideRules = ['diffusers', 'webui', 'invoke', 'comfy'] as const
export type GuideRule = (typeof guideRules)[number]

/**
 * `balanced`: both halves of the guidance, full weights. `prompt`: both halves, soft weights. `control`: the conditional
 * half only, soft weights (the original "guess mode"). `unbalanced`: the conditional half only, full weights.
 */
export const guideModes = ['balanced', 'prompt', 'control', 'unbalanced'] as const
export type GuideMode = (typeof guideModes)[number]

/**
 * Weights that fall from the middle of the network to its first layers: `power` is 0.825^(12 − i), as ControlNet itself,
 * A1111's extension and InvokeAI have it; `log` runs from 0.1 to 1 in equal ratios, as diffusers has it.
 */
export const softWeightLaws = ['none', 'power', 'log'] as const
export type SoftWeights = (typeof softWeightLaws)[number]

/** How a picture of another aspect is brought to the size that is drawn. */
export const guideResizes = ['stretch', 'crop', 'fill'] as const
export type GuideResize = (typeof guideResizes)[number]

const share = z.number('must be a number').min(0, 'must be at least 0').max(1, 'must be at most 1')
const weight = z
  .number('must be a number')
  .min(-guideLimits.weight, `must be at least ${-guideLimits.weight}`)
  .max(guideLimits.weight, `must be at most ${guideLimits.weight}`)
const name = z.string('must be a name').min(1, 'must not be empty').max(guideLimits.name, 'is too long')

/** Keys over the steps, as weight curves of words have them; beyond the first and the last the weight stays. */
export const guideCurveSchema = z.strictObject({
  keys: weightCurveSchema.shape.keys,
  shape: weightCurveSchema.shape.shape,
})
export type GuideCurve = z.output<typeof guideCurveSchema>

export const guideSchema = z
  .strictObject({
    /** Which net: a name among those that are handed over. */
    model: name,
    /** Which picture, likewise. */
    image: name,
    weight: z.union([weight, guideCurveSchema], 'must be a number or a curve {keys, shape}').default(1),
    start: share.default(0),
    end: share.default(1),
    rule: z.enum(guideRules, `must be one of ${guideRules.join(', ')}`).default('diffusers'),
    mode: z.enum(guideModes, `must be one of ${guideModes.join(', ')}`).default('balanced'),
    /** In place of what the mode says: `prompt` and `control` are `log` under diffusers' rule, else `power`. */
    softWeights: z.enum(softWeightLaws, `must be one of ${softWeightLaws.join(', ')}`).optional(),
    resize: z.enum(guideResizes, `must be one of ${guideResizes.join(', ')}`).default('stretch'),
    /** Where the guide acts; everywhere when absent. */
    mask: maskSchema.optional(),
    /** A factor on each residual, from the first layer to the middle: 13 for SD 1.x and 2.x. */
    slots: z.array(weight).min(1).max(guideLimits.slots).optional(),
  })
  .refine(({ start, end }) => start < end, 'must end after it starts')

export const guidesSchema = z
  .array(guideSchema, 'must be a list')
  .max(guideLimits.guides, `must be at most ${guideLimits.guides}`)
export type ControlGuide = z.output<typeof guideSchema>
export type ControlGuideInput = z.input<typeof guideSchema>

/**
 * Validates guides from outside.
 * @param label what messages call the list, such as `--control`
 * @throws AttuneError `bad-argument` naming every field that cannot be used
 */
export function parseGuides(input: unknown, label = 'guides'): ControlGuide[] {
  const parsed = guidesSchema.safeParse(input)
  if (parsed.success) return parsed.data
  throw listError(parsed.error, label, path => {
    const given = path.reduce<unknown>(
      (value, key) => (value as Record<PropertyKey, unknown> | null | undefined)?.[key],
      input,
    )
    return typeof given === 'object' && given !== null ? '' : `, but is ${shorten(given)}`
  })
}

/**
 * The error of a list of settings: the first thing that is wrong with each field, items counted from 1 as people do.
 * @param label what messages call the list
 * @param given what to say of the value that stands there
 */
export function listError(
  error: z.ZodError,
  label: string,
  given: (path: readonly PropertyKey[]) => string = () => '',
): AttuneError {
  const first = new Map(error.issues.toReversed().map(issue => [issue.path.join('.'), issue]))
  const problems = [...first.values()].reverse().map(issue => {
    const [index, ...field] = issue.path
    const which = typeof index === 'number' ? `${label} ${index + 1}` : label
    const where = [which, ...field.map(String)].join(': ')
    return issue.code === 'unrecognized_keys'
      ? `${where} has no setting ${issue.keys.join(', ')}`
      : `${where} ${issue.message}${given(issue.path)}`
  })
  return new AttuneError('bad-argument', `${problems.join('. ')}.`, 'Correct the value and run again.')
}

function shorten(value: unknown): string {
  const text = value === undefined ? 'missing' : String(value)
  return text.length > 40 ? `${text.slice(0, 40)}…` : text
}
