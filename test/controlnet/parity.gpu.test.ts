/** Guided runs on WebGPU against diffusers: the bound that Attune promises. */
import { expect, it } from 'vitest'
import { expectedLatents, guidedCases, runGuided } from '../support/controlnet.ts'
import { testBackend } from '../support/gpu.ts'
import { relativeL2 } from '../support/parity.ts'

it.each(guidedCases.map(each => [each.id, each] as const))('%s (WebGPU, f32)', async (id, theCase) => {
  const { latents } = await runGuided(theCase, await testBackend('f32'))
  const distance = relativeL2(latents.data, expectedLatents(id))
  if (process.env['ATTUNE_SHOW']) console.log(id, distance)
  expect(distance).toBeLessThanOrEqual(1e-3)
})
