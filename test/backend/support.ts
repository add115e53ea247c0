/** onnxruntime for tests: one backend a kind, and a graph's distance from the oracle. */
import { openNodeOnnxRuntime } from '../../host/onnxruntime.ts'
import { OnnxBackend } from '../../model/backend/onnx-backend.ts'
import { GraphBuilder } from '../../model/graph/builder.ts'
import { interpret } from '../../model/graph/interpreter.ts'
import type { Graph, Tensor, WeightData } from '../../model/graph/ops.ts'
import type { Backend } from '../../model/graph/program.ts'
import { elementCount, type Shape } from '../../model/tensor/shape.ts'
import { largestDifference, randomArray, randomWeight } from '../support/gpu.ts'

const backends = new Map<string, Promise<OnnxBackend>>()

export function testOnnxBackend(kind: 'wasm' | 'cpu'): Promise<OnnxBackend> {
  let backend = backends.get(kind)
  if (!backend) {
    // The threads of wasm spin while they wait for each other, which on a busy machine costs more than they gain.
    backend = openNodeOnnxRuntime(kind, { threads: 1 }).then(runtime => OnnxBackend.open(runtime))
    backends.set(kind, backend)
  }
  return backend
}

/** Weights in half precision: exact in f32, and the conversion is part of what is tested. */
export function weight(path: string, shape: Shape, seed: number, shift = 0): WeightData {
  const dtype = seed % 3 === 0 ? 'F32' : seed % 3 === 1 ? 'F16' : 'BF16'
  return randomWeight(path, shape, seed, { dtype, scale: 0.5, shift })
}

/** Records a graph whose one output is what `record` returns. */
export function graphOf(record: (b: GraphBuilder) => Tensor): Graph {
  const b = new GraphBuilder('test')
  b.output('y', record(b))
  return b.build()
}

export interface Distance {
  /** Largest difference of any output element, over the largest element of that output (at least 1). */
  readonly difference: number
  readonly where: string
  /** Largest element of any output: a graph that gives only zeros proves nothing. */
  readonly spread: number
}

/** Runs `graph` on the backend and on the oracle, with random inputs where none are given. */
export async function distanceFromOracle(
  backend: Backend,
  graph: Graph,
  given: Readonly<Record<string, Float32Array>> = {},
): Promise<Distance> {
  const inputs: Record<string, Float32Array> = { ...given }
  let seed = 1000
  for (const [name, tensor] of graph.inputs) {
    inputs[name] ??= randomArray(elementCount(tensor.shape), seed++)
  }
  const program = await backend.compile(graph)
  try {
    const actual = await program.run(inputs)
    const expected = (await interpret(graph, inputs)).outputs
    let worst: Distance = { difference: 0, where: '', spread: 0 }
    for (const [name, tensor] of graph.outputs) {
      const values = expected[name] ?? new Float64Array()
      const size = values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0)
      const found = largestDifference(actual[name] ?? [], values)
      const difference = found.value / Math.max(1, size)
      worst = {
        ...(difference >= worst.difference
          ? { difference, where: `${name}[${found.index}] of ${tensor.shape.join('x')}` }
          : worst),
        spread: Math.max(worst.spread, size),
      }
    }
    return worst
  } finally {
    program.dispose()
  }
}
