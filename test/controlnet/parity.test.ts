/** Guided runs on WebAssembly against diffusers' ControlNet pipelines: relative L2 of the final latents. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNodeOnnxRuntime } from '../../host/onnxruntime.ts'
import { OnnxBackend } from '../../model/backend/onnx-backend.ts'
import type { Backend } from '../../model/graph/program.ts'
import { expectedLatents, guidedCases, runGuided } from '../support/controlnet.ts'
import { relativeL2 } from '../support/parity.ts'

let backend: Backend

beforeAll(async () => {
  backend = OnnxBackend.open(await openNodeOnnxRuntime('wasm', { threads: 1 }))
})
afterAll(() => backend.dispose())

describe('diffusers and Attune draw the same guided picture (wasm)', () => {
  it.each(guidedCases.map(each => [each.id, each] as const))('%s', async (id, theCase) => {
    const { latents } = await runGuided(theCase, backend)
    const distance = relativeL2(latents.data, expectedLatents(id))
    if (process.env['ATTUNE_SHOW']) console.log(id, distance, 'of', theCase.change)
    expect(distance).toBeLessThanOrEqual(1e-3)
    expect(theCase.change).toBeGreaterThan(0.02)
  })
})
