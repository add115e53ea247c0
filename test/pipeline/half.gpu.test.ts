/**
 * f16: weights rounded to half precision, as people's files hold them, against diffusers' f32 pictures. Rounding alone
 * moves the latents by up to 3e-3 (`halfWeights` of each case, computed by diffusers); the promise is 2e-2.
 */
import { describe, expect, it } from 'vitest'
import { testBackend } from '../support/gpu.ts'
import { finalLatents, parityCase, relativeL2 } from '../support/parity.ts'
import { runCase } from '../support/run-case.ts'

const cases = ['sd1-ddim', 'sd1-dpmpp_2m', 'sd2-euler', 'story-ddim'].map(parityCase)

describe('f16', () => {
  it.each(cases.map(theCase => [theCase.id, theCase] as const))(
    'packed f16 weights: %s',
    async (_, theCase) => {
      const result = await runCase(theCase, await testBackend('f16', { matrixType: 'f16' }))
      expect(relativeL2(result.latents.data, finalLatents(theCase).data)).toBeLessThanOrEqual(2e-2)
    },
  )

  it('fault G2: f16 weights and activations, where the adapter has shader-f16', async context => {
    const backend = await testBackend('f16', { matrixType: 'f16', activationType: 'f16', subgroupSize: 0 })
    if (!backend.gpu.device.features.has('shader-f16')) context.skip('this adapter has no shader-f16')
    const theCase = parityCase('sd1-ddim')
    const result = await runCase(theCase, backend)
    expect(relativeL2(result.latents.data, finalLatents(theCase).data)).toBeLessThanOrEqual(2e-2)
  })
})
