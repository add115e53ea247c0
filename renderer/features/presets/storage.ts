/**
 * What the window keeps for itself: styles and wildcard lists. In the page's own storage, since the host's settings have
 * no place for them; export and import carry them to another machine.
 */
import { create } from 'zustand'
import { z } from 'zod'
import { promptDialects, weightLaws } from '../../../model/contract/prompt.ts'
import { requestLimits, samplers } from '../../../model/contract/request.ts'

const side = z.int().min(requestLimits.smallestSide).max(requestLimits.largestSide)
const text = z.string().max(20_000)

export const presetSchema = z.object({
  name: z.string().min(1).max(80),
  /** Words put before and after the prompt: `photo of ` … `, soft light`. */
  before: text.default(''),
  after: text.default(''),
  negative: text.default(''),
  settings: z
    .object({
      dialect: z.enum(promptDialects).optional(),
      emphasis: z.enum(weightLaws).optional(),
      width: side.optional(),
      height: side.optional(),
      steps: z.int().min(1).max(requestLimits.steps).optional(),
      guidanceScale: z.number().min(0).max(requestLimits.guidance).optional(),
      sampler: z.enum(samplers).optional(),
    })
    .default({}),
})
export type Preset = z.output<typeof presetSchema>

const listsSchema = z.record(z.string().min(1).max(100), z.array(z.string().max(2000)).max(100_000))

export const keptSchema = z.object({
  format: z.literal('attune-styles'),
  version: z.literal(1),
  presets: z.array(presetSchema).max(1000).default([]),
  lists: listsSchema.default({}),
})
type Kept = z.output<typeof keptSchema>

const key = 'attune.styles'
const nothing: Kept = { format: 'attune-styles', version: 1, presets: [], lists: {} }

/** What cannot be read is left alone and not used: a newer version may have written it. */
function load(): Kept {
  try {
    const parsed = keptSchema.safeParse(JSON.parse(localStorage.getItem(key) ?? 'null'))
    return parsed.success ? parsed.data : nothing
  } catch {
    return nothing
  }
}

export const useKept = create<Kept>(load)

/** @returns false when the page's storage is full or closed; the change holds until the window closes */
function keep(change: Partial<Kept>): boolean {
  useKept.setState(change)
  try {
    const { format, version, presets, lists } = useKept.getState()
    localStorage.setItem(key, JSON.stringify({ format, version, presets, lists }))
    return true
  } catch {
    return false
  }
}

/** Adds a style, or replaces the one of its name. */
export function savePreset(preset: Preset): boolean {
  const { presets } = useKept.getState()
  const others = presets.filter(({ name }) => name !== preset.name)
  return keep({ presets: [...others, preset].sort((a, b) => a.name.localeCompare(b.name)) })
}

export function removePreset(name: string): boolean {
  return keep({ presets: useKept.getState().presets.filter(each => each.name !== name) })
}

export function saveList(name: string, entries: readonly string[]): boolean {
  return keep({ lists: { ...useKept.getState().lists, [name]: [...entries] } })
}

export function removeList(name: string): boolean {
  return keep({
    lists: Object.fromEntries(Object.entries(useKept.getState().lists).filter(([each]) => each !== name)),
  })
}

/** Everything as a file's text. */
export function exportKept(): string {
  const { presets, lists } = useKept.getState()
  return `${JSON.stringify({ ...nothing, presets, lists }, undefined, 2)}\n`
}

/**
 * Adds a file's styles and lists to those that are here; equal names are replaced.
 * @returns how many came; undefined when it is not such a file
 */
export function importKept(file: string): { readonly presets: number; readonly lists: number } | undefined {
  let json: unknown
  try {
    json = JSON.parse(file)
  } catch {
    return undefined
  }
  const parsed = keptSchema.safeParse(json)
  if (!parsed.success) return undefined
  for (const preset of parsed.data.presets) savePreset(preset)
  keep({ lists: { ...useKept.getState().lists, ...parsed.data.lists } })
  return { presets: parsed.data.presets.length, lists: Object.keys(parsed.data.lists).length }
}
