/** Runs one recorded graph on the GPU and on the oracle, and returns the largest difference of any output. */
import type { Graph } from '../../model/graph/ops.ts'
import { interpret } from '../../model/graph/interpreter.ts'
import type { CompileOptions } from '../../model/gpu/schedule.ts'
import type { WebGpuBackend } from '../../model/gpu/backend.ts'
import { elementCount } from '../../model/tensor/shape.ts'
import { largestDifference, randomArray } from './gpu.ts'

export async function differenceFromOracle(
  backend: WebGpuBackend,
  graph: Graph,
  options: CompileOptions & { inputs?: Record<string, Float32Array> } = {},
): Promise<{ difference: number; where: string; kernels: readonly string[]; spread: number }> {
  const inputs: Record<string, Float32Array> = { ...options.inputs }
  let seed = 1000
  for (const [name, tensor] of graph.inputs) {
    inputs[name] ??= randomArray(elementCount(tensor.shape), seed++)
  }
  const program = await backend.compile(graph, options)
  try {
    const actual = await program.run(inputs)
    const expected = (await interpret(graph, inputs)).outputs
    let difference = 0
    let where = ''
    let spread = 0
    for (const [name, tensor] of graph.outputs) {
      const found = largestDifference(actual[name] ?? [], expected[name] ?? [])
      if (found.value >= difference) {
        difference = found.value
        where = `${name}[${found.index}] of ${tensor.shape.join('x')}`
      }
      for (const value of expected[name] ?? []) spread = Math.max(spread, Math.abs(value))
    }
    return { difference, where, kernels: program.kernels.map(({ kernel }) => kernel), spread }
  } finally {
    program.dispose()
  }
}
