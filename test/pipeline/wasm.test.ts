/**
 * Whole pictures on WebAssembly against diffusers. The text encoder and the networks share one runtime there: sessions
 * that were created beside one another once corrupted each other, silently.
 */
import { describe, expect, it } from 'vitest'
import { openNodeOnnxRuntime } from '../../host/onnxruntime.ts'
import { OnnxBackend } from '../../model/backend/onnx-backend.ts'
import { finalLatents, parityCase, relativeL2 } from '../support/parity.ts'
import { runCase } from '../support/run-case.ts'

describe('diffusers and Attune draw the same picture (wasm)', () => {
  it.each(['sd1-ddim', 'sd1-long', 'sd2-euler', 'story-ddim'])('%s', async id => {
    const theCase = parityCase(id)
    const result = await runCase(theCase, OnnxBackend.open(await openNodeOnnxRuntime('wasm', { threads: 2 })))
    expect(relativeL2(result.latents.data, finalLatents(theCase).data)).toBeLessThanOrEqual(1e-3)
  })
})
