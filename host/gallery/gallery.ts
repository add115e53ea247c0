/**
 * The gallery: pictures in the user's folders, found by words and by any setting. The pictures are the record; the
 * index is rebuilt whenever it is missing or damaged, thumbnails are made when they are asked for, and favourites
 * stand in a file of their own.
 */
import { stat } from 'node:fs/promises'
import { join, resolve, sep } from 'node:path'
import { AttuneError } from '../../model/contract/errors.ts'
import type { Recipe } from '../../model/image/foreign-metadata/index.ts'
import { closeQuietly, type Database, indexError, isIndexDamage, openIndex, setAside } from './database.ts'
import { EmbeddingIndex } from './embeddings.ts'
import { Favourites } from './favourites.ts'
import { readPictureFacts } from './picture-file.ts'
import { type GalleryQuery, parseQuery } from './query.ts'
import { mapLimited, pause, scanFolder, type ScanProgress, type ScanResult } from './scan.ts'
import { type Facet, type GalleryPicture, Store } from './store.ts'
import { Thumbnails } from './thumbnails.ts'

export type { Facet, GalleryPicture } from './store.ts'
export type { GalleryQuery } from './query.ts'
export type { ScanProgress, ScanResult } from './scan.ts'

export interface GalleryOptions {
  /** Folders whose PNGs are shown, with those below them. */
  readonly folders: readonly string[]
  /** Where the index and the favourites are kept. */
  readonly dataFolder: string
  /** Where thumbnails are kept; may be deleted at any time. */
  readonly cacheFolder: string
  readonly now?: () => Date
  /** Moves a file to the system's bin. What it gives is handed to `restore`. */
  readonly trash?: (path: string) => Promise<unknown>
  /** Brings a file back from the bin. */
  readonly restore?: (path: string, receipt: unknown) => Promise<void>
  /** Milliseconds between two looks whether folders have changed. */
  readonly checkEvery?: number
  /** Milliseconds that a question waits for changes to be read; then it is answered with what is known. */
  readonly patience?: number
}

export type GalleryEvent =
  | { readonly type: 'changed' }
  | { readonly type: 'progress'; readonly progress: ScanProgress }
  /** A sentence that the person should see. */
  | { readonly type: 'notice'; readonly text: string }

export interface GalleryPage {
  readonly pictures: readonly GalleryPicture[]
  /** Pictures that the query finds in all. */
  readonly total: number
  /** Folders are still being read: there may be more. */
  readonly indexing: boolean
}

interface Removed {
  readonly path: string
  readonly receipt: unknown
}

export class Gallery {
  readonly #options: GalleryOptions
  readonly #indexPath: string
  readonly #now: () => Date
  readonly #listeners = new Set<(event: GalleryEvent) => void>()
  readonly #thumbnails: Thumbnails
  readonly #favourites: Favourites
  readonly #closing = new AbortController()
  readonly #removed: Removed[][] = []
  /** Folders as they were when they were last read. */
  #directories = new Map<string, number>()
  #folders: readonly string[]
  #database: Database
  #store: Store
  #scanning: Promise<ScanResult> | undefined
  #recovering: Promise<void> | undefined
  #lastCheck = 0

  private constructor(options: GalleryOptions, database: Database, favourites: Favourites) {
    this.#options = options
    this.#now = options.now ?? (() => new Date())
    this.#folders = options.folders.map(folder => resolve(folder))
    this.#indexPath = indexPathOf(options)
    this.#thumbnails = new Thumbnails(join(options.cacheFolder, 'thumbnails'))
    this.#database = database
    this.#store = new Store(database)
    this.#favourites = favourites
  }

  /** Opens the index; a damaged one is replaced. Pictures are read by the first `scan` or question. */
  static async open(options: GalleryOptions): Promise<{ gallery: Gallery; notices: string[] }> {
    const now = options.now ?? (() => new Date())
    const favourites = await Favourites.open(join(options.dataFolder, 'favourites.json'), now)
    const opened = await openIndex(indexPathOf(options), now)
    const notices = [opened.notice, favourites.notice].filter(text => text !== undefined)
    return { gallery: new Gallery(options, opened.database, favourites), notices }
  }

