/**
 * Runs ONNX models on onnxruntime: its WebAssembly build in Node and in a page, or any module with the same interface
 * that is passed in (the WebGPU build, onnxruntime-node).
 */
import type * as onnxruntimeWeb from 'onnxruntime-web'
import { AttuneError, invariant } from '../contract/errors.ts'
import { elementCount, formatShape, type Shape } from '../tensor/shape.ts'

/** What Attune uses of an onnxruntime module. */
export type OnnxRuntime = Pick<typeof onnxruntimeWeb, 'InferenceSession' | 'Tensor' | 'env'>

type RuntimeSession = Awaited<ReturnType<OnnxRuntime['InferenceSession']['create']>>
type RuntimeTensor = InstanceType<OnnxRuntime['Tensor']>

/** Bytes that a model refers to by `location` (see `OnnxGraph.external`). */
export interface ExternalData {
  readonly location: string
  readonly data: Uint8Array
}

export interface SessionOptions {
  /** For messages: what the model is, for example `text encoder`. */
  readonly name: string
  /** A `ModelProto`. */
  readonly model: Uint8Array
  readonly externalData?: readonly ExternalData[]
  /** The module to run on; onnxruntime-web is imported when it is not given. */
  readonly ort?: OnnxRuntime
  /**
   * Threads. Of the WebAssembly build the first session of a process decides for all (`ort.env.wasm.numThreads`, or 1,
   * unless given), and a page needs cross-origin isolation for more than one. The native build takes all cores unless
   * given.
   */
  readonly numThreads?: number
  /** In order of preference; `wasm` unless given. */
  readonly executionProviders?: readonly ('wasm' | 'webgpu' | 'cpu')[]
}

/** A tensor in host memory. */
export interface HostTensor {
  readonly data: Float32Array | BigInt64Array | Int32Array
  readonly shape: Shape
}

/** A loaded model. */
export class OnnxSession {
  private readonly name: string
  private readonly ort: OnnxRuntime
  private readonly queue: Queue | undefined
  private session: RuntimeSession | undefined

  private constructor(name: string, ort: OnnxRuntime, session: RuntimeSession, queue: Queue | undefined) {
    this.name = name
    this.ort = ort
    this.session = session
    this.queue = queue
  }

  /**
   * Loads a model. The bytes may be dropped afterwards: the runtime has its own copy.
   * @throws AttuneError `out-of-memory` when the weights do not fit the WebAssembly heap (4 GB), `internal` when the
   *   runtime refuses the model, `unsupported` when it cannot start.
   */
  static async create(options: SessionOptions): Promise<OnnxSession> {
    const ort = options.ort ?? (await importRuntime())
    const started = ort.env.wasm
    // Setting it once the runtime runs would change nothing, silently.
    if (started && !configured.has(ort)) {
      configured.add(ort)
      started.numThreads = options.numThreads ?? started.numThreads ?? 1
    }
    const providers = options.executionProviders ?? ['wasm']
    // The native runtime guards itself.
    const queue = providers.includes('cpu') ? undefined : queueOf(ort)
    try {
      const session = await inTurn(queue, () =>
        ort.InferenceSession.create(options.model, {
          executionProviders: [...providers],
          externalData: (options.externalData ?? []).map(({ location, data }) => ({ path: location, data })),
          graphOptimizationLevel: 'all',
          // The native build's threads; the WebAssembly build does not read it.
          ...(options.numThreads !== undefined && { intraOpNumThreads: options.numThreads }),
          // Errors only: constant folding and memory reuse are reported as warnings.
          logSeverityLevel: 3,
        }),
      )
      return new OnnxSession(options.name, ort, session, queue)
    } catch (error) {
      throw runtimeError(`The ${options.name} could not be loaded`, error)
    }
  }

