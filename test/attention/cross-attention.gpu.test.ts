import { expect, it } from 'vitest'
import { crossAttentionCases, runCrossAttention } from '../support/cross-attention-cases.ts'
import { testBackend } from '../support/gpu.ts'

it.each(crossAttentionCases.map(each => [each.name, each] as const))(
  "crossAttention in WGSL equals torch's numbers: %s",
  async (_, each) => {
    const difference = await runCrossAttention(each, await testBackend('f32'))
    // f32 exponentials and sums of a few terms of size 1.
    expect(difference.output).toBeLessThan(5e-6)
    expect(difference.weights).toBeLessThan(2e-6)
  },
)
