import { afterAll, describe, expect, it } from 'vitest'
import { memorySource } from '../../model/contract/bytes.ts'
import { OnnxGraph } from '../../model/onnx/graph.ts'
import { onnxDTypes } from '../../model/onnx/operators.ts'
import { ProtoWriter } from '../../model/onnx/protobuf.ts'
import { OnnxSession, type HostTensor } from '../../model/onnx/session.ts'
import { addWeight, PackedWeights, placeInFiles } from '../../model/onnx/weights.ts'
import { floatToHalf } from '../../model/tensor/dtype.ts'
import { WeightReader } from '../../model/weights/weight-reader.ts'
import { writeSafetensors } from '../../model/weights/write-safetensors.ts'

const sessions: OnnxSession[] = []
afterAll(() => Promise.all(sessions.map(session => session.release())))

async function open(graph: OnnxGraph, externalData: { location: string; data: Uint8Array }[] = []) {
  const session = await OnnxSession.create({ name: 'test model', model: graph.toModel(), externalData })
  sessions.push(session)
  return session
}
const floats = (shape: readonly number[], ...values: number[]): HostTensor => ({
  data: Float32Array.from(values),
  shape,
})

describe('ProtoWriter', () => {
  it('writes the examples of the format', () => {
    expect([...new ProtoWriter().integer(1, 150).finish()]).toEqual([0x08, 0x96, 0x01])
    expect([...new ProtoWriter().string(2, 'testing').finish()]).toEqual([0x12, 7, ...Buffer.from('testing')])
    const inner = new ProtoWriter().integer(1, 150)
    expect([...new ProtoWriter().message(3, inner).finish()]).toEqual([0x1a, 3, 0x08, 0x96, 0x01])
    expect([...new ProtoWriter().integer(1, -2).finish()]).toEqual([
      0x08,
      0xfe,
      ...Array<number>(8).fill(0xff),
      1,
    ])
    expect([...new ProtoWriter().float(1, 1.5).finish()]).toEqual([0x0d, 0, 0, 0xc0, 0x3f])
    expect([...new ProtoWriter().integer(1, 2 ** 40).finish()]).toEqual([0x08, 128, 128, 128, 128, 128, 32])
  })

  it('keeps the order of large pieces', () => {
    const large = new Uint8Array(300).fill(7)
    const message = new ProtoWriter().integer(1, 1).bytes(2, large).integer(3, 2)
    const bytes = new ProtoWriter().message(4, message).integer(5, 3).finish()
    expect(bytes.length).toBe(2 + 1 + (2 + 3 + 300 + 2) + 2)
    expect(bytes.slice(-4)).toEqual(Uint8Array.of(0x18, 2, 0x28, 3))
  })
})

