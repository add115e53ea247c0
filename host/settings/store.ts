/**
 * A settings file: JSON with a version, checked by a schema, written whole and atomically. What this version does not
 * know is kept; a damaged file is moved aside, never overwritten; a file of a newer version is read as far as it is
 * understood and not written at all; where nothing can be written, settings live in memory and that is said once.
 */
import { copyFile, readFile, rename, stat } from 'node:fs/promises'
import { z } from 'zod'
import { AttuneError } from '../../model/contract/errors.ts'
import { writeFileAtomic } from '../write.ts'

/** A step of the chain: takes the file's object of version `from` and gives that of `from + 1`. */
export interface Migration {
  readonly from: number
  migrate(raw: Record<string, unknown>): Record<string, unknown>
}

export interface SettingsDefinition<Shape extends z.ZodRawShape> {
  /** One schema a key; each must have a default, so that a wrong value costs that key alone. */
  readonly shape: Shape
  readonly version: number
  readonly migrations: readonly Migration[]
}

export interface SettingsStoreOptions {
  readonly path: string
  readonly now?: () => Date
  /** What the file holds, for notices; `settings` when absent. */
  readonly what?: string
  /** A larger file is taken for damaged. */
  readonly byteLimit?: number
}

type Values<Shape extends z.ZodRawShape> = z.output<z.ZodObject<Shape>>
type Listener<Shape extends z.ZodRawShape> = (
  values: Values<Shape>,
  changed: readonly (keyof Values<Shape>)[],
) => void

const usualByteLimit = 4 << 20
const versionKey = 'version'

export class SettingsStore<Shape extends z.ZodRawShape> {
  readonly #definition: SettingsDefinition<Shape>
  readonly #path: string
  readonly #what: string
  readonly #byteLimit: number
  readonly #listeners = new Set<Listener<Shape>>()
  /** The file's object, with what is not understood. */
  #raw: Record<string, unknown> = {}
  #values: Values<Shape>
  #isWritable = true
  #writing: Promise<void> = Promise.resolve()
  /** What the person should know, in sentences; grows when a write fails. */
  readonly notices: string[] = []

  private constructor(definition: SettingsDefinition<Shape>, options: SettingsStoreOptions) {
    this.#definition = definition
    this.#path = options.path
    this.#what = options.what ?? 'settings'
    this.#byteLimit = options.byteLimit ?? usualByteLimit
    this.#values = this.#check({}).values
  }

  /** Reads the file. Never fails: whatever is wrong with it becomes a notice. */
  static async open<Shape extends z.ZodRawShape>(
    definition: SettingsDefinition<Shape>,
    options: SettingsStoreOptions,
  ): Promise<SettingsStore<Shape>> {
    const store = new SettingsStore(definition, options)
    await store.#read(options.now ?? (() => new Date()))
    return store
  }

  get values(): Values<Shape> {
    return this.#values
  }

  /** Whether changes reach the disk. */
  get isWritable(): boolean {
    return this.#isWritable
  }

  get<Key extends keyof Values<Shape>>(key: Key): Values<Shape>[Key] {
    return this.#values[key]
  }

  set<Key extends keyof Values<Shape>>(key: Key, value: Values<Shape>[Key]): Promise<void> {
    return this.update({ [key]: value } as unknown as Partial<Values<Shape>>)
  }

