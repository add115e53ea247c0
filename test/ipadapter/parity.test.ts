/** Runs with image prompts on WebAssembly against diffusers' IP-Adapter pipelines: relative L2 of the final latents. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNodeOnnxRuntime } from '../../host/onnxruntime.ts'
import { OnnxBackend } from '../../model/backend/onnx-backend.ts'
import type { Backend } from '../../model/graph/program.ts'
import { expectedTensor, promptedCases, runPrompted } from '../support/ipadapter.ts'
import { relativeL2 } from '../support/parity.ts'

let backend: Backend

beforeAll(async () => {
  backend = OnnxBackend.open(await openNodeOnnxRuntime('wasm', { threads: 1 }))
})
afterAll(() => backend.dispose())

describe('diffusers and Attune draw the same picture of an image prompt (wasm)', () => {
  it.each(promptedCases.map(each => [each.id, each] as const))('%s', async (id, theCase) => {
    const { latents } = await runPrompted(theCase, backend)
    const distance = relativeL2(latents.data, expectedTensor('latents', id))
    if (process.env['ATTUNE_SHOW']) console.log(id, distance, 'of', theCase.change)
    expect(distance).toBeLessThanOrEqual(1e-3)
    // What diffusers' own latents change by without the image prompts.
    expect(theCase.change).toBeGreaterThan(0.02)
  })
})
