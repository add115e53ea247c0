/** Styles (named words and settings) and wildcard lists: what a person keeps for many pictures. */
import { z } from 'zod'
import { promptDialects, weightLaws } from './prompt.ts'
import { requestLimits, samplers } from './request.ts'

export const styleLimits = {
  name: 80,
  text: 20_000,
  presets: 1000,
  listName: 100,
  entry: 2000,
  entries: 100_000,
  /** Of all styles and lists as JSON: more would make every change slow. */
  bytes: 16 << 20,
} as const

const side = z.int().min(requestLimits.smallestSide).max(requestLimits.largestSide)
const text = z.string().max(styleLimits.text)

export const presetSchema = z.object({
  name: z.string().min(1).max(styleLimits.name),
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

const presets = z.array(presetSchema).max(styleLimits.presets)
const lists = z.record(
  z.string().min(1).max(styleLimits.listName),
  z.array(z.string().max(styleLimits.entry)).max(styleLimits.entries),
)

/** One schema a key, each with a default, as of settings. */
export const stylesShape = {
  /** By name, each name once. */
  presets: presets.default([]),
  /** What `__name__` draws from. */
  lists: lists.default({}),
} as const

export const stylesSchema = z.object(stylesShape)
export type Styles = z.output<typeof stylesSchema>

export const stylesPatchSchema = z.strictObject({ presets: presets.optional(), lists: lists.optional() })
export type StylesPatch = z.output<typeof stylesPatchSchema>
