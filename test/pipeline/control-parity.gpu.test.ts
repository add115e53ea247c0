/** The same runs on WebGPU: the bound that Attune promises. */
import { expect, it } from 'vitest'
import { controlCases, controlDistance } from '../support/control-parity.ts'
import { testBackend } from '../support/gpu.ts'

it.each(controlCases.map(each => [each.id, each] as const))('%s (WebGPU, f32)', async (_, theCase) => {
  const distance = await controlDistance(theCase, await testBackend('f32'))
  if (process.env['ATTUNE_SHOW']) console.log(theCase.id, distance)
  expect(distance).toBeLessThanOrEqual(1e-3)
})
