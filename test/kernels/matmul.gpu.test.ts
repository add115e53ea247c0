/**
 * linear and conv2d against the f64 interpreter, in every variant: subgroup (lavapipe as it is), tiled (what real GPUs
 * run; forced here), f32 and packed f16 weights. Shapes are awkward on purpose.
 */
import { describe, expect, it } from 'vitest'
import { GraphBuilder } from '../../model/graph/builder.ts'
import type { Graph, Padding } from '../../model/graph/ops.ts'
import { differenceFromOracle } from '../support/against-oracle.ts'
import { randomWeight, testBackend } from '../support/gpu.ts'

const variants = [
  { name: 'as the adapter is, f32', precision: 'f32', facts: {} },
  { name: 'as the adapter is, f16 weights', precision: 'f16', facts: {} },
  { name: 'tiled, f32', precision: 'f32', facts: { subgroupSize: 0, software: false } },
  {
    name: 'tiled, f16 weights',
    precision: 'f16',
    facts: { subgroupSize: 0, matrixType: 'f16', software: false },
  },
] as const

/** Weights that f16 holds exactly, so that both precisions share one expectation. */
function weight(path: string, shape: readonly number[], seed: number) {
  return randomWeight(path, shape, seed, { dtype: 'F16', scale: 0.5 })
}

function linearGraph(
  rows: number,
  k: number,
  n: readonly number[],
  extra: 'none' | 'residual' | 'geglu' | 'gelu',
): Graph {
  const b = new GraphBuilder('linear')
  const x = b.input('x', [1, rows, k])
  let y = b.linearJoined(
    'layer',
    x,
    n.map((columns, index) => weight(`w${index}`, [columns, k], 7 + index)),
    n.map((columns, index) => (index === 1 ? null : weight(`b${index}`, [columns], 70 + index))),
  )
  if (extra === 'residual') y = b.add('sum', b.input('residual', y.shape), y)
  if (extra === 'geglu') y = b.geglu('geglu', y)
  if (extra === 'gelu') y = b.activation('gelu', y, 'gelu')
  b.output('y', y)
  return b.build()
}

describe.each(variants)('linear, $name', ({ precision, facts }) => {
  it.each([
    [1, 1, [3], 'none'],
    [3, 5, [7], 'none'],
    [17, 36, [12, 12, 12], 'none'],
    [33, 40, [66], 'residual'],
    [18, 20, [48], 'geglu'],
    [18, 20, [42], 'geglu'],
    [70, 130, [130], 'gelu'],
  ] as const)('%i rows, %i -> %j, %s', async (rows, k, n, extra) => {
    const backend = await testBackend(precision, facts)
    const result = await differenceFromOracle(backend, linearGraph(rows, k, n, extra))
    expect(result.spread).toBeGreaterThan(0.1)
    // f32 sums of up to 130 products of size 0.5, rounded once each: a few 1e-6 a sum.
    expect(result.difference, result.where).toBeLessThan(2e-5)
  })
})

interface ConvCase {
  readonly image: readonly [number, number, number, number]
  readonly kernel: readonly [number, number, number]
  readonly stride?: number
  readonly padding?: number | Padding
  readonly extra?: 'time' | 'residual' | 'upsample' | 'silu' | 'shortcut'
}

function convGraph({ image, kernel, stride = 1, padding = 0, extra }: ConvCase): Graph {
  const [n, kh, kw] = kernel
  const b = new GraphBuilder('conv')
  let x = b.input('x', image)
  if (extra === 'upsample') x = b.upsample('up', x)
  let y = b.conv2d('conv', x, weight('w', [n, image[3], kh, kw], 3), weight('b', [n], 4), { stride, padding })
  if (extra === 'time') y = b.add('time', y, b.input('temb', [image[0], n]))
  if (extra === 'silu') y = b.silu('silu', y)
  if (extra === 'shortcut') {
    const before = b.input('before', [...y.shape.slice(0, -1), 13])
    y = b.add('sum', y, b.linear('conv_shortcut', before, weight('ws', [n, 13], 5), weight('bs', [n], 6)))
  }
  if (extra === 'residual' || extra === 'time') y = b.add('sum', b.input('residual', y.shape), y)
  b.output('y', y)
  return b.build()
}

const downPadding: Padding = { top: 0, bottom: 1, left: 0, right: 1 }

describe.each(variants)('conv2d, $name', ({ precision, facts }) => {
  it.each<[string, ConvCase]>([
    ['1x1 image', { image: [1, 1, 1, 4], kernel: [4, 3, 3], padding: 1 }],
    ['odd sizes and channels, batch 2', { image: [2, 5, 7, 6], kernel: [10, 3, 3], padding: 1 }],
    ['1x1 kernel', { image: [2, 3, 5, 9], kernel: [13, 1, 1] }],
    ['1x1 kernel with stride', { image: [1, 5, 6, 8], kernel: [8, 1, 1], stride: 2 }],
    ['stride 2, symmetric padding', { image: [2, 7, 8, 8], kernel: [12, 3, 3], stride: 2, padding: 1 }],
    [
      'stride 2, (0,1,0,1) padding',
      { image: [1, 8, 6, 8], kernel: [12, 3, 3], stride: 2, padding: downPadding },
    ],
    ['time bias and residual', { image: [2, 4, 6, 20], kernel: [36, 3, 3], padding: 1, extra: 'time' }],
    ['upsampled input', { image: [2, 3, 5, 12], kernel: [20, 3, 3], padding: 1, extra: 'upsample' }],
    ['silu', { image: [1, 9, 9, 4], kernel: [3, 3, 3], padding: 1, extra: 'silu' }],
    ['shortcut', { image: [2, 5, 9, 20], kernel: [36, 3, 3], padding: 1, extra: 'shortcut' }],
    [
      'non-square kernel',
      { image: [1, 6, 9, 5], kernel: [8, 1, 3], padding: { top: 0, bottom: 0, left: 1, right: 1 } },
    ],
  ])('%s', async (_, conv) => {
    const backend = await testBackend(precision, facts)
    const graph = convGraph(conv)
    const result = await differenceFromOracle(backend, graph)
    expect(result.spread).toBeGreaterThan(0.1)
    expect(result.difference, result.where).toBeLessThan(2e-5)
    // Fusion leaves one dispatch: nothing ran beside the product. (A processor adds the shortcut afterwards.)
    expect(result.kernels).toHaveLength(conv.extra === 'shortcut' && backend.gpu.facts.software ? 2 : 1)
    const unfused = await differenceFromOracle(backend, graph, { fuse: false, reuseMemory: false })
    expect(unfused.difference, unfused.where).toBeLessThan(2e-5)
  })
})
