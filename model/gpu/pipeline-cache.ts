/**
 * Pipelines by source. A shader's source is a pure function of its variant, so the source itself is the key. All
 * compile in parallel; a failure names the kernel and quotes the compiler.
 */
import { AttuneError } from '../contract/errors.ts'
import type { Dispatch } from '../kernels/lowering.ts'

export class PipelineCache {
  readonly #device: GPUDevice
  readonly #pipelines = new Map<string, Promise<GPUComputePipeline>>()

  constructor(device: GPUDevice) {
    this.#device = device
  }

  /** Distinct pipelines so far. */
  get size(): number {
    return this.#pipelines.size
  }

  get({ code, label, kernel, bindings }: Dispatch): Promise<GPUComputePipeline> {
    const known = this.#pipelines.get(code)
    if (known) return known
    const pipeline = this.#compile(code, label, kernel, bindings)
    this.#pipelines.set(code, pipeline)
    return pipeline
  }

  async #compile(
    code: string,
    label: string,
    kernel: string,
    bindings: Dispatch['bindings'],
  ): Promise<GPUComputePipeline> {
    const module = this.#device.createShaderModule({ label: kernel, code })
    // Explicit, because `auto` would drop a binding that a variant happens not to use.
    const layout = this.#device.createBindGroupLayout({
      label: kernel,
      entries: [
        { binding: 0, visibility: GPUShaderStage.COMPUTE, buffer: { type: 'uniform' } },
        ...bindings.map(
          ({ writable }, index): GPUBindGroupLayoutEntry => ({
            binding: index + 1,
            visibility: GPUShaderStage.COMPUTE,
            buffer: { type: writable ? 'storage' : 'read-only-storage' },
          }),
        ),
      ],
    })
    try {
      return await this.#device.createComputePipelineAsync({
        label: kernel,
        layout: this.#device.createPipelineLayout({ label: kernel, bindGroupLayouts: [layout] }),
        compute: { module, entryPoint: 'main' },
      })
    } catch (error) {
      const { messages } = await module.getCompilationInfo()
      const lines = code.split('\n')
      const quoted = messages
        .filter(message => message.type === 'error')
        .map(
          message => `  line ${message.lineNum}: ${message.message}\n    ${lines[message.lineNum - 1] ?? ''}`,
        )
        .join('\n')
      throw new AttuneError(
        'gpu',
        `The shader ${kernel} for ${label} does not compile: ${quoted || String(error)}`,
        'This is a fault in Attune: please report it with the message and the name of your GPU.',
        { cause: error },
      )
    }
  }
}
