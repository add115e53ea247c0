/** The attention seam's sources, masks, other samples' queries and running sums as ONNX, whole and in pieces. */
import { afterAll, describe, expect, test } from 'vitest'
import { openNodeOnnxRuntime } from '../../host/onnxruntime.ts'
import { OnnxBackend } from '../../model/backend/onnx-backend.ts'
import { GraphBuilder } from '../../model/graph/builder.ts'
import type { Graph } from '../../model/graph/ops.ts'
import { seamCases, seamDifference, seamGraph } from '../support/seam-cases.ts'
import { distanceFromOracle } from './support.ts'

const { ort } = await openNodeOnnxRuntime('wasm', { threads: 1 })
const backends = {
  whole: OnnxBackend.open({ kind: 'wasm', ort, threads: 1 }),
  // 2 samples × 2 heads × 20 keys × 4 bytes a query: pieces of three queries.
  'in pieces': OnnxBackend.open({ kind: 'wasm', ort, threads: 1, attentionBytes: 960 }),
}
afterAll(() => Promise.all(Object.values(backends).map(backend => backend.dispose())))

describe.each(Object.entries(backends))('%s', (_, backend) => {
  test.each(Object.entries(seamCases(12)))('%s', async (_title, given) => {
    const found = await seamDifference(backend, seamGraph(given))
    expect(found.statesBefore).toBe(0)
    expect(found.statesAfter).toBe(0)
    expect(found.spread).toBeGreaterThan(0.1)
    expect(found.difference, found.where).toBeLessThan(1e-5)
  })
})

function beside(record: (b: GraphBuilder) => void): Graph {
  const b = new GraphBuilder('beside')
  record(b)
  return b.build()
}

test.each<[string, Graph, Record<string, Float32Array>]>([
  [
    'the peak of one source, keys of one sample',
    beside(b => {
      const [q, k] = [b.input('q', [2, 9, 12]), b.input('k', [1, 12, 12])]
      b.output('y', b.attentionPeak('attn2', q, k, { numHeads: 3, source: { start: 4, length: 5 } }))
    }),
    {},
  ],
  [
    'one row of self-attention',
    beside(b => {
      const [q, k] = [b.input('q', [2, 9, 12]), b.input('k', [2, 9, 12])]
      b.output('y', b.attentionRow('attn1', q, k, b.input('at', [1, 1]), { numHeads: 2, sample: 1 }))
    }),
    { at: Float32Array.of(7) },
  ],
  [
    'the mean over heads, added',
    beside(b => {
      b.output('y', b.headMean('maps', b.input('x', [2, 3, 5, 6]), b.input('before', [2, 5, 6])))
    }),
    {},
  ],
])('%s', async (_, graph, given) => {
  const { difference, spread } = await distanceFromOracle(backends.whole, graph, given)
  expect(spread).toBeGreaterThan(0.01)
  expect(difference).toBeLessThan(1e-5)
})
