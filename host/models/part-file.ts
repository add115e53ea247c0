/**
 * A file that is being downloaded: `name.part` with the bytes, `name.part.json` with what they are of. Bytes count once
 * they are flushed; what a power cut leaves beyond that is cut off. The digest is made as bytes are written, and made
 * again from the file when a download is resumed.
 */
import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, link, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { AttuneError } from '../../model/contract/errors.ts'
import { writeFileAtomic } from '../write.ts'

const stateSchema = z.object({
  version: z.literal(1),
  url: z.string(),
  etag: z.string().optional(),
  lastModified: z.string().optional(),
  /** Of the whole file, once the server has said it. */
  size: z.number().int().min(0).optional(),
  /** Bytes that are surely on the disk. */
  flushed: z.number().int().min(0),
})
export type PartState = z.output<typeof stateSchema>

/** Bytes between two flushes: what a power cut costs at most. */
const flushEvery = 32 << 20

/** What is written to; tests put a disk there that fills up. */
export type OpenForWriting = (
  path: string,
) => Promise<Pick<FileHandle, 'write' | 'truncate' | 'datasync' | 'close'>>

const openFile: OpenForWriting = async path => open(path, 'r+').catch(() => open(path, 'w+'))

export class PartFile {
  readonly path: string
  readonly #finalPath: string
  readonly #open: OpenForWriting
  #file: Awaited<ReturnType<OpenForWriting>> | undefined
  #hash: Hash = createHash('sha256')
  #length = 0
  #state: PartState

  private constructor(finalPath: string, state: PartState, openForWriting: OpenForWriting) {
    this.#finalPath = finalPath
    this.path = `${finalPath}.part`
    this.#state = state
    this.#open = openForWriting
  }

  /** Opens what is there of a file from this address, or an empty one. */
  static async open(
    finalPath: string,
    url: string,
    openForWriting: OpenForWriting = openFile,
  ): Promise<PartFile> {
    const part = new PartFile(finalPath, { version: 1, url, flushed: 0 }, openForWriting)
    const state = await readState(part.#statePath)
    const info = await stat(part.path).catch(() => undefined)
    if (state?.url !== url || !info?.isFile()) return part
    const length = Math.min(info.size, state.flushed)
    part.#state = { ...state, flushed: length }
    part.#length = length
    if (length === 0) return part
    for await (const piece of createReadStream(part.path, { end: length - 1 }))
      part.#hash.update(piece as Uint8Array)
    return part
  }

  get #statePath(): string {
    return `${this.path}.json`
  }

  get length(): number {
    return this.#length
  }

  get state(): PartState {
    return this.#state
  }

  /** Notes what the server says of the file, before its bytes come. */
  async describe(facts: Pick<PartState, 'etag' | 'lastModified' | 'size'>): Promise<void> {
    this.#state = { version: 1, url: this.#state.url, flushed: this.#state.flushed, ...facts }
    await this.#saveState()
  }

  async append(bytes: Uint8Array): Promise<void> {
    const file = await this.#handle()
    let done = 0
    while (done < bytes.length) {
      const { bytesWritten } = await file.write(bytes, done, bytes.length - done, this.#length + done)
      done += bytesWritten
    }
    this.#hash.update(bytes)
    this.#length += bytes.length
    if (this.#length - this.#state.flushed >= flushEvery) await this.flush()
  }

  /** Makes all bytes so far count. */
  async flush(): Promise<void> {
    if (!this.#file || this.#length === this.#state.flushed) return
    await this.#file.datasync()
    this.#state = { ...this.#state, flushed: this.#length }
    await this.#saveState()
  }

  /** Begins anew. */
  async reset(): Promise<void> {
    const file = await this.#handle()
    await file.truncate(0)
    this.#hash = createHash('sha256')
    this.#length = 0
    this.#state = { version: 1, url: this.#state.url, flushed: 0 }
    await rm(this.#statePath, { force: true })
  }

  /** The digest of all bytes so far. */
  sha256(): string {
    return this.#hash.copy().digest('hex')
  }

  async close(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close()
  }

  /**
   * Gives the whole file its name.
   * @throws AttuneError `bad-file` when the name was taken meanwhile
   */
  async publish(): Promise<void> {
    if (!this.#file) await this.#handle()
    await this.#file?.datasync()
    await this.close()
    try {
      // A link names a file only if the name is free; a rename would replace what is there.
      await link(this.path, this.#finalPath)
      await rm(this.path, { force: true })
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'EEXIST') {
        throw new AttuneError(
          'bad-file',
          `${this.#finalPath} is there already.`,
          'Remove it, or choose another folder.',
          {
            cause: error,
          },
        )
      }
      // No links on exFAT and some networks.
      await rename(this.path, this.#finalPath)
    }
    await syncFolder(dirname(this.#finalPath))
    await rm(this.#statePath, { force: true })
  }

  /** Puts bytes that are not what they should be out of the way, for a look; nothing resumes from them. */
  async reject(): Promise<string> {
    await this.close()
    const aside = `${this.#finalPath}.rejected`
    await rename(this.path, aside)
    await rm(this.#statePath, { force: true })
    return aside
  }

  async delete(): Promise<void> {
    await this.close()
    await rm(this.path, { force: true })
    await rm(this.#statePath, { force: true })
  }

  async #handle() {
    if (this.#file) return this.#file
    this.#file = await this.#open(this.path)
    // What lies beyond the flushed bytes may be anything.
    await this.#file.truncate(this.#length)
    return this.#file
  }

  #saveState(): Promise<void> {
    return writeFileAtomic(this.#statePath, new TextEncoder().encode(JSON.stringify(this.#state)), {
      overwrite: true,
    })
  }
}

async function readState(path: string): Promise<PartState | undefined> {
  try {
    const info = await stat(path)
    if (info.size > 65_536) return undefined
    return stateSchema.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch {
    return undefined
  }
}

async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  try {
    const handle = await open(folder, 'r')
    await handle.sync().finally(() => handle.close())
  } catch {
    // Network folders may refuse; the file itself is flushed.
  }
}

/** The digest of a file on the disk. */
export async function sha256Of(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256')
  for await (const piece of createReadStream(path, signal ? { signal } : {})) hash.update(piece as Uint8Array)
  return hash.digest('hex')
}
