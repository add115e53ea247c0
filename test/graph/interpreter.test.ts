/** The interpreter against torch.nn.functional in f64 (test/fixtures/make/ops.py) and numbers worked out by hand. */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { memorySource } from '../../model/contract/bytes.ts'
import { GraphBuilder } from '../../model/graph/builder.ts'
import { createInterpreterBackend, interpret } from '../../model/graph/interpreter.ts'
import { erf, gelu } from '../../model/graph/interpreter-math.ts'
import { loadWeight } from '../../model/graph/load-weight.ts'
import type { Graph, Op, OpKind, Tensor, WeightData } from '../../model/graph/ops.ts'
import { floatToHalf } from '../../model/tensor/dtype.ts'

interface Packed {
  readonly shape: number[]
  readonly data: number[]
}

interface Case {
  readonly name: string
  readonly kind: OpKind
  readonly inputs: Record<string, Packed>
  readonly weights: Record<string, Packed>
  readonly options: Record<string, unknown>
  readonly outputs: Record<string, Packed>
}

const cases = JSON.parse(readFileSync(new URL('../fixtures/ops/ops.json', import.meta.url), 'utf8')) as Case[]

function weightOf(path: string, { shape, data }: Packed): WeightData {
  const bytes = new Uint8Array(Float32Array.from(data).buffer)
  return {
    path,
    dtype: 'F32',
    shape,
    source: memorySource(path, bytes),
    byteOffset: 0,
    byteLength: bytes.length,
  }
}

/** A graph of the one operation that a case describes, fused forms included. */
function graphOf(each: Case): Graph {
  let id = 0
  const tensors = (packed: Record<string, Packed>): Record<string, Tensor> =>
    Object.fromEntries(
      Object.entries(packed).map(([role, { shape }]) => [role, { id: id++, shape, label: role }]),
    )
  const inputs = tensors(each.inputs)
  const outputs = tensors(each.outputs)
  const { options } = each
  const weight = (role: string): WeightData | null => {
    const packed = each.weights[role]
    return packed ? weightOf(role, packed) : null
  }
  const count = Object.keys(each.weights).filter(role => role.startsWith('weight')).length
  const scaled = {
    softmaxScale:
      options['softmaxScale'] ??
      1 / Math.sqrt((inputs['query']?.shape[2] ?? 0) / Number(options['numHeads'])),
  }
  const fields: Partial<Record<OpKind, object>> = {
    linear: {
      weights: Array.from({ length: count }, (_, i) => weight(`weight${i}`)),
      biases: Array.from({ length: count }, (_, i) => weight(`bias${i}`)),
    },
    attention: scaled,
    attentionPeak: scaled,
    attentionRow: scaled,
  }
  const op = {
    kind: each.kind,
    path: each.name,
    weight: weight('weight'),
    bias: weight('bias'),
    ...options,
    ...fields[each.kind],
    inputs,
    outputs,
  } as unknown as Op
  return {
    name: each.name,
    ops: [op],
    inputs: new Map(Object.entries(inputs)),
    outputs: new Map(Object.entries(outputs)),
  }
}

function largestError(actual: Float64Array, expected: readonly number[]): number {
  expect(actual.length).toBe(expected.length)
  return expected.reduce(
    (worst, value, i) => Math.max(worst, Math.abs((actual[i] ?? NaN) - value) / Math.max(1, Math.abs(value))),
    0,
  )
}

describe('each operation equals PyTorch', () => {
  test.each(cases.map(each => [`${each.kind}: ${each.name}`, each] as const))('%s', async (_, each) => {
    const inputs = Object.fromEntries(
      Object.entries(each.inputs).map(([role, { data }]) => [role, Float64Array.from(data)]),
    )
    const { outputs } = await interpret(graphOf(each), inputs)
    for (const [role, { data }] of Object.entries(each.outputs)) {
      expect(largestError(outputs[role] ?? new Float64Array(), data), role).toBeLessThan(1e-11)
    }
  })

  test('every kind of operation has a case', () => {
    const kinds: Record<OpKind, true> = {
      linear: true,
      conv2d: true,
      groupNorm: true,
      rowMoments: true,
      layerNorm: true,
      rmsNorm: true,
      attention: true,
      attentionPeak: true,
      attentionRow: true,
      headMean: true,
      unary: true,
      binary: true,
      geglu: true,
      concat: true,
      slice: true,
      reshape: true,
      upsample: true,
    }
    expect(new Set(cases.map(each => each.kind))).toEqual(new Set(Object.keys(kinds)))
  })
})

