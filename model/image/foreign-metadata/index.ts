/**
 * Recipes of pictures that other programs made (and ours): finds out who wrote a picture's texts and reads them into
 * one neutral form. Pictures come from strangers: a reader may find nonsense, and then says so in a sentence; it
 * never throws for it, and what one reader cannot use is left for the next.
 */
import { AttuneError } from '../../contract/errors.ts'
import { readRecord, recordKeyword } from '../../contract/record.ts'
import { infotextKeyword } from '../infotext.ts'
import { type Inflate, inflateWithStream } from '../png-text.ts'
import { isComfyGraph, recipeFromComfyGraph } from './comfy.ts'
import { type MetadataTexts, readMetadataTexts, userCommentOfXmp } from './containers.ts'
import { isInfotext, recipeFromInfotext } from './infotext-recipe.ts'
import { recipeFromDream, recipeFromInvoke, recipeFromOldInvoke } from './invoke.ts'
import {
  isDrawThings,
  isEasy,
  isFooocus,
  isNovel,
  recipeFromDrawThings,
  recipeFromEasy,
  recipeFromFooocus,
  recipeFromNovel,
  recipeFromSwarm,
} from './json-dialects.ts'
import { parseForeignJson } from './json.ts'
import { type Fields, fieldsOf, RecipeDraft, type RecipeReading } from './recipe.ts'

export { readMetadataTexts, type MetadataTexts } from './containers.ts'
export {
  type Recipe,
  type RecipeReading,
  type RecipeTool,
  recipeTools,
  toolNames,
} from './recipe.ts'
export { readStealthTexts } from './stealth.ts'

/**
 * Reads the recipe of a picture file (PNG, JPEG, WebP) without decoding it.
 * @throws AttuneError `bad-file` only when the bytes are no such picture
 */
export async function readRecipe(
  bytes: Uint8Array,
  inflate: Inflate = inflateWithStream,
): Promise<RecipeReading> {
  return recipeFromTexts(await readMetadataTexts(bytes, inflate))
}

/** One place that may hold a recipe; undefined when it does not look like this program's. */
type Reader = (
  source: MetadataTexts,
  text: (keyword: string) => string | undefined,
) => RecipeReading | undefined

/** From the most telling to the least: `parameters` is written by half a dozen programs. */
const readers: readonly Reader[] = [
  (_, text) => read(text(recordKeyword), recipeFromRecord),
  (_, text) => readJson('InvokeAI', text('invokeai_metadata'), recipeFromInvoke),
  (_, text) => readJson('InvokeAI', text('sd-metadata'), recipeFromOldInvoke),
  (_, text) => read(text('Dream') ?? text('dream'), recipeFromDream),
  (_, text) => novel(text),
  (source, text) => readParameters(text(infotextKeyword), text('fooocus_scheme') ?? source.makerNote),
  (_, text) => readGraph(text('prompt'), text('workflow') !== undefined),
  source => easyFrom(source),
  source => read(source.xmp && userCommentOfXmp(source.xmp), readAnything),
  source => read(source.userComment, readAnything),
  source => read(source.comment, readAnything),
]

/** Reads the recipe of texts that a container gave. Never throws. */
export function recipeFromTexts(source: MetadataTexts): RecipeReading {
  const text = (keyword: string) => source.texts.find(entry => entry.keyword === keyword)?.text
  const messages: string[] = []
  for (const reader of readers) {
    let found: RecipeReading | undefined
    try {
      found = reader(source, text)
    } catch (error) {
      // A reader that stumbles over a stranger's text is no reason to refuse the picture.
      messages.push(
        error instanceof AttuneError ? error.message : 'A part of the settings could not be read.',
      )
    }
    if (found?.recipe) {
      const recipe = withOtherTexts(found.recipe, source)
      return { recipe, messages: [...messages, ...found.messages, ...skippedOf(source)] }
    }
    messages.push(...(found?.messages ?? []))
  }
  messages.push(...skippedOf(source))
  const hasText = source.texts.length > 0 || source.userComment || source.comment || source.xmp
  if (!messages.length)
    messages.push(
      hasText
        ? 'The picture carries texts, but none of them says how it was made.'
        : 'The picture carries no settings: the program did not write them, or a web site removed them.',
    )
  return { messages: [...new Set(messages)] }
}

function skippedOf(source: MetadataTexts): string[] {
  return source.skipped.map(what => `Not read: ${what}.`)
}

/** Texts that the recipe was not read from are kept as they were. */
function withOtherTexts(recipe: NonNullable<RecipeReading['recipe']>, source: MetadataTexts) {
  const read = new Set<string>([
    'invokeai_metadata',
    'sd-metadata',
    'XML:com.adobe.xmp',
    infotextKeyword,
    recordKeyword,
  ])
  if (recipe.tool === 'comfyui') read.add('prompt')
  if (recipe.tool === 'novelai') for (const keyword of ['Comment', 'Description']) read.add(keyword)
  const others: Record<string, unknown> = Object.create(null) as Record<string, unknown>
  // Easy Diffusion's texts are its fields, which the reader has kept already.
  if (recipe.tool !== 'easy-diffusion') {
    for (const { keyword, text } of source.texts.slice(0, 200)) if (!read.has(keyword)) others[keyword] = text
  }
  return { ...recipe, unknown: Object.assign(Object.create(null), others, recipe.unknown) as Fields }
}