describe('OnnxGraph', () => {
  it('runs a convolution, a norm from its parts, and a resize', async () => {
    const graph = new OnnxGraph('parts')
    const x = graph.input('x', 'float32', ['batch', 2, 2, 2])
    const weight = graph.floats([2, 2, 1, 1], [1, 0, 0, 2])
    const convolved = graph.op('Conv', [x, weight, graph.floats([2], [0, 1])], { kernel_shape: [1, 1] })
    graph.output('convolved', convolved, 'float32', ['batch', 2, 2, 2])
    // GroupNorm with one group as InstanceNormalization over [B, groups, everything].
    const grouped = graph.op('Reshape', [convolved, graph.integers([0, 1, -1])])
    const normed = graph.op(
      'InstanceNormalization',
      [grouped, graph.floats([1], [1]), graph.floats([1], [0])],
      {
        epsilon: 0,
      },
    )
    graph.output('normed', graph.op('Reshape', [normed, graph.op('Shape', [x])]), 'float32', [
      'batch',
      2,
      2,
      2,
    ])
    const doubled = graph.op('Resize', [convolved, undefined, graph.floats([4], [1, 1, 2, 2])], {
      mode: 'nearest',
      nearest_mode: 'floor',
      coordinate_transformation_mode: 'asymmetric',
    })
    graph.output('doubled', doubled, 'float32', ['batch', 2, 4, 4])
    const session = await open(graph)
    const outputs = await session.run({ x: floats([1, 2, 2, 2], 0, 1, 2, 3, 4, 5, 6, 7) }, [
      'convolved',
      'normed',
      'doubled',
    ])
    expect([...(outputs.convolved?.data ?? [])]).toEqual([0, 1, 2, 3, 9, 11, 13, 15])
    expect(outputs.doubled?.shape).toEqual([1, 2, 4, 4])
    expect([...(outputs.doubled?.data ?? [])].slice(0, 8)).toEqual([0, 0, 1, 1, 0, 0, 1, 1])
    const mean = 54 / 8
    const deviation = Math.sqrt([0, 1, 2, 3, 9, 11, 13, 15].reduce((sum, v) => sum + (v - mean) ** 2, 0) / 8)
    expect(outputs.normed?.data[7]).toBeCloseTo((15 - mean) / deviation, 5)
  })

  it('runs the operators of a transformer', async () => {
    const graph = new OnnxGraph('block')
    const x = graph.input('x', 'float32', [2, 4])
    const [left, right] = graph.opWithOutputs('Split', [x], 2, { axis: 1 })
    const product = graph.op('MatMul', [left ?? x, graph.op('Transpose', [right ?? x], { perm: [1, 0] })])
    const weights = graph.op('Softmax', [graph.op('Mul', [product, graph.scalar(0.5)])], { axis: -1 })
    graph.output('softmax', weights, 'float32', [2, 2])
    const gemm = graph.op(
      'Gemm',
      [x, graph.floats([3, 4], Array<number>(12).fill(1)), graph.floats([3], [0, 1, 2])],
      {
        transB: 1,
      },
    )
    graph.output('gemm', gemm, 'float32', [2, 3])
    const normed = graph.op('LayerNormalization', [x, graph.floats([4], [1, 1, 1, 1])], {
      axis: -1,
      epsilon: 1e-5,
    })
    graph.output('normed', normed, 'float32', [2, 4])
    const pieces = graph.op('Slice', [x, graph.integers([1]), graph.integers([3]), graph.integers([1])])
    graph.output('joined', graph.op('Concat', [pieces, pieces], { axis: 0 }), 'float32', [4, 2])
    const session = await open(graph)
    const outputs = await session.run({ x: floats([2, 4], 1, 2, 3, 4, 0, 1, 0, 1) }, [
      'softmax',
      'gemm',
      'normed',
      'joined',
    ])
    // Rows of scores: [1·3 + 2·4, 2] / 2 and [4, 1] / 2.
    expect(outputs.softmax?.data[0]).toBeCloseTo(1 / (1 + Math.exp(-4.5)), 5)
    expect(outputs.softmax?.data[2]).toBeCloseTo(1 / (1 + Math.exp(-1.5)), 5)
    expect([...(outputs.gemm?.data ?? [])]).toEqual([10, 11, 12, 2, 3, 4])
    expect(outputs.normed?.data[4]).toBeCloseTo(-1, 4)
    expect([...(outputs.joined?.data ?? [])]).toEqual([2, 3, 1, 0, 2, 3, 1, 0])
    expect(graph.operatorCounts.get('Gemm')).toBe(1)
  })

  it('runs operators of other domains', async () => {
    const graph = new OnnxGraph('custom')
    const x = graph.input('x', 'float32', [2])
    const [y] = graph.customOp(
      'QuickGelu',
      [x],
      { alpha: { kind: 'float', value: 1.702 } },
      { domain: 'com.microsoft' },
    )
    graph.output('y', y ?? x, 'float32', [2])
    const outputs = await (await open(graph)).run({ x: floats([2], 1, -1) }, ['y'])
    expect(outputs.y?.data[0]).toBeCloseTo(1 / (1 + Math.exp(-1.702)), 5)
  })

  it('shares equal constants', () => {
    const graph = new OnnxGraph('constants')
    expect(graph.integers([1, 2])).toBe(graph.integers([1, 2]))
    expect(graph.scalar(0)).toBe(graph.scalar(0))
    expect(graph.scalar(0)).not.toBe(graph.scalar(-0))
  })

  it('refuses what cannot be right', () => {
    const graph = new OnnxGraph('wrong')
    const x = graph.input('x', 'float32', [1])
    expect(() => graph.input('x', 'float32', [1])).toThrow('"x" is used twice')
    expect(() => graph.floats([2], [1])).toThrow('does not take 4 bytes')
    expect(() => graph.op('Add', [x, { name: 'y' }])).toThrow('"y" is not a value of this graph')
    // @ts-expect-error a misspelt attribute does not compile, and does not pass at run time
    expect(() => graph.op('Softmax', [x], { axes: 1 })).toThrow('Softmax has no attribute axes')
  })
})

