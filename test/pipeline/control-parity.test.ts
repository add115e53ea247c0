/** Weighted, painted, regional and edited runs on WebAssembly, against diffusers' networks with the rules in Python. */
import { expect, it } from 'vitest'
import { openNodeOnnxRuntime } from '../../host/onnxruntime.ts'
import { OnnxBackend } from '../../model/backend/onnx-backend.ts'
import { controlCases, controlDistance } from '../support/control-parity.ts'

it.each(controlCases.map(each => [each.id, each] as const))('%s (wasm)', async (_, theCase) => {
  const backend = OnnxBackend.open(await openNodeOnnxRuntime('wasm', { threads: 1 }))
  const distance = await controlDistance(theCase, backend)
  await backend.dispose()
  if (process.env['ATTUNE_SHOW']) console.log(theCase.id, distance)
  expect(distance).toBeLessThanOrEqual(1e-3)
})
