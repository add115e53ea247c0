/**
 * A source beyond 77·k tokens: 300 tokens, encoded in windows of 77 because CLIP's text encoder ends there.
 *
 *   node --import tsx examples/08-long-source.ts
 *
 * The window is the encoder's limit, not the attention's: keys of all windows go side by side into one softmax
 * (`append`). Where a source does not fit at once, windows can be asked one after another and put together exactly, if
 * each also says how much weight it had in all, Z = Σ exp(logit) (Milakov & Gimelshein 2018; Dao et al. 2022). A token
 * of zeros at a window's end tells: its logit is 0, so its probability is p = 1/(1 + Z), and its value adds nothing.
 *   output = Σ_w (1 + Z_w)·output_w / Σ_w Z_w,  1 + Z_w = 1/p_w
 * The mean of windows, each with a softmax of its own, is something else: a window without anything to say speaks as
 * loudly as the others.
 */
import type { HostArray } from '../model/attention/cross-attention.ts'
import { KeyValueCache } from '../model/attention/key-value-cache.ts'
import type { Backend } from '../model/graph/program.ts'
import { joinFloats } from '../model/tensor/join.ts'
import { distance, type Numbers, numbers, start, tokens, weight } from './support.ts'

const [keys, window, length, width, numHeads] = [300, 77, 4, 16, 2]
const size = width / numHeads
const starts = Array.from({ length: Math.ceil(keys / window) }, (_, w) => w * window)

export async function run(backend: Backend): Promise<Numbers> {
  const states = numbers('long/states', [1, keys, width])
  const query = numbers('long/query', [1, length, width], 2)
  const weights = { keyWeight: weight('long/k', width, width), valueWeight: weight('long/v', width, width) }
  const options = { backend, numHeads }
  const windows = starts.map(at => tokens(states, at, Math.min(window, keys - at)))

  // One softmax over all, the windows appended as they are encoded.
  const all = await KeyValueCache.project(windows[0] as HostArray, weights, { ...options, capacity: keys })
  for (const states of windows.slice(1)) await all.append(states)
  const { output } = await all.attend(query)
  all.dispose()

  // One window at a time, with a token of zeros behind it.
  const combined = new Float32Array(length * width)
  const mean = new Float32Array(length * width)
  const weightOfWindow = new Float32Array(starts.length * length * numHeads)
  for (const [w, states] of windows.entries()) {
    const count = (states.shape[1] ?? 0) + 1
    const padded = { data: joinFloats([states.data, new Float32Array(width)]), shape: [1, count, width] }
    const cache = await KeyValueCache.project(padded, weights, options)
    const asked = await cache.attend(query, { returnWeights: true })
    cache.dispose()
    for (let i = 0; i < length * width; i++) {
      const [l, head] = [Math.floor(i / width), Math.floor((i % width) / size)] as const
      const p = asked.weights?.data[(head * length + l) * count + count - 1] ?? 0
      const value = asked.output.data[i] as number
      weightOfWindow[(w * length + l) * numHeads + head] = 1 / p - 1
      combined[i] = (combined[i] as number) + value / p
      mean[i] = (mean[i] as number) + value / (1 - p) / starts.length
    }
  }
  for (let i = 0; i < length * width; i++) {
    const [l, head] = [Math.floor(i / width), Math.floor((i % width) / size)] as const
    const total = starts.reduce((z, _, w) => z + (weightOfWindow[(w * length + l) * numHeads + head] ?? 0), 0)
    combined[i] = (combined[i] as number) / total
  }
  return { output: output.data, combined, mean, logSumExp: weightOfWindow.map(Math.log) }
}

export function report(found: Numbers): string {
  const { output, combined, mean, logSumExp } = found as Record<string, Float32Array>
  const rows = starts.map((at, w) => {
    const heads = logSumExp?.subarray(w * length * numHeads, w * length * numHeads + numHeads) ?? []
    const range = `tokens ${at}–${Math.min(keys, at + window) - 1}`
    return `${range.padEnd(16)}${[...heads].map(lse => lse.toFixed(2).padStart(8)).join('')}`
  })
  return [
    `${keys} tokens in ${starts.length} windows; log Z of the first position, both heads:`,
    '',
    ...rows,
    '',
    `Windows combined by their Z against one softmax: ${distance(combined as Float32Array, output as Float32Array)}`,
    `The mean of the windows against one softmax: ${distance(mean as Float32Array, output as Float32Array)}`,
  ].join('\n')
}

await start(import.meta.url, run, report)
