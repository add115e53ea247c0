/** Every operation as ONNX on onnxruntime's wasm build against the oracle. */
import { afterAll, describe, expect, it } from 'vitest'
import { attentionCases, convCases, linearCases, otherCases } from './cases.ts'
import { distanceFromOracle, testOnnxBackend } from './support.ts'

afterAll(async () => (await testOnnxBackend('wasm')).dispose())

// f32 sums of up to a few hundred products of about 0.5, and polynomials for exp and erf that are good to 1e-6; the
// difference is relative to the largest element.
const tolerance = 2e-5

describe.each([
  ['linear', linearCases],
  ['conv2d', convCases],
  ['attention', attentionCases],
  ['others', otherCases],
] as const)('%s', (_, cases) => {
  it.each(cases)('%s', async (_, graph) => {
    const result = await distanceFromOracle(await testOnnxBackend('wasm'), graph())
    expect(result.spread).toBeGreaterThan(0.05)
    expect(result.difference, result.where).toBeLessThan(tolerance)
  })
})
