/** Runs with image prompts on WebGPU against diffusers: the bound that Attune promises. The encoder runs there too. */
import { expect, it } from 'vitest'
import { expectedTensor, promptedCases, runPrompted } from '../support/ipadapter.ts'
import { testBackend } from '../support/gpu.ts'
import { relativeL2 } from '../support/parity.ts'

it.each(promptedCases.map(each => [each.id, each] as const))('%s (WebGPU, f32)', async (id, theCase) => {
  const { latents } = await runPrompted(theCase, await testBackend('f32'))
  const distance = relativeL2(latents.data, expectedTensor('latents', id))
  if (process.env['ATTUNE_SHOW']) console.log(id, distance)
  expect(distance).toBeLessThanOrEqual(1e-3)
})
