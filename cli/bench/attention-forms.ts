/** The forms of cross-attention that are measured, for `attention.ts` in Node and test/bench/attention-page.ts in a page. */
import type { AttentionOptions } from '../../model/graph/attention-options.ts'
import { GraphBuilder } from '../../model/graph/builder.ts'
import type { Graph, Tensor } from '../../model/graph/ops.ts'
import { elementCount } from '../../model/tensor/shape.ts'

export const layers = 8
export const layerShape = { batch: 2, length: 1024, heads: 8, headDim: 80, tokens: 77 } as const
const { batch, length, heads, headDim, tokens } = layerShape
/** 77 tokens and, behind the next multiple of 4, an image prompt of 4 or another text. */
const withImagePrompt = 84
const withOtherText = 80 + 77

export interface Variant {
  readonly name: string
  /** Tokens of all sources. */
  readonly keys?: number
  readonly options: (b: GraphBuilder, keys: number) => Omit<AttentionOptions, 'numHeads'>
}

const text = { start: 0, length: 77 }
const perToken = (b: GraphBuilder, name: string, keys: number): Tensor => b.input(name, [batch, keys])
const sources = (start: number, count: number): Pick<AttentionOptions, 'sources'> => ({
  sources: [text, { start, length: count }],
})

export const variants: readonly Variant[] = [
  { name: 'plain', options: () => ({}) },
  { name: 'weights of words', options: (b, keys) => ({ tokenScale: perToken(b, 'tokenScale', keys) }) },
  {
    name: 'painted bias',
    options: (b, keys) => ({ logitBias: b.input('logitBias', [batch, length, keys]) }),
  },
  {
    name: 'output mask',
    options: b => ({ outputMask: b.input('outputMask', [batch, length, 1]) }),
  },
  {
    name: 'capture of 4 words',
    options: b => ({ capture: { tokens: b.input('captureTokens', [1, 4]), samples: [1] } }),
  },
  { name: 'image prompt, 4 tokens', keys: withImagePrompt, options: () => sources(80, 4) },
  { name: 'a second text, 77 tokens', keys: withOtherText, options: () => sources(80, 77) },
  {
    name: 'weights, bias, mask, image prompt',
    keys: withImagePrompt,
    options: (b, keys) => ({
      ...sources(80, 4),
      tokenScale: perToken(b, 'tokenScale', keys),
      logitBias: b.input('logitBias', [batch, length, keys]),
      outputMask: b.input('outputMask', [batch, length, 2]),
    }),
  },
  {
    name: 'the same and value gains',
    keys: withImagePrompt,
    options: (b, keys) => ({
      ...sources(80, 4),
      tokenScale: perToken(b, 'tokenScale', keys),
      valueGain: perToken(b, 'valueGain', keys),
      logitBias: b.input('logitBias', [batch, length, keys]),
      outputMask: b.input('outputMask', [batch, length, 2]),
    }),
  },
]

export function graphOf({ keys = tokens, options }: Variant): Graph {
  const b = new GraphBuilder('attention')
  const width = heads * headDim
  const key = b.input('key', [batch, keys, width])
  const value = b.input('value', [batch, keys, width])
  const given = options(b, keys)
  // Each layer asks with what the one before it gave, so that none is left out.
  let hidden = b.input('query', [batch, length, width])
  for (let i = 0; i < layers; i++) {
    hidden = b.attention(`layer${i}`, hidden, key, value, { ...given, numHeads: heads }).y
  }
  b.output('y', hidden)
  return b.build()
}

/** Any numbers of the right size; four columns for captured words. */
export function anyInputs(graph: Graph): Record<string, Float32Array> {
  const inputs: Record<string, Float32Array> = {}
  for (const [name, { shape }] of graph.inputs) {
    inputs[name] =
      name === 'captureTokens'
        ? Float32Array.of(2, 3, 5, 8)
        : Float32Array.from({ length: elementCount(shape) }, (_, i) => Math.sin(i))
  }
  return inputs
}

/** The median of round by round ratios: what drifts between rounds falls out. */
export function paired(mine: readonly number[], theirs: readonly number[]): number {
  const ratios = mine.map((time, i) => time / (theirs[i] ?? NaN)).toSorted((a, b) => a - b)
  return ratios[Math.floor(ratios.length / 2)] ?? NaN
}
