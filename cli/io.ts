/**
 * Where a command reads and writes, so that tests can run one in memory; and the two ways in which a command
 * speaks: lines for people, JSON lines for programs.
 */
import { AttuneError, type ErrorRecord } from '../model/contract/errors.ts'

export interface TextStream {
  write(text: string): void
  readonly isTTY: boolean
  readonly columns: number
}

export interface CommandIO {
  /** Results. */
  readonly stdout: TextStream
  /** Progress, notices and errors: never mixed into a pipe. */
  readonly stderr: TextStream
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  now(): Date
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal
}

/** Exit codes of the command line. */
export const exitCodes = { done: 0, failed: 1, badArguments: 2, cancelled: 130 } as const

export function exitCodeOf(error: unknown): number {
  if (!(error instanceof AttuneError)) return exitCodes.failed
  if (error.code === 'bad-argument') return exitCodes.badArguments
  if (error.code === 'cancelled') return exitCodes.cancelled
  return exitCodes.failed
}

/** The plain form of anything that was thrown. */
export function toErrorRecord(error: unknown): ErrorRecord {
  if (error instanceof AttuneError) return error.toRecord()
  const message = error instanceof Error ? error.message : String(error)
  return {
    code: 'internal',
    message: `Something went wrong inside Attune: ${message}`,
    remedy: 'Run again with ATTUNE_DEBUG=1 in the environment, and report what it prints.',
  }
}

/** Says an error: as a JSON line on stdout with --json, else on stderr. */
export function reportError(io: CommandIO, error: unknown, json: boolean): void {
  const record = toErrorRecord(error)
  if (json) writeJson(io, { type: 'error', ...record })
  else {
    const remedy = record.remedy === undefined ? '' : `\n  ${printableText(record.remedy)}`
    io.stderr.write(`attune: ${printableText(record.message)}${remedy}\n`)
  }
  if (io.env['ATTUNE_DEBUG'] && error instanceof Error) io.stderr.write(`${printableText(stackOf(error))}\n`)
}

function stackOf(error: Error): string {
  const cause = error.cause instanceof Error ? `\ncaused by ${stackOf(error.cause)}` : ''
  return `${error.stack ?? error.message}${cause}`
}

/** One object a line, so that a program can read while we run. */
export function writeJson(io: CommandIO, value: object): void {
  io.stdout.write(`${JSON.stringify(value)}\n`)
}

/** File names and metadata may hold terminal codes: they are shown, never sent. */
export function printableText(text: string): string {
  return text.replace(
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, // oxlint-disable-line no-control-regex
    character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

export function cancelled(): AttuneError {
  return new AttuneError('cancelled', 'Cancelled. Nothing was written.')
}

const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'] as const

export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

export function formatSeconds(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`
}
