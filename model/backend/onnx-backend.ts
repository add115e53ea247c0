/**
 * Runs recorded graphs on onnxruntime's processor kernels: `wasm` (onnxruntime-web, in Node and in a page) or `cpu`
 * (onnxruntime-node, where the person has installed it). The module comes from outside: `host/onnxruntime.ts` in
 * Node, an import of `onnxruntime-web` in a page.
 *
 * Memory of a program: the runtime holds its weights as f32; while it is loaded, the block as stored comes on top,
 * once outside and in parts once inside the runtime. Measured for SD 1.5's UNet from f16 (1.6 GB): 5.1 GB of process
 * memory at the peak with wasm, 7.4 GB with cpu. All programs of wasm share one heap, which ends at 4 GB and never
 * shrinks.
 */
import { AttuneError, invariant } from '../contract/errors.ts'
import { fuse } from '../graph/fusion.ts'
import { type Graph, inputsOf, outputsOf } from '../graph/ops.ts'
import {
  type Backend,
  checkState,
  type Footprint,
  type Program,
  type ProgramStats,
} from '../graph/program.ts'
import { type HostTensor, type OnnxRuntime, OnnxSession } from '../onnx/session.ts'
import { elementCount, formatShape } from '../tensor/shape.ts'
import type { EmitOptions } from './onnx-context.ts'
import { emitOnnx, inputName, newStateName, outputName, stateName } from './onnx-emitter.ts'

export interface OnnxBackendOptions {
  readonly kind: 'wasm' | 'cpu'
  /** The module onnxruntime-web for `wasm`, onnxruntime-node for `cpu`. */
  readonly ort: OnnxRuntime
  /**
   * At least 1. The wasm build takes the threads of the first session of the process; a page needs cross-origin
   * isolation for more than one.
   */
  readonly threads: number
  /** See `EmitOptions`. */
  readonly attentionBytes?: number
}

/** Activations that the 4 GiB of WebAssembly hold beside weights and the runtime's own copies of convolutions' inputs. */
const wasmActivationLimit = 2 ** 30

export class OnnxBackend implements Backend {
  readonly name: 'wasm' | 'cpu'
  readonly #ort: OnnxRuntime
  readonly #threads: number
  readonly #emitOptions: Partial<EmitOptions>
  readonly #programs = new Set<OnnxProgram>()

  private constructor({ kind, ort, threads, attentionBytes }: OnnxBackendOptions) {
    this.name = kind
    this.#ort = ort
    this.#threads = threads
    this.#emitOptions = attentionBytes === undefined ? {} : { attentionBytes }
  }

  /** Open it before any other session of the process runs: that one would decide over the threads. */
  static open(options: OnnxBackendOptions): OnnxBackend {
    invariant(
      Number.isInteger(options.threads) && options.threads >= 1,
      'onnxruntime needs at least one thread',
    )
    // Sessions of others, such as the text encoder's, keep to what is set here.
    if (options.kind === 'wasm') options.ort.env.wasm.numThreads ??= options.threads
    return new OnnxBackend(options)
  }

