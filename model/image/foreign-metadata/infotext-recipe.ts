/** Recipes in A1111's text: A1111 itself, Forge, stable-diffusion.cpp, ours, and the many that copy the format. */
import type { Infotext } from '../infotext.ts'
import { readInfotext, samplerFrom } from '../infotext.ts'
import { RecipeDraft, type RecipeReading, type RecipeTool } from './recipe.ts'
import { cppSampler } from './samplers.ts'

const taken = [
  'Steps',
  'Sampler',
  'Schedule type',
  'CFG scale',
  'Seed',
  'Size',
  'Model',
  'Model hash',
  'Clip skip',
  'Denoising strength',
]

/**
 * Reads an infotext. A text without a line of settings is a prompt: any text is one, so callers pass only texts
 * that stand where an infotext stands.
 */
export function recipeFromInfotext(text: string): RecipeReading {
  const infotext = readInfotext(text)
  const { parameters } = infotext
  const tool = toolOf(infotext)
  const draft = new RecipeDraft(tool, 'a1111')
  draft.setPrompts(infotext.prompt, infotext.negativePrompt)
  draft.setNumber('steps', parameters.get('Steps'))
  draft.setNumber('guidanceScale', parameters.get('CFG scale'))
  draft.setSeed(parameters.get('Seed'))
  draft.setSize(parameters.get('Size'))
  draft.setNumber('clipSkip', parameters.get('Clip skip'))
  draft.setNumber('strength', parameters.get('Denoising strength'))
  draft.setModel(parameters.get('Model'), parameters.get('Model hash'))
  const name = parameters.get('Sampler')
  const schedule = parameters.get('Schedule type')
  const full = schedule && schedule !== 'Automatic' && name ? `${name} ${schedule}` : name
  draft.setSampler(full, samplerFrom(infotext) ?? (name === undefined ? undefined : cppSampler(name)))
  draft.keepOthers(Object.fromEntries(parameters), taken)
  if (parameters.get('Emphasis') === 'None') draft.dialect = 'plain'
  return draft.reading()
}

/** Whether a text carries the line of settings, and so is surely an infotext. */
export function isInfotext(text: string): boolean {
  return readInfotext(text).parameters.size > 0
}

/** Forge's versions begin with f (f2.0.1v1.10.1), A1111's with v. */
function toolOf({ parameters }: Infotext): RecipeTool {
  const version = parameters.get('Version') ?? ''
  if (/^attune\b/i.test(version)) return 'attune'
  if (/^stable-diffusion\.cpp/i.test(version)) return 'sd.cpp'
  if (/^fooocus/i.test(version)) return 'fooocus'
  if (/^comfyui/i.test(version)) return 'comfyui'
  if (/^f\d/.test(version) || version === 'forge') return 'forge'
  return 'a1111'
}
