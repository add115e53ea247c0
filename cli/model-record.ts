/** The model as a picture's record names it, with the digest of its weights where that is known without waiting. */
import { basename, resolve } from 'node:path'
import type { HostModelFolder } from '../host/model-folder.ts'
import { committedDigest, knownModelDigest, modelDigest, type ModelHashOptions } from '../host/model-hash.ts'

export interface ModelRecord {
  readonly name: string
  readonly sha256?: string
}

/** What a picture may wait for a digest that is nearly there. */
const patienceMilliseconds = 200

/** Follows the digest of one model during a run. */
export class ModelDigest {
  readonly #files: readonly string[]
  readonly #options: ModelHashOptions
  #found: Promise<string | undefined>
  #known = false

  private constructor(files: readonly string[], options: ModelHashOptions, found: string | undefined) {
    this.#files = files
    this.#options = options
    this.#found = Promise.resolve(found)
    this.#known = found !== undefined
  }

  /**
   * Looks the digest up; reads no weights.
   * @param embedded trust the folder's own SHA256SUMS, which came with Attune
   */
  static async lookUp(
    folder: HostModelFolder,
    embedded: boolean,
    options: ModelHashOptions = {},
  ): Promise<ModelDigest> {
    // The network that draws names the model; autoencoder and text encoder are shared by many.
    const files = folder.opened('unet')
    const [file] = files
    const committed =
      embedded && file && files.length === 1
        ? await committedDigest(folder.name, `unet/${basename(file)}`)
        : undefined
    return new ModelDigest(files, options, committed ?? (await knownModelDigest(files, options)))
  }

  /** Begins to hash what is not known. Called when the weights are loaded, so that nobody waits for the drive. */
  begin(): void {
    if (this.#known) return
    this.#known = true
    this.#found = modelDigest(this.#files, this.#options)
  }

  /** The record; without a digest where it is not ready. Hashing goes on, for the next picture. */
  async record(modelPath: string | undefined): Promise<ModelRecord> {
    const name = modelPath === undefined ? 'Storybook' : basename(resolve(modelPath))
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<undefined>(done => {
      timer = setTimeout(() => done(undefined), patienceMilliseconds)
    })
    const sha256 = await Promise.race([this.#found, late])
    clearTimeout(timer)
    return { name, ...(sha256 !== undefined && { sha256 }) }
  }
}
