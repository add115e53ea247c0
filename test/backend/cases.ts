/** Graphs of every operation in awkward shapes, for each executor that is not a kernel of ours. */
import type { AttentionOptions } from '../../model/graph/attention-options.ts'
import type { GraphBuilder } from '../../model/graph/builder.ts'
import type { Graph, Padding, Tensor } from '../../model/graph/ops.ts'
import { graphOf, weight } from './support.ts'

export type Case = readonly [name: string, graph: () => Graph]

const alone = (_: GraphBuilder, y: Tensor): Tensor => y

function linearCase(
  rows: number,
  k: number,
  n: readonly number[],
  after: (b: GraphBuilder, y: Tensor) => Tensor = alone,
): Case {
  const record = () =>
    graphOf(b => {
      const x = b.input('x', [1, rows, k])
      const weights = n.map((columns, index) => weight(`w${index}`, [columns, k], 7 + index))
      const biases = n.map((columns, index) =>
        index === 1 ? null : weight(`b${index}`, [columns], 70 + index),
      )
      return after(b, b.linearJoined('layer', x, weights, biases))
    })
  return [`${rows} rows, ${k} -> ${n.join('+')} ${after.name}`, record]
}

const residual = (b: GraphBuilder, y: Tensor): Tensor => b.add('sum', b.input('residual', y.shape), y)
const geglu = (b: GraphBuilder, y: Tensor): Tensor => b.geglu('geglu', y)
const gelu = (b: GraphBuilder, y: Tensor): Tensor => b.activation('gelu', y, 'gelu')
const quickGelu = (b: GraphBuilder, y: Tensor): Tensor => b.activation('quick', y, 'quick_gelu')
/** The parts in another order, and one range that is no part. */
const shuffled = (b: GraphBuilder, y: Tensor): Tensor =>
  b.concat('shuffled', [b.slice('b', y, 5, 7), b.slice('a', y, 0, 5), b.slice('mid', y, 3, 6)])

export const linearCases: readonly Case[] = [
  linearCase(1, 1, [3]),
  linearCase(3, 5, [7]),
  linearCase(17, 36, [12, 12, 12]),
  linearCase(4, 6, [5, 7], shuffled),
  linearCase(33, 40, [66], residual),
  linearCase(9, 40, [6, 10], residual),
  linearCase(18, 20, [48], geglu),
  linearCase(18, 20, [42], geglu),
  linearCase(18, 20, [24, 16], geglu),
  linearCase(70, 130, [130], gelu),
  linearCase(5, 12, [9], quickGelu),
  [
    'a product that becomes an image and is added to one',
    () =>
      graphOf(b => {
        const image = b.input('image', [2, 3, 5, 6])
        const start = b.conv2d('conv', image, weight('wc', [6, 6, 1, 1], 1), null)
        const tokens = b.reshape('tokens', start, [2, 15, 6])
        const y = b.linear('layer', tokens, weight('w', [6, 6], 2), weight('b', [6], 3))
        return b.add('sum', b.reshape('back', y, [2, 3, 5, 6]), start)
      }),
  ],
]

interface Conv {
  readonly image: readonly [number, number, number, number]
  readonly kernel: readonly [number, number, number]
  readonly stride?: number
  readonly padding?: number | Padding
  readonly extra?: 'time' | 'residual' | 'upsample' | 'odd' | 'silu' | 'tokens' | 'otherBatch'
}

function convGraph({ image, kernel, stride = 1, padding = 0, extra }: Conv): Graph {
  const [n, kh, kw] = kernel
  return graphOf(b => {
    let x = b.input('x', image)
    const [, height, width] = image
    if (extra === 'upsample') x = b.upsample('up', x)
    if (extra === 'odd') x = b.upsample('up', x, { height: 2 * height - 1, width: 2 * width })
    let y = b.conv2d('conv', x, weight('w', [n, image[3], kh, kw], 3), weight('b', [n], 4), {
      stride,
      padding,
    })
    if (extra === 'time') y = b.add('time', y, b.input('temb', [image[0], n]))
    if (extra === 'silu') y = b.silu('silu', y)
    if (extra === 'residual' || extra === 'time') y = b.add('sum', b.input('residual', y.shape), y)
    const [batch = 1, outHeight = 1, outWidth = 1] = y.shape
    const tokens =
      extra === 'tokens'
        ? [batch, outHeight * outWidth, n]
        : extra === 'otherBatch'
          ? [1, batch * outHeight * outWidth, n]
          : undefined
    if (tokens) y = b.add('sum', b.input('residual', tokens), b.reshape('tokens', y, tokens))
    return y
  })
}

const downPadding: Padding = { top: 0, bottom: 1, left: 0, right: 1 }
const conv = (name: string, given: Conv): Case => [name, () => convGraph(given)]

