/**
 * Runs a recorded graph on the processor in f64: the oracle that kernels, fusion passes, the memory plan and the
 * ONNX emitter are compared with. Slow by intention, for tiny models only.
 */
import { AttuneError } from '../contract/errors.ts'
import { elementCount, formatShape, lastAxis } from '../tensor/shape.ts'
import {
  attention,
  attentionPeak,
  attentionRow,
  type AttentionValues,
  headMean,
} from './interpreter-attention.ts'
import { activateInPlace } from './interpreter-math.ts'
import * as ops from './interpreter-ops.ts'
import { loadWeight } from './load-weight.ts'
import {
  type Conv2dOp,
  type Graph,
  inputsOf,
  type LinearOp,
  type Op,
  outputsOf,
  type Tensor,
  type WeightData,
  weightsOf,
} from './ops.ts'
import { type Backend, checkState, type Program } from './program.ts'

export interface InterpretOptions {
  /** Labels (layer paths) of values to return besides the outputs. The last value that carries a label counts. */
  readonly taps?: readonly string[]
  /** The graph's states before the run; zero where absent. */
  readonly states?: Readonly<Record<string, Float32Array | Float64Array>>
  /** Decoded weights of earlier runs; filled and reused. */
  readonly weightCache?: Map<WeightData, Float32Array>
}

export interface Interpretation {
  readonly outputs: Readonly<Record<string, Float64Array>>
  /** The graph's states after the run. */
  readonly states: Readonly<Record<string, Float64Array>>
  readonly taps: Readonly<Record<string, Float64Array>>
}

/**
 * Runs `graph` once.
 * @param inputs every input of the graph by name, dense and row-major
 * @throws AttuneError `internal` when an input is missing or has another size, or when no value carries a tap's label
 */
export async function interpret(
  graph: Graph,
  inputs: Readonly<Record<string, Float32Array | Float64Array>>,
  options: InterpretOptions = {},
): Promise<Interpretation> {
  const values = new Map<number, Float64Array>()
  for (const [name, tensor] of graph.inputs) {
    const given = inputs[name]
    if (!given) throw new AttuneError('internal', `Graph "${graph.name}": the input "${name}" was not given`)
    if (given.length !== elementCount(tensor.shape)) {
      throw new AttuneError(
        'internal',
        `Graph "${graph.name}": the input "${name}" has ${given.length} elements instead of ${formatShape(tensor.shape)}`,
      )
    }
    values.set(tensor.id, Float64Array.from(given))
  }
  for (const [name, { before }] of graph.states ?? []) {
    values.set(
      before.id,
      Float64Array.from(options.states?.[name] ?? new Float64Array(elementCount(before.shape))),
    )
  }
  const wanted = new Set(options.taps)
  const taps: Record<string, Float64Array> = {}
  const lastUse = lastUses(graph)
  const cache = options.weightCache
  for (const [index, op] of graph.ops.entries()) {
    await execute(op, values, cache)
    for (const tensor of outputsOf(op)) {
      if (wanted.has(tensor.label)) taps[tensor.label] = valueOf(values, tensor)
    }
    // Values that nobody reads any more are let go, so that a decoder's pictures do not pile up.
    for (const tensor of inputsOf(op)) if (lastUse.get(tensor.id) === index) values.delete(tensor.id)
  }
  for (const label of wanted) {
    if (!taps[label])
      throw new AttuneError('internal', `Graph "${graph.name}" has no value labelled "${label}"`)
  }
  const outputs: Record<string, Float64Array> = {}
  for (const [name, tensor] of graph.outputs) outputs[name] = valueOf(values, tensor)
  const states: Record<string, Float64Array> = {}
  for (const [name, { after }] of graph.states ?? []) states[name] = valueOf(values, after)
  return { outputs, states, taps }
}

