/**
 * InvokeAI: from version 3 JSON under `invokeai_metadata`; before that JSON under `sd-metadata`, and the command that
 * was typed under `Dream`.
 */
import { type Fields, fieldsOf, numberOf, RecipeDraft, type RecipeReading, textOf } from './recipe.ts'
import { invokeSampler } from './samplers.ts'

const taken = [
  'positive_prompt',
  'negative_prompt',
  'width',
  'height',
  'seed',
  'cfg_scale',
  'steps',
  'scheduler',
  'clip_skip',
  'strength',
]

export function recipeFromInvoke(fields: Fields): RecipeReading {
  const draft = new RecipeDraft('invokeai', 'compel')
  draft.setPrompts(fields['positive_prompt'], fields['negative_prompt'])
  common(draft, fields)
  draft.setSize([fields['width'], fields['height']])
  const scheduler = textOf(fields['scheduler'])
  draft.setSampler(scheduler, invokeSampler(scheduler ?? ''))
  // InvokeAI counts the layers that are left out, A1111 (and we) from the last one, which is 1.
  const skipped = numberOf(fields['clip_skip'])
  if (skipped !== undefined) draft.setNumber('clipSkip', skipped + 1)
  const model = fieldsOf(fields['model'])
  draft.setModel(
    model ? (model['name'] ?? model['model_name']) : fields['model'],
    model?.['hash'] ?? undefined,
  )
  draft.keepOthers(fields, taken)
  return draft.reading()
}

/** Version 2 and before: the settings stand in `image`. */
export function recipeFromOldInvoke(fields: Fields): RecipeReading {
  const draft = new RecipeDraft('invokeai', 'compel')
  const image =
    fieldsOf(fields['image']) ?? (Array.isArray(fields['images']) ? fieldsOf(fields['images'][0]) : undefined)
  if (!image) return { messages: ['The InvokeAI settings of the picture hold no "image" part.'] }
  setWithBrackets(draft, oldPrompt(image['prompt']))
  common(draft, image)
  draft.setSize([image['width'], image['height']])
  const sampler = textOf(image['sampler'])
  draft.setSampler(sampler, invokeSampler(sampler ?? ''))
  draft.setModel(fields['model_weights'] ?? fields['model'], fields['model_hash'])
  draft.keepOthers(image, ['prompt', 'width', 'height', 'sampler', 'seed', 'cfg_scale', 'steps', 'strength'])
  draft.keepOthers(fields, ['image', 'images', 'model_weights', 'model_hash'])
  return draft.reading()
}

function common(draft: RecipeDraft, fields: Fields): void {
  draft.setSeed(fields['seed'])
  draft.setNumber('steps', fields['steps'])
  draft.setNumber('guidanceScale', fields['cfg_scale'])
  draft.setNumber('strength', fields['strength'])
}

/** One text, or a list of texts with weights, which were blended. */
function oldPrompt(value: unknown): string | undefined {
  if (!Array.isArray(value)) return textOf(value)
  const parts = value.slice(0, 100).map(part => textOf(fieldsOf(part)?.['prompt']) ?? '')
  return parts.filter(Boolean).join('\n')
}

/** Before version 3 there was one field, and what stood in square brackets was negative. */
function setWithBrackets(draft: RecipeDraft, text: string | undefined): void {
  const negative: string[] = []
  const prompt = (text ?? '').slice(0, 1 << 20).replace(/\[([^[\]]*)\]/g, (_, inner: string) => {
    negative.push(inner.trim())
    return ''
  })
  draft.setPrompts(prompt.trim(), negative.join(', '))
}

/** `"a red car [people]" -s 50 -S 42 -W 512 -H 512 -C 7.5 -A k_lms` */
export function recipeFromDream(text: string): RecipeReading {
  const draft = new RecipeDraft('invokeai', 'compel')
  const line = text.slice(0, 1 << 20)
  const quoted = /^\s*"((?:[^"\\]|\\.){0,200000})"/.exec(line)
  const options = quoted ? line.slice(quoted[0].length) : (/\s-[a-zA-Z][\s\d].*$/s.exec(line)?.[0] ?? '')
  const prompt = quoted
    ? (quoted[1] ?? '').replace(/\\(.)/g, '$1')
    : line.slice(0, line.length - options.length)
  setWithBrackets(draft, prompt)
  const unread: string[] = []
  for (const [whole, name = '', value = ''] of options
    .slice(0, 10_000)
    .matchAll(/(?:^|\s)-(\w)\s*([^\s-]\S*)/g)) {
    if (name === 's') draft.setNumber('steps', value)
    else if (name === 'S') draft.setSeed(value)
    else if (name === 'W') draft.setNumber('width', value)
    else if (name === 'H') draft.setNumber('height', value)
    else if (name === 'C') draft.setNumber('guidanceScale', value)
    else if (name === 'f') draft.setNumber('strength', value)
    else if (name === 'A') draft.setSampler(value, invokeSampler(value))
    else unread.push(whole)
  }
  if (unread.length) draft.keep('Dream', unread.join(' '))
  return draft.reading()
}
