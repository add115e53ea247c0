/**
 * Log files: one JSON line an event, in files of a limited size and number. What people write is private: prompts stand
 * in a log only where the settings allow it, tokens and the like never. A log that cannot be written is no reason for
 * anything else to fail.
 */
import { appendFile, mkdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { AttuneError } from '../../model/contract/errors.ts'

export const logLevels = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof logLevels)[number]
export type LogFields = Readonly<Record<string, unknown>>

export interface LogOptions {
  readonly folder: string
  /** Without its ending, e.g. `attune`: files are attune.log, attune.1.log, … the higher the older. */
  readonly name?: string
  readonly maxBytes?: number
  readonly maxFiles?: number
  readonly level?: LogLevel
  /** Whether prompts may be written; asked at each event, since settings change. */
  readonly allowPrompts?: () => boolean
  readonly now?: () => Date
}

const defaults = { name: 'attune', maxBytes: 2 << 20, maxFiles: 5 } as const
/** Longest text of a field, entries of a list or object, and levels: a log is read by people. */
const limits = { text: 2_000, entries: 50, depth: 5, waiting: 5_000 } as const

/** Fields that hold what people write. */
const privateFields = /prompt|caption|^text$|^words?$|^phrase|wildcard/i
/** Fields and texts that open doors. */
const secretFields = /token|secret|password|passphrase|authorization|cookie|api[-_]?key/i

export class Log {
  readonly #options: LogOptions
  readonly #path: string
  readonly #maxBytes: number
  readonly #waiting: string[] = []
  #size: number | undefined
  #writing: Promise<void> | undefined
  #lost = 0

  constructor(options: LogOptions) {
    this.#options = options
    this.#maxBytes = options.maxBytes ?? defaults.maxBytes
    this.#path = join(options.folder, `${options.name ?? defaults.name}.log`)
  }

  /** The file that is written now. */
  get path(): string {
    return this.#path
  }

  debug(event: string, fields?: LogFields): void {
    this.write('debug', event, fields)
  }

  info(event: string, fields?: LogFields): void {
    this.write('info', event, fields)
  }

  warn(event: string, fields?: LogFields): void {
    this.write('warn', event, fields)
  }

  /** An error with its cause and stack; messages of ours hold no prompts, those of others are shortened. */
  error(event: string, error?: unknown, fields: LogFields = {}): void {
    this.write('error', event, { ...fields, ...(error !== undefined && { error: describe(error) }) })
  }