/** The interpreter as a backend, for tests of pipelines without a GPU. */
export function createInterpreterBackend(): Backend {
  return {
    name: 'interpreter',
    description: 'Attune interpreter (f64, one thread)',
    compile: graph => Promise.resolve(new InterpreterProgram(graph)),
    dispose: () => Promise.resolve(),
  }
}

class InterpreterProgram implements Program {
  readonly graph: Graph
  readonly stats: Program['stats']
  #inputs: Record<string, Float32Array> = {}
  #weights = new Map<WeightData, Float32Array>()
  #states: Record<string, Float64Array> = {}

  constructor(graph: Graph) {
    this.graph = graph
    const weights = new Set(graph.ops.flatMap(weightsOf))
    this.stats = {
      dispatches: graph.ops.length,
      activationBytes: peakElements(graph) * Float64Array.BYTES_PER_ELEMENT,
      weightBytes: [...weights].reduce((sum, weight) => sum + weight.byteLength, 0),
      compileMilliseconds: 0,
    }
  }

  async run(inputs: Readonly<Record<string, Float32Array>>): Promise<Record<string, Float32Array>> {
    for (const [name, values] of Object.entries(inputs)) {
      if (!this.graph.inputs.has(name)) {
        throw new AttuneError('internal', `Graph "${this.graph.name}" has no input "${name}"`)
      }
      // A copy: the caller may reuse its array, and what is not given next time keeps this value.
      this.#inputs[name] = values.slice()
    }
    const { outputs, states } = await interpret(this.graph, this.#inputs, {
      weightCache: this.#weights,
      states: this.#states,
    })
    this.#states = { ...states }
    return Object.fromEntries(
      Object.entries(outputs).map(([name, values]) => [name, Float32Array.from(values)]),
    )
  }

  readStates(): Promise<Record<string, Float32Array>> {
    const states: Record<string, Float32Array> = {}
    for (const [name, { after }] of this.graph.states ?? []) {
      const known = this.#states[name]
      states[name] = known ? Float32Array.from(known) : new Float32Array(elementCount(after.shape))
    }
    return Promise.resolve(states)
  }

  writeStates(states: Readonly<Record<string, Float32Array>>): void {
    for (const [name, values] of Object.entries(states)) {
      checkState(this.graph, name, values)
      this.#states[name] = Float64Array.from(values)
    }
  }

  clearStates(): void {
    this.#states = {}
  }

  dispose(): void {
    this.#inputs = {}
    this.#states = {}
    this.#weights.clear()
  }
}

