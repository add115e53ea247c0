/**
 * T5 as the encoder: its states as the keys and values of a picture's positions (Imagen, PixArt, DeepFloyd IF).
 *
 *   node --import tsx examples/03-t5-states.ts
 *
 * T5's own attention has no 1/√D (the scale is 1), and where a token stands is a bias on the logits, learned for each
 * head and bucket of distances (Raffel et al. 2020, section 2.1). `logitBias` is one a sample, so the heads take the
 * place of samples. What asks the states then is ordinary cross-attention, with the padding left out.
 */
import { crossAttention, type HostArray } from '../model/attention/cross-attention.ts'
import { KeyValueCache } from '../model/attention/key-value-cache.ts'
import type { Backend } from '../model/graph/program.ts'
import {
  add,
  each,
  headMean,
  heatMap,
  linear,
  norm,
  type Numbers,
  numbers,
  start,
  weight,
} from './support.ts'

const [length, real, width, heads, buckets, maxDistance] = [12, 9, 16, 4, 8, 16]
const size = width / heads
const positions = 6
const keyPaddingMask = {
  data: Array.from({ length }, (_, s) => (s < real ? 1 : 0)),
  shape: [1, length],
}

/** The bucket of a distance key − query: half of them for either side, exact when near, logarithmic when far. */
export function bucketOf(distance: number): number {
  const half = buckets / 2
  const side = distance > 0 ? half : 0
  const far = Math.abs(distance)
  const exact = half / 2
  if (far < exact) return side + far
  const step = (Math.log(far / exact) / Math.log(maxDistance / exact)) * (half - exact)
  return side + Math.min(half - 1, exact + Math.floor(step))
}

/** [N, L, L]. */
function relativeBias(): HostArray {
  const table = numbers('t5/relative_attention_bias.weight', [buckets, heads]).data
  const data = new Float32Array(heads * length * length)
  for (let i = 0; i < data.length; i++) {
    const [head, query, key] = [
      Math.floor(i / length ** 2),
      Math.floor(i / length) % length,
      i % length,
    ] as const
    data[i] = table[bucketOf(key - query) * heads + head] as number
  }
  return { data, shape: [heads, length, length] }
}

/** [1, L, N·D] → [N, L, D], or back. */
function turn({ data }: HostArray, back = false): HostArray {
  const result = new Float32Array(data.length)
  for (let i = 0; i < data.length; i++) {
    const [row, head, column] = [Math.floor(i / width), Math.floor((i % width) / size), i % size]
    const other = (head * length + row) * size + column
    if (back) result[i] = data[other] as number
    else result[other] = data[i] as number
  }
  return { data: result, shape: back ? [1, length, width] : [heads, length, size] }
}

/** The weights of one encoder block; T5 has no biases. */
const layer = (name: string, x: HostArray, rows = width): HostArray =>
  linear(x, weight(`t5/${name}.weight`, rows, x.shape[2] ?? 0))
const normed = (name: string, x: HostArray): HostArray =>
  norm(x, numbers(`t5/${name}.weight`, [width], 0.1, 1), undefined, 1e-6)

async function encode(backend: Backend, x: HostArray): Promise<HostArray> {
  const own = normed('norm1', x)
  const [query, key, value] = (['q', 'k', 'v'] as const).map(name => turn(layer(name, own)))
  const logitBias = relativeBias()
  const options = { backend, softmaxScale: 1, logitBias, keyPaddingMask }
  const attended = await crossAttention(query as HostArray, key as HostArray, value as HostArray, options)
  const first = add(x, layer('o', turn(attended.output, true)))
  const inner = each(layer('wi', normed('norm2', first), 32), z => Math.max(0, z))
  return normed('final_norm', add(first, layer('wo', inner)))
}

export async function run(backend: Backend): Promise<Numbers> {
  const states = await encode(backend, numbers('t5/embeddings', [1, length, width]))
  const cache = await KeyValueCache.project(
    states,
    { keyWeight: weight('t5/image.k', width, width), valueWeight: weight('t5/image.v', width, width) },
    { backend, numHeads: 2 },
  )
  const query = numbers('t5/image.query', [1, positions, width], 2)
  const { output, weights } = await cache.attend(query, { keyPaddingMask, returnWeights: true })
  cache.dispose()
  return { states: states.data, output: output.data, weights: weights?.data ?? 0 }
}

export function report(found: Numbers): string {
  const row = Array.from({ length: 13 }, (_, i) => bucketOf(i - 6))
  const map = headMean({ data: found['weights'] as Float32Array, shape: [1, 2, positions, length] })
  return [
    `Buckets of the distances −6 … 6: ${row.join(' ')}`,
    'Six positions of a picture over T5 states of nine tokens and three of padding:',
    '',
    heatMap(
      Array.from({ length: positions }, (_, l) => `position ${l} `),
      Array.from({ length }, (_, s) => (s < real ? `t${s}` : 'pad')),
      map,
    ),
  ].join('\n')
}

await start(import.meta.url, run, report)
