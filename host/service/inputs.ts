/**
 * Pictures that drawings take in: kept under the SHA-256 of their content, so that a queued job finds its source after a
 * crash and a recipe can be drawn again. Whatever comes in is decoded once and kept as a plain PNG (upright, sRGB, no
 * alpha), so that the window, its Worker and this host see the same bytes.
 */
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AttuneError } from '../../model/contract/errors.ts'
import { type DrawInputs, inputKeySchema, inputKeys, inputSide } from '../../model/contract/inputs.ts'
import type { Pixels } from '../../model/image/resample.ts'
import { encodePng, inspectPicture, readPicture, readWholePicture } from '../images.ts'
import { exists, writeFileAtomic } from '../write.ts'

export interface KeptInput {
  readonly key: string
  readonly width: number
  readonly height: number
}

/** Files that come in, in bytes. */
export const inputByteLimit = 128 << 20
/** What is kept in all; the oldest that no job waits for go first. */
const keptByteLimit = 2 * 2 ** 30

export class InputStore {
  readonly #folder: string
  readonly #limit: number

  /** @param limit bytes that are kept in all */
  constructor(folder: string, limit = keptByteLimit) {
    this.#folder = folder
    this.#limit = limit
  }

  /**
   * Keeps a picture of any kind that is read.
   * @throws AttuneError `bad-file` when it is no picture, and what writing throws
   */
  async add(bytes: Uint8Array): Promise<KeptInput> {
    await mkdir(this.#folder, { recursive: true })
    const temporary = join(this.#folder, `.${process.pid}.${randomBytes(6).toString('hex')}.tmp`)
    let pixels: Pixels
    try {
      await writeFile(temporary, bytes, { flag: 'wx' })
      pixels = await readBounded(temporary)
    } catch (error) {
      throw nameless(error, temporary)
    } finally {
      await rm(temporary, { force: true })
    }
    const png = await encodePng(pixels)
    const key = createHash('sha256').update(png).digest('hex')
    const path = this.#pathOf(key)
    if (!(await exists(path))) await writeFileAtomic(path, png, { overwrite: true })
    return { key, width: pixels.width, height: pixels.height }
  }

  /** The file of a key; undefined when it is not kept, or no key. */
  async path(key: string): Promise<string | undefined> {
    if (!inputKeySchema.safeParse(key).success) return undefined
    const path = this.#pathOf(key)
    if (!(await exists(path))) return undefined
    const now = new Date()
    // What is used stays longest.
    await utimes(path, now, now).catch(() => undefined)
    return path
  }

  /** The picture of a key. @throws AttuneError `bad-file` when it is not kept any more */
  async read(key: string, what: string): Promise<Pixels> {
    const path = await this.path(key)
    if (path === undefined) throw gone(what)
    return readWholePicture(path)
  }

  /** @throws AttuneError `bad-file` when a picture is not kept: a job must not fail for it hours later */
  async check(inputs: DrawInputs): Promise<void> {
    for (const key of inputKeys(inputs))
      if ((await this.path(key)) === undefined) throw gone('A picture that this drawing needs')
  }

  /** Removes the oldest pictures beyond the limit, but none of `waiting`. */
  async prune(waiting: ReadonlySet<string>): Promise<void> {
    const names = await readdir(this.#folder).catch(() => [])
    const files: { path: string; bytes: number; used: number }[] = []
    for (const name of names) {
      const path = join(this.#folder, name)
      // Left by a crash while it came in.
      if (name.endsWith('.tmp')) await rm(path, { force: true })
      const [key = ''] = name.split('.')
      const info = name === `${key}.png` ? await stat(path).catch(() => undefined) : undefined
      if (info?.isFile() && inputKeySchema.safeParse(key).success && !waiting.has(key))
        files.push({ path, bytes: info.size, used: info.mtimeMs })
    }
    files.sort((a, b) => b.used - a.used)
    let total = 0
    for (const { path, bytes } of files) {
      total += bytes
      if (total > this.#limit) await rm(path, { force: true })
    }
  }

  #pathOf(key: string): string {
    return join(this.#folder, `${key}.png`)
  }
}

async function readBounded(path: string): Promise<Pixels> {
  const { width, height } = await inspectPicture(path)
  const scale = inputSide / Math.max(width, height)
  if (scale >= 1) return readWholePicture(path)
  return readPicture(path, Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale)))
}

/** The temporary file's name means nothing to anybody. */
function nameless(error: unknown, path: string): unknown {
  if (!(error instanceof AttuneError)) return error
  const name = path.split(/[\\/]/).at(-1) ?? ''
  return new AttuneError(error.code, error.message.replaceAll(name, 'The picture'), error.remedy, {
    cause: error,
  })
}

const gone = (what: string): AttuneError =>
  new AttuneError('bad-file', `${what} is no longer kept.`, 'Choose the picture again, or draw without it.')