  get threads(): number {
    return this.name === 'wasm' ? (this.#ort.env.wasm.numThreads ?? this.#threads) : this.#threads
  }

  get description(): string {
    const { versions } = this.#ort.env
    const threads = `${this.threads} ${this.threads === 1 ? 'thread' : 'threads'}`
    return this.name === 'wasm'
      ? `onnxruntime-web ${versions.web ?? versions.common} (wasm, ${threads})`
      : `onnxruntime-node ${versions.node ?? versions.common} (cpu, ${threads})`
  }

  /** @throws AttuneError `bad-file` from the weights, `out-of-memory`, `internal` */
  async compile(graph: Graph): Promise<OnnxProgram> {
    const started = performance.now()
    const { model, weights, operators } = emitOnnx(fuse(graph), this.#emitOptions)
    const session = await OnnxSession.create({
      name: graph.name,
      model,
      externalData:
        weights.byteLength > 0 ? [{ location: weights.location, data: await weights.read() }] : [],
      ort: this.#ort,
      numThreads: this.threads,
      executionProviders: [this.name],
    })
    const stats: ProgramStats = {
      dispatches: [...operators.values()].reduce((sum, count) => sum + count, 0),
      activationBytes: peakBytes(graph),
      weightBytes: weights.byteLength,
      compileMilliseconds: performance.now() - started,
    }
    const program = new OnnxProgram(graph, session, stats, () => this.#programs.delete(program))
    this.#programs.add(program)
    return program
  }

  footprint(graph: Graph): Footprint {
    const activationBytes = peakBytes(graph)
    const fits = this.name !== 'wasm' || activationBytes <= wasmActivationLimit
    const size = `${Math.round(activationBytes / 2 ** 20)} MiB`
    return { activationBytes, fits, why: fits ? '' : `it takes ${size} of the WebAssembly memory of 4 GiB` }
  }

  async dispose(): Promise<void> {
    await Promise.all([...this.#programs].map(program => program.release()))
  }
}

/** A graph as a session of onnxruntime. */
export class OnnxProgram implements Program {
  readonly graph: Graph
  readonly stats: ProgramStats
  readonly #session: OnnxSession
  readonly #feeds: Record<string, HostTensor> = {}
  readonly #released: () => void

  constructor(graph: Graph, session: OnnxSession, stats: ProgramStats, released: () => void) {
    this.graph = graph
    this.#session = session
    this.stats = stats
    this.#released = released
  }

  async run(inputs: Readonly<Record<string, Float32Array>>): Promise<Record<string, Float32Array>> {
    for (const [name, values] of Object.entries(inputs)) this.#keep(name, values)
    for (const name of this.graph.inputs.keys()) {
      if (!this.#feeds[inputName(name)]) {
        throw new AttuneError('internal', `${this.graph.name}: input "${name}" was never given`)
      }
    }
    const names = [...this.graph.outputs.keys()]
    const states = [...(this.graph.states ?? [])]
    for (const [name, { before }] of states) this.#feeds[stateName(name)] ??= zeros(before.shape)
    const results = await this.#session.run(this.#feeds, [
      ...names.map(outputName),
      ...states.map(([name]) => newStateName(name)),
    ])
    for (const [name, { after }] of states) {
      const data = results[newStateName(name)]?.data
      invariant(data instanceof Float32Array, `${this.graph.name}: state "${name}" is not f32`)
      this.#feeds[stateName(name)] = { data, shape: after.shape }
    }
    const outputs: Record<string, Float32Array> = {}
    for (const name of names) {
      const data = results[outputName(name)]?.data
      invariant(data instanceof Float32Array, `${this.graph.name}: output "${name}" is not f32`)
      outputs[name] = data
    }
    return outputs
  }

  readStates(): Promise<Record<string, Float32Array>> {
    const states: Record<string, Float32Array> = {}
    for (const [name, { before }] of this.graph.states ?? []) {
      const { data } = this.#feeds[stateName(name)] ?? zeros(before.shape)
      states[name] = (data as Float32Array).slice()
    }
    return Promise.resolve(states)
  }

  writeStates(states: Readonly<Record<string, Float32Array>>): void {
    for (const [name, values] of Object.entries(states)) {
      const { before } = checkState(this.graph, name, values)
      this.#feeds[stateName(name)] = { data: values.slice(), shape: before.shape }
    }
  }

  clearStates(): void {
    for (const name of this.graph.states?.keys() ?? []) delete this.#feeds[stateName(name)]
  }

  dispose(): void {
    // The runtime has nothing to report about a session that nobody uses any more.
    this.release().catch(() => undefined)
  }

  async release(): Promise<void> {
    this.#released()
    await this.#session.release()
  }

  /** Copies a value into this program's own memory, where it stays for the runs that leave it out. */
  #keep(name: string, values: Float32Array): void {
    const tensor = this.graph.inputs.get(name)
    if (!tensor) throw new AttuneError('internal', `${this.graph.name} has no input "${name}"`)
    if (values.length !== elementCount(tensor.shape)) {
      throw new AttuneError(
        'internal',
        `${this.graph.name}: input "${name}" has ${values.length} elements for ${formatShape(tensor.shape)}`,
      )
    }
    const known = this.#feeds[inputName(name)]
    if (known) (known.data as Float32Array).set(values)
    else this.#feeds[inputName(name)] = { data: values.slice(), shape: tensor.shape }
  }
}

function zeros(shape: readonly number[]): HostTensor {
  return { data: new Float32Array(elementCount(shape)), shape }
}

/** The most bytes of f32 values alive at once: what the runtime's arena needs at least. */
function peakBytes(graph: Graph): number {
  const lastUse = new Map<number, number>()
  for (const [index, op] of graph.ops.entries()) {
    for (const tensor of inputsOf(op)) lastUse.set(tensor.id, index)
  }
  for (const tensor of graph.outputs.values()) lastUse.delete(tensor.id)
  let alive = 0
  for (const tensor of graph.inputs.values()) alive += elementCount(tensor.shape)
  let peak = alive
  for (const [index, op] of graph.ops.entries()) {
    for (const tensor of outputsOf(op)) alive += elementCount(tensor.shape)
    peak = Math.max(peak, alive)
    for (const tensor of new Set(inputsOf(op))) {
      if (lastUse.get(tensor.id) === index) alive -= elementCount(tensor.shape)
    }
  }
  return peak * Float32Array.BYTES_PER_ELEMENT
}
