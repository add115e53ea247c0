/** Guided runs in f16, where weights, activations and residuals are halves, against diffusers in f32. */
import { expect, it } from 'vitest'
import { expectedLatents, guidedCase, runGuided } from '../support/controlnet.ts'
import { testBackend } from '../support/gpu.ts'
import { relativeL2 } from '../support/parity.ts'

it.each(['sd1-one', 'sd2-two-guess'])('%s', async id => {
  const { latents } = await runGuided(guidedCase(id), await testBackend('f16'), {
    request: { precision: 'f16' },
  })
  const distance = relativeL2(latents.data, expectedLatents(id))
  if (process.env['ATTUNE_SHOW']) console.log(id, distance)
  expect(distance).toBeLessThanOrEqual(2e-2)
})
