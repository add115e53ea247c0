/**
 * Host memory while a checkpoint of Stable Diffusion 1.5's size (1.7 GB) is streamed to the adapter. The file is
 * sparse: a true header and zeros. On a software adapter the GPU's buffers lie in the same memory, so what is counted
 * is what Attune itself holds: JavaScript's heap and array buffers, over what they were before.
 */
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openFileSource } from '../../host/files.ts'
import { openNodeAdapter } from '../../host/webgpu.ts'
import { WebGpuBackend } from '../../model/gpu/backend.ts'
import type { WeightData } from '../../model/graph/ops.ts'
import { WeightReader } from '../../model/weights/weight-reader.ts'
import type { CommandIO } from '../io.ts'
import { printTable } from './table.ts'

/** Matrices of 1.7 GB in f16, from small to as large as any in the model ([1280, 2560, 3, 3]). */
const shapes: readonly (readonly number[])[] = [
  ...Array.from({ length: 14 }, () => [1280, 2560, 3, 3]),
  ...Array.from({ length: 20 }, () => [1280, 1280, 3, 3]),
  ...Array.from({ length: 20 }, () => [640, 640, 3, 3]),
  ...Array.from({ length: 40 }, () => [1280, 1280]),
]

export async function benchLoad(io: CommandIO, json: boolean): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'attune-bench-'))
  const path = join(folder, 'large.safetensors')
  const backend = await WebGpuBackend.open(await openNodeAdapter(), { precision: 'f16' })
  try {
    const bytes = await writeSparse(path)
    const source = await openFileSource(path)
    const reader = await WeightReader.open([source])
    const weights: WeightData[] = shapes.map((shape, index) => reader.tensor(`w${index}`, shape))
    for (const weight of weights) backend.weights.matrix([weight])
    globalThis.gc?.()
    const before = held()
    let peak = before
    const watch = setInterval(() => (peak = Math.max(peak, held())), 5)
    const started = performance.now()
    await backend.weights.load()
    const seconds = (performance.now() - started) / 1000
    clearInterval(watch)
    peak = Math.max(peak, held())
    await source.close()
    printTable(io, json, `load: ${(bytes / 1e9).toFixed(2)} GB of weights to ${backend.description}`, [
      {
        'host peak MiB over the baseline': (peak - before) / 2 ** 20,
        seconds,
        'GB/s': bytes / 1e9 / seconds,
      },
    ])
  } finally {
    await backend.dispose()
    await rm(folder, { recursive: true, force: true })
  }
}

/** Bytes that JavaScript holds. */
function held(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

async function writeSparse(path: string): Promise<number> {
  let end = 0
  const header: Record<string, object> = {}
  for (const [index, shape] of shapes.entries()) {
    const size = shape.reduce((product, axis) => product * axis, 2)
    header[`w${index}`] = { dtype: 'F16', shape, data_offsets: [end, end + size] }
    end += size
  }
  const text = JSON.stringify(header)
  const json = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  const file = await open(path, 'w')
  try {
    await file.write(Buffer.concat([length, json]))
    await file.truncate(8 + json.length + end)
  } finally {
    await file.close()
  }
  return end
}
