/**
 * Pipelines of the embedded model's networks: compiled by a process that finds no shader cache of the driver, and by one
 * that finds what the first has left. Each in a process of its own, for Dawn keeps pipelines within one.
 */
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { CommandIO } from '../io.ts'
import type { CompileFigures } from './compile-child.ts'
import { median, printTable } from './table.ts'

const rounds = 3

export async function benchCompile(io: CommandIO, json: boolean): Promise<void> {
  const all: Record<'cold' | 'warm', CompileFigures[][]> = { cold: [], warm: [] }
  for (let round = 0; round < rounds; round++) {
    const cache = await mkdtemp(join(tmpdir(), 'attune-shaders-'))
    try {
      // Interleaved, so that a slow phase of a shared machine meets both.
      all.cold.push(await child(cache))
      all.warm.push(await child(cache))
    } finally {
      await rm(cache, { recursive: true, force: true })
    }
  }
  const networks = all.cold[0] ?? []
  printTable(
    io,
    json,
    `compile: weights, pipelines and first run of the embedded model, ${rounds} rounds, without and with the driver's shader cache`,
    networks.map(({ network, dispatches }, i) => {
      const times = (runs: CompileFigures[][], what: 'compile' | 'firstRun'): number =>
        median(runs.map(run => run[i]?.[what] ?? NaN))
      return {
        network,
        dispatches,
        'cold ms': times(all.cold, 'compile'),
        'warm ms': times(all.warm, 'compile'),
        'warm / cold': times(all.warm, 'compile') / times(all.cold, 'compile'),
        'first run cold ms': times(all.cold, 'firstRun'),
        'first run warm ms': times(all.warm, 'firstRun'),
      }
    }),
    2,
  )
}

function child(cache: string): Promise<CompileFigures[]> {
  const script = fileURLToPath(new URL('compile-child.ts', import.meta.url))
  const env = { ...process.env, MESA_SHADER_CACHE_DIR: cache, MESA_SHADER_CACHE_DISABLE: 'false' }
  return new Promise((resolve, reject) => {
    const running = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), script], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env,
    })
    let text = ''
    running.stdout.on('data', (data: Buffer) => (text += data.toString()))
    running.on('error', reject)
    running.on('close', code => {
      if (code === 0) resolve(JSON.parse(text) as CompileFigures[])
      else reject(new Error(`the compiling process ended with ${code}: ${text}`))
    })
  })
}
