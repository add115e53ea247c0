/** Programs that write their settings as flat JSON: Fooocus, SwarmUI, NovelAI, Draw Things; Easy Diffusion's keys. */
import { type Fields, fieldsOf, numberOf, RecipeDraft, type RecipeReading, textOf } from './recipe.ts'
import { comfySampler, easySampler, novelSampler, spokenSampler } from './samplers.ts'

/** Fooocus' own scheme (the other one is an A1111 text). */
export function recipeFromFooocus(fields: Fields): RecipeReading {
  const draft = new RecipeDraft('fooocus', 'a1111')
  draft.setPrompts(fields['prompt'], fields['negative_prompt'])
  draft.setSeed(fields['seed'])
  draft.setNumber('steps', fields['steps'])
  draft.setNumber('guidanceScale', fields['guidance_scale'])
  draft.setNumber('clipSkip', fields['clip_skip'])
  draft.setSize(fields['resolution'])
  setComfySampler(draft, fields['sampler'], fields['scheduler'])
  draft.setModel(fields['base_model'], fields['base_model_hash'])
  draft.keepOthers(
    fields,
    'prompt negative_prompt seed steps guidance_scale clip_skip resolution sampler scheduler base_model base_model_hash',
  )
  // Styles are texts that Fooocus adds to the prompt.
  const styles = textOf(fields['styles'])
  if (styles && styles !== '[]') draft.note('Fooocus added texts of its styles to this prompt.')
  return draft.reading()
}

export function isFooocus(fields: Fields): boolean {
  return (
    fields['metadata_scheme'] === 'fooocus' ||
    ('base_model' in fields && 'performance' in fields) ||
    /^fooocus/i.test(textOf(fields['version']) ?? '')
  )
}

/** @param whole the JSON around `sui_image_params` */
export function recipeFromSwarm(whole: Fields): RecipeReading {
  const fields = fieldsOf(whole['sui_image_params'])
  if (!fields) return { messages: ['The SwarmUI settings of the picture are not an object.'] }
  const draft = new RecipeDraft('swarmui', 'comfy')
  draft.setPrompts(fields['prompt'], fields['negativeprompt'])
  draft.setSeed(fields['seed'])
  draft.setNumber('steps', fields['steps'])
  draft.setNumber('guidanceScale', fields['cfgscale'])
  draft.setNumber('width', fields['width'])
  draft.setNumber('height', fields['height'])
  const stop = numberOf(fields['clipstopatlayer'])
  if (stop !== undefined && stop < 0) draft.setNumber('clipSkip', -stop)
  draft.setNumber('strength', fields['initimagecreativity'])
  setComfySampler(
    draft,
    fields['sampler'] ?? fields['comfyuisampler'],
    fields['scheduler'] ?? fields['comfyuischeduler'],
  )
  draft.setModel(fields['model'])
  draft.keepOthers(
    fields,
    'prompt negativeprompt seed steps cfgscale width height clipstopatlayer initimagecreativity sampler scheduler comfyuisampler comfyuischeduler model',
  )
  draft.keepOthers(whole, ['sui_image_params'])
  return draft.reading()
}

function setComfySampler(draft: RecipeDraft, name: unknown, scheduler: unknown): void {
  const rule = textOf(name)
  if (!rule) return
  const schedule = textOf(scheduler)
  const full = schedule && schedule !== 'normal' ? `${rule} ${schedule}` : rule
  draft.setSampler(full, comfySampler(rule, schedule))
}

/** @param description the PNG text `Description`, which is the prompt */
export function recipeFromNovel(fields: Fields, description?: string, source?: string): RecipeReading {
  const draft = new RecipeDraft('novelai')
  const caption = (key: string) => fieldsOf(fieldsOf(fields[key])?.['caption'])
  const negative =
    fields['uc'] ?? fields['negative_prompt'] ?? caption('v4_negative_prompt')?.['base_caption']
  draft.setPrompts(fields['prompt'] ?? description ?? caption('v4_prompt')?.['base_caption'], negative)
  const characters = caption('v4_prompt')?.['char_captions']
  if (Array.isArray(characters) && characters.length)
    draft.note('NovelAI drew its characters by texts of their own, which are kept but not used.')
  // {more}, [less] and 1.5::more:: are NovelAI's alone: read by another dialect they would mean something else.
  if (/[{}[\]]|::/.test(draft.prompt + draft.negativePrompt))
    draft.note("The prompt is written with NovelAI's own emphasis, which is not read here.")
  else draft.dialect = 'plain'
  draft.setSeed(fields['seed'])
  draft.setNumber('steps', fields['steps'])
  draft.setNumber('guidanceScale', fields['scale'])
  draft.setNumber('width', fields['width'])
  draft.setNumber('height', fields['height'])
  if (fields['request_type'] !== undefined && fields['request_type'] !== 'PromptGenerateRequest')
    draft.setNumber('strength', fields['strength'])
  const sampler = textOf(fields['sampler'])
  const schedule = textOf(fields['noise_schedule'])
  if (sampler)
    draft.setSampler(schedule ? `${sampler} ${schedule}` : sampler, novelSampler(sampler, schedule))
  draft.setModel(source)
  draft.keepOthers(fields, 'prompt uc seed steps scale width height sampler noise_schedule')
  return draft.reading()
}

