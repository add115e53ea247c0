/** What can be set, with its limits and its defaults: shared by the host, which keeps it, and the window, which shows it. */
import { z } from 'zod'
import { precisions, samplers } from './request.ts'

const path = z.string().min(1).max(4096)
const folders = z.array(path).max(200)

/** One schema a key; each has a default, so that a wrong value costs that key alone. */
export const settingsShape = {
  theme: z.enum(['system', 'dark', 'light']).default('system'),
  /** A language of the interface's catalogue; `system` follows the system. */
  language: z.string().min(2).max(35).default('system'),
  reducedMotion: z.enum(['system', 'on', 'off']).default('system'),
  /** Where pictures are saved; always the first folder of the gallery. */
  outputFolder: path.nullable().default(null),
  galleryFolders: folders.default([]),
  modelFolders: folders.default([]),
  /** The model that is chosen: a folder or file; the embedded one when null. */
  model: path.nullable().default(null),
  /** Which adapter draws: the page's, the host's, or whichever works. */
  engineSeat: z.enum(['auto', 'page', 'host']).default('auto'),
  precision: z.enum(['auto', ...precisions]).default('auto'),
  livePreview: z.boolean().default(true),
  wordMaps: z.boolean().default(true),
  notifications: z.boolean().default(true),
  /** What a new request begins with, where it is not the model's choice. */
  defaults: z
    .strictObject({
      steps: z.int().min(1).max(1000).optional(),
      guidanceScale: z.number().min(0).max(100).optional(),
      sampler: z.enum(samplers).optional(),
      negativePrompt: z.string().max(200_000).optional(),
    })
    .default({}),
  /** Prompts are private: they stand in logs only when this is on. */
  logPrompts: z.boolean().default(false),
  downloads: z
    .strictObject({
      /** At the same time. */
      parallel: z.int().min(1).max(8).default(2),
      retries: z.int().min(0).max(20).default(5),
    })
    .default({ parallel: 2, retries: 5 }),
} as const

export const settingsSchema = z.object(settingsShape)
export type SettingsValues = z.output<typeof settingsSchema>

type Patched<Shape extends Record<string, z.ZodDefault>> = {
  [Key in keyof Shape]: z.ZodExactOptional<ReturnType<Shape[Key]['unwrap']>>
}

function withoutDefaults<Shape extends Record<string, z.ZodDefault>>(shape: Shape): Patched<Shape> {
  const entries = Object.entries(shape).map(([key, schema]) => [key, z.exactOptional(schema.unwrap())])
  return Object.fromEntries(entries) as Patched<Shape>
}

/**
 * Some of the settings, to change. Without the defaults: `partial()` of zod 4 fills them in, and a patch of one key
 * would reset all others.
 */
export const settingsPatchSchema = z.strictObject(withoutDefaults(settingsShape))
export type SettingsPatch = z.output<typeof settingsPatchSchema>