  /**
   * Changes several settings at once, all or none. They hold at once; the promise waits for the disk.
   * @throws AttuneError `bad-argument` naming the first value that cannot be used; then nothing has changed
   */
  async update(changes: Partial<Values<Shape>>): Promise<void> {
    const next: Record<string, unknown> = { ...this.#raw }
    const changed: (keyof Values<Shape>)[] = []
    for (const [key, value] of Object.entries(changes)) {
      const schema = Object.hasOwn(this.#definition.shape, key) ? this.#definition.shape[key] : undefined
      if (!schema) throw new AttuneError('bad-argument', `There is no setting ${key}.`, 'Check its name.')
      const parsed = z.safeParse(schema, value)
      if (!parsed.success) {
        const issue = parsed.error.issues[0]
        throw new AttuneError(
          'bad-argument',
          `The setting ${[key, ...(issue?.path ?? [])].join('.')} cannot be used: ${issue?.message ?? 'unknown'}.`,
          'Choose another value.',
        )
      }
      next[key] = parsed.data
      if (JSON.stringify(parsed.data) !== JSON.stringify(this.#values[key as keyof Values<Shape>]))
        changed.push(key as keyof Values<Shape>)
    }
    if (!changed.length) return
    this.#raw = next
    this.#values = this.#check(next).values
    for (const listener of this.#listeners) listener(this.#values, changed)
    await this.#write()
  }

  /** @returns a function that ends the subscription */
  subscribe(listener: Listener<Shape>): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async #read(now: () => Date): Promise<void> {
    const text = await this.#readText()
    if (text === undefined) return
    const stamp = now().toISOString().replaceAll(/[:.]/g, '-')
    const raw = parseObject(text)
    if (!raw) {
      const aside = `${this.#path}.broken-${stamp}`
      const isMoved = await rename(this.#path, aside).then(
        () => true,
        () => false,
      )
      this.#isWritable = isMoved
      this.notices.push(
        isMoved
          ? `The ${this.#what} were damaged. They are kept as ${aside}; the defaults are used.`
          : `The ${this.#what} ${this.#path} are damaged and cannot be moved aside; the defaults are used, and changes are not saved.`,
      )
      return
    }
    const { version } = this.#definition
    // Before there were versions there was one.
    const given = raw[versionKey] ?? 1
    const found = typeof given === 'number' && Number.isInteger(given) && given >= 1 ? given : 0
    if (found > version) {
      this.#isWritable = false
      this.notices.push(
        `The ${this.#what} were written by a newer Attune (version ${found}; this one knows ${version}). They are used as far as they are understood, and changes are not saved. Update Attune.`,
      )
    }
    let current = raw
    if (found < version) {
      const migrated = await this.#migrate(raw, found)
      if (!migrated) return
      current = migrated
    }
    const { values, wrong } = this.#check(current)
    this.#raw = current
    this.#values = values
    if (wrong.length) {
      const aside = `${this.#path}.broken-${stamp}`
      await copyFile(this.#path, aside).catch(() => undefined)
      for (const key of wrong) delete this.#raw[key]
      this.notices.push(
        `These ${this.#what} could not be used and have their defaults: ${wrong.join(', ')}. The file as it was is kept as ${aside}.`,
      )
    }
    if (found < version) await this.#write()
  }

  /** Runs the chain; the old file stays beside the new one. */
  async #migrate(raw: Record<string, unknown>, found: number): Promise<Record<string, unknown> | undefined> {
    let current = raw
    try {
      for (let version = Math.max(1, found); version < this.#definition.version; version++) {
        const step = this.#definition.migrations.find(({ from }) => from === version)
        if (!step) throw new Error(`no step from version ${version}`)
        current = step.migrate(current)
      }
      await copyFile(this.#path, `${this.#path}.v${found}.bak`)
      return current
    } catch (error) {
      // The old file stays as it is, for a version that can read it.
      this.#isWritable = false
      const why = error instanceof Error ? error.message : String(error)
      this.notices.push(
        `The ${this.#what} of an older version could not be taken over (${why}). The defaults are used, and changes are not saved: move ${this.#path} aside to begin anew.`,
      )
      return undefined
    }
  }

  async #readText(): Promise<string | undefined> {
    try {
      const info = await stat(this.#path)
      if (!info.isFile() || info.size > this.#byteLimit) return ''
      return await readFile(this.#path, 'utf8')
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
      this.#isWritable = false
      this.notices.push(
        `The ${this.#what} ${this.#path} cannot be read; the defaults are used, and changes are not saved.`,
      )
      return undefined
    }
  }

  #check(raw: Record<string, unknown>): { values: Values<Shape>; wrong: string[] } {
    const values: Record<string, unknown> = {}
    const wrong: string[] = []
    for (const [key, schema] of Object.entries(this.#definition.shape)) {
      const parsed = z.safeParse(schema, raw[key])
      if (!parsed.success && raw[key] !== undefined) wrong.push(key)
      values[key] = parsed.success ? parsed.data : z.parse(schema, undefined)
    }
    return { values: values as Values<Shape>, wrong }
  }

  /** One write after the other, each of what holds when its turn comes. */
  #write(): Promise<void> {
    const write = async () => {
      if (!this.#isWritable) return
      const text = JSON.stringify({ ...this.#raw, [versionKey]: this.#definition.version }, undefined, 2)
      try {
        await writeFileAtomic(this.#path, new TextEncoder().encode(`${text}\n`), { overwrite: true })
      } catch (error) {
        // Said once: a banner, not a loop of errors. The next change tries again.
        const what = `${this.#what[0]?.toUpperCase()}${this.#what.slice(1)}`
        const notice = `${what} are not saved: ${error instanceof Error ? error.message : String(error)}`
        if (!this.notices.includes(notice)) this.notices.push(notice)
      }
    }
    this.#writing = this.#writing.then(write, write)
    return this.#writing
  }
}

/** A JSON object, or undefined for anything else. */
function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const json: unknown = JSON.parse(text)
    if (typeof json !== 'object' || json === null || Array.isArray(json)) return undefined
    return json as Record<string, unknown>
  } catch {
    return undefined
  }
}
