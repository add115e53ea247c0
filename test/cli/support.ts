/** A command line in memory: streams that are kept, a clock that stands, an engine that draws a gradient. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterEach } from 'vitest'
import type { Engine, GenerateJob, GenerateResult } from '../../cli/engine.ts'
import type { CommandIO } from '../../cli/io.ts'
import { main } from '../../cli/main.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import { type PictureRecord, readRecord, recordKeyword } from '../../model/contract/record.ts'
import { type ModelDefaults, resolveRequest } from '../../model/contract/request.ts'
import { readPngText } from '../../model/image/png-text.ts'

const folders: string[] = []

afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
})

/** A folder of the test's own, removed after it. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'attune-test-'))
  folders.push(folder)
  return folder
}

export interface Run {
  readonly code: number
  readonly out: string
  readonly err: string
  /** The JSON lines of stdout. */
  json(): Record<string, unknown>[]
}

export interface RunOptions {
  readonly engine?: Engine
  readonly cwd?: string
  readonly terminal?: boolean
  readonly signal?: AbortSignal
  readonly env?: Readonly<Record<string, string | undefined>>
}

export async function run(argv: readonly string[], options: RunOptions = {}): Promise<Run> {
  let out = ''
  let err = ''
  const isTTY = options.terminal ?? false
  const io: CommandIO = {
    stdout: { write: text => void (out += text), isTTY, columns: 80 },
    stderr: { write: text => void (err += text), isTTY, columns: 80 },
    cwd: options.cwd ?? tmpdir(),
    env: options.env ?? {},
    now: () => new Date(2026, 10, 23, 12),
    signal: options.signal ?? new AbortController().signal,
  }
  const code = await main(argv, io, options.engine ?? fakeEngine())
  return {
    code,
    out,
    err,
    json: () =>
      out
        .trim()
        .split('\n')
        .map(line => JSON.parse(line) as Record<string, unknown>),
  }
}

export const defaults: ModelDefaults = {
  width: 64,
  height: 48,
  steps: 3,
  guidanceScale: 5,
  sampler: 'ddim',
  precision: 'f32',
  clipSkip: 1,
}

/** Draws a gradient in `steps` steps and keeps the jobs that it was given. @param more of its results */
export function fakeEngine(more: Partial<GenerateResult> = {}): Engine & { readonly jobs: GenerateJob[] } {
  const jobs: GenerateJob[] = []
  return {
    jobs,
    async runGenerate(job, hooks) {
      jobs.push(job)
      const used = resolveRequest(job.request, defaults, 8, job.init)
      hooks.onNotice('a software adapter draws this')
      for (let step = 0; step <= used.steps; step++) {
        if (hooks.signal.aborted) throw hooks.signal.reason
        hooks.onProgress({
          step,
          steps: used.steps,
          sigma: used.steps - step,
          secondsLeft: used.steps - step,
        })
        await new Promise(resolve => setTimeout(resolve, 1))
      }
      const { width, height } = used
      const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 7) & 255)
      return {
        picture: { width, height, channels: 3, data },
        latents: {
          shape: [1, 4, height / 8, width / 8],
          data: new Float32Array((4 * height * width) / 64).fill(0.5),
        },
        used,
        model: { name: 'fake' },
        adapter: { backend: 'cpu', name: 'a fake adapter' },
        timings: { total: 1234 },
        peakBytes: { host: 1 },
        ...more,
      }
    },
  }
}

/** An engine that fails. */
export function failingEngine(error: unknown): Engine {
  return { runGenerate: () => Promise.reject(error) }
}

export const lost = new AttuneError('device-lost', 'The GPU was reset.', 'Run again.')

/** The record of a picture file. */
export async function recordOf(path: string): Promise<PictureRecord> {
  const { entries } = await readPngText(new Uint8Array(await readFile(path)))
  return readRecord(entries.find(({ keyword }) => keyword === recordKeyword)?.text ?? '')
}

/** The bytes of a picture's pixels. */
export async function pixelsOf(path: string): Promise<Buffer> {
  return sharp(path).raw().toBuffer()
}
