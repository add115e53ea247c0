/**
 * The library: the models in the folders that the user named. What is found is inspected once and remembered by the
 * sizes and times of its files; one that cannot be read is listed with its reason and disturbs no other.
 */
import { readdir, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { partialEnding } from './downloads.ts'
import { inspectModel, type ModelInfo } from './inspect.ts'

export interface LibraryModel extends ModelInfo {
  /** Stable for a place: what settings and requests name. */
  readonly id: string
  /** Comes with Attune. */
  readonly isEmbedded: boolean
}

export interface LibraryOptions {
  /** Folders that hold models, or are one. */
  readonly folders: () => readonly string[]
  /** Models that come with Attune. */
  readonly embedded?: readonly string[]
}

export interface LibraryList {
  readonly models: readonly LibraryModel[]
  /** Folders that could not be read, in sentences. */
  readonly problems: readonly string[]
}

/** Folders below a library folder that are looked into: author/model is common. */
const depthLimit = 3
const modelLimit = 2_000
const files = /\.(safetensors|ckpt|pt|pth)$/i

export class Library {
  readonly #options: LibraryOptions
  /** By path; kept while nothing of the model has changed. */
  readonly #known = new Map<string, { readonly stamp: string; readonly info: ModelInfo }>()

  constructor(options: LibraryOptions) {
    this.#options = options
  }

  /** Lists all models, the embedded ones first, then by name. */
  async list(): Promise<LibraryList> {
    const problems: string[] = []
    const paths: string[] = []
    for (const folder of this.#options.folders()) {
      const whole = resolve(folder)
      if (!(await this.#find(whole, 0, paths)))
        problems.push(`The folder ${whole} cannot be read. Connect its drive, or remove it from the list.`)
    }
    const embedded = (this.#options.embedded ?? []).map(path => resolve(path))
    const all = [...new Set([...embedded, ...paths])].slice(0, modelLimit)
    const models: LibraryModel[] = []
    for (const path of all) {
      const info = await this.#inspect(path)
      if (info) models.push({ ...info, id: path, isEmbedded: embedded.includes(path) })
    }
    models.sort(
      (a, b) =>
        Number(b.isEmbedded) - Number(a.isEmbedded) ||
        a.name.localeCompare(b.name) ||
        a.path.localeCompare(b.path),
    )
    for (const path of this.#known.keys()) if (!all.includes(path)) this.#known.delete(path)
    return { models, problems }
  }

  /** The model of an id, or of a name that only one has. */
  async find(idOrName: string): Promise<LibraryModel | undefined> {
    const { models } = await this.list()
    const byId = models.find(model => model.id === idOrName)
    if (byId) return byId
    const byName = models.filter(model => model.name === idOrName)
    return byName.length === 1 ? byName[0] : undefined
  }

  /** Collects models below a folder. @returns whether it can be read */
  async #find(folder: string, depth: number, paths: string[]): Promise<boolean> {
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => undefined)
    if (!entries) return false
    const names = new Set(entries.map(entry => entry.name))
    if (names.has('model_index.json') || (names.has('unet') && names.has('vae'))) {
      paths.push(folder)
      return true
    }
    for (const entry of entries) {
      if (paths.length >= modelLimit) return true
      // Hidden, or still being downloaded.
      if (entry.name.startsWith('.') || entry.name.endsWith(partialEnding)) continue
      const path = join(folder, entry.name)
      // Links are followed: libraries of several programs are joined by them. Depth ends circles.
      const info = entry.isSymbolicLink() ? await stat(path).catch(() => undefined) : entry
      if (info?.isDirectory()) {
        if (depth < depthLimit) await this.#find(path, depth + 1, paths)
      } else if (info?.isFile() && files.test(entry.name)) paths.push(path)
    }
    return true
  }

  async #inspect(path: string): Promise<ModelInfo | undefined> {
    const stamp = await stampOf(path)
    if (stamp === undefined) return undefined
    const known = this.#known.get(path)
    if (known?.stamp === stamp) return known.info
    const info = await inspectModel(path).catch(
      (error: unknown): ModelInfo => ({
        path,
        name: basename(path),
        layout: 'diffusers',
        role: 'unknown',
        family: 'unknown',
        bytes: 0,
        parameters: 0,
        parts: [],
        missing: [],
        problems: [error instanceof Error ? error.message : String(error)],
        stamp: '',
      }),
    )
    this.#known.set(path, { stamp, info })
    return info
  }
}

/** Sizes and times of a file, or of the files of a folder and of its parts. */
async function stampOf(path: string): Promise<string | undefined> {
  const info = await stat(path).catch(() => undefined)
  if (!info) return undefined
  if (!info.isDirectory()) return `${info.size} ${info.mtimeMs}`
  const lines: string[] = []
  const visit = async (folder: string, depth: number): Promise<void> => {
    const entries = (await readdir(folder, { withFileTypes: true }).catch(() => [])).slice(0, 500)
    for (const entry of entries) {
      const below = join(folder, entry.name)
      const found = await stat(below).catch(() => undefined)
      if (found?.isDirectory()) {
        if (depth === 0) await visit(below, 1)
      } else if (found) lines.push(`${below} ${found.size} ${found.mtimeMs}`)
    }
  }
  await visit(path, 0)
  return lines.sort().join('\n')
}
