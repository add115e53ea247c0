/**
 * Exports of a window's attention recording: a zip, files in a folder, or a preview of either. All three take their
 * files from one plan, so that what was shown is what is written.
 */
import { basename, isAbsolute } from 'node:path'
import type { z } from 'zod'
import { readRecording } from '../../model/attention/recording.ts'
import { memorySource } from '../../model/contract/bytes.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import { type exportedMapsSchema, exportMapsHeader, type MapsPreview } from '../../model/contract/host-api.ts'
import { inspectPicture, readPicture } from '../images.ts'
import { writePlan } from '../maps/export.ts'
import type { Planned } from '../maps/folder.ts'
import {
  parseColormap,
  parseFormats,
  parseMapRule,
  parseNormalisation,
  parseStepKind,
} from '../maps/options.ts'
import { planExport } from '../maps/plan.ts'
import { writeZip } from '../maps/zip.ts'
import { badArgument } from './errors.ts'

export type MapsAnswer =
  | { readonly kind: 'zip'; readonly bytes: Uint8Array }
  | { readonly kind: 'folder'; readonly value: z.output<typeof exportedMapsSchema> }
  | { readonly kind: 'preview'; readonly value: MapsPreview }

/** A larger picture is not sent only to be looked at. */
const previewByteLimit = 16 << 20

/**
 * Exports an attention recording.
 * @param header see `exportMapsHeader`
 * @param bytes of the recording
 * @param pictureOf the path of a picture of the gallery
 * @throws AttuneError `bad-argument` for a choice that cannot be exported, before anything is written; `bad-file` for
 *   bytes that are no recording, or a disk that refuses
 */
export async function exportRecording(
  header: unknown,
  bytes: Uint8Array,
  pictureOf: (id: number) => Promise<string>,
): Promise<MapsAnswer> {
  const parsed = exportMapsHeader.safeParse(header)
  if (!parsed.success) throw badArgument('The choice of maps', parsed.error.issues, parsed.error)
  const { formats, words, layers, colormap, normalise, rule, steps, picture, folder } = parsed.data
  if (folder !== undefined && !isAbsolute(folder)) {
    throw new AttuneError(
      'bad-argument',
      `"${folder.slice(0, 80)}" is not a whole path.`,
      'Begin with the drive or with /.',
    )
  }
  const choice = {
    formats: parseFormats(formats.join(','), 'formats'),
    ...(words && { words }),
    ...(layers && { layers }),
    ...(colormap !== undefined && { colormap: parseColormap(colormap) }),
    ...(normalise !== undefined && { normalise: parseNormalisation(normalise) }),
    ...(rule !== undefined && { rule: parseMapRule(rule, 'rule') }),
    ...(steps !== undefined && { steps: parseStepKind(steps, 'steps') }),
  }
  const recording = await readRecording(memorySource('the recording', bytes))
  const path = picture === undefined ? undefined : await pictureOf(picture)
  const size = path === undefined ? undefined : await inspectPicture(path)
  const { captured, run, perStep, spot, heads, otherMetadata } = recording
  const plan = planExport(captured, {
    ...choice,
    ...(path !== undefined && size && { image: await readPicture(path, size.width, size.height) }),
    run,
    recordedHeads: heads,
    otherMetadata,
    ...(perStep && { perStep }),
    ...(spot && { spot }),
  })
  if (parsed.data.preview) return { kind: 'preview', value: await previewOf(plan.files) }
  if (folder !== undefined) {
    const files = await writePlan(plan, folder, { overwrite: parsed.data.overwrite === true })
    return { kind: 'folder', value: { folder, files: files.map(file => basename(file)) } }
  }
  const members: { name: string; data: Uint8Array }[] = []
  for (const { name, make } of plan.files) members.push({ name, data: await make() })
  return { kind: 'zip', bytes: writeZip(members) }
}

/** Endings of what a window can show, the most telling first. */
const shown: readonly (readonly [ending: RegExp, type: string])[] = [
  [/\.overlay\.png$/, 'image/png'],
  [/^(?!figure\.).*(?<!\.16)\.png$/, 'image/png'],
  [/\.webp$/, 'image/webp'],
  [/^figure\.png$/, 'image/png'],
  [/\.16\.png$/, 'image/png'],
]

async function previewOf(files: readonly Planned[]): Promise<MapsPreview> {
  const names = files.map(({ name }) => name)
  for (const [ending, type] of shown) {
    const file = files.find(({ name }) => ending.test(name))
    if (!file) continue
    const bytes = await file.make()
    if (bytes.length > previewByteLimit) continue
    return { files: names, picture: { name: file.name, type, base64: Buffer.from(bytes).toString('base64') } }
  }
  return { files: names }
}
