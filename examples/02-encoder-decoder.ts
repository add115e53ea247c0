/**
 * Encoder and decoder: one decoder layer of the Transformer as BART has it (norm behind each branch, gelu), over two
 * sources of different length.
 *
 *   node --import tsx examples/02-encoder-decoder.ts
 *
 * Self-attention is causal; cross-attention leaves out the padding of the shorter source. Then the same text token by
 * token, as a decoder writes: its own past in a cache that grows, the source in one that does not.
 * Vaswani et al. 2017, section 3.2.3; Lewis et al. 2020 (BART).
 */
import { crossAttention, type HostArray } from '../model/attention/cross-attention.ts'
import { KeyValueCache, type KeyValueWeights } from '../model/attention/key-value-cache.ts'
import { gelu } from '../model/graph/interpreter-math.ts'
import type { Backend } from '../model/graph/program.ts'
import {
  add,
  distance,
  each,
  headMean,
  heatMap,
  linear,
  type Numbers,
  norm,
  numbers,
  start,
  tokens,
  weight,
} from './support.ts'

const [batch, length, keys, width, numHeads] = [2, 5, 7, 16, 4]
/** The first source has seven tokens, the second four. */
const exists = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0]

const bias = (name: string, size: number): HostArray => numbers(`decoder/${name}.bias`, [size], 0.1)
const layer = (name: string, x: HostArray, rows = width): HostArray =>
  linear(x, weight(`decoder/${name}.weight`, rows, x.shape[2] ?? 0), bias(name, rows))
const normed = (name: string, x: HostArray): HostArray =>
  norm(x, numbers(`decoder/${name}.weight`, [width], 0.1, 1), bias(name, width))

const keyValueWeights = (name: string): KeyValueWeights => ({
  keyWeight: weight(`decoder/${name}.k.weight`, width, width),
  valueWeight: weight(`decoder/${name}.v.weight`, width, width),
  keyBias: bias(`${name}.k`, width),
  valueBias: bias(`${name}.v`, width),
})

export async function run(backend: Backend): Promise<Numbers> {
  const x = numbers('decoder/x', [batch, length, width])
  const states = numbers('decoder/states', [batch, keys, width])
  const source = await KeyValueCache.project(states, keyValueWeights('cross'), { backend, numHeads })
  const keyPaddingMask = { data: exists, shape: [batch, keys] }
  let weights: HostArray | undefined

  /** The layer behind its self-attention. */
  async function rest(own: HostArray, attended: HostArray): Promise<HostArray> {
    const first = normed('norm1', add(own, layer('self.out', attended)))
    const asked = await source.attend(layer('cross.q', first), { keyPaddingMask, returnWeights: true })
    weights = asked.weights
    const second = normed('norm2', add(first, layer('cross.out', asked.output)))
    return normed('norm3', add(second, layer('linear2', each(layer('linear1', second, 32), gelu))))
  }

  const [query, key, value] = [layer('self.q', x), layer('self.k', x), layer('self.v', x)]
  const self = await crossAttention(query, key, value, { backend, numHeads, causal: true })
  const output = await rest(x, self.output)
  const all = weights

  const steps = new Float32Array(output.data.length)
  const options = { backend, numHeads, capacity: length }
  const past = await KeyValueCache.project(tokens(x, 0, 1), keyValueWeights('self'), options)
  for (let step = 0; step < length; step++) {
    const token = tokens(x, step, 1)
    if (step > 0) await past.append(token)
    const y = await rest(token, (await past.attend(layer('self.q', token))).output)
    for (let b = 0; b < batch; b++)
      steps.set(y.data.subarray(b * width, (b + 1) * width), (b * length + step) * width)
  }
  past.dispose()
  source.dispose()
  return { output: output.data, steps, weights: all?.data ?? 0 }
}

export function report(found: Numbers): string {
  const { output, steps, weights } = found as Record<string, Float32Array>
  const rows = Array.from({ length }, (_, l) => `target ${l}`)
  const columns = Array.from({ length: keys }, (_, s) => `src ${s}`)
  const second = { data: weights?.subarray(numHeads * length * keys) as Float32Array, shape: [1, 4, 5, 7] }
  return [
    'Cross-attention of the second sample, mean of four heads; its last three source tokens are padding:',
    '',
    heatMap(rows, columns, headMean(second)),
    '',
    `Token by token with caches against all at once, largest difference: ${distance(steps as Float32Array, output as Float32Array)}`,
  ].join('\n')
}

await start(import.meta.url, run, report)
