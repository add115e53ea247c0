/**
 * The host behind every window: settings, gallery, models, queue, pictures, under one contract. It knows no transport
 * and no Electron; whatever depends on the shell comes as `HostFacts`. Every question is checked on arrival and every
 * answer before it leaves, so a door needs only to carry JSON.
 */
import { readFile, stat } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { basename, join, resolve } from 'node:path'
import type { z } from 'zod'
import { AttuneError } from '../../model/contract/errors.ts'
import {
  type HostApi,
  type HostEvent,
  hostEventSchema,
  type HostMethod,
  hostMethods,
  type HostParams,
  type HostResult,
  type readRecipeSchema,
  type savedPictureSchema,
} from '../../model/contract/host-api.ts'
import type { SettingsPatch } from '../../model/contract/settings.ts'
import { Gallery } from '../gallery/gallery.ts'
import { pictureLimits } from '../images.ts'
import { Log } from '../logs/log.ts'
import { openSettings, type Settings } from '../settings/settings.ts'
import { openStyles, type StylesStore, updateStyles } from '../settings/styles.ts'
import { writeFileNew } from '../write.ts'
import { badArgument, toAttuneError, toErrorRecord } from './errors.ts'
import type { HostFacts } from './facts.ts'
import { completeFolder } from './folders.ts'
import { lockFolder } from './lock.ts'
import { InputStore } from './inputs.ts'
import { HostModels } from './models.ts'
import { exportRecording, type MapsAnswer } from './maps.ts'
import type { NetPlace } from './nets.ts'
import { readTexts, savePicture } from './pictures.ts'
import { HostQueue, noQueue } from './queue.ts'
import { defined, isPng, patiently } from './support.ts'
import { recipeView } from './views.ts'

type Checked<M extends HostMethod> = z.output<(typeof hostMethods)[M]['params']>
type Handlers = { readonly [M in HostMethod]: (params: Checked<M>) => unknown }

interface Parts {
  readonly facts: HostFacts
  readonly settings: Settings
  readonly styles: StylesStore
  readonly gallery: Gallery
  readonly models: HostModels
  readonly inputs: InputStore
  readonly queue: HostQueue | undefined
  readonly notices: readonly string[]
  readonly log: Log | undefined
  readonly unlock: () => Promise<void>
}

/** How long `app.info` waits for the host's adapter; a cold driver takes a second. */
const seatPatience = 5_000

export class HostService implements HostApi {
  readonly #parts: Parts
  readonly #handlers: Handlers
  readonly #listeners = new Set<(event: HostEvent) => void>()
  readonly #ends: (() => void)[] = []
  #isIndexing = false

  private constructor(parts: Parts) {
    this.#parts = parts
    this.#handlers = this.#makeHandlers()
    this.#follow()
  }

  /**
   * Opens everything that the host keeps. What is damaged is set aside and told in `app.info`'s notices.
   * @throws AttuneError `unsupported` when another host has the same data open
   */
  static async open(facts: HostFacts): Promise<HostService> {
    const unlock = await lockFolder(facts.dataFolder)
    try {
      return await HostService.#open(facts, unlock)
    } catch (error) {
      await unlock()
      throw error
    }
  }

