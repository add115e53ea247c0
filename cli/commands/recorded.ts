/**
 * What a picture says of how it was drawn, as a request: from our own record, whole, or from what other programs write,
 * as far as it goes. Pictures come from strangers: everything is checked, nothing is opened that they name.
 */
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import type { z } from 'zod'
import { inspectPicture } from '../../host/images.ts'
import { type Controls, controlsSchema } from '../../model/contract/controls.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import { type PictureRecord, readRecord, recordKeyword } from '../../model/contract/record.ts'
import { type GenerateRequest, generateRequestSchema, parseRequest } from '../../model/contract/request.ts'
import {
  readMetadataTexts,
  type Recipe,
  recipeFromTexts,
  toolNames,
} from '../../model/image/foreign-metadata/index.ts'
import { withoutUndefined } from '../options.ts'

export interface RecordedPicture {
  readonly request: GenerateRequest
  readonly model?: { readonly name?: string; readonly sha256?: string }
  /** Roles of files that took part: `init`, `mask`, `latents`, `step-noise`. */
  readonly inputs: readonly string[]
  /** What could not be taken over, in sentences. */
  readonly notices: readonly string[]
}

/** @throws AttuneError `bad-argument` for a picture that does not say enough, `bad-file`, `unsupported` */
export async function readRecordedPicture(path: string): Promise<RecordedPicture> {
  await inspectPicture(path)
  const texts = await readMetadataTexts(new Uint8Array(await readFile(path)))
  const own = texts.texts.find(({ keyword }) => keyword === recordKeyword)?.text
  if (own !== undefined) return fromRecord(readRecord(own), basename(path))
  const { recipe, messages } = recipeFromTexts(texts)
  if (!recipe) {
    throw new AttuneError(
      'bad-argument',
      `${basename(path)} does not say how it was drawn. ${messages.join(' ')}`.trim(),
      'Edit a picture as Attune wrote it: web sites and many programs remove what is in it.',
    )
  }
  return fromRecipe(recipe, basename(path))
}

function fromRecord({ request: recorded, model, inputs = [] }: PictureRecord, name: string): RecordedPicture {
  const known = new Set(Object.keys(generateRequestSchema.shape))
  const others = Object.keys(recorded).filter(key => !known.has(key))
  const { controls, dropped } = controlsOf(recorded.controls ?? {})
  const lost = [...others, ...dropped]
  const request = parseRequest(
    withoutUndefined({
      ...Object.fromEntries(Object.entries(recorded).filter(([key]) => known.has(key))),
      // Before there were dialects, prompts were plain text.
      dialect: recorded.dialect ?? 'plain',
      controls,
    }),
    field => `${field} in the record of ${name}`,
  )
  return {
    request,
    model: { name: model.name, ...(model.sha256 !== undefined && { sha256: model.sha256 }) },
    inputs: [
      ...new Set([...inputs.map(({ role }) => role), ...(recorded.strength === undefined ? [] : ['init'])]),
    ],
    notices:
      lost.length > 0
        ? [
            `Not taken over, since this version does not know it: ${list(lost)}. The recomputed original may differ.`,
          ]
        : [],
  }
}

/** The controls that this version knows, and the names of the others. */
function controlsOf(recorded: Readonly<Record<string, unknown>>): {
  controls: Controls | undefined
  dropped: string[]
} {
  const shape: Readonly<Record<string, z.ZodType>> = controlsSchema.shape
  const kept: Record<string, unknown> = {}
  const dropped: string[] = []
  for (const [key, value] of Object.entries(recorded)) {
    const parsed = Object.hasOwn(shape, key) ? shape[key]?.safeParse(value) : undefined
    if (parsed?.success) kept[key] = parsed.data
    else dropped.push(`controls.${key}`)
  }
  return { controls: Object.keys(kept).length > 0 ? (kept as Controls) : undefined, dropped }
}

function fromRecipe(recipe: Recipe, name: string): RecordedPicture {
  const { seed, unknown, tool, model } = recipe
  if (seed === undefined) {
    throw new AttuneError(
      'bad-argument',
      `${name} names no seed that can be used: the picture cannot be recomputed. ${recipe.notes.join(' ')}`.trim(),
      'Draw a picture of these words with attune generate, and edit that.',
    )
  }
  const { RNG: generator, ...others } = unknown
  // A1111 and its relatives draw noise on the graphics card unless they say otherwise.
  const onCard = (tool === 'a1111' || tool === 'forge') && generator !== 'CPU'
  // With a second pass at a larger size, the strength is that pass's.
  const isLarger = Object.keys(others).some(key => /^hires/i.test(key))
  const { width, height, steps, guidanceScale, sampler, clipSkip, strength, dialect = 'plain' } = recipe
  const request = parseRequest(
    withoutUndefined({
      prompt: recipe.prompt,
      negativePrompt: recipe.negativePrompt,
      seed,
      rng: generator === 'NV' || onCard ? 'philox' : 'cpu',
      dialect,
      width,
      height,
      steps,
      guidanceScale,
      sampler,
      clipSkip,
      strength: isLarger ? undefined : strength,
    }),
    field => `${field} of ${name}`,
  )
  const lost = Object.keys(others)
  return {
    request,
    ...(model && {
      model: {
        ...(model.name !== undefined && { name: model.name }),
        ...(model.hash !== undefined && /^[0-9a-f]{10,64}$/i.test(model.hash) && { sha256: model.hash }),
      },
    }),
    inputs: request.strength === undefined ? [] : ['init'],
    notices: [
      `The settings are those that ${toolNames[tool]} wrote: the original is recomputed as far as they go.`,
      ...recipe.notes,
      ...(lost.length > 0 ? [`Not taken over: ${list(lost)}.`] : []),
    ],
  }
}

function list(names: readonly string[]): string {
  return `${names.slice(0, 12).join(', ')}${names.length > 12 ? ' …' : ''}`
}
