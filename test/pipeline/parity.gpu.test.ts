/**
 * Whole pictures against diffusers on the CPU: the same weights (by formula), the same noise, f32. Expected latents and
 * PNGs come from test/fixtures/make/parity.py. The bounds are those that Attune promises for models of true Stable
 * Diffusion 1.x and 2.x architecture: relative L2 ≤ 1e-3 of the final latents, PSNR ≥ 50 dB of the picture.
 */
import { describe, expect, it } from 'vitest'
import { testBackend } from '../support/gpu.ts'
import { finalLatents, loadPixels, parityCases, psnr, relativeL2 } from '../support/parity.ts'
import { runCase } from '../support/run-case.ts'

describe('diffusers and Attune draw the same picture (WebGPU, f32)', () => {
  it.each(parityCases().map(theCase => [theCase.id, theCase] as const))('%s', async (_, theCase) => {
    const result = await runCase(theCase, await testBackend('f32'))
    const expected = finalLatents(theCase)
    expect(relativeL2(result.latents.data, expected.data)).toBeLessThanOrEqual(1e-3)
    if (theCase.files.png) {
      const pixels = await loadPixels(theCase.files.png)
      expect(psnr(result.picture.data, pixels.data)).toBeGreaterThanOrEqual(50)
    }
  })
})
