/**
 * Nothing silent (D11): numbers are looked at before they become a picture, and a NaN is traced to the layer where it
 * began.
 */
import { AttuneError } from '../contract/errors.ts'
import { type Graph, outputsOf, type Tensor } from '../graph/ops.ts'
import type { Backend } from '../graph/program.ts'

/** The index of the first NaN or infinity, or −1. */
export function firstNonFinite(values: Float32Array): number {
  // A sum is finite only if all its terms are (up to overflow of the sum itself, which the scan then clears).
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i] as number
  if (Number.isFinite(sum)) return -1
  return values.findIndex(value => !Number.isFinite(value))
}

/** Operations whose outputs are looked at in one debug run. */
const window = 24

/**
 * Runs the graph again, looking at every layer's output in order.
 * @returns the path of the first layer with a non-finite output, or undefined when the repetition has none.
 */
export async function findNonFiniteLayer(
  graph: Graph,
  backend: Backend,
  inputs: Readonly<Record<string, Float32Array>>,
): Promise<string | undefined> {
  for (const [name, values] of Object.entries(inputs)) {
    if (firstNonFinite(values) >= 0) return `input ${name}`
  }
  for (let start = 0; start < graph.ops.length; start += window) {
    const outputs = new Map<string, Tensor>()
    for (const op of graph.ops.slice(start, start + window)) {
      if (op.kind === 'reshape' || op.kind === 'slice') continue
      for (const tensor of outputsOf(op)) outputs.set(`${tensor.id}`, tensor)
    }
    if (outputs.size === 0) continue
    const program = await backend.compile({ ...graph, ops: graph.ops.slice(0, start + window), outputs })
    try {
      const values = await program.run(inputs)
      for (const [key, tensor] of outputs) {
        if (firstNonFinite(values[key] ?? new Float32Array()) >= 0) return tensor.label
      }
    } finally {
      program.dispose()
    }
  }
  return undefined
}

/** The error of a run that met a NaN or an infinity. */
export function nonFiniteError(
  what: string,
  layer: string | undefined,
  precision: 'f32' | 'f16',
): AttuneError {
  return new AttuneError(
    'non-finite',
    `${what} holds a number that is not finite${layer ? `; it begins in ${layer}` : ''}. No picture was made of it.`,
    precision === 'f16'
      ? 'Run again with --precision f32. If it stays, the model file may be damaged.'
      : 'The model file may be damaged, or the guidance too high for it.',
  )
}
