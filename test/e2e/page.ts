/**
 * The script of the page in which the engine is tested: a door through which Playwright reaches the client. Numbers pass
 * as plain lists, because not every version of the protocol carries typed arrays.
 */
import { AttuneError, type ErrorRecord } from '../../model/contract/errors.ts'
import type { GenerateRequestInput } from '../../model/contract/request.ts'
import { EngineClient, type EnginePort } from '../../model/worker/client.ts'
import {
  type AdapterFacts,
  type BackendChoice,
  type OpenedModel,
  toErrorRecord,
} from '../../model/worker/messages.ts'

export interface PageRun {
  readonly request: GenerateRequestInput
  readonly initialNoise?: readonly number[]
  /** Stops the run when this step is done. */
  readonly stopAfter?: number
  readonly backend?: BackendChoice
}

export interface PageResult {
  readonly steps: readonly number[]
  readonly picture: { readonly width: number; readonly height: number; readonly data: readonly number[] }
  readonly latents: readonly number[]
  readonly timings: Readonly<Record<string, number>>
  readonly adapter: { readonly backend: string; readonly name: string }
  /** Since the page began to load. */
  readonly sinceLoad: number
}

/** What went well, or the error in its plain form. */
export type Outcome<T> =
  | { readonly value: T }
  | { readonly error: ErrorRecord; readonly steps: readonly number[] }

export interface EnginePage {
  /** The page's own view of WebGPU and of isolation, then the Worker's. */
  start(worker?: string): Promise<Outcome<{ isolated: boolean; adapter: AdapterFacts | undefined }>>
  open(address: string, options?: { wasmPaths?: string; threads?: number }): Promise<Outcome<OpenedModel>>
  /** `loop` uses the async iterator instead of callbacks. */
  draw(run: PageRun, loop?: boolean): Promise<Outcome<PageResult>>
  /** Steps of the present run so far. */
  seen(): number
  close(): Promise<void>
}

let client: EngineClient | undefined
let seen: number[] = []

async function outcome<T>(work: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { value: await work() }
  } catch (error) {
    return { error: toErrorRecord(error), steps: seen }
  }
}

const page: EnginePage = {
  start: (script = '/worker.js') =>
    outcome(async () => {
      const worker = new Worker(script, { type: 'module' })
      client = await EngineClient.start(worker as EnginePort)
      if (client.problem) throw client.problem
      return { isolated: crossOriginIsolated, adapter: client.adapter }
    }),
  open: (address, { wasmPaths = '/ort/', threads = 1 } = {}) =>
    outcome(() =>
      started().open(address, { runtime: { wasmPaths: new URL(wasmPaths, location.href).href, threads } }),
    ),
  draw: ({ request, initialNoise, stopAfter, backend = 'auto' }, loop = false) =>
    outcome(async () => {
      const steps: number[] = []
      seen = steps
      const controller = new AbortController()
      const inputs = initialNoise ? { initialNoise: Float32Array.from(initialNoise) } : {}
      const onProgress = ({ step }: { step: number }): void => {
        steps.push(step)
        if (step === stopAfter) controller.abort()
      }
      const result = loop
        ? await looped(request, inputs, backend, onProgress)
        : await started().generate(request, inputs, { onProgress, signal: controller.signal, backend })
      return {
        steps,
        picture: { ...result.picture, data: [...result.picture.data] },
        latents: [...result.latents.data],
        timings: result.timings,
        adapter: result.adapter,
        sinceLoad: performance.now(),
      }
    }),
  seen: () => seen.length,
  async close() {
    await client?.close()
    client = undefined
  },
}

async function looped(
  request: GenerateRequestInput,
  inputs: { initialNoise?: Float32Array },
  backend: BackendChoice,
  onProgress: (progress: { step: number }) => void,
) {
  const run = started().steps(request, inputs, { backend })
  for (;;) {
    const next = await run.next()
    if (next.done) return next.value
    onProgress(next.value)
  }
}

function started(): EngineClient {
  if (client) return client
  throw new AttuneError('internal', 'The engine was not started.', 'Call start first.')
}

Object.assign(globalThis, { attune: page })
