/**
 * Retrieved documents: RETRO's chunked cross-attention (Borgeaud et al. 2022, section 2.4).
 *
 *   node --import tsx examples/05-retro.ts
 *
 * A text is cut in chunks of four tokens, and for each chunk two neighbours of five tokens were retrieved. The last token
 * of a chunk and the three behind it ask that chunk's neighbours and no others: nothing that a token asks was retrieved
 * with tokens behind it. All documents lie in one source; isolation masks say who reads what.
 */
import type { HostArray } from '../model/attention/cross-attention.ts'
import { KeyValueCache } from '../model/attention/key-value-cache.ts'
import type { Backend } from '../model/graph/program.ts'
import { distance, headMean, type Numbers, numbers, start, weight } from './support.ts'

const [length, chunk, neighbours, tokens, width, documentWidth, numHeads] = [12, 4, 2, 5, 16, 12, 2]
const chunks = length / chunk
const retrieved = neighbours * tokens
const keys = chunks * retrieved

/** The chunk whose neighbours a position asks; −1 for the first three, which have none yet. */
const askedBy = (position: number): number => Math.floor((position + 1) / chunk) - 1

export async function run(backend: Backend): Promise<Numbers> {
  const query = numbers('retro/query', [1, length, width])
  const documents = numbers('retro/documents', [1, keys, documentWidth])
  const weights = {
    keyWeight: weight('retro/k', width, documentWidth),
    valueWeight: weight('retro/v', width, documentWidth),
  }
  const cache = await KeyValueCache.project(documents, weights, { backend, numHeads })

  // As sources: the neighbours of each chunk are a run of ten tokens with a softmax of its own.
  const sources = Array.from({ length: chunks }, (_, c) => [c * retrieved, retrieved] as const)
  const turns = Float32Array.from({ length: length * chunks }, (_, i) =>
    askedBy(Math.floor(i / chunks)) === i % chunks ? 1 : 0,
  )
  const outputMask = { data: turns, shape: [1, length, chunks] }
  const bySources = await cache.attend(query, { sources, outputMask, returnWeights: true })

  // The same as one softmax with forbidden pairs. The first three positions have nothing to ask: their queries stay out.
  const asking = { data: query.data.subarray((chunk - 1) * width), shape: [1, length - chunk + 1, width] }
  const allowed = Array.from({ length: (length - chunk + 1) * keys }, (_, i) =>
    askedBy(Math.floor(i / keys) + chunk - 1) === Math.floor((i % keys) / retrieved) ? 1 : 0,
  )
  const byMask = await cache.attend(asking, {
    attentionMask: { data: allowed, shape: [1, length - chunk + 1, keys] },
  })

  // Isolation: other documents for the last chunk.
  const others: HostArray = { data: documents.data.slice(), shape: documents.shape }
  for (let i = 2 * retrieved * documentWidth; i < others.data.length; i++) others.data[i] = 1 / (i + 1)
  await cache.replace(others)
  const after = await cache.attend(query, { sources, outputMask })
  cache.dispose()
  return {
    output: bySources.output.data,
    weights: bySources.weights?.data ?? 0,
    masked: byMask.output.data,
    after: after.output.data,
  }
}

export function report(found: Numbers): string {
  const { output, masked, after, weights } = found as Record<string, Float32Array>
  const map = headMean({ data: weights as Float32Array, shape: [1, numHeads, length, keys] })
  const lines = map.map((row, l) => {
    const c = askedBy(l)
    const mine = row.slice(c * retrieved, (c + 1) * retrieved)
    const shares = Array.from({ length: neighbours }, (_, d) =>
      mine.slice(d * tokens, (d + 1) * tokens).reduce((a, b) => a + b, 0),
    )
    const words = shares.map((share, d) => `document ${c}.${d}: ${share.toFixed(2)}`)
    return `token ${String(l).padStart(2)} (chunk ${Math.floor(l / chunk)})  ${c < 0 ? 'asks nothing' : words.join('  ')}`
  })
  const changed = Array.from({ length }, (_, l) => l).filter(l =>
    output?.subarray(l * width, (l + 1) * width).some((x, i) => x !== after?.[l * width + i]),
  )
  return [
    `${length} tokens in ${chunks} chunks, ${chunks * neighbours} documents of ${tokens} tokens in one source:`,
    '',
    ...lines,
    '',
    `Sources against one softmax with an isolation mask: ${distance(output?.subarray((chunk - 1) * width) as Float32Array, masked as Float32Array)}`,
    `Other documents for chunk 2 change these tokens, to the bit: ${changed.join(', ')}`,
  ].join('\n')
}

await start(import.meta.url, run, report)
