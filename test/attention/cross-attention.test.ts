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

  it('refuses sources that cannot be meant, and says which', async () => {
    const [q, k] = [ones(1, 2, 8), ones(1, 6, 8)]
    const ask = (options: object) => crossAttention(q, k, k, { backend, ...options })
    const run = (...sources: number[][]) => ask({ sources })
    await expect(run([0, 4], [3, 3])).rejects.toThrow(/sources 0 and 1 share token 3/)
    await expect(run([0, 4], [4, 3])).rejects.toThrow(/source 1 is \[4, 3\], which is no run .* of 6 tokens/)
    await expect(run([0.5, 1])).rejects.toThrow(/source 0/)
    await expect(run([0, 0])).rejects.toThrow(/source 0/)
    await expect(run()).rejects.toThrow(/sources is empty/)
    const sources = [
      [0, 2],
      [3, 3],
    ]
    await expect(ask({ sources, causal: true })).rejects.toThrow(/causal is for one source, and 2 are given/)
    await expect(ask({ sources, outputMask: ones(1, 2, 3) })).rejects.toThrow(
      /outputMask \[1, 2, 3\] .* \[1, 2, 2\]/,
    )
    // A blind source is refused where somebody asks it, and only there.
    const keyPaddingMask = { data: [1, 1, 1, 0, 0, 0], shape: [1, 6] }
    await expect(ask({ sources, keyPaddingMask })).rejects.toThrow(/position 0 .* any key of source 1/)
    const outputMask = { data: Float32Array.of(1, 0), shape: [1, 1, 2] }
    const { output } = await ask({ sources, keyPaddingMask, outputMask })
    expect(output.data).toEqual(q.data)
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