describe('weights outside the model', () => {
  const values = [1, 2, 3, 4, 5, 6]
  const file = writeSafetensors({
    aaa: { dtype: 'U8', shape: [3], data: new Uint8Array(3) },
    single: { dtype: 'F32', shape: [2, 3], data: Float32Array.from(values) },
    half: { dtype: 'F16', shape: [2, 3], data: Uint16Array.from(values, floatToHalf) },
    brain: {
      dtype: 'BF16',
      shape: [2, 3],
      data: Uint16Array.from([0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0, 0x40c0]),
    },
  })

  it.each(['packed', 'in the file'])('are read %s', async mode => {
    const reader = await WeightReader.open([memorySource('model.safetensors', file)])
    const packed = new PackedWeights()
    const placement = mode === 'packed' ? packed : placeInFiles()
    const graph = new OnnxGraph('external')
    const x = graph.input('x', 'float32', [1, 3])
    for (const name of ['single', 'half', 'brain']) {
      const weight = addWeight(graph, reader.tensor(name, [2, 3]), placement)
      graph.output(`${name}_out`, graph.op('Gemm', [x, weight], { transB: 1 }), 'float32', [1, 2])
    }
    expect(graph.operatorCounts.get('Cast')).toBe(2)
    const data = mode === 'packed' ? await packed.read() : file
    const session = await open(graph, [
      { location: mode === 'packed' ? packed.location : 'model.safetensors', data },
    ])
    const outputs = await session.run({ x: floats([1, 3], 1, 10, 100) }, [
      'single_out',
      'half_out',
      'brain_out',
    ])
    for (const output of Object.values(outputs)) expect([...output.data]).toEqual([321, 654])
  })

  it('are missed with a clear error', async () => {
    const graph = new OnnxGraph('missing')
    const weight = graph.external('w', 'float32', [1], { location: 'none.bin', offset: 0, byteLength: 4 })
    graph.output('y', weight, 'float32', [1])
    await expect(open(graph)).rejects.toMatchObject({
      code: 'internal',
      message: /test model could not be loaded/,
    })
  })
})

it('a session tells what is wrong with its inputs', async () => {
  const graph = new OnnxGraph('inputs')
  graph.output(
    'y',
    graph.op('Cast', [graph.input('x', 'float32', [2])], { to: onnxDTypes.int64 }),
    'int64',
    [2],
  )
  const session = await open(graph)
  expect((await session.run({ x: floats([2], 1, 2) }, ['y'])).y?.data).toEqual(BigInt64Array.of(1n, 2n))
  await expect(session.run({ x: floats([3], 1, 2) }, ['y'])).rejects.toThrow('has 2 elements for [3]')
  await expect(session.run({ x: floats([3], 1, 2, 3) }, ['y'])).rejects.toMatchObject({ code: 'internal' })
  await session.release()
  await session.release()
  await expect(session.run({ x: floats([2], 1, 2) }, ['y'])).rejects.toThrow('was released')
})
