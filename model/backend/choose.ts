/**
 * `--backend auto`: which backend serves a request fastest on this machine. A real GPU always; a software adapter's
 * WebGPU while the picture is small, because it starts at once and is the engine that everything else is tuned for;
 * otherwise whatever multiplies fastest.
 */
import { AttuneError } from '../contract/errors.ts'
import type { Backend } from '../graph/program.ts'

export type BackendName = Exclude<Backend['name'], 'interpreter'>

export interface ChoiceInput {
  /** Whether an adapter was found, and whether it computes on the processor (`isFallbackAdapter`, lavapipe, SwiftShader). */
  readonly hasWebGpu: boolean
  readonly softwareAdapter: boolean
  readonly hasWasm: boolean
  /** Whether onnxruntime-node is installed. */
  readonly hasNative: boolean
  readonly cores: number
  /** Work of the whole request, in GFLOP: twice the multiply-accumulates of every evaluation and of the decoder. */
  readonly gigaflop: number
  /** Parameters of all networks that are loaded at once: the wasm heap has room for so many only. */
  readonly parameters?: number
  /** GFLOPS measured on this machine, where known; else those of `assumedSpeed`. */
  readonly measured?: Partial<Readonly<Record<BackendName, number>>>
  /** The command that installs onnxruntime-node, for the notice. */
  readonly installNative?: string
}

export interface Choice {
  readonly backend: BackendName
  /** Estimated time of the request; undefined on a real GPU, whose speed nobody assumed. */
  readonly seconds: number | undefined
  /** One line for the person, when the choice is not the usual one. */
  readonly notice: string | undefined
}

/** A software adapter is kept while it needs no longer than this. */
export const patienceSeconds = 10

/**
 * Parameters that the wasm backend can hold at once: its one heap ends at 4 GB and holds each as f32, beside the
 * activations. SD 1.5's UNet of 860 M by itself ran at 512x512 (5.2 GB of process memory at the peak, of which 1.6 GB are
 * the stored block outside the heap); together with its text encoder and autoencoder, 1.07 G, it cannot fit.
 */
export const wasmParameterLimit = 900e6

/** GFLOPS a core on the machines where this was measured (2 cores: 17-25, 25-50 and 120-190). */
const perCore: Readonly<Record<BackendName, number>> = { webgpu: 10, wasm: 18, cpu: 75 }

/** Assumed GFLOPS of a backend on the processor. More than four threads do not help wasm, which we give no more. */
export function assumedSpeed(backend: BackendName, cores: number): number {
  return perCore[backend] * Math.max(1, backend === 'wasm' ? Math.min(cores, 4) : cores)
}

/**
 * Chooses. Equal inputs give equal choices: nothing is measured or asked here.
 * @throws AttuneError `unsupported` when nothing on this machine can run the request
 */
export function chooseBackend(input: ChoiceInput): Choice {
  if (input.hasWebGpu && !input.softwareAdapter) {
    return { backend: 'webgpu', seconds: undefined, notice: undefined }
  }
  const secondsOn = (backend: BackendName): number =>
    input.gigaflop / (input.measured?.[backend] ?? assumedSpeed(backend, input.cores))
  if (input.hasWebGpu && secondsOn('webgpu') < patienceSeconds) {
    return { backend: 'webgpu', seconds: secondsOn('webgpu'), notice: undefined }
  }
  const fitsWasm = (input.parameters ?? 0) <= wasmParameterLimit
  const available: BackendName[] = []
  if (input.hasNative) available.push('cpu')
  if (input.hasWebGpu) available.push('webgpu')
  if (input.hasWasm && fitsWasm) available.push('wasm')
  const [backend] = available.toSorted((a, b) => secondsOn(a) - secondsOn(b))
  if (!backend) throw nothingRuns(input)
  const seconds = secondsOn(backend)
  const why = input.hasWebGpu ? 'The GPU here is emulated in software' : 'No GPU was found'
  const faster =
    !input.hasNative && input.installNative
      ? `; about ${times(seconds / secondsOn('cpu'))} faster after: ${input.installNative}`
      : ''
  return {
    backend,
    seconds,
    notice: `${why}: drawing on the processor with ${names[backend]}, about ${duration(seconds)}${faster}.`,
  }
}

const names: Readonly<Record<BackendName, string>> = {
  webgpu: 'software WebGPU',
  wasm: 'WebAssembly (wasm)',
  cpu: 'onnxruntime (cpu)',
}

function nothingRuns({ hasWasm, installNative }: ChoiceInput): AttuneError {
  return new AttuneError(
    'unsupported',
    hasWasm
      ? 'This machine offers no WebGPU adapter, and the model is too large for the WebAssembly memory of 4 GB.'
      : 'This machine offers no WebGPU adapter, and WebAssembly could not be started.',
    `Install a graphics driver with Vulkan, Metal or Direct3D 12${installNative ? `, or the native processor backend: ${installNative}` : ''}.`,
  )
}

function times(ratio: number): string {
  return `${ratio < 3 ? ratio.toFixed(1) : Math.round(ratio)} times`
}

function duration(seconds: number): string {
  if (seconds < 100) return `${Math.max(1, Math.round(seconds))} s`
  const minutes = seconds / 60
  return minutes < 100 ? `${Math.round(minutes)} min` : `${Math.round(minutes / 60)} h`
}
