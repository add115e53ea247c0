/** Every rewrite of `fuse` computes what the recorded graph computes, on the f64 oracle; and it does take place. */
import { describe, expect, test } from 'vitest'
import { GraphBuilder } from '../../model/graph/builder.ts'
import { fuse } from '../../model/graph/fusion.ts'
import { interpret } from '../../model/graph/interpreter.ts'
import type { Graph, OpKind, Tensor } from '../../model/graph/ops.ts'
import { elementCount } from '../../model/tensor/shape.ts'
import { randomArray, randomWeight } from '../support/gpu.ts'

const weight = (path: string, shape: readonly number[], seed: number) => randomWeight(path, shape, seed)

/** A graph of one output from a recording over `b`. */
function record(recording: (b: GraphBuilder) => Tensor): Graph {
  const b = new GraphBuilder('fusion')
  b.output('y', recording(b))
  return b.build()
}

const conv = (b: GraphBuilder, x: Tensor, n = 6): Tensor =>
  b.conv2d('conv', x, weight('w', [n, x.shape[3] ?? 0, 3, 3], 1), weight('b', [n], 2), { padding: 1 })
const linear = (b: GraphBuilder, path: string, x: Tensor, n: number): Tensor =>
  b.linear(path, x, weight(`${path}.w`, [n, x.shape.at(-1) ?? 0], 3), weight(`${path}.b`, [n], 4))
const image = (b: GraphBuilder, name: string, channels: number): Tensor => b.input(name, [2, 3, 5, channels])

const rewritten: Record<string, { readonly graph: Graph; readonly left: readonly OpKind[] }> = {
  'group norm and SiLU': {
    graph: record(b =>
      b.silu(
        'silu',
        b.groupNorm('norm', image(b, 'x', 8), weight('w', [8], 1), weight('b', [8], 2), 2, 1e-5),
      ),
    ),
    left: ['groupNorm'],
  },
  'up-sampling before a convolution': {
    graph: record(b => conv(b, b.upsample('up', image(b, 'x', 4)))),
    left: ['conv2d'],
  },
  'time bias, activation and residual after a convolution': {
    graph: record(b => {
      const y = b.silu('silu', b.add('time', conv(b, image(b, 'x', 4)), b.input('temb', [2, 6])))
      return b.add('sum', image(b, 'residual', 6), y)
    }),
    left: ['conv2d'],
  },
  'GEGLU after a linear layer': {
    graph: record(b => b.geglu('geglu', linear(b, 'ff', b.input('x', [1, 7, 5]), 16))),
    left: ['linear'],
  },
  'residual behind a reshape': {
    graph: record(b => {
      const y = b.reshape('image', linear(b, 'proj_out', b.input('x', [2, 15, 4]), 6), [2, 3, 5, 6])
      return b.add('sum', y, image(b, 'residual', 6))
    }),
    left: ['linear'],
  },
  'the shortcut of a residual block': {
    graph: record(b => {
      const x = image(b, 'x', 4)
      return b.add('resnet', conv(b, x), linear(b, 'conv_shortcut', x, 6))
    }),
    left: ['conv2d'],
  },
}

const kept: Record<string, { readonly graph: Graph; readonly left: readonly OpKind[] }> = {
  'a value that somebody else reads': {
    graph: record(b => {
      const y = conv(b, image(b, 'x', 4))
      return b.add('sum', b.silu('silu', y), y)
    }),
    // The activation may not replace the convolution's own result.
    left: ['conv2d', 'unary', 'binary'],
  },
  'GEGLU whose halves are not whole vec4s': {
    graph: record(b => b.geglu('geglu', linear(b, 'ff', b.input('x', [1, 7, 5]), 12))),
    left: ['linear', 'geglu'],
  },
  'a shortcut of an activated convolution': {
    graph: record(b => {
      const x = image(b, 'x', 4)
      return b.add('sum', b.silu('silu', conv(b, x)), linear(b, 'conv_shortcut', x, 6))
    }),
    left: ['conv2d', 'linear'],
  },
}

async function both(graph: Graph): Promise<{ plain: Float64Array; fused: Float64Array }> {
  const inputs: Record<string, Float32Array> = {}
  let seed = 1
  for (const [name, { shape }] of graph.inputs) inputs[name] = randomArray(elementCount(shape), seed++)
  const run = async (which: Graph): Promise<Float64Array> => {
    const { y } = (await interpret(which, inputs)).outputs
    return Float64Array.from(y ?? [])
  }
  return { plain: await run(graph), fused: await run(fuse(graph)) }
}

describe.each([
  ['rewritten', rewritten],
  ['kept', kept],
])('%s', (_, cases) => {
  test.each(Object.entries(cases))('%s', async (_title, { graph, left }) => {
    expect(fuse(graph).ops.map(op => op.kind)).toEqual(left)
    const { plain, fused } = await both(graph)
    expect(plain.length).toBeGreaterThan(0)
    // Two orders of the same f64 sums, returned as f32.
    for (const [i, value] of plain.entries()) expect(fused[i]).toBeCloseTo(value, 5)
  })
})
