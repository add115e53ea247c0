/**
 * The embedded model against diffusers on the CPU, f32: the real weights, the same seed. Measured: 2e-6 and 89 dB; the bounds
 * are those that Attune promises for any model.
 */
import { describe, expect, test } from 'vitest'
import { testBackend } from '../support/gpu.ts'
import { checkStorybookWeights, storybookCases, storybookDistance } from '../support/storybook.ts'

test('the expectations are of these weights', () => {
  expect(checkStorybookWeights).not.toThrow()
})

describe('the embedded model draws what diffusers draws (WebGPU, f32)', () => {
  test.each(storybookCases.map(each => [`${each.id}, ${each.steps} steps`, each] as const))(
    '%s',
    async (_, theCase) => {
      const distance = await storybookDistance(theCase, await testBackend('f32'))
      expect(distance.latents).toBeLessThanOrEqual(1e-3)
      expect(distance.psnr).toBeGreaterThanOrEqual(50)
      if (process.env['ATTUNE_SHOW']) console.log(theCase.id, distance)
    },
  )
})
