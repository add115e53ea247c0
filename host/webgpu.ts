/**
 * WebGPU in Node: Dawn, through the package `webgpu`.
 */
import { AttuneError } from '../model/contract/errors.ts'

/** Keeps Dawn's instance alive: without a reference it is collected and the process aborts. */
const keeper = globalThis as typeof globalThis & { attuneGpu?: GPU }

/**
 * Asks Dawn for an adapter.
 * @param name a part of the adapter's name, to choose among several (`lavapipe`, `swiftshader`); Dawn's choice if absent.
 * @throws AttuneError `unsupported` when the machine has none.
 */
export async function openNodeAdapter(name?: string): Promise<GPUAdapter> {
  const { create, globals } = await import('webgpu')
  if (!keeper.attuneGpu) {
    Object.assign(globalThis, globals)
    // Mesa complains on stderr when this is unset (in containers, for example).
    process.env['XDG_RUNTIME_DIR'] ??= '/tmp'
    keeper.attuneGpu = create(name ? [`adapter=${name}`] : [])
  }
  const adapter = await keeper.attuneGpu.requestAdapter({ powerPreference: 'high-performance' })
  if (!adapter) {
    throw new AttuneError(
      'unsupported',
      'This machine offers no WebGPU adapter, not even a software one.',
      'Install a Vulkan driver (on Debian and Ubuntu: apt-get install mesa-vulkan-drivers), or run with --backend wasm.',
    )
  }
  return adapter
}
