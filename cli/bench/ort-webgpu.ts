/**
 * A peer for benchmarks: onnxruntime-web's own WebGPU execution provider, in Node, on the same adapter as ours (Dawn). It
 * runs the graph that we emit. Never used for drawing.
 */
import { openNodeAdapter } from '../../host/webgpu.ts'
import { emitOnnx, inputName, outputName } from '../../model/backend/onnx-emitter.ts'
import { fuse } from '../../model/graph/fusion.ts'
import type { Graph } from '../../model/graph/ops.ts'
import { type HostTensor, type OnnxRuntime, OnnxSession } from '../../model/onnx/session.ts'

export interface Peer {
  readonly name: string
  run(inputs: Readonly<Record<string, Float32Array>>): Promise<void>
  release(): Promise<void>
}

export async function openOrtWebGpu(graph: Graph): Promise<Peer> {
  await openNodeAdapter()
  provideNavigator()
  const ort = (await import('onnxruntime-web/webgpu')) as unknown as OnnxRuntime
  const { model, weights } = emitOnnx(fuse(graph))
  const session = await OnnxSession.create({
    name: `${graph.name} (onnxruntime WebGPU)`,
    model,
    externalData: [{ location: weights.location, data: await weights.read() }],
    ort,
    numThreads: 1,
    executionProviders: ['webgpu'],
  })
  const names = [...graph.outputs.keys()].map(outputName)
  return {
    name: 'onnxruntime-web WebGPU',
    async run(inputs) {
      const feeds: Record<string, HostTensor> = {}
      for (const [name, data] of Object.entries(inputs)) {
        feeds[inputName(name)] = { data, shape: graph.inputs.get(name)?.shape ?? [] }
      }
      await session.run(feeds, names)
    },
    release: () => session.release(),
  }
}

/** What onnxruntime-web expects of a page: navigator.gpu, and a queue that takes views of its shared heap. */
function provideNavigator(): void {
  const scope = globalThis as typeof globalThis & { attuneGpu?: GPU; attuneQueuePatched?: boolean }
  Object.defineProperty(globalThis, 'navigator', {
    value: { gpu: scope.attuneGpu, userAgent: 'node', hardwareConcurrency: 2 },
    configurable: true,
  })
  if (scope.attuneQueuePatched) return
  scope.attuneQueuePatched = true
  const prototype = (globalThis as unknown as { GPUQueue: { prototype: GPUQueue } }).GPUQueue.prototype
  const original = Reflect.get(prototype, 'writeBuffer') as GPUQueue['writeBuffer']
  // Dawn refuses views on shared memory, and the runtime's heap is shared.
  prototype.writeBuffer = function (this: GPUQueue, buffer, offset, data, start = 0, size) {
    const view = ArrayBuffer.isView(data) ? data : new Uint8Array(data as ArrayBuffer)
    const unit = 'BYTES_PER_ELEMENT' in view ? Number(view.BYTES_PER_ELEMENT) : 1
    const from = view.byteOffset + start * unit
    const length = size === undefined ? view.byteLength - start * unit : size * unit
    const bytes = new Uint8Array(view.buffer, from, length).slice()
    original.call(this, buffer, offset, bytes, 0, bytes.byteLength)
    return undefined
  }
}
