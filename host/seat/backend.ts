/** Opens the backend that a run asks for in Node, or the one that serves it fastest on this machine. */
import { availableParallelism } from 'node:os'
import { chooseBackend } from '../../model/backend/choose.ts'
import { OnnxBackend } from '../../model/backend/onnx-backend.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import { WebGpuBackend } from '../../model/gpu/backend.ts'
import { isSoftwareAdapter } from '../../model/gpu/device.ts'
import { seatBackend } from '../../model/worker/place.ts'
import type { BackendWish, SeatBackend } from '../../model/worker/seat.ts'
import { hasNativeOnnxRuntime, installNativeCommand, openNodeOnnxRuntime } from '../onnxruntime.ts'
import { openNodeAdapter } from '../webgpu.ts'

export interface BackendRequest {
  readonly backend: 'auto' | 'webgpu' | 'wasm' | 'cpu'
  readonly precision: 'f32' | 'f16'
  /** The work ahead, for `auto`: see `workOf`. */
  readonly gigaflop: number
  readonly parameters: number
}

/**
 * @param onNotice receives one line when `auto` does not take a GPU.
 * @throws AttuneError `unsupported` when the named backend, or any, is not to be had; the message says how to get it
 */
export async function openBackend(
  request: BackendRequest,
  onNotice: (text: string) => void,
): Promise<WebGpuBackend | OnnxBackend> {
  const { backend, precision } = request
  if (backend === 'wasm' || backend === 'cpu') return OnnxBackend.open(await openNodeOnnxRuntime(backend))
  if (backend === 'webgpu') return WebGpuBackend.open(await openNodeAdapter(), { precision })
  const adapter = await openNodeAdapter().catch((error: unknown) => {
    if (error instanceof AttuneError && error.code === 'unsupported') return undefined
    throw error
  })
  const choice = chooseBackend({
    hasWebGpu: adapter !== undefined,
    softwareAdapter: adapter !== undefined && isSoftwareAdapter(adapter),
    hasWasm: true,
    hasNative: hasNativeOnnxRuntime() !== undefined,
    cores: availableParallelism(),
    gigaflop: request.gigaflop,
    parameters: request.parameters,
    installNative: installNativeCommand,
  })
  if (choice.notice) onNotice(choice.notice)
  if (choice.backend === 'webgpu' && adapter) return WebGpuBackend.open(adapter, { precision })
  return OnnxBackend.open(await openNodeOnnxRuntime(choice.backend === 'cpu' ? 'cpu' : 'wasm'))
}

/** The same for the host's seat. @throws AttuneError `unsupported` when the named backend, or any, is not to be had */
export async function openHostBackend({ choice, precision, work }: BackendWish): Promise<SeatBackend> {
  let notice: string | undefined
  const { gigaflop, parameters } = work
  const backend = await openBackend({ backend: choice, precision, gigaflop, parameters }, text => {
    notice = text
  })
  return seatBackend(backend, notice)
}
