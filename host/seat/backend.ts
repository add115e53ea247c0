/** Opens the backend that a run of the host's seat asks for, or the one that serves it fastest on this machine. */
import { availableParallelism } from 'node:os'
import { chooseBackend } from '../../model/backend/choose.ts'
import { OnnxBackend } from '../../model/backend/onnx-backend.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import { WebGpuBackend } from '../../model/gpu/backend.ts'
import { isSoftwareAdapter } from '../../model/gpu/device.ts'
import type { BackendWish, SeatBackend } from '../../model/worker/seat.ts'
import { hasNativeOnnxRuntime, installNativeCommand, openNodeOnnxRuntime } from '../onnxruntime.ts'
import { openNodeAdapter } from '../webgpu.ts'

/** @throws AttuneError `unsupported` when the named backend, or any, is not to be had */
export async function openHostBackend({ choice, precision, work }: BackendWish): Promise<SeatBackend> {
  if (choice === 'wasm') return openOnnx('wasm', undefined)
  const adapter = await openNodeAdapter().catch((error: unknown) => {
    if (choice === 'auto' && error instanceof AttuneError && error.code === 'unsupported') return undefined
    throw error
  })
  let notice: string | undefined
  if (choice === 'auto') {
    const chosen = chooseBackend({
      hasWebGpu: adapter !== undefined,
      softwareAdapter: adapter !== undefined && isSoftwareAdapter(adapter),
      hasWasm: true,
      hasNative: hasNativeOnnxRuntime() !== undefined,
      cores: availableParallelism(),
      gigaflop: work.gigaflop,
      parameters: work.parameters,
      installNative: installNativeCommand,
    })
    notice = chosen.notice
    if (chosen.backend === 'cpu' || chosen.backend === 'wasm') return openOnnx(chosen.backend, notice)
  }
  if (!adapter) throw new AttuneError('internal', 'A backend was chosen that is not there.')
  const backend = await WebGpuBackend.open(adapter, { precision })
  return {
    notice,
    name: backend.name,
    description: backend.description,
    compile: graph => backend.compile(graph),
    footprint: graph => backend.footprint(graph),
    dispose: () => backend.dispose(),
    check: () => backend.gpu.check(),
  }
}

async function openOnnx(kind: 'wasm' | 'cpu', notice: string | undefined): Promise<SeatBackend> {
  const backend = OnnxBackend.open(await openNodeOnnxRuntime(kind))
  return {
    notice,
    name: backend.name,
    description: backend.description,
    compile: graph => backend.compile(graph),
    footprint: graph => backend.footprint(graph),
    dispose: () => backend.dispose(),
    check: () => undefined,
  }
}
