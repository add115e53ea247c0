/**
 * The attention seam's sources, masks, other samples' queries and running sums on WebGPU, in every kernel: three-pass
 * (lavapipe as it is; with workgroups; forced by a head of 164), flash (what real GPUs run; forced here) and simple
 * (a head of 5).
 */
import { describe, expect, test } from 'vitest'
import { seamCases, seamDifference, seamGraph, type SeamCase } from '../support/seam-cases.ts'
import { testBackend } from '../support/gpu.ts'

const ones = (count: number): Float32Array => new Float32Array(count).fill(1)

const hardware = { subgroupSize: 0, software: false } as const
const kernels = [
  { name: 'three-pass', headDim: 12, facts: {} },
  { name: 'three-pass of workgroups', headDim: 164, facts: hardware },
  { name: 'flash', headDim: 12, facts: hardware },
  { name: 'simple', headDim: 5, facts: {} },
] as const

describe.each(kernels)('$name', ({ headDim, facts }) => {
  test.each(Object.entries(seamCases(headDim)))('%s', async (_, given) => {
    const backend = await testBackend('f32', facts)
    const found = await seamDifference(backend, seamGraph(given))
    expect(found.statesBefore).toBe(0)
    expect(found.statesAfter).toBe(0)
    expect(found.spread).toBeGreaterThan(0.1)
    // f32 sums of at most 37 weighted values below 2, twice.
    expect(found.difference, found.where).toBeLessThan(1e-5)
  })

  test('neutral data and capture change no bit', async () => {
    const backend = await testBackend('f32', facts)
    const plain: SeamCase = { batch: 2, length: 37, keys: 20, heads: 2, headDim }
    const run = async (given: SeamCase, more: Record<string, Float32Array> = {}): Promise<Float32Array> => {
      const { graph, inputs } = seamGraph(given)
      const program = await backend.compile(graph)
      try {
        // The same queries, keys and values for all.
        const reference = seamGraph(plain).inputs
        return (await program.run({ ...inputs, ...reference, ...more }))['y'] ?? new Float32Array()
      } finally {
        program.dispose()
      }
    }
    const expected = await run(plain)
    const identity = [[0], [1]]
    const capture = { samples: [0, 1], tokens: [1, 2, 19] }
    expect(await run({ ...plain, capture })).toEqual(expected)
    expect(await run({ ...plain, probabilities: true })).toEqual(expected)
    const all: SeamCase = {
      ...plain,
      mask: [2, 37],
      querySample: identity,
      bias: [2, 37, 20],
      biasScale: true,
      tokenScale: 2,
      valueGain: 2,
      capture,
    }
    const neutral = {
      outputMask: ones(74),
      tokenScale: ones(40),
      valueGain: ones(40),
      logitBias: new Float32Array(2 * 37 * 20),
    }
    expect(await run(all, neutral)).toEqual(expected)
  })
})
