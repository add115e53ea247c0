/** A recipe as a request of Create: of ours everything comes back, of other programs what has the same meaning here. */
import { controlsSchema } from '../../../model/contract/controls.ts'
import type { HostRecipe } from '../../../model/contract/host-api.ts'
import { promptDialects, weightCurvesSchema, weightLaws } from '../../../model/contract/prompt.ts'
import { requestLimits, samplers, seedSchema } from '../../../model/contract/request.ts'
import type { RequestDraft } from '../../state/request.ts'

export type ReusePart = 'all' | 'prompt' | 'seed'

export interface Reuse {
  readonly patch: Partial<RequestDraft>
  /** Settings that the recipe has and Create cannot take, as `key value`. */
  readonly left: readonly string[]
}

interface Source {
  readonly recipe?: HostRecipe | undefined
  readonly record?: Readonly<Record<string, unknown>> | undefined
}

const oneOf = <T extends string>(list: readonly T[], value: unknown): T | undefined =>
  list.find(each => each === value)

/** The prompt before wildcards were drawn from it, where a record has it. */
export function templateOf(record: Source['record']): { prompt: string; negativePrompt: string } | undefined {
  const request = record?.['request'] as { template?: unknown } | undefined
  const template = request?.template as { prompt?: unknown; negativePrompt?: unknown } | undefined
  if (typeof template?.prompt !== 'string') return undefined
  const { prompt, negativePrompt } = template
  return { prompt, negativePrompt: typeof negativePrompt === 'string' ? negativePrompt : '' }
}

/** @param part `prompt` takes both texts and their way of writing; `seed` locks it */
export function reuseOf({ recipe, record }: Source, part: ReusePart): Reuse {
  const request = (record?.['request'] ?? {}) as Readonly<Record<string, unknown>>
  const value = (key: string): unknown => request[key] ?? recipe?.[key as keyof HostRecipe]
  const left: string[] = []

  const seed = seedSchema.safeParse(value('seed'))
  const seedPatch: Partial<RequestDraft> = seed.success ? { seed: seed.data, seedLocked: true } : {}
  if (part === 'seed') return { patch: seedPatch, left }

  const text = (key: string): string => {
    const given = value(key)
    return typeof given === 'string' ? given.slice(0, requestLimits.promptLength) : ''
  }
  // As it was written: the same seed draws the same words from it, another seed others.
  const template = templateOf(record)
  const dialect = oneOf(promptDialects, value('dialect')) ?? (record ? 'plain' : 'a1111')
  const promptPatch: Partial<RequestDraft> = {
    prompt: template?.prompt.slice(0, requestLimits.promptLength) ?? text('prompt'),
    negativePrompt: template?.negativePrompt.slice(0, requestLimits.promptLength) ?? text('negativePrompt'),
    dialect,
    emphasis: oneOf(weightLaws, value('emphasis')),
  }
  if (part === 'prompt') return { patch: promptPatch, left }

  const numeric = (key: string, least: number, most: number, whole: boolean): number | undefined => {
    const given = value(key)
    if (given === undefined) return undefined
    if (typeof given === 'number' && given >= least && given <= most && (!whole || Number.isInteger(given)))
      return given
    left.push(`${key} ${String(given)}`)
    return undefined
  }
  const { smallestSide, largestSide } = requestLimits
  const sampler = oneOf(samplers, value('sampler'))
  const samplerName = recipe?.samplerName ?? recipe?.sampler
  if (!sampler && samplerName !== undefined) left.push(samplerName)
  // Of ours the source comes back with it (`features/source/restore.ts`).
  if (!record && typeof value('strength') === 'number') left.push(`strength ${String(value('strength'))}`)
  // Controls of a newer version may be unknown here; the rest of the picture still comes back.
  const controls = controlsSchema.safeParse(request['controls'] ?? {})
  if (!controls.success) left.push('controls')
  const { paint, regions, edit } = controls.success ? controls.data : {}
  const curves = weightCurvesSchema.safeParse(request['weightCurves'] ?? [])
  if (!curves.success) left.push('weightCurves')
  return {
    patch: {
      ...promptPatch,
      ...seedPatch,
      width: numeric('width', smallestSide, largestSide, true),
      height: numeric('height', smallestSide, largestSide, true),
      steps: numeric('steps', 1, requestLimits.steps, true),
      guidanceScale: numeric('guidanceScale', 0, requestLimits.guidance, false),
      sampler,
      paint: paint ?? [],
      regions,
      edit,
      weightCurves: curves.success ? curves.data : [],
    },
    left,
  }
}