export const convCases: readonly Case[] = [
  conv('1x1 image', { image: [1, 1, 1, 4], kernel: [4, 3, 3], padding: 1 }),
  conv('odd sizes and channels, batch 2', { image: [2, 5, 7, 6], kernel: [10, 3, 3], padding: 1 }),
  conv('one channel', { image: [2, 5, 4, 1], kernel: [1, 3, 3], padding: 1 }),
  conv('1x1 kernel', { image: [2, 3, 5, 9], kernel: [13, 1, 1] }),
  conv('1x1 kernel with stride', { image: [1, 5, 6, 8], kernel: [8, 1, 1], stride: 2 }),
  conv('stride 2, symmetric padding', { image: [2, 7, 8, 8], kernel: [12, 3, 3], stride: 2, padding: 1 }),
  conv('stride 2, (0,1,0,1) padding', {
    image: [1, 8, 6, 8],
    kernel: [12, 3, 3],
    stride: 2,
    padding: downPadding,
  }),
  conv('time bias and residual', { image: [2, 4, 6, 20], kernel: [36, 3, 3], padding: 1, extra: 'time' }),
  conv('residual', { image: [2, 4, 6, 20], kernel: [16, 3, 3], padding: 1, extra: 'residual' }),
  conv('upsampled input', { image: [2, 3, 5, 12], kernel: [20, 3, 3], padding: 1, extra: 'upsample' }),
  conv('input upsampled to an odd size', {
    image: [2, 3, 5, 4],
    kernel: [6, 3, 3],
    padding: 1,
    extra: 'odd',
  }),
  conv('silu', { image: [1, 9, 9, 4], kernel: [3, 3, 3], padding: 1, extra: 'silu' }),
  conv('residual of tokens', { image: [2, 4, 3, 5], kernel: [8, 3, 3], padding: 1, extra: 'tokens' }),
  conv('residual of other samples', {
    image: [2, 4, 3, 5],
    kernel: [8, 3, 3],
    padding: 1,
    extra: 'otherBatch',
  }),
  conv('non-square kernel', {
    image: [1, 6, 9, 5],
    kernel: [8, 1, 3],
    padding: { top: 0, bottom: 0, left: 1, right: 1 },
  }),
]

interface Attention {
  readonly batch?: number
  readonly length: number
  readonly keys: number
  readonly heads: number
  readonly headDim: number
  readonly keyBatch?: number
  readonly bias?: readonly [batch: number, length: number]
  readonly tokenScale?: number
  readonly valueGain?: number
  readonly options?: Partial<AttentionOptions>
}

function attentionGraph(given: Attention): Graph {
  const { batch = 1, length, keys, heads, headDim, keyBatch = batch } = given
  const width = heads * headDim
  return graphOf(b => {
    const perToken = (name: string, samples: number | undefined) =>
      samples === undefined ? undefined : b.input(name, [samples, keys])
    const logitBias = given.bias && b.input('logitBias', [...given.bias, keys])
    const tokenScale = perToken('tokenScale', given.tokenScale)
    const valueGain = perToken('valueGain', given.valueGain)
    const { y, probabilities } = b.attention(
      'attention',
      b.input('query', [batch, length, width]),
      b.input('key', [keyBatch, keys, width]),
      b.input('value', [keyBatch, keys, width]),
      {
        numHeads: heads,
        ...given.options,
        ...(logitBias && { logitBias }),
        ...(tokenScale && { tokenScale }),
        ...(valueGain && { valueGain }),
      },
    )
    if (probabilities) b.output('probabilities', probabilities)
    return y
  })
}

const attention = (name: string, given: Attention): Case => [name, () => attentionGraph(given)]
const small = { length: 5, keys: 8, heads: 2, headDim: 6 } as const
const capture = { captureProbabilities: true } as const
const everything = { ...small, batch: 2, bias: [2, 5], tokenScale: 2, valueGain: 2 } as const

export const attentionCases: readonly Case[] = [
  attention('one of each', { length: 1, keys: 1, heads: 1, headDim: 1 }),
  attention('5 targets, 8 sources', small),
  attention('odd head size, batch 2', { batch: 2, length: 9, keys: 77, heads: 3, headDim: 5 }),
  attention('self-attention of 150 positions', { batch: 2, length: 150, keys: 150, heads: 2, headDim: 40 }),
  attention('keys of one sample for two', { ...small, batch: 2, keyBatch: 1 }),
  attention('keys of one sample, gain of two', { ...small, batch: 2, keyBatch: 1, valueGain: 2 }),
  attention('own softmax scale', { ...small, options: { softmaxScale: 0.05 } }),
  attention('causal', { length: 7, keys: 7, heads: 2, headDim: 4, options: { causal: true } }),
  attention('causal, fewer queries than keys', { ...small, options: { causal: true } }),
  attention('causal with bias', { ...small, bias: [1, 1], options: { causal: true } }),
  attention('bias of all', { ...small, batch: 2, bias: [1, 1] }),
  attention('bias a position', { ...small, batch: 2, bias: [1, 5] }),
  attention('bias a sample', { ...small, batch: 2, bias: [2, 1] }),
  attention('token scale of all', { ...small, batch: 2, tokenScale: 1 }),
  attention('everything', everything),
  attention('everything, captured', { ...everything, options: capture }),
  attention('captured', { ...small, batch: 2, options: capture }),
  attention('captured, causal, keys of one', {
    ...small,
    batch: 2,
    keyBatch: 1,
    options: { ...capture, causal: true },
  }),
]

