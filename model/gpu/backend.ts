/** The WebGPU backend: one device, its pipelines and weights, and the programs compiled on it. */
import type { Graph } from '../graph/ops.ts'
import type { Backend, Footprint } from '../graph/program.ts'
import { footprintOf } from './footprint.ts'
import { GpuDevice, type GpuDeviceOptions } from './device.ts'
import { PipelineCache } from './pipeline-cache.ts'
import { GpuProgram } from './program.ts'
import type { CompileOptions } from './schedule.ts'
import { WeightStore } from './weight-store.ts'

export class WebGpuBackend implements Backend {
  readonly name = 'webgpu'
  readonly gpu: GpuDevice
  readonly pipelines: PipelineCache
  readonly weights: WeightStore

  private constructor(gpu: GpuDevice) {
    this.gpu = gpu
    this.pipelines = new PipelineCache(gpu.device)
    this.weights = new WeightStore(gpu)
  }

  /** @throws AttuneError `unsupported` when the adapter gives no device. */
  static async open(adapter: GPUAdapter, options: GpuDeviceOptions): Promise<WebGpuBackend> {
    return new WebGpuBackend(await GpuDevice.open(adapter, options))
  }

  get description(): string {
    return this.gpu.description
  }

  footprint(graph: Graph): Footprint {
    return footprintOf(graph, this.gpu.facts)
  }

  compile(graph: Graph, options: CompileOptions = {}): Promise<GpuProgram> {
    return GpuProgram.compile(graph, this.gpu, this.pipelines, this.weights, options)
  }

  dispose(): Promise<void> {
    this.weights.dispose()
    this.gpu.destroy()
    return Promise.resolve()
  }
}
