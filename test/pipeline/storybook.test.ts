/** The embedded model on WebAssembly against diffusers on the CPU, for a few steps. */
import { expect, test } from 'vitest'
import { openNodeOnnxRuntime } from '../../host/onnxruntime.ts'
import { OnnxBackend } from '../../model/backend/onnx-backend.ts'
import { storybookCases, storybookDistance } from '../support/storybook.ts'

test.each(storybookCases.filter(({ steps }) => steps <= 3).map(each => [each.id, each] as const))(
  'the embedded model draws what diffusers draws (wasm): %s',
  async (_, theCase) => {
    const backend = OnnxBackend.open(await openNodeOnnxRuntime('wasm', { threads: 1 }))
    const distance = await storybookDistance(theCase, backend)
    await backend.dispose()
    expect(distance.latents).toBeLessThanOrEqual(1e-3)
    expect(distance.psnr).toBeGreaterThanOrEqual(50)
    if (process.env['ATTUNE_SHOW']) console.log(theCase.id, distance)
  },
)
