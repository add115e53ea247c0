/** What every place of a seat makes of its backends and its adapter: a Worker of a page, a thread of the host. */
import type { OnnxBackend } from '../backend/onnx-backend.ts'
import { WebGpuBackend } from '../gpu/backend.ts'
import { isSoftwareAdapter } from '../gpu/device.ts'
import type { AdapterFacts } from './messages.ts'
import type { SeatBackend } from './seat.ts'

/** A backend as a seat uses it. @param notice one line for the person, where the choice is not the usual one */
export function seatBackend(backend: WebGpuBackend | OnnxBackend, notice: string | undefined): SeatBackend {
  return {
    notice,
    name: backend.name,
    description: backend.description,
    compile: graph => backend.compile(graph),
    footprint: graph => backend.footprint(graph),
    dispose: () => backend.dispose(),
    // Runtimes on the processor are not lost.
    check: () => (backend instanceof WebGpuBackend ? backend.gpu.check() : undefined),
  }
}

/** The adapter for messages: vendor, architecture and name as far as it tells. */
export function adapterFacts(adapter: GPUAdapter): AdapterFacts {
  const { info, features, limits } = adapter
  return {
    name: [info.vendor, info.architecture, info.description || info.device].filter(Boolean).join(' '),
    software: isSoftwareAdapter(adapter),
    shaderF16: features.has('shader-f16'),
    maxBufferBytes: Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize),
  }
}
