import { describe, expect, it } from 'vitest'
import { crossAttention } from '../../model/attention/cross-attention.ts'
import { createInterpreterBackend } from '../../model/graph/interpreter.ts'
import { crossAttentionCases, runCrossAttention } from '../support/cross-attention-cases.ts'

const backend = createInterpreterBackend()
const ones = (...shape: number[]) => ({
  shape,
  data: new Float32Array(shape.reduce((a, b) => a * b)).fill(1),
})

describe('crossAttention on the oracle', () => {
  it.each(crossAttentionCases.map(each => [each.name, each] as const))(
    "equals torch's numbers: %s",
    async (_, each) => {
      // Fixtures are rounded to 7 decimals, inputs too.
      const difference = await runCrossAttention(each, backend)
      expect(difference.output).toBeLessThan(2e-6)
      expect(difference.weights).toBeLessThan(2e-6)
    },
  )

  it('refuses shapes that do not meet, and masks that leave a position blind', async () => {
    const q = ones(1, 2, 8)
    await expect(crossAttention(q, ones(1, 3, 6), ones(1, 3, 6), { backend })).rejects.toThrow(/do not meet/)
    await expect(crossAttention(q, ones(1, 3, 8), ones(1, 3, 8), { backend, numHeads: 3 })).rejects.toThrow(
      /3 heads/,
    )
    const keyPaddingMask = { data: [0, 0, 0], shape: [1, 3] }
    await expect(
      crossAttention(q, ones(1, 3, 8), ones(1, 3, 8), { backend, keyPaddingMask }),
    ).rejects.toThrow(/position 0 of sample 0 without any key/)
  })

  it('leaves the bits alone when the controls are neutral, and changes them when they are not', async () => {
    const [q, k, v] = [ones(1, 2, 8), ones(1, 3, 8), ones(1, 3, 8)]
    v.data.forEach((_, i) => (v.data[i] = Math.sin(i)))
    k.data.forEach((_, i) => (k.data[i] = Math.cos(3 * i)))
    const plain = await crossAttention(q, k, v, { backend })
    const neutral = await crossAttention(q, k, v, {
      backend,
      tokenScale: ones(1, 3),
      valueGain: ones(1, 3),
      logitBias: { shape: [1, 1, 3], data: new Float32Array(3) },
    })
    expect(neutral.output.data).toEqual(plain.output.data)
    for (const control of ['tokenScale', 'valueGain'] as const) {
      const changed = await crossAttention(q, k, v, {
        backend,
        [control]: { shape: [1, 3], data: Float32Array.of(1, 2, 1) },
      })
      expect(changed.output.data).not.toEqual(plain.output.data)
    }
  })
})
