/**
 * Small pictures for the grid: WebP, 320 pixels at the longer side, kept by the key of the content, so that a renamed
 * picture keeps its thumbnail and a changed one gets a new one. The folder can be deleted at any time.
 */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { AttuneError } from '../../model/contract/errors.ts'
import { inspectPicture, pictureLimits } from '../images.ts'
import { writeFileAtomic } from '../write.ts'

export const thumbnailSide = 320
const quality = 80
/** More at once would fill the memory with decoded pictures and slow each other down. */
const workers = 2

export class Thumbnails {
  readonly #folder: string
  readonly #running = new Map<string, Promise<string>>()
  readonly #queue: (() => void)[] = []
  #active = 0

  constructor(folder: string) {
    this.#folder = folder
  }

  /**
   * The path of a picture's thumbnail, which is made where it is missing or damaged.
   * @throws AttuneError `bad-file` when the picture cannot be decoded
   */
  get(key: string, picturePath: string): Promise<string> {
    if (!/^[0-9a-f]{16,64}$/.test(key))
      return Promise.reject(
        new AttuneError('bad-file', `${picturePath} cannot be read.`, 'Get a whole copy of it.'),
      )
    const running = this.#running.get(key)
    if (running) return running
    const made = this.#make(key, picturePath).finally(() => this.#running.delete(key))
    this.#running.set(key, made)
    return made
  }

  async #make(key: string, picturePath: string): Promise<string> {
    const path = join(this.#folder, key.slice(0, 2), `${key}.webp`)
    if (await isWholeWebp(path)) return path
    await this.#turn()
    try {
      // Refuses by the header what would not fit the memory.
      await inspectPicture(picturePath)
      const bytes = await sharp(picturePath, {
        limitInputPixels: pictureLimits.pixels,
        pages: 1,
        failOn: 'error',
      })
        .autoOrient()
        .resize(thumbnailSide, thumbnailSide, { fit: 'inside', withoutEnlargement: true })
        .webp({ quality })
        .toBuffer()
        .catch((cause: unknown) => {
          throw new AttuneError(
            'bad-file',
            `${picturePath} is damaged.`,
            'Get a whole copy of the picture.',
            { cause },
          )
        })
      await writeFileAtomic(path, bytes, { overwrite: true })
      return path
    } finally {
      this.#active--
      this.#queue.shift()?.()
    }
  }

  async #turn(): Promise<void> {
    if (this.#active >= workers) await new Promise<void>(resolve => this.#queue.push(resolve))
    this.#active++
  }
}

/** The container says its own length, so a file that was cut off shows without decoding. */
async function isWholeWebp(path: string): Promise<boolean> {
  const file = await open(path, 'r').catch(() => undefined)
  if (!file) return false
  try {
    const head = new Uint8Array(12)
    const { bytesRead } = await file.read(head, 0, 12, 0)
    const text = String.fromCharCode(...head)
    const length = new DataView(head.buffer).getUint32(4, true) + 8
    const { size } = await file.stat()
    return bytesRead === 12 && text.startsWith('RIFF') && text.endsWith('WEBP') && length === size
  } catch {
    return false
  } finally {
    await file.close()
  }
}
