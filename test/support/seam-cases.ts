/** Graphs that use the attention seam in every way it has, for each executor to be held against the oracle. */
import type { AttentionOptions } from '../../model/graph/attention-options.ts'
import { GraphBuilder } from '../../model/graph/builder.ts'
import { interpret } from '../../model/graph/interpreter.ts'
import type { AttentionSource, Graph, Tensor } from '../../model/graph/ops.ts'
import type { Backend } from '../../model/graph/program.ts'
import { elementCount, type Shape } from '../../model/tensor/shape.ts'
import { randomArray } from './gpu.ts'

export interface SeamCase {
  readonly batch?: number
  readonly length: number
  readonly keys: number
  readonly heads: number
  readonly headDim: number
  readonly keyBatch?: number
  readonly sources?: readonly AttentionSource[]
  readonly bias?: Shape
  readonly biasScale?: boolean
  readonly tokenScale?: number
  readonly valueGain?: number
  /** [B or 1, L or 1]. */
  readonly mask?: readonly [number, number]
  /** Rows of [B, G]. */
  readonly querySample?: readonly (readonly number[])[]
  readonly keysFollowQuery?: boolean
  readonly probabilities?: boolean
  readonly capture?: { readonly samples: readonly number[]; readonly tokens: readonly number[] }
}

const two: readonly AttentionSource[] = [
  { start: 0, length: 7 },
  { start: 12, length: 5 },
]
const base = { batch: 2, length: 37, keys: 20, heads: 2, sources: two } as const

/** By name; the head size is given by the caller, because it chooses the kernel. */
export function seamCases(headDim: number): Record<string, SeamCase> {
  return {
    'two sources': { ...base, headDim },
    'two sources with a gap before the first': {
      ...base,
      headDim,
      sources: [
        { start: 4, length: 3 },
        { start: 8, length: 10 },
      ],
      probabilities: true,
    },
    'masks and all controls': {
      ...base,
      headDim,
      mask: [2, 37],
      bias: [2, 37, 20],
      biasScale: true,
      tokenScale: 2,
      valueGain: 1,
      probabilities: true,
    },
    'one masked source, keys of one sample': {
      ...base,
      headDim,
      keyBatch: 1,
      sources: [{ start: 0, length: 20 }],
      mask: [1, 1],
    },
    'five sources': {
      ...base,
      headDim,
      sources: [0, 4, 8, 12, 16].map(start => ({ start, length: 3 })),
      mask: [1, 37],
    },
    'queries of other samples': {
      ...base,
      headDim,
      batch: 3,
      querySample: [
        [0, 0],
        [1, 1],
        [0, 2],
      ],
      mask: [3, 1],
      probabilities: true,
    },
    'self-attention of another sample': {
      batch: 3,
      length: 37,
      keys: 37,
      heads: 2,
      headDim,
      querySample: [[0], [0], [1]],
      keysFollowQuery: true,
    },
    'running sums of chosen tokens': {
      batch: 2,
      length: 37,
      keys: 21,
      heads: 2,
      headDim,
      tokenScale: 2,
      capture: { samples: [1], tokens: [3, 0, 20] },
    },
    'running sums over sources, both halves': {
      ...base,
      headDim,
      bias: [1, 37, 20],
      capture: { samples: [1, 0], tokens: [16, 8, -1, 2, 6] },
    },
    'running sums of another sample’s queries': {
      ...base,
      headDim,
      querySample: [
        [0, 0],
        [0, 1],
      ],
      capture: { samples: [1], tokens: [1, 13] },
    },
  }
}

export function seamGraph(given: SeamCase): { graph: Graph; inputs: Record<string, Float32Array> } {
  const { batch = 1, length, keys, heads, headDim, keyBatch = batch } = given
  const width = heads * headDim
  const count = given.sources?.length ?? 1
  const b = new GraphBuilder('seam')
  const inputs: Record<string, Float32Array> = {}
  const input = (name: string, shape: Shape, values?: readonly number[]): Tensor => {
    inputs[name] = values
      ? Float32Array.from(values)
      : randomArray(elementCount(shape), 7 * b.name.length + name.length)
    return b.input(name, shape)
  }
  const options: AttentionOptions = {
    numHeads: heads,
    ...(given.sources && { sources: given.sources }),
    ...(given.keysFollowQuery && { keysFollowQuery: true }),
    ...(given.bias && { logitBias: input('logitBias', given.bias) }),
    ...(given.biasScale && { biasScale: input('biasScale', [batch, 1]) }),
    ...(given.tokenScale !== undefined && { tokenScale: input('tokenScale', [given.tokenScale, keys]) }),
    ...(given.valueGain !== undefined && { valueGain: input('valueGain', [given.valueGain, keys]) }),
    ...(given.mask && { outputMask: input('outputMask', [...given.mask, count]) }),
    ...(given.querySample && {
      querySample: input('querySample', [batch, count], given.querySample.flat()),
    }),
    ...(given.probabilities && { captureProbabilities: true }),
    ...(given.capture && {
      capture: {
        samples: given.capture.samples,
        tokens: input('captureTokens', [1, given.capture.tokens.length], given.capture.tokens),
      },
    }),
  }
  const query = input('query', [batch, length, width])
  const key = input('key', [keyBatch, keys, width])
  const { y, probabilities } = b.attention(
    'attn2',
    query,
    key,
    input('value', [keyBatch, keys, width]),
    options,
  )
  b.output('y', y)
  if (probabilities) b.output('probabilities', probabilities)
  return { graph: b.build(), inputs }
}

/**
 * Runs a graph twice on a backend and on the oracle: the largest difference of any output or state, and how large they
 * are. States must be zero before, and again after they were cleared.
 */
export async function seamDifference(
  backend: Backend,
  { graph, inputs }: { graph: Graph; inputs: Record<string, Float32Array> },
): Promise<{ difference: number; spread: number; where: string; statesBefore: number; statesAfter: number }> {
  const program = await backend.compile(graph)
  try {
    const statesBefore = sizeOf(await program.readStates())
    await program.run(inputs)
    const actual: Record<string, Float32Array> = {
      ...(await program.run(inputs)),
      ...(await program.readStates()),
    }
    const first = await interpret(graph, inputs)
    const second = await interpret(graph, inputs, { states: first.states })
    const expected: Record<string, Float64Array> = { ...second.outputs, ...second.states }
    let [difference, spread, where] = [0, 0, '']
    for (const [name, values] of Object.entries(expected)) {
      for (const [i, value] of values.entries()) {
        const off = Math.abs((actual[name]?.[i] ?? NaN) - value)
        if (!(off <= difference)) [difference, where] = [off, `${name}[${i}]`]
        spread = Math.max(spread, Math.abs(value))
      }
    }
    program.clearStates()
    return { difference, spread, where, statesBefore, statesAfter: sizeOf(await program.readStates()) }
  } finally {
    program.dispose()
  }
}

const sizeOf = (states: Record<string, Float32Array>): number =>
  Object.values(states).reduce((total, values) => total + values.reduce((a, v) => a + Math.abs(v), 0), 0)
