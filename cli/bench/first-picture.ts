/** Seconds from process start to a written picture with the embedded model: what a person waits for. */
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { CommandIO } from '../io.ts'
import { median, printTable, type Row } from './table.ts'

const rounds = 3

export async function benchFirstPicture(io: CommandIO, json: boolean): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'attune-bench-'))
  try {
    const times: Record<string, number[]> = { webgpu: [], wasm: [] }
    const stages: Record<string, Row> = {}
    // Interleaved, so that a slow phase of a shared machine meets both.
    for (let round = 0; round < rounds; round++) {
      for (const backend of Object.keys(times)) {
        const out = join(folder, `${backend}-${round}.png`)
        const started = performance.now()
        const lines = await run([
          'generate',
          'a red car under a blue sky',
          '--json',
          '--seed',
          '1',
          '--backend',
          backend,
          '--out',
          out,
        ])
        times[backend]?.push((performance.now() - started) / 1000)
        const done = lines
          .map(line => JSON.parse(line) as { type: string; timings?: Row })
          .find(({ type }) => type === 'done')
        if (done?.timings) stages[backend] = done.timings
      }
    }
    const rows = Object.entries(times).map(([backend, list]): Row => {
      const { load = 0, device = 0, text = 0, compile = 0, denoise = 0, decode = 0 } = stages[backend] ?? {}
      return {
        backend,
        'best s': Math.min(...list),
        'median s': median(list),
        load,
        device,
        text,
        compile,
        denoise,
        decode,
      }
    })
    printTable(
      io,
      json,
      `first-picture: process start to file, ${rounds} rounds; stages of the last in ms`,
      rows,
    )
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function run(words: readonly string[]): Promise<string[]> {
  const launcher = fileURLToPath(new URL('../attune.mjs', import.meta.url))
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [launcher, ...words], { stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    child.stdout.on('data', (data: Buffer) => (text += data.toString()))
    child.on('error', reject)
    child.on('close', code => {
      if (code === 0) resolve(text.trim().split('\n'))
      else reject(new Error(`attune ${words.join(' ')} ended with ${code}: ${text}`))
    })
  })
}
