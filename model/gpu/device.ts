/**
 * The GPU device: limits asked for and checked, what the adapter is good at, and the rule that nothing is silent (D11).
 * A lost device or an uncaptured error fails every run from then on, by name.
 */
import { AttuneError } from '../contract/errors.ts'
import type { DeviceFacts } from '../kernels/lowering.ts'

export interface GpuDeviceOptions {
  /** `f32` stores weights and activations in f32 (parity); `f16` halves weights, and activations where it pays. */
  readonly precision: 'f32' | 'f16'
  /** Overrides for tests: force the variant of another kind of adapter. */
  readonly facts?: Partial<DeviceFacts>
}

export class GpuDevice {
  readonly device: GPUDevice
  readonly facts: DeviceFacts
  /** Adapter and driver in words. */
  readonly description: string
  #failure: AttuneError | undefined

  private constructor(device: GPUDevice, facts: DeviceFacts, description: string) {
    this.device = device
    this.facts = facts
    this.description = description
    void device.lost.then(info => {
      if (info.reason === 'destroyed') return
      this.#failure ??= new AttuneError(
        'device-lost',
        `The GPU was reset or taken away (${info.message || info.reason}).`,
        'Run again; if it happens again, choose a smaller picture or update the graphics driver.',
      )
    })
    device.addEventListener('uncapturederror', event => {
      this.#failure ??= gpuError(event.error, 'between runs')
    })
  }

  /**
   * Opens a device on `adapter` with all that the kernels can use.
   * @throws AttuneError `unsupported` when the adapter gives no device.
   */
  static async open(adapter: GPUAdapter, options: GpuDeviceOptions): Promise<GpuDevice> {
    const features = (['subgroups', 'shader-f16', 'timestamp-query'] as GPUFeatureName[]).filter(feature =>
      adapter.features.has(feature),
    )
    const wanted = [
      'maxBufferSize',
      'maxStorageBufferBindingSize',
      'maxStorageBuffersPerShaderStage',
      'maxComputeWorkgroupStorageSize',
      'maxComputeInvocationsPerWorkgroup',
      'maxComputeWorkgroupSizeX',
      'maxComputeWorkgroupsPerDimension',
    ] as const
    const requiredLimits = Object.fromEntries(wanted.map(limit => [limit, adapter.limits[limit]]))
    let device: GPUDevice
    try {
      device = await adapter.requestDevice({ requiredFeatures: features, requiredLimits })
    } catch (error) {
      throw new AttuneError(
        'unsupported',
        `The GPU adapter "${adapter.info.description || adapter.info.device}" gives no device: ${String(error)}`,
        'Update the graphics driver, or run with --backend wasm.',
      )
    }
    const description = [
      adapter.info.vendor,
      adapter.info.architecture,
      adapter.info.description || adapter.info.device,
    ]
      .filter(Boolean)
      .join(' ')
    return new GpuDevice(device, { ...factsOf(adapter, device, options), ...options.facts }, description)
  }

  /** @throws the first failure of this device, if there was one. */
  check(): void {
    if (this.#failure) throw this.#failure
  }

  /**
   * Runs `work` inside error scopes. A GPU error becomes an exception that names what was being done.
   * @param what for the message, such as `compiling unet.denoise`.
   */
  async guarded<T>(what: string, work: () => Promise<T> | T): Promise<T> {
    this.check()
    const filters: GPUErrorFilter[] = ['validation', 'out-of-memory', 'internal']
    for (const filter of filters) this.device.pushErrorScope(filter)
    let result: T | undefined
    let thrown: unknown
    try {
      result = await work()
    } catch (error) {
      thrown = error
    }
    let failure: AttuneError | undefined
    for (let scope = 0; scope < filters.length; scope++) {
      const error = await this.device.popErrorScope()
      if (error) failure ??= gpuError(error, what)
    }
    this.check()
    if (failure) throw failure
    if (thrown !== undefined) throw thrown
    return result as T
  }

  destroy(): void {
    this.device.destroy()
  }
}

function gpuError(error: GPUError, what: string): AttuneError {
  const name = error.constructor.name
  if (name === 'GPUOutOfMemoryError') {
    return new AttuneError(
      'out-of-memory',
      `The GPU has no memory left (${what}): ${error.message}`,
      'Choose a smaller picture, or close other programs that use the GPU.',
    )
  }
  return new AttuneError(
    'gpu',
    `The GPU refused an operation (${what}): ${error.message}`,
    'This is a fault in Attune: please report it with the message.',
  )
}

/** Whether an adapter computes on the processor. */
export function isSoftwareAdapter({ info }: GPUAdapter): boolean {
  return info.isFallbackAdapter || /llvmpipe|lavapipe|swiftshader|software/i.test(wordsOf(info))
}

function wordsOf({ vendor, architecture, device, description }: GPUAdapterInfo): string {
  return `${vendor} ${architecture} ${device} ${description}`
}

function factsOf(adapter: GPUAdapter, device: GPUDevice, options: GpuDeviceOptions): DeviceFacts {
  const { info } = adapter
  const words = wordsOf(info).toLowerCase()
  const software = isSoftwareAdapter(adapter)
  const swiftshader = words.includes('swiftshader')
  const fixed =
    info.subgroupMinSize === info.subgroupMaxSize && info.subgroupMinSize <= 16 && info.subgroupMinSize >= 4
  const half = options.precision === 'f16'
  return {
    subgroupSize: software && fixed && device.features.has('subgroups') ? info.subgroupMinSize : 0,
    // A processor converts halves in software: it loses by f16 activations, and SwiftShader even by f16 weights.
    activationType: half && !software && device.features.has('shader-f16') ? 'f16' : 'f32',
    matrixType: half && !swiftshader ? 'f16' : 'f32',
    software,
    maxComputeWorkgroupsPerDimension: device.limits.maxComputeWorkgroupsPerDimension,
    maxStorageBufferBindingSize: Math.min(
      device.limits.maxStorageBufferBindingSize,
      device.limits.maxBufferSize,
      // Offsets in kernels are u32 vec4 indices; larger bindings bring nothing.
      2 ** 31,
    ),
    maxStorageBuffersPerShaderStage: device.limits.maxStorageBuffersPerShaderStage,
  }
}