export function isNovel(fields: Fields): boolean {
  return ('uc' in fields || 'v4_prompt' in fields) && 'sampler' in fields && 'scale' in fields
}

export function recipeFromDrawThings(fields: Fields): RecipeReading {
  const draft = new RecipeDraft('draw-things', 'a1111')
  draft.setPrompts(fields['c'], fields['uc'])
  draft.setSeed(fields['seed'])
  draft.setNumber('steps', fields['steps'])
  draft.setNumber('guidanceScale', fields['scale'])
  draft.setSize(fields['size'])
  const second = fieldsOf(fields['v2'])
  draft.setNumber('clipSkip', second?.['clipSkip'])
  const strength = numberOf(fields['strength'])
  if (strength !== undefined && strength !== 1) draft.setNumber('strength', strength)
  const sampler = textOf(fields['sampler'])
  draft.setSampler(sampler, spokenSampler(sampler ?? ''))
  draft.setModel(fields['model'])
  draft.keepOthers(fields, ['c', 'uc', 'seed', 'steps', 'scale', 'size', 'sampler', 'model', 'strength'])
  return draft.reading()
}

export function isDrawThings(fields: Fields): boolean {
  return typeof fields['c'] === 'string' && ('uc' in fields || 'seed_mode' in fields) && 'sampler' in fields
}

/** Easy Diffusion writes names of fields or of its window: `num_inference_steps`, "Number of inference steps". */
const easyAliases: Readonly<Record<string, string>> = {
  steps: 'num_inference_steps',
  inference_steps: 'num_inference_steps',
  number_of_inference_steps: 'num_inference_steps',
  sampler: 'sampler_name',
  stable_diffusion_model: 'use_stable_diffusion_model',
  model: 'use_stable_diffusion_model',
}

export function recipeFromEasy(given: Fields): RecipeReading {
  const fields: Record<string, unknown> = Object.create(null) as Record<string, unknown>
  for (const [key, value] of Object.entries(given)) {
    const plain = key.toLowerCase().replaceAll(' ', '_')
    fields[easyAliases[plain] ?? plain] = value
  }
  const draft = new RecipeDraft('easy-diffusion', 'compel')
  draft.setPrompts(fields['prompt'], fields['negative_prompt'])
  draft.setSeed(fields['seed'])
  draft.setNumber('steps', fields['num_inference_steps'])
  draft.setNumber('guidanceScale', fields['guidance_scale'])
  draft.setNumber('width', fields['width'])
  draft.setNumber('height', fields['height'])
  draft.setNumber('strength', fields['prompt_strength'])
  // A switch there: the last layer but one.
  if (/^true$/i.test(String(fields['clip_skip']))) draft.setNumber('clipSkip', 2)
  const sampler = textOf(fields['sampler_name'])
  draft.setSampler(sampler, easySampler(sampler ?? ''))
  draft.setModel(fields['use_stable_diffusion_model'])
  draft.keepOthers(
    fields,
    'prompt negative_prompt seed num_inference_steps guidance_scale width height prompt_strength sampler_name use_stable_diffusion_model',
  )
  return draft.reading()
}

export function isEasy(fields: Fields): boolean {
  const keys = new Set(Object.keys(fields).map(key => key.toLowerCase().replaceAll(' ', '_')))
  const own = [
    'num_inference_steps',
    'use_stable_diffusion_model',
    'stable_diffusion_model',
    'negative_prompt',
  ]
  return keys.has('prompt') && own.some(key => keys.has(key))
}