  /**
   * Runs the model.
   * @param feeds all inputs by name.
   * @param outputs the names of the wanted results.
   * @throws AttuneError `internal` when the runtime refuses the inputs, `out-of-memory`
   */
  async run(
    feeds: Readonly<Record<string, HostTensor>>,
    outputs: readonly string[],
  ): Promise<Record<string, HostTensor>> {
    invariant(this.session, `The ${this.name} was released`)
    const inputs: Record<string, RuntimeTensor> = {}
    for (const [name, tensor] of Object.entries(feeds)) inputs[name] = this.toRuntime(name, tensor)
    const { session } = this
    try {
      return await inTurn(this.queue, async () => {
        const results = await session.run(inputs, [...outputs])
        const tensors: Record<string, HostTensor> = {}
        for (const name of outputs) {
          const result = results[name]
          invariant(result, `The ${this.name} has no output "${name}"`)
          tensors[name] = { data: hostData(name, await result.getData()), shape: result.dims }
          result.dispose()
        }
        return tensors
      })
    } catch (error) {
      throw runtimeError(`The ${this.name} failed`, error)
    }
  }

  /** Frees the model's memory. May be called again. */
  async release(): Promise<void> {
    const session = this.session
    this.session = undefined
    if (session) await inTurn(this.queue, () => session.release())
  }

  private toRuntime(name: string, { data, shape }: HostTensor): RuntimeTensor {
    invariant(
      data.length === elementCount(shape),
      `${this.name}: input "${name}" has ${data.length} elements for ${formatShape(shape)}`,
    )
    if (data instanceof Float32Array) return new this.ort.Tensor('float32', data, [...shape])
    if (data instanceof BigInt64Array) return new this.ort.Tensor('int64', data, [...shape])
    return new this.ort.Tensor('int32', data, [...shape])
  }
}

/** The end of the work that was asked of a runtime so far. */
interface Queue {
  last: Promise<unknown>
}

const queues = new WeakMap<OnnxRuntime, Queue>()

function queueOf(ort: OnnxRuntime): Queue {
  const queue = queues.get(ort) ?? { last: Promise.resolve() }
  queues.set(ort, queue)
  return queue
}

/**
 * All sessions of a WebAssembly runtime share one heap and one set of threads. A session that is created or released
 * while another runs damages its results without a word (onnxruntime-web 1.30), so they take turns.
 */
function inTurn<T>(queue: Queue | undefined, work: () => Promise<T>): Promise<T> {
  if (!queue) return work()
  const turn = queue.last.then(work, work)
  queue.last = turn.catch(() => undefined)
  return turn
}

/** Runtimes whose number of threads has been set. */
const configured = new WeakSet<OnnxRuntime>()

async function importRuntime(): Promise<OnnxRuntime> {
  try {
    return await import('onnxruntime-web')
  } catch (error) {
    throw new AttuneError(
      'unsupported',
      `onnxruntime-web could not be loaded: ${text(error)}.`,
      'Run `npm ci` in the Attune folder.',
      { cause: error },
    )
  }
}

function hostData(name: string, data: unknown): HostTensor['data'] {
  if (data instanceof Float32Array || data instanceof BigInt64Array || data instanceof Int32Array) return data
  throw new AttuneError('internal', `Output "${name}" has an element type that Attune does not read.`)
}

function runtimeError(what: string, error: unknown): AttuneError {
  if (error instanceof AttuneError) return error
  const why = text(error)
  // The WebAssembly heap ends with std::bad_alloc, a RangeError of the memory, or a bare number (a C++ exception).
  if (
    typeof error === 'number' ||
    /bad_alloc|out of memory|failed to allocate|memory access out of bounds/i.test(why)
  ) {
    return new AttuneError(
      'out-of-memory',
      `${what}: onnxruntime ran out of memory (${why}).`,
      'Close other programs, choose a smaller picture or model, or run with another --backend.',
      { cause: error },
    )
  }
  if (/no available backend/i.test(why)) {
    return new AttuneError(
      'unsupported',
      `${what}: onnxruntime could not start (${why}).`,
      'Run `npm ci` in the Attune folder; in a page, check that its WebAssembly files are served.',
      { cause: error },
    )
  }
  return new AttuneError('internal', `${what}: ${why}.`, 'This is a fault in Attune: please report it.', {
    cause: error,
  })
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
