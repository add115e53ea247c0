/**
 * The papers' example: five words of a translation look at the eight words of its source.
 *
 *   node --import tsx examples/01-paper.ts
 *
 * Untrained, so meaning is put in by hand: a word's key is a vector of its meaning, and the query of a translated word
 * is that of its English counterpart. Bahdanau et al. 2015, figure 3; Vaswani et al. 2017, section 3.2.
 */
import { crossAttention, type HostArray } from '../model/attention/cross-attention.ts'
import type { Backend } from '../model/graph/program.ts'
import { add, each, headMean, heatMap, type Numbers, numbers, start } from './support.ts'

const source = ['the', 'grey', 'cat', 'sits', 'on', 'the', 'warm', 'mat']
const target = { Katze: 'cat', sitzt: 'sits', auf: 'on', der: 'the', Matte: 'mat' }
const width = 16

/** One vector a word as a sequence [1, words, 16]. */
function sequence(words: readonly string[], kind: string): HostArray {
  const vectors = words.map(word => [...numbers(`paper/${kind} ${word}`, [width]).data])
  return { data: Float32Array.from(vectors.flat()), shape: [1, words.length, width] }
}

export async function run(backend: Backend): Promise<Numbers> {
  const query = each(sequence(Object.values(target), 'meaning'), x => 1.5 * x)
  // Both "the" mean the same; where they stand tells them apart.
  const key = add(sequence(source, 'meaning'), numbers('paper/position', [1, source.length, width], 0.3))
  const value = sequence(source, 'value')
  const { output, weights } = await crossAttention(query, key, value, {
    backend,
    numHeads: 2,
    returnWeights: true,
  })
  return { output: output.data, weights: weights?.data ?? 0 }
}

export function report(found: Numbers): string {
  const shape = [1, 2, 5, source.length]
  const map = headMean({ data: found['weights'] as Float32Array, shape })
  return [
    'query [1, 5, 16] asks keys and values [1, 8, 16]: weights [1, 2, 5, 8], output [1, 5, 16]',
    'The mean of both heads; each row sums to 1:',
    '',
    heatMap(Object.keys(target), source, map),
  ].join('\n')
}

await start(import.meta.url, run, report)