test('erf and gelu are exact to the last digits', () => {
  // Abramowitz & Stegun, table 7.1, to 15 digits.
  expect(erf(0)).toBe(0)
  expect(erf(0.5)).toBeCloseTo(0.520499877813047, 14)
  expect(erf(-1)).toBeCloseTo(-0.842700792949715, 14)
  expect(erf(3.5)).toBeCloseTo(0.999999256901628, 14)
  expect(erf(7)).toBe(1)
  expect(gelu(1)).toBeCloseTo(0.841344746068543, 14)
})

describe('a small graph by hand', () => {
  const weight = weightOf('net.weight', { shape: [2, 2], data: [1, 2, 3, 4] })
  const bias = weightOf('net.bias', { shape: [2], data: [10, 20] })
  const record = (): Graph => {
    const b = new GraphBuilder('by hand')
    const x = b.input('x', [1, 2])
    const y = b.linear('net', x, weight, bias)
    b.output('y', b.add('sum', y, b.input('extra', [1, 2])))
    return b.build()
  }

  test('taps return values by their label', async () => {
    const result = await interpret(
      record(),
      { x: Float32Array.of(1, -1), extra: Float32Array.of(1, 1) },
      {
        taps: ['net'],
      },
    )
    expect([...(result.taps['net'] ?? [])]).toEqual([9, 19])
    expect([...(result.outputs['y'] ?? [])]).toEqual([10, 20])
  })

  test('missing and misshapen inputs are named', async () => {
    await expect(interpret(record(), { x: Float32Array.of(1, 2) })).rejects.toThrow(/"extra" was not given/)
    await expect(interpret(record(), { x: new Float32Array(3), extra: new Float32Array(2) })).rejects.toThrow(
      /"x" has 3 elements instead of \[1, 2\]/,
    )
    const inputs = { x: new Float32Array(2), extra: new Float32Array(2) }
    await expect(interpret(record(), inputs, { taps: ['nowhere'] })).rejects.toThrow(/"nowhere"/)
  })

  test('as a program, an input that is left out keeps its value', async () => {
    const program = await createInterpreterBackend().compile(record())
    const extra = Float32Array.of(1, 1)
    expect([...((await program.run({ x: Float32Array.of(1, -1), extra }))['y'] ?? [])]).toEqual([10, 20])
    extra.fill(100)
    expect([...((await program.run({ x: Float32Array.of(0, 0) }))['y'] ?? [])]).toEqual([11, 21])
    expect(program.stats).toMatchObject({ dispatches: 2, weightBytes: 24, activationBytes: 48 })
    await expect(program.run({ z: extra })).rejects.toThrow(/no input "z"/)
  })
})

/** A weight of three elements that begins at an odd offset. */
const packedWeight = (dtype: WeightData['dtype'], packed: ArrayLike<number>, size: number): WeightData => {
  const bytes = new Uint8Array(1 + packed.length * size)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < packed.length; i++) {
    if (size === 2) view.setUint16(1 + 2 * i, packed[i] as number, true)
    else view.setFloat32(1 + 4 * i, packed[i] as number, true)
  }
  return {
    path: 'w',
    dtype,
    shape: [3],
    source: memorySource('w', bytes),
    byteOffset: 1,
    byteLength: 3 * size,
  }
}

describe('loadWeight', () => {
  const values = [1, -2.5, 0.25]

  test('decodes F32, F16 and BF16 from any offset', async () => {
    expect([...(await loadWeight(packedWeight('F32', values, 4)))]).toEqual(values)
    expect([...(await loadWeight(packedWeight('F16', values.map(floatToHalf), 2)))]).toEqual(values)
    const bits = new Uint32Array(Float32Array.from(values).buffer)
    expect([
      ...(await loadWeight(
        packedWeight(
          'BF16',
          [...bits].map(each => each >>> 16),
          2,
        ),
      )),
    ]).toEqual(values)
  })

  test('refuses bytes that do not fit the shape', async () => {
    await expect(loadWeight({ ...packedWeight('F32', values, 4), byteLength: 8 })).rejects.toThrow(
      /8 bytes.*takes 12/,
    )
  })
})
