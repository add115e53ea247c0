/** A model folder on this machine. */
import { readFile, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { AttuneError } from '../model/contract/errors.ts'
import type { ModelFolder } from '../model/pipeline/folder.ts'
import { type FileSource, openFileSource } from './files.ts'

/** Texts of a model folder (configurations, vocabularies) are small; anything larger is not one. */
const textLimit = 64 * 2 ** 20

export interface HostModelFolder extends ModelFolder {
  /** Paths of the weights that were opened below `component`, such as `unet`, in the order of opening. */
  opened(component: string): string[]
}

/** @throws AttuneError `bad-argument` when there is no such folder. */
export async function openModelFolder(path: string): Promise<HostModelFolder> {
  const info = await stat(path).catch(() => undefined)
  if (!info) {
    throw new AttuneError('bad-argument', `There is no model at ${path}.`, 'Check the path given to --model.')
  }
  if (!info.isDirectory()) {
    throw new AttuneError(
      'unsupported',
      `${path} is a single file; this version opens models in folders of diffusers layout.`,
      'Give the folder that holds model_index.json, unet/, vae/ and text_encoder/.',
    )
  }
  const root = await realpath(path)
  const open: FileSource[] = []
  const opened = new Map<string, string>()
  const find = async (relative: string): Promise<string | undefined> => {
    const file = join(root, relative)
    return (await stat(file).catch(() => undefined)) ? file : undefined
  }
  return {
    name: path,
    async text(relative) {
      const file = await find(relative)
      if (!file) return undefined
      const { size } = await stat(file)
      if (size > textLimit) {
        throw new AttuneError(
          'bad-file',
          `${file} is ${size} bytes: too large for a text.`,
          'Download it again.',
        )
      }
      return readFile(file, 'utf8')
    },
    async source(relative) {
      const file = await find(relative)
      if (!file) return undefined
      const source = await openFileSource(file)
      open.push(source)
      opened.set(relative, file)
      return source
    },
    opened: component =>
      [...opened].filter(([relative]) => relative.startsWith(`${component}/`)).map(([, file]) => file),
    async close() {
      await Promise.all(open.splice(0).map(source => source.close()))
    },
  }
}
