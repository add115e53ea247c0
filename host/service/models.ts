/** Models and their downloads as the window asks for them: ids, folders of the library, files for the page's engine. */
import { stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { AttuneError } from '../../model/contract/errors.ts'
import type { HostDownload, HostModel, HostNet } from '../../model/contract/host-api.ts'
import { Downloads } from '../models/downloads.ts'
import { Library, type LibraryModel } from '../models/library.ts'
import { nameFromUrl } from '../models/names.ts'
import type { Settings } from '../settings/settings.ts'
import type { HostFacts, RunnerModel } from './facts.ts'
import { fileInside, isInside, linkRootsOf } from './places.ts'
import { netsOf, noNet, type NetPlace } from './nets.ts'
import { DownloadViews, embeddedId, modelView } from './views.ts'

/** What the engine reads of a model's folder; nothing else of it is anybody's. */
const served = /\.(json|txt|safetensors|model)$/i

export class HostModels {
  readonly #facts: HostFacts
  readonly #settings: Settings
  readonly #library: Library
  readonly #downloads: Downloads
  readonly #views = new DownloadViews()
  /** Folders by id, since an engine asks for hundreds of ranges of one model. */
  #places = new Map<string, LibraryModel>()
  #nets = new Map<string, HostNet & NetPlace>()

  constructor(facts: HostFacts, settings: Settings) {
    this.#facts = facts
    this.#settings = settings
    this.#library = new Library({
      folders: () => this.folders,
      ...(facts.embeddedModel !== undefined && { embedded: [facts.embeddedModel] }),
    })
    this.#downloads = new Downloads({
      transfer: () => ({ ...facts.network, retries: settings.values.downloads.retries }),
      parallel: () => settings.values.downloads.parallel,
    })
  }

  /** Folders that are looked through. */
  get folders(): string[] {
    const { modelFolders } = this.#settings.values
    return [...new Set([this.#facts.modelsFolder, ...modelFolders].map(folder => resolve(folder)))]
  }

  /** @param onChange `isWhole` when a model has been added to the library */
  subscribe(onChange: (download: HostDownload, isWhole: boolean) => void): () => void {
    return this.#downloads.subscribe(download =>
      onChange(this.#views.view(download), download.state === 'done'),
    )
  }

  async list(): Promise<{ models: HostModel[]; nets: HostNet[]; problems: readonly string[] }> {
    const { models, problems } = await this.#library.list()
    this.#places = new Map(models.map(model => [model.isEmbedded ? embeddedId : model.id, model]))
    // The folder of downloads need not be there before the first one.
    const own = `The folder ${resolve(this.#facts.modelsFolder)} `
    this.#nets = await netsOf(models)
    return {
      models: models.map(modelView),
      nets: [...this.#nets.values()].map(({ id, name, family, path, file, bytes }) => ({
        id,
        name,
        family,
        path,
        ...(file !== undefined && { file }),
        bytes,
      })),
      problems: problems.filter(text => !text.startsWith(own)),
    }
  }

  /** Where a ControlNet lies. @throws AttuneError `bad-model` when it is not in the library (any more) */
  async findNet(id: string): Promise<NetPlace> {
    if (!this.#nets.has(id)) await this.list()
    const found = this.#nets.get(id)
    if (!found) throw noNet(id)
    const { folder, file } = found
    return { folder, ...(file !== undefined && { file }) }
  }

  /** A model that can be drawn with; the chosen one, or the embedded one, without an id. */
  async findUsable(id: string | undefined): Promise<RunnerModel> {
    const wanted = id ?? this.#settings.values.model ?? embeddedId
    const { models } = await this.list()
    const view = models.find(model => model.id === wanted)
    const place = this.#places.get(wanted)
    if (!view || !place) {
      throw new AttuneError(
        'bad-model',
        `The model ${wanted} is not in the library.`,
        'Choose another model, or add its folder to the library.',
      )
    }
    if (!view.usable) {
      throw new AttuneError(
        'bad-model',
        `${view.name} cannot be drawn with: ${view.problems.join(' ')}`,
        'Choose another model.',
      )
    }
    return { id: view.id, name: view.name, path: place.path, isEmbedded: view.embedded }
  }

  /**
   * The real path of a file of a model. Only what an engine reads, only inside the library.
   * @param names of the file below the model's folder
   */
  async file(id: string, names: readonly string[]): Promise<string | undefined> {
    if (!served.test(names.at(-1) ?? '')) return undefined
    if (!this.#places.has(id)) await this.list()
    const place = this.#places.get(id)
    const net = this.#nets.get(id)
    if (place?.layout !== 'diffusers' && !net) return undefined
    // Of a network that is one file, its neighbours are nobody's.
    if (net?.file !== undefined && names.join('/') !== net.file) return undefined
    const top = net?.folder ?? place?.path ?? ''
    const inLibrary = place?.isEmbedded ? [] : this.folders.filter(folder => isInside(folder, top))
    return fileInside(top, names, [...inLibrary, ...linkRootsOf(top)])
  }

  /**
   * Asks with the shell's dialog.
   * @returns undefined when the person chose none
   * @throws AttuneError `unsupported` where there is no dialog
   */
  async chooseFolder(title: string): Promise<string | undefined> {
    const { chooseFolder } = this.#facts.desktop
    if (chooseFolder) return chooseFolder(title)
    throw new AttuneError('unsupported', 'There is no dialog for folders here.', 'Type the folder’s path.')
  }

  /** @returns whether a folder was added; false when the person chose none */
  async addFolder(path: string | undefined): Promise<boolean> {
    const chosen = path ?? (await this.chooseFolder('Choose a folder of models'))
    if (chosen === undefined) return false
    const whole = resolve(chosen)
    const info = await stat(whole).catch(() => undefined)
    if (!info?.isDirectory()) {
      // A single checkpoint stands for the folder that it lies in.
      if (info?.isFile()) return this.addFolder(dirname(whole))
      throw new AttuneError('bad-argument', `There is no folder ${whole}.`, 'Check the path.')
    }
    if (!this.folders.includes(whole))
      await this.#settings.update({ modelFolders: [...this.#settings.values.modelFolders, whole] })
    return true
  }

  async removeFolder(path: string): Promise<void> {
    const whole = resolve(path)
    const rest = this.#settings.values.modelFolders.filter(folder => resolve(folder) !== whole)
    await this.#settings.update({ modelFolders: rest })
  }

  /** Finds downloads that ended with the process before. */
  async start(): Promise<void> {
    await this.#downloads.findUnfinished(resolve(this.#facts.modelsFolder))
  }

  get downloads(): HostDownload[] {
    return this.#downloads.list.map(download => this.#views.view(download))
  }

  async download(url: string, sha256: string | undefined): Promise<HostDownload> {
    const name = nameFromUrl(url)
    if (name === undefined)
      throw new AttuneError('bad-argument', 'The address names no file.', 'Give the address of a model file.')
    if (!/\.safetensors$/i.test(name)) {
      throw new AttuneError(
        'unsupported',
        `${name} is not a .safetensors file; other formats of weights can run code.`,
        'Look for the same model as .safetensors.',
      )
    }
    const file = { url, path: name, ...(sha256 !== undefined && { sha256 }) }
    const download = await this.#downloads.add(
      { name, files: [file], isSingleFile: true },
      resolve(this.#facts.modelsFolder),
    )
    this.#views.setUrl(download.id, url)
    return this.#views.view(download)
  }

  async pauseDownload(id: string): Promise<void> {
    await this.#downloads.pause(id)
  }

  async cancelDownload(id: string): Promise<void> {
    await this.#downloads.cancel(id)
  }

  retryDownload(id: string): void {
    this.#downloads.resume(id)
  }

  async close(): Promise<void> {
    await this.#downloads.close()
  }
}
