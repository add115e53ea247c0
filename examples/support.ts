/**
 * What the examples share: numbers by formula, a few layers on the host, and text output. The attention itself is the
 * library's; what is here would be the rest of the caller's network.
 */
import { pathToFileURL } from 'node:url'
import { openBackend } from '../host/seat/backend.ts'
import type { HostArray } from '../model/attention/cross-attention.ts'
import type { Backend } from '../model/graph/program.ts'
import { elementCount, lastAxis, type Shape } from '../model/tensor/shape.ts'

/** The numbers of an example, for its report and for the test that compares them with PyTorch's. */
export type Numbers = Readonly<Record<string, Float32Array | number>>

/**
 * Uniform numbers of mean `shift` and standard deviation `deviation`: the same on every machine and in PyTorch
 * (test/fixtures/make/formula_weights.py states the formula).
 */
export function numbers(name: string, shape: Shape, deviation = 1, shift = 0): HostArray {
  let start = 0x811c9dc5
  for (const byte of new TextEncoder().encode(name)) start = Math.imul(start ^ byte, 0x01000193)
  const data = Float32Array.from({ length: elementCount(shape) }, (_, i) => {
    let hash = (Math.imul(i, 0x9e3779b1) + start) | 0
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
    hash ^= hash >>> 16
    return shift + (2 * ((hash >>> 8) * 2 ** -24) - 1) * Math.sqrt(3) * deviation
  })
  return { data, shape }
}

/** The weight [rows, columns] of a linear layer that keeps the size of what it is given. */
export const weight = (name: string, rows: number, columns: number): HostArray =>
  numbers(name, [rows, columns], 1 / Math.sqrt(columns))

/** x [..., K] · weight [N, K]ᵀ + bias [N] → [..., N]. */
export function linear(x: HostArray, { data, shape }: HostArray, bias?: HostArray): HostArray {
  const [n = 0, k = 0] = shape
  const rows = x.data.length / k
  const y = new Float32Array(rows * n)
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < n; column++) {
      let sum = bias?.data[column] ?? 0
      for (let i = 0; i < k; i++) sum += (x.data[row * k + i] as number) * (data[column * k + i] as number)
      y[row * n + column] = sum
    }
  }
  return { data: y, shape: [...x.shape.slice(0, -1), n] }
}

/** f of each number and, where given, its partner in `b`. */
export function each(a: HostArray, f: (x: number, y: number) => number, b = a): HostArray {
  return { data: a.data.map((x, i) => f(x, b.data[i] as number)), shape: a.shape }
}

export const add = (a: HostArray, b: HostArray): HostArray => each(a, (x, y) => x + y, b)

/** Layer normalisation with bias; without (T5), the root mean square only. */
export function norm(x: HostArray, scale: HostArray, bias?: HostArray, eps = 1e-5): HostArray {
  const width = lastAxis(x.shape)
  const data = new Float32Array(x.data.length)
  for (let start = 0; start < data.length; start += width) {
    const row = x.data.subarray(start, start + width)
    const mean = bias ? row.reduce((sum, value) => sum + value, 0) / width : 0
    const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / width
    for (const [i, value] of row.entries()) {
      data[start + i] =
        ((value - mean) / Math.sqrt(variance + eps)) * (scale.data[i] as number) + (bias?.data[i] ?? 0)
    }
  }
  return { data, shape: x.shape }
}

/** Rows start … start + count of a sequence [1, L, E], or of each sample of [B, L, E]. */
export function tokens({ data, shape }: HostArray, start: number, count: number): HostArray {
  const [batch = 0, length = 0, width = 0] = shape
  const parts = Array.from({ length: batch }, (_, b) => [
    ...data.subarray((b * length + start) * width, (b * length + start + count) * width),
  ])
  return { data: Float32Array.from(parts.flat()), shape: [batch, count, width] }
}

/** The mean over heads of one sample's weights [1, N, L, S]: [L][S]. */
export function headMean({ data, shape }: HostArray): number[][] {
  const [, heads = 0, length = 0, keys = 0] = shape
  return Array.from({ length }, (_, l) =>
    Array.from({ length: keys }, (__, s) => {
      let sum = 0
      for (let n = 0; n < heads; n++) sum += data[(n * length + l) * keys + s] as number
      return sum / heads
    }),
  )
}

/** A heat map in text: a row a position, a column a token, and darker where more is taken. */
export function heatMap(rows: readonly string[], columns: readonly string[], values: number[][]): string {
  const margin = Math.max(...rows.map(row => row.length))
  const size = Math.max(6, ...columns.map(column => column.length + 2))
  const cell = (value: number): string => {
    const shade = ' ░▒▓█'[Math.min(4, Math.floor(value * 5))]
    return `${value.toFixed(2)}${shade}`.padStart(size)
  }
  return [
    `${' '.repeat(margin)}${columns.map(column => `${column} `.padStart(size)).join('')}`,
    ...values.map((row, l) => `${(rows[l] ?? '').padEnd(margin)}${row.map(cell).join('')}`),
  ]
    .map(line => line.trimEnd())
    .join('\n')
}

/** The largest difference of two arrays, in words: roundings differ from machine to machine. */
export function distance(a: Float32Array, b: Float32Array): string {
  const largest = a.reduce((most, x, i) => Math.max(most, Math.abs(x - (b[i] as number))), 0)
  return largest < 1e-5 ? 'below 1e-5' : largest.toFixed(3)
}

/** Runs an example if its file is the one that was started: `node --import tsx examples/NAME.ts [backend]`. */
export async function start(
  file: string,
  run: (backend: Backend) => Promise<Numbers>,
  report: (found: Numbers) => string,
): Promise<void> {
  if (!process.argv[1] || pathToFileURL(process.argv[1]).href !== file) return
  const name = (process.argv[2] ?? 'auto') as 'auto' | 'webgpu' | 'wasm' | 'cpu'
  const request = { backend: name, precision: 'f32', gigaflop: 0.01, parameters: 1e5 } as const
  const backend = await openBackend(request, notice => console.error(notice))
  console.log(`${report(await run(backend))}\n\n(${backend.description})`)
  // Dawn's threads would keep the process alive.
  process.exit(0)
}
