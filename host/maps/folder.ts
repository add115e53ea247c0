/** The folder that maps are written into: what would be in the way is found before anything is drawn or written. */
import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { AttuneError } from '../../model/contract/errors.ts'
import { checkWritable, exists } from '../write.ts'
import type { MapFormat } from './options.ts'

/** A file that is still to be made: nothing large is held before its turn. */
export interface Planned {
  readonly name: string
  make(): Promise<Uint8Array> | Uint8Array
}

/** Files that a format writes once, whatever the words are. */
const onceFiles: Readonly<Partial<Record<MapFormat, readonly string[]>>> = {
  npz: ['maps.npz'],
  safetensors: ['maps.safetensors'],
  recording: ['recording.safetensors'],
  csv: ['report.csv'],
  json: ['report.json'],
  figure: ['figure.png', 'figure.svg'],
}

/** Stems that no word may have: a word of that name gets a number. */
export function reservedStems(formats: readonly MapFormat[]): string[] {
  const stems = formats.flatMap(format => onceFiles[format] ?? []).map(name => name.replace(/\.[^.]+$/, ''))
  return [...new Set([...stems, 'manifest', 'report', 'meter'])]
}

/**
 * Refuses, before a run, a folder into which its maps could not be written. Which words there are is known after it;
 * every export writes manifest.json, so an earlier one is found by that.
 * @throws AttuneError `bad-argument`
 */
export async function checkMapsFolder(
  folder: string,
  formats: readonly MapFormat[],
  overwrite: boolean,
): Promise<void> {
  const names = [...formats.flatMap(format => onceFiles[format] ?? []), 'manifest.json']
  await checkFree(folder, names, overwrite)
}

/** Looks for everything in the way before the first byte is written, and makes the folder. */
export async function checkFolder(
  folder: string,
  planned: readonly Planned[],
  overwrite: boolean,
): Promise<void> {
  await checkFree(
    folder,
    planned.map(({ name }) => name),
    overwrite,
  )
  const found = await stat(folder).catch(() => undefined)
  if (!found) await mkdir(folder, { recursive: true }).catch(() => undefined) // the first write says why, if it fails
}

async function checkFree(folder: string, names: readonly string[], overwrite: boolean): Promise<void> {
  await checkWritable(join(folder, 'manifest.json'))
  if (overwrite) return
  for (const name of names) {
    if (!(await exists(join(folder, name)))) continue
    throw new AttuneError(
      'bad-argument',
      `${join(folder, name)} is there already. Nothing was written.`,
      'Choose another folder, or add --overwrite to replace the files of these names.',
    )
  }
}
