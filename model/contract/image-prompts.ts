/**
 * What a request may ask of image prompts (IP-Adapter, Ye et al. 2023, arXiv 2308.06721): pictures that stand beside the
 * words. Plain values, as everything in a request; adapters and pictures are named here and handed over by each door.
 */
import { z } from 'zod'
import { maskSchema } from './controls.ts'
import { guideCurveSchema, guideRules, listError } from './guides.ts'

export const imagePromptLimits = {
  /** Each is one more walk of every cross-attention layer. */
  prompts: 8,
  scale: 10,
  name: 1000,
  blocks: 16,
} as const

/**
 * How a picture that is not square comes to the square that the vision encoder sees. `resize`: squeezed, so that all of
 * it counts. `crop`: the middle only, as CLIP's own preprocessing and diffusers have it. `pad`: all of it, unsqueezed,
 * with CLIP's mean colour beside it.
 */
export const imageFits = ['resize', 'crop', 'pad'] as const
export type ImageFit = (typeof imageFits)[number]

/** Blocks that act, of whose scales the files of InstantStyle (Wang et al. 2024) are made. */
export const layerPresets = ['style', 'composition'] as const
export type LayerPreset = (typeof layerPresets)[number]

const scale = z
  .number('must be a number')
  .min(-imagePromptLimits.scale, `must be at least ${-imagePromptLimits.scale}`)
  .max(imagePromptLimits.scale, `must be at most ${imagePromptLimits.scale}`)
const share = z.number('must be a number').min(0, 'must be at least 0').max(1, 'must be at most 1')
const name = z.string('must be a name').min(1, 'must not be empty').max(imagePromptLimits.name, 'is too long')

const blockName = z.string().regex(/^block_\d{1,2}$/, 'must be block_0, block_1 …')
const block = z.union([scale, z.array(scale).min(1).max(imagePromptLimits.blocks)], 'must be scales')
const side = z.union([scale, z.record(blockName, block)], 'must be a scale or {block_N: scale or scales}')

/**
 * A scale for each block, as diffusers' `set_ip_adapter_scale` takes them: `{"down": {"block_2": [0, 1]}, "up":
 * {"block_0": [0, 1, 0]}}`. What is not named has the scale 0.
 */
export const layerScalesSchema = z.strictObject({
  down: side.optional(),
  mid: z.union([scale, z.array(scale).length(1, 'must be one scale')], 'must be a scale').optional(),
  up: side.optional(),
})
export type LayerScales = z.output<typeof layerScalesSchema>

export const imagePromptSchema = z
  .strictObject({
    /** Which adapter: a name among those that are handed over. */
    adapter: name,
    /** Which picture, likewise. */
    image: name,
    /** How much it counts; 1 leaves the words little, about 0.5 mixes. A curve moves over the steps. */
    scale: z.union([scale, guideCurveSchema], 'must be a number or a curve {keys, shape}').default(1),
    start: share.default(0),
    end: share.default(1),
    rule: z.enum(guideRules, `must be one of ${guideRules.join(', ')}`).default('diffusers'),
    fit: z.enum(imageFits, `must be one of ${imageFits.join(', ')}`).default('resize'),
    /** Factors on `scale` by layer; 1 everywhere when absent. */
    layers: z
      .union([z.enum(layerPresets), layerScalesSchema], 'must be style, composition or scales')
      .optional(),
    /** Where the picture is asked; everywhere when absent. */
    mask: maskSchema.optional(),
  })
  .refine(({ start, end }) => start < end, 'must end after it starts')

export const imagePromptsSchema = z
  .array(imagePromptSchema, 'must be a list')
  .max(imagePromptLimits.prompts, `must be at most ${imagePromptLimits.prompts}`)
export type ImagePrompt = z.output<typeof imagePromptSchema>
export type ImagePromptInput = z.input<typeof imagePromptSchema>

/**
 * Validates image prompts from outside.
 * @param label what messages call the list, such as `--image-prompt`
 * @throws AttuneError `bad-argument` naming every field that cannot be used
 */
export function parseImagePrompts(input: unknown, label = 'imagePrompts'): ImagePrompt[] {
  const parsed = imagePromptsSchema.safeParse(input)
  if (parsed.success) return parsed.data
  throw listError(parsed.error, label)
}
