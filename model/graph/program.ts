/**
 * What every executor of a graph offers: our WGSL kernels, onnxruntime on wasm or on the processor, and the
 * interpreter that is the oracle. Networks and pipelines know only this.
 */
import { invariant } from '../contract/errors.ts'
import { elementCount } from '../tensor/shape.ts'
import type { Graph, GraphState } from './ops.ts'

/** A graph made ready to run. Values are dense and row-major with the graph's shapes (channels last), f32. */
export interface Program {
  readonly graph: Graph
  /**
   * Runs the graph once. Inputs that are left out keep the value of the last run, so that what is constant over the
   * steps (the text's keys and values) is given once.
   * @returns every output of the graph; the arrays belong to the caller.
   * @throws AttuneError `gpu`, `device-lost`, `out-of-memory` or `internal`; never returns numbers of a failed run.
   */
  run(inputs: Readonly<Record<string, Float32Array>>): Promise<Record<string, Float32Array>>
  /** The graph's states as the last run left them; zeros before the first. The arrays belong to the caller. */
  readStates(): Promise<Record<string, Float32Array>>
  /** Takes back what `readStates` gave, all of it or some: the next run goes on from there. */
  writeStates(states: Readonly<Record<string, Float32Array>>): void
  /** Makes all states zero again. */
  clearStates(): void
  /** Facts for benchmarks and the doctor. */
  readonly stats: ProgramStats
  dispose(): void
}

export interface ProgramStats {
  /** Dispatches (webgpu) or nodes (onnx) of one run. */
  readonly dispatches: number
  /** Bytes of all activations at their peak. */
  readonly activationBytes: number
  readonly weightBytes: number
  /** Milliseconds spent compiling before the first run. */
  readonly compileMilliseconds: number
}

/** What a graph would take on a device. */
export interface Footprint {
  readonly activationBytes: number
  readonly fits: boolean
  /** Why it does not, in words; empty where it does. */
  readonly why: string
}

/** Compiles graphs for one device. */
export interface Backend {
  readonly name: 'webgpu' | 'wasm' | 'cpu' | 'interpreter'
  /** The device in words, for the record: adapter and driver, or the runtime's version and threads. */
  readonly description: string
  compile(graph: Graph): Promise<Program>
  /** What `graph` would take; allocates nothing. Absent where nobody can tell. */
  footprint?(graph: Graph): Footprint
  dispose(): Promise<void>
}

/** The state of a graph that `values` are for. */
export function checkState(graph: Graph, name: string, values: Float32Array): GraphState {
  const state = graph.states?.get(name)
  invariant(state, `${graph.name} has a state "${name}"`)
  const wanted = elementCount(state.before.shape)
  invariant(
    values.length === wanted,
    `${graph.name}: state "${name}" has ${wanted} elements, not ${values.length}`,
  )
  return state
}