  static async #open(facts: HostFacts, unlock: () => Promise<void>): Promise<HostService> {
    const now = facts.now ?? (() => new Date())
    const settings = await openSettings({ path: join(facts.dataFolder, 'settings.json'), now })
    const styles = await openStyles({ path: join(facts.dataFolder, 'styles.json'), now })
    const outputFolder = () => resolve(settings.values.outputFolder ?? facts.picturesFolder)
    const { trash, restore } = facts.desktop
    const { gallery, notices } = await Gallery.open({
      folders: galleryFolders(facts, settings),
      dataFolder: facts.dataFolder,
      cacheFolder: facts.cacheFolder,
      now,
      trash: path => trash(path),
      ...(restore && { restore: (path: string, receipt: unknown) => restore(path, receipt) }),
    })
    const models = new HostModels(facts, settings)
    const log =
      facts.logFolder === undefined
        ? undefined
        : new Log({ folder: facts.logFolder, allowPrompts: () => settings.values.logPrompts, now })
    await models.start()
    const inputs = new InputStore(join(facts.dataFolder, 'inputs'))
    const opened = await HostQueue.open({ facts, gallery, models, inputs, outputFolder })
    const service = new HostService({
      facts,
      settings,
      styles,
      gallery,
      models,
      inputs,
      queue: opened?.queue,
      notices: [...settings.notices, ...styles.notices, ...notices, ...(opened?.notices ?? [])],
      log,
      unlock,
    })
    opened?.queue.start()
    return service
  }

  /**
   * Answers a question of a window. Also for what came over a wire: `method` need not be one.
   * @throws AttuneError
   */
  async call<M extends HostMethod>(method: M, params: HostParams<M>): Promise<HostResult<M>> {
    if (typeof method !== 'string' || !Object.hasOwn(hostMethods, method)) {
      throw new AttuneError(
        'bad-argument',
        `The host knows no question "${String(method).slice(0, 60)}".`,
        'Reload the window.',
      )
    }
    const { params: wanted, result } = hostMethods[method]
    const checked = wanted.safeParse(params)
    if (!checked.success) throw badArgument(`The question ${method}`, checked.error.issues, checked.error)
    try {
      const handler = this.#handlers[method] as (params: unknown) => unknown
      const answer = result.safeParse(await handler(checked.data))
      if (answer.success) return answer.data as HostResult<M>
      const issue = answer.error.issues[0]
      throw new AttuneError(
        'internal',
        `The answer to ${method} is not what it should be (${issue?.path.join('.')}: ${issue?.message}).`,
        'This is a fault in Attune: please report it.',
        { cause: answer.error },
      )
    } catch (error) {
      const told = toAttuneError(error)
      // What the person asked for wrongly is told to the person; what we did wrongly is looked for later.
      if (told.code === 'internal') this.#parts.log?.error(method, told)
      throw told
    }
  }

  subscribe(listener: (event: HostEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** For shells: a menu command, a file that was opened with the application. */
  emit(event: HostEvent): void {
    const checked = hostEventSchema.safeParse(event)
    if (!checked.success) return
    for (const listener of this.#listeners) {
      try {
        listener(checked.data)
      } catch {
        // A window that has gone must not keep others from hearing.
      }
    }
  }

  /** The file of a picture of the gallery. @throws AttuneError `bad-argument` */
  async picturePath(id: number): Promise<string> {
    const found = await this.#parts.gallery.get(id)
    if (found) return found.picture.path
    throw new AttuneError('bad-argument', 'The picture is no longer in the gallery.', 'Reload the gallery.')
  }

  /** The file of its thumbnail (WebP), and the key that it belongs to. @throws AttuneError */
  async thumbnail(id: number): Promise<{ path: string; key: string }> {
    const found = await this.#parts.gallery.get(id)
    if (!found)
      throw new AttuneError('bad-argument', 'The picture is no longer in the gallery.', 'Reload the gallery.')
    return { path: await this.#parts.gallery.thumbnail(id), key: found.picture.key }
  }

  /**
   * Takes a picture file from anywhere into the gallery: the one that is there already, or a copy in the folder of new
   * pictures.
   * @returns its number
   * @throws AttuneError `bad-file` when it is no picture that the gallery shows
   */
  async openPicture(path: string): Promise<number> {
    const { gallery } = this.#parts
    const whole = resolve(path)
    const here = (await gallery.add(whole).catch(() => undefined)) ?? (await gallery.findSame(whole))[0]
    if (here && here.width > 0) return here.id
    const info = await stat(whole).catch(() => undefined)
    const bytes =
      info?.isFile() && info.size <= pictureLimits.fileBytes
        ? await readFile(whole).catch(() => undefined)
        : undefined
    if (!bytes || !isPng(bytes)) {
      throw new AttuneError('bad-file', `${basename(whole)} is not a PNG picture.`, 'Open a PNG.')
    }
    const copy = await writeFileNew(join(this.#outputFolder, basename(whole)), new Uint8Array(bytes))
    const added = await gallery.add(copy)
    if (added) return added.id
    throw new AttuneError('internal', `${copy} is not in the gallery.`, 'Reload the gallery.')
  }

  /** The real path of a file of a model's folder; undefined when it is not to be had. */
  modelFile(id: string, names: readonly string[]): Promise<string | undefined> {
    return this.#parts.models.file(id, names)
  }

  /** Pictures that drawings take in. */
  get inputs(): InputStore {
    return this.#parts.inputs
  }

  /** Where a ControlNet of the library lies. @throws AttuneError `bad-model` */
  netPlace(id: string): Promise<NetPlace> {
    return this.#parts.models.findNet(id)
  }

  /** The folder of a model that can be drawn with. @throws AttuneError `bad-model` */
  modelFolder(id: string): Promise<string> {
    return this.#parts.models.findUsable(id).then(({ path }) => path)
  }

  /** Keeps a picture that a window drew. @param header see `savePictureHeader` */
  savePicture(header: unknown, pixels: Uint8Array): Promise<z.output<typeof savedPictureSchema>> {
    const { facts, gallery } = this.#parts
    return savePicture(header, pixels, {
      folder: this.#outputFolder,
      version: facts.version,
      now: (facts.now ?? (() => new Date()))(),
      add: async path => (await gallery.add(path))?.id,
    })
  }

  /** What a picture of any program says of itself. @throws AttuneError `bad-file` when it is no picture */
  async readRecipe(bytes: Uint8Array): Promise<z.output<typeof readRecipeSchema>> {
    const { recipe, record, messages } = await readTexts(bytes)
    return { ...(recipe && { recipe }), ...(record && { record }), messages: [...messages] }
  }

  /** Maps as a zip, in a folder, or as a preview. @param header see `exportMapsHeader` */
  exportMaps(header: unknown, recording: Uint8Array): Promise<MapsAnswer> {
    return exportRecording(header, recording, id => this.picturePath(id))
  }

  /** Stops drawing and closes everything; what was drawn comes back paused. */
  async close(): Promise<void> {
    for (const end of this.#ends.splice(0)) end()
    this.#listeners.clear()
    const { queue, models, gallery, log, unlock } = this.#parts
    await queue?.close()
    await models.close()
    await gallery.close()
    await log?.flush()
    await unlock()
  }

  get #outputFolder(): string {
    return resolve(this.#parts.settings.values.outputFolder ?? this.#parts.facts.picturesFolder)
  }

  /** Events of the parts as those of the contract. */
  #follow(): void {
    const { settings, styles, gallery, models, queue, facts } = this.#parts
    this.#ends.push(
      settings.subscribe((values, changed) => {
        this.emit({ type: 'settings', settings: values })
        if (changed.includes('outputFolder') || changed.includes('galleryFolders'))
          gallery.setFolders(galleryFolders(facts, settings)).catch((error: unknown) => this.#tell(error))
        if (changed.includes('modelFolders')) this.emit({ type: 'models' })
      }),
      styles.subscribe(values => this.emit({ type: 'styles', styles: values })),
      gallery.subscribe(event => {
        if (event.type === 'notice') this.emit({ type: 'notice', text: event.text })
        else if (event.type === 'changed') {
          this.#isIndexing = false
          this.emit({ type: 'gallery', indexing: false })
        } else {
          this.#isIndexing = true
          const { read, found } = event.progress
          this.emit({ type: 'gallery', indexing: true, found: read, total: found })
        }
      }),
      models.subscribe((download, isWhole) => {
        this.emit({ type: 'download', download })
        if (isWhole) this.emit({ type: 'models' })
      }),
    )
    if (!queue) return
    this.#ends.push(
      queue.subscribe(event => {
        if (event.type === 'progress') {
          const { step, steps } = event.progress
          this.emit({ type: 'job', id: event.id, progress: { step, steps } })
        } else if (event.type === 'notice') this.emit({ type: 'notice', text: event.text })
        else this.emit({ type: 'jobs' })
      }),
    )
  }

  #tell(error: unknown): void {
    const { message } = toErrorRecord(error)
    this.#parts.log?.error('in the background', error)
    this.emit({ type: 'notice', text: message })
  }

  #makeHandlers(): Handlers {
    const { facts, settings, styles, gallery, models, notices, log } = this.#parts
    const queue = () => this.#parts.queue ?? fail(noQueue())
    return {
      'app.info': async () => {
        const hostSeat = await patiently(this.#parts.queue?.describeSeat(), seatPatience)
        return {
          version: facts.version,
          shell: facts.shell,
          platform: process.platform,
          ...(hostSeat && { hostSeat }),
          outputFolder: this.#outputFolder,
          memory: totalmem(),
          // Settings that could not be written add theirs later.
          notices: [...new Set([...notices, ...settings.notices])],
        }
      },
      'settings.get': () => settings.values,
      'settings.set': async ({ patch }) => {
        await settings.update(patch as SettingsPatch & Partial<Settings['values']>)
        return settings.values
      },
      'gallery.query': async query => {
        const page = await gallery.query(defined(query))
        return { ...page, indexing: page.indexing || this.#isIndexing }
      },
      'gallery.facet': ({ key, query }) => gallery.facet(key, defined(query ?? {})),
      'gallery.get': async ({ id }) => {
        const found = await gallery.get(id)
        if (!found) return this.picturePath(id)
        const { picture, recipe } = found
        // A missing file still has its recipe in the index.
        const info = await stat(picture.path).catch(() => undefined)
        const isReadable = info?.isFile() === true && info.size <= recipeFileLimit
        const texts = isReadable
          ? await readFile(picture.path)
              .then(bytes => readTexts(new Uint8Array(bytes)))
              .catch(() => undefined)
          : undefined
        const shown = texts?.recipe ?? (recipe && recipeView(recipe))
        return {
          picture,
          ...(shown && { recipe: shown }),
          ...(texts?.record && { record: texts.record }),
          ...(texts?.infotext !== undefined && { infotext: texts.infotext }),
        }
      },
      'gallery.favourite': async ({ id, on }) => (await gallery.setFavourite(id, on), {}),
      'gallery.remove': async ({ ids }) => (await gallery.remove(ids), {}),
      'gallery.undoRemove': async () => {
        const before = (await gallery.query({ limit: 1, missing: false })).total
        await gallery.undoRemove()
        const after = (await gallery.query({ limit: 1, missing: false })).total
        return { restored: Math.max(0, after - before) }
      },
      'gallery.reveal': async ({ id }) => (await facts.desktop.reveal(await this.picturePath(id)), {}),
      'gallery.rescan': () => {
        // Not awaited: a large folder takes minutes, and its progress is told.
        gallery.scan().catch((error: unknown) => this.#tell(error))
        return {}
      },
      'models.list': async () => {
        const { problems, ...list } = await models.list()
        for (const text of problems) this.emit({ type: 'notice', text })
        return list
      },
      'models.addFolder': async ({ path }) => {
        const isAdded = await models.addFolder(path)
        return { models: (await models.list()).models, cancelled: !isAdded }
      },
      'models.removeFolder': async ({ path }) => (await models.removeFolder(path), {}),
      'jobs.list': () => this.#parts.queue?.list() ?? { jobs: [], paused: false },
      'jobs.add': async ({ requests, model, interrupted }) => ({
        jobs: await queue().add(requests, model, interrupted),
      }),
      'jobs.reorder': async ({ id, before }) => (await queue().reorder(id, before), {}),
      'jobs.cancel': async ({ id }) => (await queue().cancel(id), {}),
      'jobs.pause': async ({ id }) => (await queue().pause(id), {}),
      'jobs.resume': async ({ id }) => (await queue().resume(id), {}),
      'jobs.remove': async ({ id }) => (await queue().remove(id), {}),
      'downloads.list': () => ({ downloads: models.downloads }),
      'downloads.start': ({ url, sha256 }) => models.download(url, sha256),
      'downloads.pause': async ({ id }) => (await models.pauseDownload(id), {}),
      'downloads.cancel': async ({ id }) => (await models.cancelDownload(id), {}),
      'downloads.retry': ({ id }) => (models.retryDownload(id), {}),
      'shell.openFolder': async ({ which }) => {
        const folders = { pictures: this.#outputFolder, logs: facts.logFolder, models: facts.modelsFolder }
        await facts.desktop.openFolder(folders[which] ?? facts.dataFolder)
        return {}
      },
      'shell.chooseFolder': async ({ title }) => {
        const path = await models.chooseFolder(title)
        return path === undefined ? {} : { path }
      },
      'shell.completeFolder': async ({ path }) => ({ folders: await completeFolder(path) }),
      'styles.get': () => styles.values,
      'styles.set': ({ patch }) => updateStyles(styles, patch),
      'log.write': ({ level, message }) => (log?.write(level, 'window', { message }), {}),
    }
  }
}

/** Larger files are shown with the recipe that the index has. */
const recipeFileLimit = 128 << 20

/** The folder of new pictures first, each once. */
function galleryFolders(facts: HostFacts, { values }: Settings): string[] {
  const folders = [values.outputFolder ?? facts.picturesFolder, ...values.galleryFolders]
  return [...new Set(folders.map(folder => resolve(folder)))]
}

function fail(error: AttuneError): never {
  throw error
}