function read(text: string | undefined, reader: (text: string) => RecipeReading): RecipeReading | undefined {
  return text === undefined || text.trim() === '' ? undefined : reader(text)
}

function readJson(
  program: string,
  text: string | undefined,
  reader: (fields: Fields) => RecipeReading,
): RecipeReading | undefined {
  if (text === undefined) return undefined
  const json = parseForeignJson(text)
  if (json.problem !== undefined)
    return { messages: [`The settings of ${program} in the picture cannot be read: ${json.problem}.`] }
  const fields = fieldsOf(json.value)
  return fields
    ? reader(fields)
    : { messages: [`The settings of ${program} in the picture are not an object.`] }
}

/** Our own record, as the neutral form; the exact one is `readRecord`. */
function recipeFromRecord(text: string): RecipeReading {
  const record = readRecord(text)
  const { request } = record
  const draft = new RecipeDraft('attune', request.dialect ?? 'plain')
  draft.setPrompts(request.prompt, request.negativePrompt)
  for (const field of ['width', 'height', 'steps', 'guidanceScale', 'clipSkip', 'strength'] as const)
    draft.setNumber(field, request[field])
  draft.setSeed(request.seed)
  draft.setSampler(request.sampler, request.sampler)
  draft.setModel(record.model.name, record.model.sha256)
  draft.keepOthers(
    request,
    'prompt negativePrompt width height steps guidanceScale clipSkip strength seed sampler dialect',
  )
  draft.keepOthers(record, ['request', 'model', 'format', 'version'])
  return draft.reading()
}

function readParameters(text: string | undefined, scheme: string | undefined): RecipeReading | undefined {
  if (text === undefined || text.trim() === '') return undefined
  if (!looksLikeJson(text)) {
    const reading = recipeFromInfotext(text)
    const isFooocusText = reading.recipe?.tool === 'a1111' && scheme === 'a1111'
    return isFooocusText && reading.recipe
      ? { ...reading, recipe: { ...reading.recipe, tool: 'fooocus' } }
      : reading
  }
  const json = parseForeignJson(text)
  const fields = json.problem === undefined ? fieldsOf(json.value) : undefined
  const found = fields && fromFields(fields, scheme)
  if (found) return found
  // A prompt may begin with a brace: A1111's wildcards do.
  if (isInfotext(text)) return recipeFromInfotext(text)
  return {
    messages: [
      `The settings in "parameters" cannot be read: ${json.problem ?? 'their program is not known'}.`,
    ],
  }
}

/** JSON of an unknown program. */
function fromFields(fields: Fields, scheme?: string): RecipeReading | undefined {
  if ('sui_image_params' in fields) return recipeFromSwarm(fields)
  if (scheme === 'fooocus' || isFooocus(fields)) return recipeFromFooocus(fields)
  if ('positive_prompt' in fields) return recipeFromInvoke(fields)
  if (isDrawThings(fields)) return recipeFromDrawThings(fields)
  if (isNovel(fields)) return recipeFromNovel(fields)
  if (isComfyGraph(fields)) return recipeFromComfyGraph(fields)
  const graph = fieldsOf(fields['prompt'])
  if (graph && isComfyGraph(graph)) return recipeFromComfyGraph(graph)
  return isEasy(fields) ? recipeFromEasy(fields) : undefined
}

/** A text of which only the place is known: JSON of some program, or an infotext. */
function readAnything(text: string): RecipeReading {
  if (looksLikeJson(text)) {
    const json = parseForeignJson(text)
    const fields = json.problem === undefined ? fieldsOf(json.value) : undefined
    const found = fields && fromFields(fields)
    if (found) return found
  }
  // Cameras and editors write comments too: only a line of settings makes one a recipe.
  return isInfotext(text) ? recipeFromInfotext(text) : { messages: [] }
}

function readGraph(text: string | undefined, hasWorkflow: boolean): RecipeReading | undefined {
  if (text === undefined) {
    return hasWorkflow
      ? {
          messages: [
            'The picture holds a ComfyUI workflow without the graph that was run, so no settings can be read.',
          ],
        }
      : undefined
  }
  if (!looksLikeJson(text)) return undefined
  const json = parseForeignJson(text)
  if (json.problem !== undefined) return { messages: [`The ComfyUI graph cannot be read: ${json.problem}.`] }
  return isComfyGraph(json.value) ? recipeFromComfyGraph(json.value) : undefined
}

function novel(text: (keyword: string) => string | undefined): RecipeReading | undefined {
  const comment = text('Comment')
  if (comment === undefined || !looksLikeJson(comment)) return undefined
  const json = parseForeignJson(comment)
  const fields = json.problem === undefined ? fieldsOf(json.value) : undefined
  const isOurs = text('Software') === 'NovelAI' || (fields !== undefined && isNovel(fields))
  if (!isOurs) return undefined
  if (!fields)
    return {
      messages: [
        `The settings of NovelAI in the picture cannot be read: ${json.problem ?? 'they are not an object'}.`,
      ],
    }
  return recipeFromNovel(fields, text('Description'), text('Source'))
}

function easyFrom(source: MetadataTexts): RecipeReading | undefined {
  const fields: Record<string, unknown> = Object.create(null) as Record<string, unknown>
  for (const { keyword, text } of source.texts.slice(0, 200)) fields[keyword] ??= text
  return isEasy(fields) ? recipeFromEasy(fields) : undefined
}

function looksLikeJson(text: string): boolean {
  return /^\s{0,100}[{[]/.test(text)
}
