/** A model folder made of files that the person chose in a page: a dropped folder, or a directory picker's. */
import type { ByteSource } from '../contract/bytes.ts'
import { AttuneError } from '../contract/errors.ts'
import type { ModelFolder } from '../pipeline/folder.ts'

export interface FolderFile {
  /** Relative to the model's folder, with forward slashes. */
  readonly path: string
  readonly content: Blob
}

/** Folders of one name are different folders: weights on the GPU are known by their source's name. */
let opened = 0

export function openFileFolder(name: string, files: readonly FolderFile[]): ModelFolder {
  const byPath = new Map(files.map(({ path, content }) => [path.replace(/^\.?\//, ''), content]))
  const number = ++opened
  return {
    name,
    async text(path) {
      const content = byPath.get(path)
      return content && (await readable(content.text(), `${name}/${path}`))
    },
    source(path) {
      const content = byPath.get(path)
      return Promise.resolve(content && blobSource(`${name}/${path} (${number})`, content))
    },
    close: () => Promise.resolve(),
  }
}

function blobSource(name: string, content: Blob): ByteSource {
  return {
    name,
    byteLength: content.size,
    async read(offset, byteLength, into) {
      if (offset < 0 || byteLength < 0 || offset + byteLength > content.size) {
        throw new AttuneError(
          'bad-file',
          `${name}: bytes ${offset} to ${offset + byteLength} lie outside the file of ${content.size} bytes.`,
          'The file is cut off: download it again.',
        )
      }
      const bytes = new Uint8Array(
        await readable(content.slice(offset, offset + byteLength).arrayBuffer(), name),
      )
      if (!into) return bytes
      into.set(bytes)
      return into.subarray(0, byteLength)
    },
  }
}

/** A file that changed on the disk after it was chosen can no longer be read. */
function readable<T>(reading: Promise<T>, name: string): Promise<T> {
  return reading.catch((cause: unknown) => {
    throw new AttuneError(
      'bad-file',
      `${name} can no longer be read (${cause instanceof Error ? cause.message : String(cause)}).`,
      'It may have changed or moved: choose the folder again.',
      { cause },
    )
  })
}
