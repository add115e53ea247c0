/** Pictures that come from a window: drawn ones to keep, strangers' to read. */
import { basename, join } from 'node:path'
import { AttuneError } from '../../model/contract/errors.ts'
import { type HostRecipe, type savedPictureSchema, savePictureHeader } from '../../model/contract/host-api.ts'
import { hasNoInputs, recordedInputs } from '../../model/contract/inputs.ts'
import {
  type PictureRecord,
  readRecord,
  recordKeyword,
  recordLengthLimit,
  recordSchema,
  writeRecord,
} from '../../model/contract/record.ts'
import { readMetadataTexts, recipeFromTexts } from '../../model/image/foreign-metadata/index.ts'
import { infotextKeyword, infotextOf } from '../../model/image/infotext.ts'
import { encodePng, pictureLimits } from '../images.ts'
import { writeFileNew } from '../write.ts'
import { badArgument } from './errors.ts'
import { pictureName } from '../picture-name.ts'
import { recipeView } from './views.ts'
import type { z } from 'zod'

/** Pictures of strangers that are read for their recipe, in bytes. */
export const recipeByteLimit = 128 << 20

export interface PictureTexts {
  readonly recipe?: HostRecipe
  readonly record?: PictureRecord
  readonly infotext?: string
  readonly messages: readonly string[]
}

/**
 * What a picture says of itself.
 * @throws AttuneError `bad-file` when the bytes are no picture
 */
export async function readTexts(bytes: Uint8Array): Promise<PictureTexts> {
  const texts = await readMetadataTexts(bytes)
  const { recipe, messages } = recipeFromTexts(texts)
  const textOf = (keyword: string) => texts.texts.find(entry => entry.keyword === keyword)?.text
  const record = recordOf(textOf(recordKeyword))
  const infotext = textOf(infotextKeyword) ?? (record && infotextOf(record))
  return {
    ...(recipe && { recipe: recipeView(recipe) }),
    ...(record && { record }),
    ...(infotext !== undefined && { infotext }),
    messages,
  }
}

/** A record that cannot be read is told by the recipe's messages. */
function recordOf(text: string | undefined): PictureRecord | undefined {
  try {
    return text === undefined ? undefined : readRecord(text)
  } catch {
    return undefined
  }
}

export interface SavePlace {
  readonly folder: string
  readonly version: string
  readonly now: Date
  /** Puts the file into the gallery. @returns its number there */
  add(path: string): Promise<number | undefined>
}

/** How many bytes the pixels of a header are. */
export function pixelBytesOf(header: unknown): number {
  const { width, height, channels } = checkSaveHeader(header)
  return width * height * channels
}

function checkSaveHeader(header: unknown): z.output<typeof savePictureHeader> {
  const parsed = savePictureHeader.safeParse(header)
  if (!parsed.success) throw badArgument('The picture', parsed.error.issues, parsed.error)
  const { width, height } = parsed.data
  if (width * height > pictureLimits.pixels) {
    throw new AttuneError(
      'bad-argument',
      `A picture of ${width}x${height} pixels is more than the ${pictureLimits.pixels / 1e6} million that are saved.`,
      'Draw a smaller one.',
    )
  }
  return parsed.data
}

/**
 * Encodes pixels as a PNG with both records, as the command line writes it, and puts it into the gallery.
 * @throws AttuneError `bad-argument` for a header or pixels that do not fit, `bad-file` when it cannot be written
 */
export async function savePicture(
  header: unknown,
  pixels: Uint8Array,
  place: SavePlace,
): Promise<z.output<typeof savedPictureSchema>> {
  const { width, height, channels, request, model, inputs, machine } = checkSaveHeader(header)
  if (pixels.length !== width * height * channels) {
    throw new AttuneError(
      'bad-argument',
      `${pixels.length} bytes are not a picture of ${width}x${height} with ${channels} channels.`,
      'Reload the window and draw again.',
    )
  }
  const parsed = recordSchema.safeParse({
    format: 'attune',
    version: 1,
    app: { name: 'Attune', version: place.version },
    created: place.now.toISOString(),
    request,
    model,
    ...(inputs && !hasNoInputs(inputs) && { inputs: recordedInputs(inputs) }),
    ...(machine && { machine }),
  })
  if (!parsed.success) throw badArgument('The picture’s record', parsed.error.issues, parsed.error)
  const record = parsed.data
  const text = writeRecord(record)
  if (text.length > recordLengthLimit) {
    throw new AttuneError(
      'bad-argument',
      `The record of this picture has ${text.length} characters, more than the ${recordLengthLimit} that are read back.`,
      'Use fewer or smaller masks.',
    )
  }
  const png = await encodePng({ width, height, channels, data: pixels }, [
    { keyword: infotextKeyword, text: infotextOf(record) },
    { keyword: recordKeyword, text },
  ])
  const path = await writeFileNew(join(place.folder, pictureName(record.request, place.now)), png)
  const id = await place.add(path)
  if (id === undefined) {
    throw new AttuneError(
      'internal',
      `${path} was written, but is not in the gallery.`,
      'Reload the gallery; the picture is safe.',
    )
  }
  return { id, name: basename(path) }
}
