/** What stands beside the attention seam on WebGPU: peaks, single rows, means over heads. */
import { describe, expect, test } from 'vitest'
import { GraphBuilder } from '../../model/graph/builder.ts'
import type { Graph } from '../../model/graph/ops.ts'
import { differenceFromOracle } from '../support/against-oracle.ts'
import { testBackend } from '../support/gpu.ts'

function record(recording: (b: GraphBuilder) => void): Graph {
  const b = new GraphBuilder('beside')
  recording(b)
  return b.build()
}

const cases = (headDim: number): [string, Graph, Record<string, Float32Array>][] => [
  [
    'the peak of all keys',
    record(b => {
      const [q, k] = [b.input('q', [2, 37, 2 * headDim]), b.input('k', [2, 21, 2 * headDim])]
      b.output('y', b.attentionPeak('attn2', q, k, { numHeads: 2 }))
    }),
    {},
  ],
  [
    'the peak of one source, keys of one sample',
    record(b => {
      const [q, k] = [b.input('q', [2, 9, 2 * headDim]), b.input('k', [1, 12, 2 * headDim])]
      b.output('y', b.attentionPeak('attn2', q, k, { numHeads: 2, source: { start: 4, length: 5 } }))
    }),
    {},
  ],
  [
    'one row of self-attention',
    record(b => {
      const [q, k] = [b.input('q', [2, 37, 2 * headDim]), b.input('k', [2, 37, 2 * headDim])]
      b.output('y', b.attentionRow('attn1', q, k, b.input('at', [1, 1]), { numHeads: 2, sample: 1 }))
    }),
    { at: Float32Array.of(35) },
  ],
  [
    'the mean over heads, added',
    record(b => {
      b.output('y', b.headMean('maps', b.input('x', [2, 3, 37, 6]), b.input('before', [2, 37, 6])))
    }),
    {},
  ],
]

describe.each([
  { name: 'software', headDim: 12, facts: {} },
  { name: 'hardware', headDim: 12, facts: { subgroupSize: 0, software: false } },
  { name: 'a head that is not a multiple of 4', headDim: 5, facts: {} },
])('$name', ({ headDim, facts }) => {
  test.each(cases(headDim))('%s', async (_, graph, inputs) => {
    const result = await differenceFromOracle(await testBackend('f32', facts), graph, { inputs })
    expect(result.spread).toBeGreaterThan(0.01)
    expect(result.difference, result.where).toBeLessThan(1e-5)
  })
})
