/** Caches asked in every way, against the plain call over keys and values that were projected beside it. */
import { crossAttention, type AttendOptions, type HostArray } from '../../model/attention/cross-attention.ts'
import { KeyValueCache } from '../../model/attention/key-value-cache.ts'
import { LatentKeyValueCache } from '../../model/attention/latent-key-value-cache.ts'
import { createInterpreterBackend } from '../../model/graph/interpreter.ts'
import type { Backend } from '../../model/graph/program.ts'
import { elementCount } from '../../model/tensor/shape.ts'
import { largestDifference, randomArray } from './gpu.ts'

export const random = (seed: number, ...shape: number[]): HostArray => ({
  shape,
  data: randomArray(elementCount(shape), seed),
})

/** x [B, S, K] · weight [N, K]ᵀ + bias, in f64. */
export function project(x: HostArray, { data, shape }: HostArray, bias?: HostArray): HostArray {
  const [n = 0, k = 0] = shape
  const y = Float32Array.from({ length: (x.data.length / k) * n }, (_, i) => {
    let sum = bias?.data[i % n] ?? 0
    for (let j = 0; j < k; j++) {
      sum += (x.data[Math.floor(i / n) * k + j] as number) * (data[(i % n) * k + j] as number)
    }
    return sum
  })
  return { data: y, shape: [...x.shape.slice(0, -1), n] }
}

/** Rows of each sample: x [B, S, K] → [B, count, K]. */
export function rows(x: HostArray, start: number, count: number): HostArray {
  const [batch = 0, length = 0, width = 0] = x.shape
  const parts = Array.from({ length: batch }, (_, b) => [
    ...x.data.subarray((b * length + start) * width, (b * length + start + count) * width),
  ])
  return { data: Float32Array.from(parts.flat()), shape: [batch, count, width] }
}

/** Head sizes that are no multiple of 4, too: 3 heads of 6, 2 of 8. */
export const headSizes = [
  { numHeads: 3, width: 18 },
  { numHeads: 2, width: 16 },
] as const

const [queries, keys, sourceWidth] = [5, 11, 10]

export const attendCases: Record<string, AttendOptions> = {
  plain: {},
  'another scale, everything on': {
    softmaxScale: 1,
    keyPaddingMask: { data: [1, 1, 0, 1, 1, 1, 1, 1, 1, 0, 1], shape: [1, keys] },
    attentionMask: {
      data: Array.from({ length: queries * keys }, (_, i) => (i % 3 === 0 ? 0 : 1)),
      shape: [1, queries, keys],
    },
    logitBias: random(1, 2, 1, keys),
    tokenScale: random(2, 1, keys),
    valueGain: random(3, 2, keys),
    returnWeights: true,
  },
  'sources that begin anywhere': {
    sources: [
      [6, 5],
      [1, 3],
    ],
    outputMask: random(4, 2, queries, 2),
    tokenScale: random(5, 2, keys),
    returnWeights: true,
  },
}

/** The largest difference of a cache that took its source in three pieces from the plain call on the oracle. */
export async function cacheDifference(
  backend: Backend,
  options: AttendOptions,
  given: {
    readonly numHeads: number
    readonly width: number
    readonly batch: number
    readonly capacity: number
  },
): Promise<number> {
  const { numHeads, width, batch, capacity } = given
  const states = random(6, batch, keys, sourceWidth)
  const [keyWeight, valueWeight] = [random(7, width, sourceWidth), random(8, width, sourceWidth)]
  const [keyBias, valueBias] = [random(9, width), random(10, width)]
  const query = random(11, 2, queries, width)
  const cache = await KeyValueCache.project(
    rows(states, 0, 4),
    { keyWeight, valueWeight, keyBias, valueBias },
    { backend, numHeads, capacity },
  )
  await cache.append(rows(states, 4, 6))
  await cache.append(rows(states, 10, 1))
  const found = await cache.attend(query, options)
  cache.dispose()
  const [key, value] = [project(states, keyWeight, keyBias), project(states, valueWeight, valueBias)]
  return compare(found, query, key, value, { ...options, numHeads })
}

/** The same for both forms of a latent. */
export async function latentDifference(
  backend: Backend,
  options: AttendOptions,
  given: {
    readonly numHeads: number
    readonly width: number
    readonly batch: number
    readonly capacity: number
  },
): Promise<number> {
  const { numHeads, width, batch, capacity } = given
  const rank = 6
  const states = random(12, batch, keys, sourceWidth)
  const downWeight = random(13, rank, sourceWidth)
  const [keyUpWeight, valueUpWeight] = [random(14, width, rank), random(15, width, rank)]
  const query = random(16, 2, queries, width)
  const cache = await LatentKeyValueCache.project(
    rows(states, 0, 4),
    { downWeight, keyUpWeight, valueUpWeight },
    { backend, numHeads, capacity },
  )
  await cache.append(rows(states, 4, 7))
  const latent = project(states, downWeight)
  const [key, value] = [project(latent, keyUpWeight), project(latent, valueUpWeight)]
  let largest = 0
  for (const form of ['absorbed', 'expanded'] as const) {
    const found = await cache.attend(query, { ...options, form })
    largest = Math.max(largest, await compare(found, query, key, value, { ...options, numHeads }))
  }
  cache.dispose()
  return largest
}

async function compare(
  found: Awaited<ReturnType<typeof crossAttention>>,
  query: HostArray,
  key: HostArray,
  value: HostArray,
  options: AttendOptions & { readonly numHeads: number },
): Promise<number> {
  const wanted = await crossAttention(query, key, value, { ...options, backend: createInterpreterBackend() })
  const output = largestDifference(found.output.data, wanted.output.data).value
  if (!wanted.weights) return output
  return Math.max(output, largestDifference(found.weights?.data ?? [], wanted.weights.data).value)
}
