/** What is to be exported of the shown picture's maps, asked of the host: a preview, a zip, or files in a folder. */
import { create } from 'zustand'
import {
  exportedMapsSchema,
  type ExportMapsHeader,
  hostPaths,
  type MapsPreview,
  mapsPreviewSchema,
} from '../../../model/contract/host-api.ts'
import type { Colormap } from '../../engine/heat.ts'
import { recordingOf, stepMapsOf } from '../../engine/recording.ts'
import { callHost, hostKind, postBytes } from '../../host/client.ts'
import type { DrawnPicture } from '../../state/pictures.ts'
import { useWords } from '../../state/words.ts'
import type { Strings } from '../../strings/index.ts'

/** As the command line names them. */
export const formatGroups = {
  pictures: ['png', 'overlay', 'webp', 'figure'],
  numbers: ['png16', 'npy', 'npz', 'safetensors', 'recording'],
  reports: ['csv', 'json'],
} as const
export type ExportFormat = (typeof formatGroups)[keyof typeof formatGroups][number]

export interface ExportChoice {
  readonly formats: readonly ExportFormat[]
  readonly rule: 'mean' | 'daam'
  readonly colormap: Colormap
  readonly normalise: 'minmax' | 'shared' | 'absolute'
  readonly steps: 'running' | 'each'
  readonly layers: boolean
  readonly folder: string
  readonly overwrite: boolean
}

/** Kept while the window is open: people export many pictures in one way. */
export const useExport = create<ExportChoice>(() => ({
  formats: ['png', 'overlay', 'npz'],
  rule: 'mean',
  colormap: 'viridis',
  normalise: 'minmax',
  steps: 'running',
  layers: false,
  folder: '',
  overwrite: false,
}))

/** Why a picture's maps cannot be exported; undefined when they can. */
export function whyNot(picture: DrawnPicture | undefined, words: Strings['export']): string | undefined {
  if (hostKind() === 'memory') return words.noHost
  if (!picture) return words.noPicture
  if (picture.isSample) return words.isSample
  if (picture.attention) return undefined
  return picture.maps ? words.notKept : words.noCapture
}

/** Words by their text, each once: files of a word that stands twice are told apart by number. */
export function wordsOf(picture: DrawnPicture): string[] {
  return [...new Map(picture.attention?.words.map(({ text }) => [text.toLowerCase(), text])).values()]
}

/** Pinned words, where some of this picture's are; else all. */
export function firstChoice(picture: DrawnPicture): string[] {
  const { pinned } = useWords.getState()
  const all = wordsOf(picture)
  const chosen = all.filter(word => pinned.some(({ text }) => text.toLowerCase() === word.toLowerCase()))
  return chosen.length > 0 ? chosen : all
}

/** Formats that this picture cannot have, with the reason. */
export function missing(
  picture: DrawnPicture,
  words: Strings['export'],
): Partial<Record<ExportFormat, string>> {
  const { attention, steps } = picture
  const hasSteps = attention && stepMapsOf(steps, attention.words.length, attention.steps) !== undefined
  return {
    ...(picture.saved === undefined && { overlay: words.overlayWaits }),
    ...(!hasSteps && { webp: words.webpMissing }),
  }
}

/** What the host is told beside the recording. */
export function headerOf(
  choice: ExportChoice,
  picture: DrawnPicture,
  words: readonly string[],
  cannot: Partial<Record<ExportFormat, string>>,
): ExportMapsHeader {
  const formats = choice.formats.filter(format => cannot[format] === undefined)
  return {
    formats,
    words: [...words],
    rule: choice.rule,
    colormap: choice.colormap,
    normalise: choice.normalise,
    ...(formats.includes('webp') && { steps: choice.steps }),
    ...(choice.layers && { layers: ['all'] }),
    ...(formats.includes('overlay') && picture.saved !== undefined && { picture: picture.saved }),
  }
}

let kept: { readonly picture: number; readonly bytes: Uint8Array } | undefined

/** The picture's recording, made once while the dialog looks at it. @throws AttuneError */
async function recording(picture: DrawnPicture): Promise<Uint8Array> {
  if (kept?.picture === picture.id) return kept.bytes
  const { version } = await callHost('app.info')
  const { attention } = picture
  if (!attention) throw new Error('no capture')
  const { request, steps, schedule, tokenWeights, spot, model } = picture
  const bytes = recordingOf(
    { request, attention, steps, schedule, tokenWeights, spot },
    version,
    model ?? 'Storybook',
  )
  kept = { picture: picture.id, bytes }
  return bytes
}

/** Gives its memory back. */
export function forgetRecording(): void {
  kept = undefined
}

/** @throws AttuneError */
export async function previewMaps(picture: DrawnPicture, header: ExportMapsHeader): Promise<MapsPreview> {
  const answer = await postBytes(hostPaths.exportMaps, await recording(picture), { ...header, preview: true })
  return mapsPreviewSchema.parse(await answer.json())
}

/** @returns a zip. @throws AttuneError */
export async function zipMaps(picture: DrawnPicture, header: ExportMapsHeader): Promise<Blob> {
  const answer = await postBytes(hostPaths.exportMaps, await recording(picture), header)
  return answer.blob()
}

/** @returns the names of the files. @throws AttuneError */
export async function saveMaps(
  picture: DrawnPicture,
  header: ExportMapsHeader,
  folder: string,
  overwrite: boolean,
): Promise<string[]> {
  const whole = { ...header, folder, ...(overwrite && { overwrite }) }
  const answer = await postBytes(hostPaths.exportMaps, await recording(picture), whole)
  return exportedMapsSchema.parse(await answer.json()).files
}