/** Computes one operation from `values` into `values`. */
async function execute(
  op: Op,
  values: Map<number, Float64Array>,
  cache: Map<WeightData, Float32Array> | undefined,
): Promise<void> {
  const get = (tensor: Tensor): Float64Array => valueOf(values, tensor)
  const maybe = (tensor: Tensor | undefined): Float64Array | undefined => tensor && get(tensor)
  const load = async (weight: WeightData): Promise<Float32Array> => {
    const known = cache?.get(weight)
    if (known) return known
    const loaded = await loadWeight(weight)
    cache?.set(weight, loaded)
    return loaded
  }
  const loadOptional = (weight: WeightData | null): Promise<Float32Array> | null => weight && load(weight)
  const { y } = op.outputs
  switch (op.kind) {
    case 'linear': {
      const weights = await Promise.all(op.weights.map(load))
      const biases = await Promise.all(op.biases.map(loadOptional))
      values.set(y.id, ops.linear(op, get(op.inputs.x), weights, biases, maybe(op.inputs.residual)))
      return
    }
    case 'conv2d': {
      const weight = await load(op.weight)
      const bias = await loadOptional(op.bias)
      const { x, batchBias, residual, shortcut } = op.inputs
      const product =
        op.shortcut && shortcut
          ? ops.linear(
              shortcutOf(op, op.shortcut, shortcut),
              get(shortcut),
              [await load(op.shortcut.weight)],
              [await loadOptional(op.shortcut.bias)],
              undefined,
            )
          : undefined
      values.set(y.id, ops.conv2d(op, get(x), weight, bias, maybe(batchBias), maybe(residual), product))
      return
    }
    case 'groupNorm':
      values.set(y.id, ops.groupNorm(op, get(op.inputs.x), await load(op.weight), await load(op.bias)))
      return
    case 'rowMoments':
      values.set(y.id, ops.rowMoments(op, get(op.inputs.x), get(op.inputs.columnWeights)))
      return
    case 'layerNorm':
      values.set(y.id, ops.layerNorm(op, get(op.inputs.x), await load(op.weight), await load(op.bias)))
      return
    case 'rmsNorm':
      values.set(y.id, ops.rmsNorm(op, get(op.inputs.x), await load(op.weight)))
      return
    case 'attention': {
      const inputs = Object.fromEntries(
        Object.entries(op.inputs as unknown as Record<string, Tensor>).map(([role, tensor]) => [
          role,
          get(tensor),
        ]),
      ) as unknown as AttentionValues
      const result = attention(op, inputs)
      values.set(y.id, result.y)
      const { probabilities, captured } = op.outputs
      if (probabilities && result.probabilities) values.set(probabilities.id, result.probabilities)
      if (captured && result.captured) values.set(captured.id, result.captured)
      return
    }
    case 'attentionPeak':
      values.set(y.id, attentionPeak(op, get(op.inputs.query), get(op.inputs.key)))
      return
    case 'attentionRow':
      values.set(y.id, attentionRow(op, get(op.inputs.query), get(op.inputs.key), get(op.inputs.position)))
      return
    case 'headMean':
      values.set(y.id, headMean(op, get(op.inputs.x), maybe(op.inputs.addend)))
      return
    case 'unary': {
      const copy = get(op.inputs.x).slice()
      activateInPlace(copy, op.activation)
      values.set(y.id, copy)
      return
    }
    case 'binary':
      values.set(y.id, ops.binary(op, get(op.inputs.a), get(op.inputs.b)))
      return
    case 'geglu':
      values.set(y.id, ops.geglu(get(op.inputs.x), lastAxis(op.inputs.x.shape)))
      return
    case 'concat': {
      const parts = inputsOf(op)
      const channels = parts.map(part => lastAxis(part.shape))
      values.set(y.id, ops.concat(parts.map(get), channels))
      return
    }
    case 'slice':
      values.set(y.id, ops.slice(op, get(op.inputs.x)))
      return
    case 'reshape':
      values.set(y.id, get(op.inputs.x))
      return
    case 'upsample':
      values.set(y.id, ops.upsample(op, get(op.inputs.x)))
      return
  }
}

function valueOf(values: ReadonlyMap<number, Float64Array>, tensor: Tensor): Float64Array {
  const value = values.get(tensor.id)
  if (!value)
    throw new AttuneError('internal', `The value ${tensor.id} (${tensor.label}) is read before it is made`)
  return value
}

/** For each value, the index of the last operation that reads it; outputs of the graph are never let go. */
function lastUses(graph: Graph): Map<number, number> {
  const uses = new Map<number, number>()
  for (const [index, op] of graph.ops.entries()) {
    for (const tensor of inputsOf(op)) uses.set(tensor.id, index)
  }
  for (const tensor of graph.outputs.values()) uses.delete(tensor.id)
  for (const { after } of graph.states?.values() ?? []) uses.delete(after.id)
  return uses
}

/** The most elements alive at once. */
function peakElements(graph: Graph): number {
  const lastUse = lastUses(graph)
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
  return peak
}

/** The linear layer that `fuseShortcut` folded into a convolution. */
function shortcutOf(
  op: Conv2dOp,
  { path, weight, bias }: NonNullable<Conv2dOp['shortcut']>,
  x: Tensor,
): LinearOp {
  const { outputs } = op
  return {
    kind: 'linear',
    path,
    inputs: { x },
    outputs,
    weights: [weight],
    biases: [bias],
    activation: 'none',
  }
}