  /** Puts a line into the file soon; never throws and never waits. */
  write(level: LogLevel, event: string, fields: LogFields = {}): void {
    if (logLevels.indexOf(level) < logLevels.indexOf(this.#options.level ?? 'info')) return
    if (this.#waiting.length >= limits.waiting) {
      // A flood must not fill the memory.
      this.#lost++
      return
    }
    const time = (this.#options.now ?? (() => new Date()))().toISOString()
    const allowed = this.#options.allowPrompts?.() ?? false
    const clean = cleanValue(fields, allowed, 0) as Record<string, unknown>
    this.#waiting.push(`${JSON.stringify({ time, level, event: cleanText(event), ...clean })}\n`)
    this.#writing ??= this.#drain().finally(() => {
      this.#writing = undefined
    })
  }

  /** Waits until everything so far is written, or could not be. */
  async flush(): Promise<void> {
    while (this.#writing) await this.#writing
  }

  async #drain(): Promise<void> {
    // Once around: events of one moment are one write.
    await Promise.resolve()
    while (this.#waiting.length) {
      const lines = this.#waiting.splice(0, 500)
      if (this.#lost) {
        const time = (this.#options.now ?? (() => new Date()))().toISOString()
        lines.push(`${JSON.stringify({ time, level: 'warn', event: 'events lost', count: this.#lost })}\n`)
        this.#lost = 0
      }
      try {
        for (const text of this.#parts(lines)) await this.#append(text)
      } catch {
        // Full or missing disk: the next events try again.
        this.#size = undefined
      }
    }
  }

  /** Lines together, at most one file's worth at a time. */
  *#parts(lines: readonly string[]): Generator<string> {
    let text = ''
    for (const line of lines) {
      if (text && text.length + line.length > this.#maxBytes / 2) {
        yield text
        text = ''
      }
      text += line
    }
    yield text
  }

  async #append(text: string): Promise<void> {
    await mkdir(this.#options.folder, { recursive: true })
    const bytes = Buffer.byteLength(text)
    this.#size ??= (await stat(this.#path).catch(() => undefined))?.size ?? 0
    if (this.#size > 0 && this.#size + bytes > this.#maxBytes) await this.#rotate()
    // For this user only: even without prompts, a log tells what somebody does.
    await appendFile(this.#path, text, { mode: 0o600 })
    this.#size += bytes
  }

  async #rotate(): Promise<void> {
    const files = Math.max(1, this.#options.maxFiles ?? defaults.maxFiles)
    const numbered = (n: number) => (n === 0 ? this.#path : this.#path.replace(/\.log$/, `.${n}.log`))
    await rm(numbered(files - 1), { force: true })
    for (let n = files - 2; n >= 0; n--) await rename(numbered(n), numbered(n + 1)).catch(() => undefined)
    this.#size = 0
  }
}

function describe(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { message: String(error) }
  return {
    message: error.message,
    ...(error instanceof AttuneError && { code: error.code, remedy: error.remedy }),
    // The first line repeats the message.
    ...(error.stack !== undefined && { stack: error.stack.split('\n').slice(1, 12).join('\n') }),
    ...(error.cause !== undefined && { cause: describe(error.cause) }),
  }
}

function cleanValue(value: unknown, allowPrompts: boolean, depth: number): unknown {
  if (typeof value === 'string') return cleanText(value)
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'function' || typeof value === 'symbol') return `[${typeof value}]`
  if (typeof value !== 'object' || value === null) return value
  if (depth >= limits.depth) return '[deep]'
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`
  if (value instanceof Error) return cleanValue(describe(value), allowPrompts, depth)
  if (Array.isArray(value)) {
    const kept = value.slice(0, limits.entries).map(entry => cleanValue(entry, allowPrompts, depth + 1))
    return value.length > limits.entries ? [...kept, `[${value.length - limits.entries} more]`] : kept
  }
  const clean: Record<string, unknown> = {}
  for (const [key, entry] of Object.entries(value).slice(0, limits.entries)) {
    const name = cleanText(key).slice(0, 100)
    if (name === '__proto__') continue
    if (secretFields.test(key)) clean[name] = '[hidden]'
    else if (privateFields.test(key) && !allowPrompts) clean[name] = sizeOf(entry)
    else clean[name] = cleanValue(entry, allowPrompts, depth + 1)
  }
  return clean
}

/** How much was written says something about a fault; what was written does not. */
function sizeOf(value: unknown): unknown {
  if (typeof value === 'string') return `[${value.length} characters]`
  if (Array.isArray(value)) return `[${value.length} entries]`
  return typeof value === 'number' || typeof value === 'boolean' || value === null ? value : '[hidden]'
}

/** Escape codes of terminals, and characters that change the direction of reading; not tabs and line ends. */
const unprintable =
  // oxlint-disable-next-line no-control-regex
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/g

/** One line, short, without what addresses carry behind ? and #, and without credentials. */
function cleanText(text: string): string {
  const short =
    text.length > limits.text ? `${text.slice(0, limits.text)}… (${text.length} characters)` : text
  return short
    .replaceAll(/\b(https?|wss?|app):\/\/[^\s"'<>]+/gi, address =>
      address.replace(/[?#].*$/, '?…').replace(/\/\/[^/@]*@/, '//'),
    )
    .replaceAll(/\b(bearer|basic)\s+[\w.~+/=-]{6,}/gi, '$1 [hidden]')
    .replaceAll(/\b(hf_|sk-|ghp_|pst-)[\w-]{8,}/g, '$1[hidden]')
    .replaceAll(unprintable, '\ufffd')
}
