/**
 * Keys and values once, or at every step: what a diffusion model saves that asks one text fifty times (D5).
 *
 *   node --import tsx examples/07-cache.ts
 *
 * Sizes of Stable Diffusion 1.5's outermost layer at a 16th of its positions: 256 positions of 320 columns in 8 heads ask
 * 77 tokens of 768. Three ways take turns, so that a busy machine slows all alike. The ratio is that
 * of the fastest times: other work on the machine only adds.
 */
import { crossAttention, type HostArray } from '../model/attention/cross-attention.ts'
import { KeyValueCache } from '../model/attention/key-value-cache.ts'
import type { Backend } from '../model/graph/program.ts'
import { distance, linear, type Numbers, numbers, start, weight } from './support.ts'

const [length, keys, width, textWidth, numHeads] = [256, 77, 320, 768, 8]

/** The time that a share of all were faster than. */
const quantile = (all: number[], share: number): number =>
  all.toSorted((a, b) => a - b)[Math.floor(all.length * share)] ?? 0

export async function run(backend: Backend): Promise<Numbers> {
  const states = numbers('cache/states', [1, keys, textWidth])
  const query = numbers('cache/query', [1, length, width])
  const weights = {
    keyWeight: weight('cache/k', width, textWidth),
    valueWeight: weight('cache/v', width, textWidth),
  }
  const options = { backend, numHeads }
  const kept = await KeyValueCache.project(states, weights, options)
  const renewed = await KeyValueCache.project(states, weights, options)
  // What the plain call is given: keys and values on the host.
  const [key, value] = [linear(states, weights.keyWeight), linear(states, weights.valueWeight)]

  const ways = {
    once: async (): Promise<HostArray> => (await kept.attend(query)).output,
    again: async (): Promise<HostArray> => {
      await renewed.replace(states)
      return (await renewed.attend(query)).output
    },
    call: async (): Promise<HostArray> => (await crossAttention(query, key, value, options)).output,
  }
  const times: Record<keyof typeof ways, number[]> = { once: [], again: [], call: [] }
  const outputs: Partial<Record<keyof typeof ways, Float32Array>> = {}
  // Nobody times the interpreter, which is slow by intention. The first round compiles, and is not counted.
  const rounds = backend.name === 'interpreter' ? 1 : 51
  for (let round = 0; round <= rounds; round++) {
    for (const way of ['once', 'again', 'call'] as const) {
      const started = performance.now()
      outputs[way] = (await ways[way]()).data
      if (round > 0) times[way].push(performance.now() - started)
    }
  }
  kept.dispose()
  renewed.dispose()
  return {
    // The rows of four positions, to compare.
    output: outputs.once?.slice(0, 4 * width) ?? 0,
    once: outputs.once ?? 0,
    again: outputs.again ?? 0,
    call: outputs.call ?? 0,
    onceMs: quantile(times.once, 0.5),
    onceBest: quantile(times.once, 0),
    againMs: quantile(times.again, 0.5),
    againBest: quantile(times.again, 0),
    callMs: quantile(times.call, 0.5),
    callBest: quantile(times.call, 0),
  }
}

export function report(found: Numbers): string {
  const { once, again, call } = found as Record<string, Float32Array>
  const ms = (name: string): number => found[name] as number
  const line = (what: string, name: string): string =>
    [
      what.padEnd(50),
      `${ms(`${name}Ms`).toFixed(1)} ms`.padStart(9),
      `${ms(`${name}Best`).toFixed(1)} ms`.padStart(9),
      `${(ms(`${name}Best`) / ms('onceBest')).toFixed(2)}x`.padStart(8),
    ].join('')
  return [
    `${''.padEnd(50)}${'median'.padStart(9)}${'fastest'.padStart(9)}${'ratio'.padStart(8)}`,
    line('cached once', 'once'),
    line('projected again at each step', 'again'),
    line('keys at hand, crossAttention compiled at each call', 'call'),
    '',
    `Largest difference: cached against projected again: ${distance(once as Float32Array, again as Float32Array)}; against the plain call: ${distance(once as Float32Array, call as Float32Array)}`,
  ].join('\n')
}

await start(import.meta.url, run, report)