const norm = (shape: readonly number[], groups: number, silu: boolean): Case => [
  `groupNorm ${shape.join('x')} in ${groups}${silu ? ' + silu' : ''}`,
  () =>
    graphOf(b => {
      const c = shape.at(-1) ?? 1
      const x = b.input('x', shape)
      const y = b.groupNorm('norm', x, weight('w', [c], 4, 1), weight('b', [c], 5), groups, 1e-5)
      return silu ? b.silu('silu', y) : y
    }),
]

const rowMoments = (shape: readonly [number, number, number, number], groups: number): Case => [
  `rowMoments ${shape.join('x')} in ${groups}`,
  () =>
    graphOf(b =>
      b.rowMoments('moments', b.input('x', shape), b.silu('w', b.input('w', [shape[2], 1])), groups),
    ),
]

const unary = (activation: 'silu' | 'gelu' | 'quick_gelu', shape: readonly number[]): Case => [
  `${activation} of ${shape.join('x')}`,
  () => graphOf(b => b.activation('act', b.input('x', shape), activation)),
]

const binary = (operator: 'add' | 'mul', a: readonly number[], c: readonly number[]): Case => [
  `${operator} ${a.join('x')} and ${c.join('x')}`,
  () => graphOf(b => b[operator](operator, b.input('a', a), b.input('b', c))),
]

export const otherCases: readonly Case[] = [
  norm([2, 5, 3, 12], 4, false),
  norm([1, 7, 7, 6], 6, true),
  norm([2, 9, 8], 1, false),
  norm([1, 1, 1, 4], 4, false),
  rowMoments([2, 5, 3, 12], 4),
  rowMoments([1, 1, 1, 6], 3),
  [
    'layerNorm',
    () =>
      graphOf(b =>
        b.layerNorm('n', b.input('x', [2, 5, 13]), weight('w', [13], 4, 1), weight('b', [13], 5), 1e-5),
      ),
  ],
  ['rmsNorm', () => graphOf(b => b.rmsNorm('n', b.input('x', [2, 5, 13]), weight('w', [13], 4, 1), 1e-6))],
  unary('silu', [2, 3, 7]),
  unary('gelu', [3, 5]),
  unary('quick_gelu', [1, 2, 3, 4]),
  binary('add', [2, 3, 4, 5], [2, 3, 4, 5]),
  binary('mul', [2, 3, 4, 5], [2, 5]),
  binary('add', [2, 6, 5], [1, 5]),
  binary('mul', [2, 5], [1, 5]),
  ['geglu', () => graphOf(b => b.geglu('g', b.input('x', [2, 3, 10])))],
  [
    'concat and slice',
    () =>
      graphOf(b => {
        const joined = b.concat('join', [b.input('x', [2, 3, 4]), b.input('z', [2, 3, 5])])
        return b.slice('cut', joined, 2, 6)
      }),
  ],
  [
    'concat of images, one of them convolved, then a slice',
    () =>
      graphOf(b => {
        const x = b.input('x', [2, 3, 4, 5])
        const y = b.conv2d('conv', x, weight('w', [3, 5, 3, 3], 2), null, { padding: 1 })
        return b.slice('cut', b.concat('join', [y, x]), 1, 4)
      }),
  ],
  [
    'reshapes within and across samples, of both layouts',
    () =>
      graphOf(b => {
        const x = b.input('x', [2, 3, 4, 5])
        const y = b.conv2d('conv', x, weight('w', [6, 5, 1, 1], 2), null)
        b.output('within', b.reshape('within', y, [2, 12, 6]))
        b.output('input', b.reshape('input', x, [6, 4, 5]))
        b.output('itself', x)
        const across = b.reshape('across', y, [1, 24, 6])
        return b.silu('silu', b.reshape('image', across, [4, 2, 3, 6]))
      }),
  ],
  ['upsample', () => graphOf(b => b.upsample('up', b.input('x', [2, 3, 4, 5])))],
  [
    'upsample to odd sizes',
    () => graphOf(b => b.upsample('up', b.input('x', [2, 3, 9, 2]), { height: 5, width: 17 })),
  ],
]
