/**
 * Favourites: the one thing that the gallery knows and the pictures do not. They stand in a small JSON file of their
 * own, written whole and atomically, so that the index can be thrown away. A favourite is known by the key of its
 * content, so it stays one when the file is renamed or moved.
 */
import { readFile, rename } from 'node:fs/promises'
import { z } from 'zod'
import { AttuneError } from '../../model/contract/errors.ts'
import { exists, writeFileAtomic } from '../write.ts'

const fileSchema = z.looseObject({
  version: z.literal(1),
  favourites: z.array(z.looseObject({ key: z.string().max(200), name: z.string(), since: z.string() })),
})
type Favourite = z.output<typeof fileSchema>['favourites'][number]

const byteLimit = 64 << 20

export class Favourites {
  readonly #path: string
  readonly #now: () => Date
  readonly #entries = new Map<string, Favourite>()
  #writing: Promise<void> = Promise.resolve()
  /** What went wrong while reading, as a sentence to show. */
  notice: string | undefined

  private constructor(path: string, now: () => Date) {
    this.#path = path
    this.#now = now
  }

  /** Reads the file; a damaged one is moved aside and said. */
  static async open(path: string, now: () => Date): Promise<Favourites> {
    const favourites = new Favourites(path, now)
    if (!(await exists(path))) return favourites
    const text = await readFile(path, 'utf8')
    try {
      if (text.length > byteLimit) throw new Error('too large')
      for (const entry of fileSchema.parse(JSON.parse(text)).favourites)
        favourites.#entries.set(entry.key, entry)
    } catch {
      const aside = `${path}.broken-${now().toISOString().replaceAll(/[:.]/g, '-')}`
      await rename(path, aside)
      favourites.notice = `The list of favourites was damaged. It is kept as ${aside}; the gallery begins a new one.`
    }
    return favourites
  }

  has(key: string): boolean {
    return this.#entries.has(key)
  }

  get keys(): string[] {
    return [...this.#entries.keys()]
  }

  /**
   * Adds or removes one, and waits until it is on the disk.
   * @throws AttuneError `bad-file` when it cannot be written; then nothing has changed
   */
  async set(key: string, name: string, isFavourite: boolean): Promise<void> {
    if (key === '')
      throw new AttuneError('bad-file', `${name} cannot be read.`, 'Choose a picture that can be opened.')
    const before = this.#entries.get(key)
    if (isFavourite === (before !== undefined)) return
    if (isFavourite) this.#entries.set(key, { key, name, since: this.#now().toISOString() })
    else this.#entries.delete(key)
    try {
      await this.#write()
    } catch (error) {
      if (before) this.#entries.set(key, before)
      else this.#entries.delete(key)
      throw error
    }
  }

  /** One write after the other: of two at once the older could win. */
  #write(): Promise<void> {
    const write = async () => {
      const text = JSON.stringify({ version: 1, favourites: [...this.#entries.values()] }, undefined, 1)
      await writeFileAtomic(this.#path, new TextEncoder().encode(text), { overwrite: true })
    }
    this.#writing = this.#writing.then(write, write)
    return this.#writing
  }
}
