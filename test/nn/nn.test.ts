/** The layers that no parity model exercises, and how layers ask a checkpoint for their weights. */
import { describe, expect, test } from 'vitest'
import { memorySource } from '../../model/contract/bytes.ts'
import { GraphBuilder } from '../../model/graph/builder.ts'
import { interpret } from '../../model/graph/interpreter.ts'
import { gelu } from '../../model/graph/interpreter-math.ts'
import { SelfAttention } from '../../model/nn/attention.ts'
import { Downsample2D, Upsample2D } from '../../model/nn/conv.ts'
import { JoinedLinear, Linear } from '../../model/nn/linear.ts'
import { FeedForward } from '../../model/nn/transformer.ts'
import type { Shape } from '../../model/tensor/shape.ts'
import { WeightReader } from '../../model/weights/weight-reader.ts'
import { shapeWeights } from '../support/shape-weights.ts'

/** A checkpoint in memory: every tensor is filled with one number, or holds the given ones. */
function checkpoint(
  tensors: Readonly<Record<string, { shape: Shape; values: number | number[] }>>,
): Promise<WeightReader> {
  const header: Record<string, unknown> = {}
  const parts: Uint8Array[] = []
  let end = 0
  for (const [name, { shape, values }] of Object.entries(tensors)) {
    const count = shape.reduce((product, size) => product * size, 1)
    const data = Float32Array.from({ length: count }, (_, i) =>
      typeof values === 'number' ? values : (values[i] ?? NaN),
    )
    parts.push(new Uint8Array(data.buffer))
    header[name] = { dtype: 'F32', shape, data_offsets: [end, (end += data.byteLength)] }
  }
  const text = JSON.stringify(header)
  const json = new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 8) * 8))
  const length = new Uint8Array(8)
  new DataView(length.buffer).setBigUint64(0, BigInt(json.length), true)
  const bytes = Buffer.concat([length, json, ...parts])
  return WeightReader.open([memorySource('memory', new Uint8Array(bytes))])
}

describe('Linear', () => {
  test('reads a 1x1 convolution and an old name', async () => {
    const weights = await checkpoint({
      'block.proj_attn.weight': { shape: [2, 3, 1, 1], values: [1, 2, 3, 4, 5, 6] },
      'block.proj_attn.bias': { shape: [2], values: [10, 20] },
    })
    const layer = new Linear(weights.at('block'), 'to_out.0', 3, 2, { legacyName: 'proj_attn' })
    weights.finish()
    expect(layer.path).toBe('block.to_out.0')
    const b = new GraphBuilder('linear')
    b.output('y', layer.forward(b, b.input('x', [1, 1, 1, 3])))
    const { outputs } = await interpret(b.build(), { x: Float32Array.of(1, 0, -1) })
    expect([...(outputs['y'] ?? [])]).toEqual([8, 18])
  })

  test('joined layers take their columns in the order in which they came', () => {
    const weights = shapeWeights()
    const joined = new JoinedLinear('joined')
    expect(joined.add(new Linear(weights, 'a', 4, 6))).toEqual({ start: 0, size: 6 })
    expect(joined.add(new Linear(weights, 'b', 4, 2, { bias: false }))).toEqual({ start: 6, size: 2 })
    const b = new GraphBuilder('joined')
    expect(joined.forward(b, b.input('x', [3, 4])).shape).toEqual([3, 8])
    expect([...weights.asked.keys()]).toEqual(['a.weight', 'a.bias', 'b.weight'])
  })
})

test('FeedForward with a plain GELU', async () => {
  const weights = await checkpoint({
    'net.0.proj.weight': { shape: [4, 1], values: [1, 2, 3, -1] },
    'net.0.proj.bias': { shape: [4], values: 0 },
    'net.2.weight': { shape: [1, 4], values: 1 },
    'net.2.bias': { shape: [1], values: 0.5 },
  })
  const b = new GraphBuilder('ff')
  b.output('y', new FeedForward(weights, 1, 'gelu').forward(b, b.input('x', [1, 1])))
  const { outputs } = await interpret(b.build(), { x: Float32Array.of(0.75) })
  const expected = 0.5 + gelu(0.75) + gelu(1.5) + gelu(2.25) + gelu(-0.75)
  expect(outputs['y']?.[0]).toBeCloseTo(expected, 12)
})

test('SelfAttention over equal positions gives each the same', async () => {
  const matrix = { shape: [2, 2], values: [1, 2, 3, 4] }
  const weights = await checkpoint({
    'to_q.weight': matrix,
    'to_k.weight': matrix,
    'to_v.weight': matrix,
    'to_out.0.weight': matrix,
    'to_out.0.bias': { shape: [2], values: 0 },
  })
  const b = new GraphBuilder('attention')
  const attention = new SelfAttention(weights, { channels: 2, numHeads: 2, headDim: 1 })
  b.output('y', attention.forward(b, b.input('x', [1, 2, 2])))
  const { outputs } = await interpret(b.build(), { x: Float32Array.of(1, 1, 1, 1) })
  // value = W·(1, 1) = (3, 7); out = W·value = (17, 37).
  const expected = [17, 37, 17, 37]
  for (const [i, value] of expected.entries()) expect(outputs['y']?.[i]).toBeCloseTo(value, 12)
})

describe('changes of size', () => {
  const b = new GraphBuilder('sizes')
  const x = b.input('x', [1, 5, 8, 4])

  test('padding 0 means one row and column after the image', () => {
    expect(new Downsample2D(shapeWeights(), 4, 1).forward(b, x).shape).toEqual([1, 3, 4, 4])
    expect(new Downsample2D(shapeWeights(), 4, 0).forward(b, x).shape).toEqual([1, 2, 4, 4])
  })

  test('doubling can give back an odd size, and nothing else', () => {
    const upsample = new Upsample2D(shapeWeights().at('up'), 4)
    expect(upsample.forward(b, x).shape).toEqual([1, 10, 16, 4])
    expect(upsample.forward(b, x, { height: 9, width: 16 }).shape).toEqual([1, 9, 16, 4])
    expect(() => upsample.forward(b, x, { height: 8, width: 16 })).toThrow(/up: doubling to 8x16/)
  })
})
