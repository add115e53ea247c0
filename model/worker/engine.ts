/**
 * The engine in a Worker of a page: the entry of the Worker's script, and the one file that knows its scope. Start it
 * with `new Worker(url, { type: 'module' })` and speak to it through `client.ts`.
 *
 * Bundlers should let `onnxruntime-web` mean `onnxruntime-web/wasm`: half the size, and all that is used here.
 */
import { AttuneError, invariant } from '../contract/errors.ts'
import { chooseBackend, wasmParameterLimit } from '../backend/choose.ts'
import { OnnxBackend } from '../backend/onnx-backend.ts'
import { WebGpuBackend } from '../gpu/backend.ts'
import { isSoftwareAdapter } from '../gpu/device.ts'
import { openFileFolder } from './file-folder.ts'
import { openHttpFolder } from './http-folder.ts'
import { type EngineMessage, type RuntimeOptions, toErrorRecord, transferList } from './messages.ts'
import { adapterFacts, seatBackend } from './place.ts'
import { type BackendWish, EngineSeat, type SeatBackend } from './seat.ts'

/** What is used of the scope: TypeScript's DOM library describes a window's. */
interface WorkerScope {
  postMessage(message: unknown, options: { transfer: Transferable[] }): void
  addEventListener(type: 'message', listener: (event: MessageEvent<unknown>) => void): void
  addEventListener(type: 'unhandledrejection', listener: (event: PromiseRejectionEvent) => void): void
}

/** Each device takes an adapter of its own: one that gave a device is used up. */
async function openAdapter(): Promise<GPUAdapter> {
  // Without a secure context (https, app:// or localhost) a browser hides WebGPU.
  const gpu = (navigator as Partial<Pick<Navigator, 'gpu'>>).gpu
  const adapter = await gpu?.requestAdapter({ powerPreference: 'high-performance' })
  if (adapter) return adapter
  throw new AttuneError(
    'unsupported',
    gpu ? 'This browser finds no GPU that it can use.' : 'This browser has no WebGPU.',
    'Update the browser and the graphics driver, or draw on the host instead.',
  )
}

/**
 * A GPU always. Chromium's software adapter only for models that the WebAssembly memory does not hold: compiling its
 * shaders alone takes longer than WebAssembly takes for a picture (measured: `test/bench/first-picture-page.ts`).
 */
async function openBackend({ choice, precision, work }: BackendWish): Promise<SeatBackend> {
  if (choice === 'wasm') return openWasm(undefined)
  const adapter = await openAdapter().catch((error: unknown) => {
    if (choice === 'auto' && error instanceof AttuneError && error.code === 'unsupported') return undefined
    throw error
  })
  const software = adapter !== undefined && isSoftwareAdapter(adapter)
  if (choice === 'auto') {
    const { backend, notice } = chooseBackend({
      hasWebGpu: adapter !== undefined && !(software && work.parameters <= wasmParameterLimit),
      softwareAdapter: software,
      hasWasm: true,
      hasNative: false,
      cores: navigator.hardwareConcurrency,
      gigaflop: work.gigaflop,
      parameters: work.parameters,
    })
    if (backend === 'wasm') return openWasm(notice)
  }
  invariant(adapter, 'a backend was chosen that is not there')
  return seatBackend(await WebGpuBackend.open(adapter, { precision }), undefined)
}

/** Computes in f32, whatever precision was asked for. */
async function openWasm(notice: string | undefined): Promise<SeatBackend> {
  const ort = await import('onnxruntime-web')
  return seatBackend(OnnxBackend.open({ kind: 'wasm', ort, threads: ort.env.wasm.numThreads || 1 }), notice)
}

async function prepareRuntime({ wasmPaths, threads }: RuntimeOptions): Promise<void> {
  if (wasmPaths === undefined && threads === undefined) return
  const { env } = await import('onnxruntime-web')
  // It joins the folder and a file's name without a slash of its own.
  if (typeof wasmPaths === 'string')
    env.wasm.wasmPaths = wasmPaths.endsWith('/') ? wasmPaths : `${wasmPaths}/`
  else if (wasmPaths !== undefined) env.wasm.wasmPaths = wasmPaths
  if (threads !== undefined) env.wasm.numThreads = threads
}

function start(scope: WorkerScope): void {
  const post = (message: EngineMessage): void =>
    scope.postMessage(message, { transfer: transferList(message) })
  const seat = new EngineSeat({
    describeAdapter: async () => adapterFacts(await openAdapter()),
    openBackend,
    openFolder: location =>
      Promise.resolve(
        location.kind === 'url'
          ? openHttpFolder(location.url, location.name === undefined ? {} : { name: location.name })
          : openFileFolder(location.name, location.files),
      ),
    prepareRuntime,
    post,
  })
  scope.addEventListener('message', event => void seat.handle(event.data))
  scope.addEventListener('unhandledrejection', event =>
    post({ type: 'error', error: toErrorRecord(event.reason) }),
  )
}

start(globalThis as unknown as WorkerScope)
