/** Image prompts in f16, where the encoder's, the adapter's and the UNet's numbers are halves, against diffusers in f32. */
import { expect, it } from 'vitest'
import { expectedTensor, promptedCase, runPrompted } from '../support/ipadapter.ts'
import { testBackend } from '../support/gpu.ts'
import { relativeL2 } from '../support/parity.ts'

it.each(['sd1-plus', 'sd1-full', 'sd2-base'])('%s', async id => {
  const { latents } = await runPrompted(promptedCase(id), await testBackend('f16'), {
    request: { precision: 'f16' },
  })
  const distance = relativeL2(latents.data, expectedTensor('latents', id))
  if (process.env['ATTUNE_SHOW']) console.log(id, distance)
  // As runs with ControlNets: halves have 11 bits, and a run of six steps adds them up.
  expect(distance).toBeLessThanOrEqual(2e-2)
})
