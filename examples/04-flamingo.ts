/**
 * Pictures as keys and values of a language model, in two ways.
 *
 *   node --import tsx examples/04-flamingo.ts
 *
 * Flamingo (Alayrac et al. 2022, section 2.2 and 2.3): between frozen layers, text asks the visual tokens, and what it
 * gets is weighed by tanh(α). α begins at 0, so that the new layer first changes nothing. A token looks at the last
 * picture before it only: each picture is a source, and `outputMask` says whose turn it is.
 * LLaVA (Liu et al. 2023): a linear layer makes visual tokens words; they stand before the text in one causal sequence.
 * The norms of both are left out.
 */
import { crossAttention, type HostArray } from '../model/attention/cross-attention.ts'
import { KeyValueCache } from '../model/attention/key-value-cache.ts'
import type { Backend } from '../model/graph/program.ts'
import { joinFloats } from '../model/tensor/join.ts'
import {
  add,
  distance,
  each,
  headMean,
  heatMap,
  linear,
  type Numbers,
  numbers,
  start,
  weight,
} from './support.ts'

const text = ['Look', '<1>', 'a', 'cat', '<2>', 'a', 'dog']
/** The picture that a token speaks of: none, the first, the second. */
const pictureOf = [-1, 0, 0, 0, 1, 1, 1]
const [width, visualWidth, patches, pictures, numHeads] = [16, 12, 5, 2, 2]
const length = text.length

export async function run(backend: Backend): Promise<Numbers> {
  const x = numbers('flamingo/x', [1, length, width])
  const visual = numbers('flamingo/visual', [1, pictures * patches, visualWidth])
  const weights = {
    keyWeight: weight('flamingo/k', width, visualWidth),
    valueWeight: weight('flamingo/v', width, visualWidth),
  }
  const cache = await KeyValueCache.project(visual, weights, { backend, numHeads })
  const turns = pictureOf.flatMap(own => [own === 0 ? 1 : 0, own === 1 ? 1 : 0])
  const asked = await cache.attend(linear(x, weight('flamingo/q', width, width)), {
    sources: [
      [0, patches],
      [patches, patches],
    ],
    outputMask: { data: Float32Array.from(turns), shape: [1, length, pictures] },
    returnWeights: true,
  })
  cache.dispose()
  const looked = linear(asked.output, weight('flamingo/out', width, width))
  const gated = (alpha: number): HostArray => {
    const gate = Math.tanh(alpha)
    const first = each(x, (a, b) => a + gate * b, looked)
    const inner = each(linear(first, weight('flamingo/ff1', 32, width)), z => Math.max(0, z) ** 2)
    return each(first, (a, b) => a + gate * b, linear(inner, weight('flamingo/ff2', width, 32)))
  }

  // LLaVA: the first picture's tokens become words and stand before the text.
  const words = linear(
    { data: visual.data.slice(0, patches * visualWidth), shape: [1, patches, visualWidth] },
    weight('llava/projector', width, visualWidth),
  )
  const sequence = { data: joinFloats([words.data, x.data]), shape: [1, patches + length, width] }
  const [query, key, value] = ['q', 'k', 'v'].map(name =>
    linear(sequence, weight(`llava/${name}`, width, width)),
  )
  const llava = await crossAttention(query as HostArray, key as HostArray, value as HostArray, {
    backend,
    numHeads,
    causal: true,
    returnWeights: true,
  })
  return {
    x: x.data,
    closed: gated(0).data,
    open: gated(0.5).data,
    weights: asked.weights?.data ?? 0,
    llava: add(sequence, llava.output).data,
    llavaWeights: llava.weights?.data ?? 0,
  }
}

export function report(found: Numbers): string {
  const { x, closed, open, weights, llavaWeights } = found as Record<string, Float32Array>
  const columns = Array.from(
    { length: pictures * patches },
    (_, s) => `${s < patches ? 'A' : 'B'}${s % patches}`,
  )
  const map = headMean({ data: weights as Float32Array, shape: [1, numHeads, length, pictures * patches] })
  // The probabilities are those of every source; the mask says which of them a position takes.
  const seen = map.map((row, l) => row.map((p, s) => (Math.floor(s / patches) === pictureOf[l] ? p : 0)))
  const all = patches + length
  const causal = headMean({ data: llavaWeights as Float32Array, shape: [1, numHeads, all, all] })
  const share = (l: number): string =>
    `${text[l]} ${(causal[patches + l] ?? [])
      .slice(0, patches)
      .reduce((a, b) => a + b)
      .toFixed(2)}`
  const unchanged = closed?.every((value, i) => value === x?.[i])
  return [
    'Flamingo, two pictures A and B of five tokens; a token sees the last picture before it:',
    '',
    heatMap(
      text.map(word => `${word} `),
      columns,
      seen,
    ),
    '',
    `What the layer changes: α = 0: ${unchanged ? 'no bit' : 'something'}; α = 0.5: up to ${distance(open as Float32Array, x as Float32Array)}`,
    `LLaVA, share of each word's attention that goes to the picture: ${text.map((_, l) => share(l)).join(', ')}`,
  ].join('\n')
}

await start(import.meta.url, run, report)