  get folders(): readonly string[] {
    return this.#folders
  }

  /** Embeddings of pictures by their `key`, in the index as it is now: not to be kept over a rebuilding. */
  get embeddings(): EmbeddingIndex {
    return new EmbeddingIndex(this.#database)
  }

  /** Other folders from now on; pictures of those left out go from the index (never from the disk). */
  async setFolders(folders: readonly string[]): Promise<void> {
    this.#folders = folders.map(folder => resolve(folder))
    await this.scan()
  }

  /** @returns a function that ends the subscription */
  subscribe(listener: (event: GalleryEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #emit(event: GalleryEvent): void {
    for (const listener of this.#listeners) listener(event)
  }

  /** Compares all folders with the index. A second call while one runs waits for the same. */
  scan(): Promise<ScanResult> {
    this.#scanning ??= this.#scanAll().finally(() => {
      this.#scanning = undefined
    })
    return this.#scanning
  }

  async #scanAll(): Promise<ScanResult> {
    const directories = new Map<string, number>()
    const total = { added: 0, changed: 0, missing: 0, problems: [] as string[] }
    const signal = this.#closing.signal
    for (const folder of this.#folders) {
      const result = await this.#guard(() =>
        scanFolder(this.#store, folder, {
          isFavourite: key => this.#favourites.has(key),
          signal,
          directories,
          onProgress: progress => this.#emit({ type: 'progress', progress }),
        }),
      )
      total.added += result.added
      total.changed += result.changed
      total.missing += result.missing
      total.problems.push(...result.problems)
    }
    await this.#forgetOtherFolders(signal)
    this.#directories = directories
    for (const text of total.problems) this.#emit({ type: 'notice', text })
    this.#emit({ type: 'changed' })
    return total
  }

  async #forgetOtherFolders(signal: AbortSignal): Promise<void> {
    for (const folder of await this.#guard(() => this.#store.folders())) {
      if (this.#folders.includes(folder)) continue
      let count = 1
      while (count > 0 && !signal.aborted) {
        count = await this.#guard(() => this.#store.transaction(() => this.#store.forgetFolder(folder, 100)))
        await pause()
      }
    }
  }

  /**
   * Finds pictures. Looks first, cheaply, whether folders have changed since the last time, and whether the files of
   * the page are still what they were.
   * @throws AttuneError `bad-argument` for a query that cannot be used
   */
  async query(input: GalleryQuery = {}): Promise<GalleryPage> {
    const query = parseQuery(input)
    let isWaiting = await this.#refresh()
    let page = await this.#guard(() => this.#store.page(query))
    if (this.#directories.size === 0 && !isWaiting) {
      // The index was found damaged by this very question.
      isWaiting = await this.#refresh()
      page = await this.#guard(() => this.#store.page(query))
    }
    if (await this.#verify(page.pictures)) page = await this.#guard(() => this.#store.page(query))
    return { ...page, indexing: isWaiting }
  }

  /** The values of one setting among what a query finds, for filters: `facet('sampler')`. */
  async facet(key: string, input: GalleryQuery = {}, limit = 100): Promise<Facet[]> {
    const query = parseQuery(input)
    return this.#guard(() => this.#store.facet(key, query, Math.min(1000, Math.max(1, limit))))
  }

  /** Names of the settings that pictures have. */
  settingKeys(): Promise<Facet[]> {
    return this.#guard(() => this.#store.settingKeys(500))
  }

  /**
   * A picture with its recipe: as the file tells it, or, of a file that has gone, as the index remembers it (without
   * long texts such as whole graphs).
   */
  async get(id: number): Promise<{ picture: GalleryPicture; recipe?: Recipe } | undefined> {
    const found = await this.#guard(() => this.#store.get(id))
    if (!found) return undefined
    const facts = await readPictureFacts(found.picture.path).catch(() => undefined)
    return facts?.recipe && facts.key === found.picture.key ? { ...found, recipe: facts.recipe } : found
  }

  /** Pictures of the same content as a file: "already here". */
  async findSame(path: string): Promise<GalleryPicture[]> {
    const { key } = await readPictureFacts(path)
    return key === '' ? [] : this.#guard(() => this.#store.byKey(key))
  }

  /** Puts a picture that was just written into the index, without looking at its whole folder. */
  async add(path: string): Promise<GalleryPicture | undefined> {
    const whole = resolve(path)
    const folder = this.#folders.find(root => whole.startsWith(root.endsWith(sep) ? root : root + sep))
    if (folder === undefined) return undefined
    const facts = await readPictureFacts(whole)
    await this.#guard(() =>
      this.#store.transaction(() => this.#store.put(whole, folder, facts, this.#favourites.has(facts.key))),
    )
    this.#emit({ type: 'changed' })
    return this.#guard(() => this.#store.byPath(whole))
  }

  async setFavourite(id: number, isFavourite: boolean): Promise<void> {
    const { picture } = await this.#need(id)
    await this.#favourites.set(picture.key, picture.name, isFavourite)
    await this.#guard(() => this.#store.setFavourite(picture.key, isFavourite))
    this.#emit({ type: 'changed' })
  }

  /** The path of a picture's thumbnail (WebP). */
  async thumbnail(id: number): Promise<string> {
    const { picture } = await this.#need(id)
    return this.#thumbnails.get(picture.key, picture.path)
  }

  /**
   * Moves pictures to the system's bin; missing ones are only forgotten. What was moved before an error stays moved,
   * and can be undone.
   */
  async remove(ids: readonly number[]): Promise<void> {
    const { trash } = this.#options
    if (!trash) throw noBin()
    const group: Removed[] = []
    try {
      for (const id of ids) {
        const { picture } = await this.#need(id)
        if (!picture.missing) {
          // Said before it is done: after a crash the next scan knows that the file went on purpose.
          await this.#guard(() => this.#store.setState(id, 'deleting'))
          try {
            group.push({ path: picture.path, receipt: await trash(picture.path) })
          } catch (cause) {
            await this.#guard(() => this.#store.setState(id, 'here'))
            throw new AttuneError(
              'bad-file',
              `${picture.name} could not be moved to the bin.`,
              'Close other programs that use it, or delete it in its folder.',
              { cause },
            )
          }
        }
        await this.#guard(() => this.#store.transaction(() => this.#store.remove(id)))
      }
    } finally {
      if (group.length) this.#removed.push(group)
      this.#emit({ type: 'changed' })
    }
  }

  /** Whether `undoRemove` has something to bring back. */
  get canUndo(): boolean {
    return this.#options.restore !== undefined && this.#removed.length > 0
  }

  /** Brings the pictures of the last `remove` back. What cannot be brought back stays in the bin and is said. */
  async undoRemove(): Promise<void> {
    const { restore } = this.#options
    const group = this.#removed.at(-1)
    if (!group) return
    if (!restore) throw noBin()
    const failed: string[] = []
    for (const { path, receipt } of group) {
      try {
        await restore(path, receipt)
        await this.add(path)
      } catch {
        failed.push(path)
      }
    }
    this.#removed.pop()
    if (failed.length) {
      throw new AttuneError(
        'bad-file',
        `${failed.join(', ')} could not be brought back.`,
        "Open the system's bin and restore it there.",
      )
    }
  }

  async close(): Promise<void> {
    this.#closing.abort(new AttuneError('cancelled', 'The gallery was closed.'))
    await this.#scanning?.catch(() => undefined)
    await this.#recovering
    closeQuietly(this.#database)
  }

  async #need(id: number): Promise<{ picture: GalleryPicture; recipe?: Recipe }> {
    const found = await this.#guard(() => this.#store.get(id))
    if (found) return found
    throw new AttuneError('bad-argument', 'The picture is no longer in the gallery.', 'Reload the gallery.')
  }

  /** @returns whether folders are still being read */
  async #refresh(): Promise<boolean> {
    if (!this.#scanning) {
      const time = performance.now()
      const isFirst = this.#directories.size === 0
      if (!isFirst && time - this.#lastCheck < (this.#options.checkEvery ?? 2_000)) return false
      this.#lastCheck = time
      if (!isFirst && !(await this.#haveChanged())) return false
    }
    // Errors of a scan in the background are told to those who asked for it, and as notices.
    const scan = this.scan().then(
      () => true,
      () => true,
    )
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<false>(done => {
      timer = setTimeout(() => done(false), this.#options.patience ?? 150)
    })
    const isDone = await Promise.race([scan, late])
    clearTimeout(timer)
    return !isDone
  }

  /** Adding, removing and renaming files changes their folder's time. */
  async #haveChanged(): Promise<boolean> {
    const entries = [...this.#directories]
    const same = await mapLimited(entries, 16, async ([folder, changed]) => {
      const info = await stat(folder).catch(() => undefined)
      return info?.mtimeMs === changed
    })
    return same.includes(false) || this.#folders.some(folder => !this.#directories.has(folder))
  }

  /** Looks at the files of a page; writing into a file does not change its folder. */
  async #verify(pictures: readonly GalleryPicture[]): Promise<boolean> {
    const changes = await mapLimited(pictures, 16, async picture => {
      const info = await stat(picture.path).catch(() => undefined)
      if (!info?.isFile()) {
        if (picture.missing) return false
        await this.#guard(() => this.#store.setState(picture.id, 'missing'))
        return true
      }
      if (info.size === picture.bytes && info.mtimeMs === picture.changed) {
        if (picture.missing) await this.#guard(() => this.#store.setState(picture.id, 'here'))
        return picture.missing
      }
      const facts = await readPictureFacts(picture.path).catch(() => undefined)
      if (!facts) return false
      await this.#guard(() =>
        this.#store.transaction(() =>
          this.#store.put(picture.path, picture.folder, facts, this.#favourites.has(facts.key)),
        ),
      )
      return true
    })
    return changes.includes(true)
  }

  /** Runs an action on the index; where that shows to be damaged, builds it anew and runs the action again. */
  async #guard<T>(action: () => T | Promise<T>): Promise<T> {
    await this.#recovering
    const store = this.#store
    try {
      return await action()
    } catch (error) {
      if (this.#closing.signal.aborted) throw new AttuneError('cancelled', 'The gallery was closed.')
      const isCurrent = store === this.#store && !this.#recovering
      if (isCurrent && !isIndexDamage(error))
        throw error instanceof AttuneError ? error : indexError(this.#indexPath, error)
      // Of several that meet the damage, or find the index closed under them, one repairs it.
      if (isCurrent) this.#recovering = this.#recover()
      await this.#recovering
      return await action()
    }
  }

  async #recover(): Promise<void> {
    try {
      closeQuietly(this.#database)
      const aside = await setAside(this.#indexPath, this.#now())
      const { database } = await openIndex(this.#indexPath, this.#now)
      this.#database = database
      this.#store = new Store(database)
      // The next question reads the folders.
      this.#directories.clear()
      this.#emit({
        type: 'notice',
        text: `The gallery's index was damaged and is built anew from the pictures; nothing is lost. The old file is ${aside}.`,
      })
    } finally {
      this.#recovering = undefined
    }
  }
}

function indexPathOf(options: GalleryOptions): string {
  return join(options.dataFolder, 'gallery.sqlite')
}

function noBin(): AttuneError {
  return new AttuneError(
    'unsupported',
    'This door of Attune has no way to the bin of the system.',
    'Delete or restore the file in its folder.',
  )
}
