import { describe, expect, test } from 'vitest'
import type {
  BinaryOp,
  ConcatOp,
  GegluOp,
  SliceOp,
  Tensor,
  UnaryOp,
  UpsampleOp,
} from '../../model/graph/ops.ts'
import { lowerConcat, lowerCopy } from '../../model/kernels/copy.ts'
import { lowerBinary, lowerGeglu, lowerUnary } from '../../model/kernels/elementwise.ts'
import type { Lowering, TensorView } from '../../model/kernels/lowering.ts'
import { lowerUpsample } from '../../model/kernels/upsample.ts'
import { elementCount, type Shape } from '../../model/tensor/shape.ts'
import { noise, runKernel, supportsHalf, tensor, throughHalf, type Place } from '../support/kernel-harness.ts'
import { activations, geglu } from '../support/reference.ts'
import { elementwiseF32, exact, storedF16, worst, type Tolerance } from '../support/tolerances.ts'

const canStoreHalves = await supportsHalf()
/** The cases that this machine's adapter can run. */
const runnable = <T extends { readonly half?: boolean }>(cases: readonly T[]): readonly T[] =>
  cases.filter(({ half = false }) => canStoreHalves || !half)

const named = <T extends object>(cases: Record<string, T>): (T & { readonly name: string })[] =>
  Object.entries(cases).map(([name, given]) => ({ ...given, name }))

const halves = { activationType: 'f16' } as const

function expectClose(found: Float32Array, expected: ArrayLike<number>, tolerance: Tolerance): void {
  const result = worst(found, expected, tolerance)
  expect(result.factor, JSON.stringify(result)).toBeLessThanOrEqual(1)
}

/** Rows without gaps, for the path that needs no division. */
const dense: Place = { offset: 0, rowStride: 8 }

describe('unary', () => {
  const shapes: Record<string, { shape: Shape; place?: Place; half?: boolean }> = {
    strided: { shape: [2, 5, 3, 30] },
    dense: { shape: [1, 13, 7], place: dense },
    'one element': { shape: [1, 1] },
    'f16 storage': { shape: [3, 18], half: true },
  }
  const kinds = ['silu', 'gelu', 'quick_gelu'] as const
  test.each(kinds.flatMap(kind => runnable(named(shapes)).map(({ name }) => [kind, name] as const)))(
    '%s, %s',
    async (activation, name) => {
      const { shape, place = {}, half = false } = shapes[name] as (typeof shapes)[string]
      const x = tensor(shape)
      const y = tensor(shape)
      const given = noise(elementCount(shape), 7, 3)
      const data = half ? throughHalf(given) : given
      const op: UnaryOp = { kind: 'unary', path: 'act', inputs: { x }, outputs: { y }, activation }
      const result = await runKernel(lowerUnary, op, {
        facts: half ? halves : {},
        inputs: new Map([[x, data]]),
        place: new Map([
          [x, place],
          [y, place],
        ]),
      })
      expectClose(
        result.output(y),
        Float64Array.from(data, activations[activation]),
        half ? storedF16 : elementwiseF32,
      )
    },
  )

  test('the harness refuses a kernel that writes beside its output', async () => {
    const x = tensor([2, 6])
    const y = tensor([2, 6])
    const op: UnaryOp = { kind: 'unary', path: 'act', inputs: { x }, outputs: { y }, activation: 'silu' }
    const shifted: Lowering<UnaryOp> = (op, context) => {
      const view = (value: Tensor): TensorView => {
        const right = context.view(value)
        return value === y ? { ...right, offset: right.offset + 4 } : right
      }
      return lowerUnary(op, { ...context, view })
    }
    const run = runKernel(shifted, op, { inputs: new Map([[x, noise(12, 1)]]) })
    await expect(run).rejects.toThrow(/was overwritten/)
  })

  test('extreme arguments stay finite', async () => {
    const data = Float32Array.of(-1e30, -200, -90, -0, 0, 90, 200, 1e30)
    for (const activation of kinds) {
      const x = tensor([1, 8])
      const y = tensor([1, 8])
      const op: UnaryOp = { kind: 'unary', path: 'act', inputs: { x }, outputs: { y }, activation }
      const result = await runKernel(lowerUnary, op, { inputs: new Map([[x, data]]) })
      expectClose(
        result.output(y),
        data.map(value => Math.max(value, 0)),
        { absolute: 1e-20, relative: 1e-6 },
      )
    }
  })
})

describe('binary', () => {
  const cases: Record<string, { a: Shape; b: Shape; place?: Place; half?: boolean }> = {
    'same shape': { a: [2, 3, 5, 18], b: [2, 3, 5, 18] },
    'same shape, dense': { a: [1, 3, 7], b: [1, 3, 7], place: dense },
    'one row for all': { a: [2, 3, 5, 18], b: [1, 18] },
    'a row each batch': { a: [2, 3, 5, 18], b: [2, 18] },
    'a row each batch, dense': { a: [3, 4, 7], b: [3, 7], place: dense },
    'f16 storage': { a: [2, 3, 6], b: [2, 6], half: true },
  }
  test.each(
    (['add', 'mul'] as const).flatMap(operator =>
      runnable(named(cases)).map(({ name }) => [operator, name] as const),
    ),
  )('%s, %s', async (operator, name) => {
    const { a: aShape, b: bShape, place = {}, half = false } = cases[name] as (typeof cases)[string]
    const [a, b, y] = [tensor(aShape), tensor(bShape), tensor(aShape)]
    const [aData, bData] = [noise(elementCount(aShape), 8), noise(elementCount(bShape), 9)].map(data =>
      half ? throughHalf(data) : data,
    ) as [Float32Array, Float32Array]
    const op: BinaryOp = { kind: 'binary', path: 'binary', inputs: { a, b }, outputs: { y }, operator }
    const result = await runKernel(lowerBinary, op, {
      facts: half ? halves : {},
      inputs: new Map([
        [a, aData],
        [b, bData],
      ]),
      place: new Map([a, b, y].map(value => [value, place])),
    })
    const repeat = aData.length / (aShape[0] as number)
    const columns = aShape.at(-1) as number
    const same = bData.length === aData.length
    const expected = Float64Array.from(aData, (value, index) => {
      const batch = bShape[0] === 1 ? 0 : Math.floor(index / repeat)
      const other = bData[same ? index : batch * columns + (index % columns)] as number
      return operator === 'add' ? value + other : value * other
    })
    expectClose(result.output(y), expected, half ? storedF16 : elementwiseF32)
  })
})

describe('geglu', () => {
  test.each(
    runnable([
      { columns: 16, half: false },
      { columns: 10, half: false },
      { columns: 1, half: false },
      { columns: 8, half: true },
      { columns: 3, half: true },
    ]),
  )('$columns columns, half $half', async ({ columns, half }) => {
    const x = tensor([2, 5, 2 * columns])
    const y = tensor([2, 5, columns])
    const given = noise(20 * columns, 10, 2)
    const data = half ? throughHalf(given) : given
    const op: GegluOp = { kind: 'geglu', path: 'geglu', inputs: { x }, outputs: { y } }
    const result = await runKernel(lowerGeglu, op, {
      facts: half ? halves : {},
      inputs: new Map([[x, data]]),
    })
    expectClose(result.output(y), geglu(data, columns), half ? storedF16 : elementwiseF32)
  })
})

describe('copies', () => {
  test.each(
    runnable([
      { sizes: [8, 4], half: false },
      { sizes: [8, 6], half: false },
      { sizes: [3, 5, 2], half: false },
      { sizes: [7, 1, 4], half: true },
      { sizes: [1], half: false },
      // The order of parts is the order of their numbers, not of their names.
      { sizes: [1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4], half: false },
    ]),
  )('concat of $sizes, half $half', async ({ sizes, half }) => {
    const parts = sizes.map(size => tensor([2, 3, size]))
    const total = sizes.reduce((sum, size) => sum + size, 0)
    const y = tensor([2, 3, total])
    const data = sizes.map((size, index) => throughHalf(noise(6 * size, 11 + index)))
    const op: ConcatOp = {
      kind: 'concat',
      path: 'concat',
      inputs: Object.fromEntries(parts.map((part, index) => [`part${index}`, part]).toReversed()) as Record<
        string,
        Tensor
      >,
      outputs: { y },
    }
    const result = await runKernel(lowerConcat, op, {
      facts: half ? halves : {},
      inputs: new Map(parts.map((part, index) => [part, data[index] as Float32Array])),
    })
    const expected = Array.from({ length: 6 }, (_, row) =>
      sizes.flatMap((size, index) => [
        ...(data[index] as Float32Array).subarray(row * size, (row + 1) * size),
      ]),
    ).flat()
    expectClose(result.output(y), expected, exact)
  })

  test('parts of one buffer are copied into another part of it', async () => {
    const [a, b, y] = [tensor([5, 6]), tensor([5, 3]), tensor([5, 9])]
    const op: ConcatOp = { kind: 'concat', path: 'concat', inputs: { part0: a, part1: b }, outputs: { y } }
    const [aData, bData] = [noise(30, 1), noise(15, 2)]
    const result = await runKernel(lowerConcat, op, {
      inputs: new Map([
        [a, aData],
        [b, bData],
      ]),
      place: new Map([
        [a, { buffer: 'arena', offset: 0, rowStride: 32 }],
        [b, { buffer: 'arena', offset: 8, rowStride: 32 }],
        [y, { buffer: 'arena', offset: 16, rowStride: 32 }],
      ]),
    })
    const expected = Array.from({ length: 5 }, (_, row) => [
      ...aData.subarray(row * 6, row * 6 + 6),
      ...bData.subarray(row * 3, row * 3 + 3),
    ]).flat()
    expectClose(result.output(y), expected, exact)
  })

  test.each(
    runnable([
      { start: 4, size: 5, half: false },
      { start: 3, size: 6, half: false },
      { start: 13, size: 1, half: true },
      { start: 8, size: 6, half: true },
    ]),
  )('slice $start + $size, half $half', async ({ start, size, half }) => {
    const x = tensor([2, 3, 14])
    const y = tensor([2, 3, size])
    const data = throughHalf(noise(84, 12))
    const op: SliceOp = { kind: 'slice', path: 'slice', inputs: { x }, outputs: { y }, start }
    const result = await runKernel(lowerCopy, op, { facts: half ? halves : {}, inputs: new Map([[x, data]]) })
    const expected = Array.from({ length: 6 }, (_, row) => [
      ...data.subarray(row * 14 + start, row * 14 + start + size),
    ]).flat()
    expectClose(result.output(y), expected, exact)
  })

  test.each(
    runnable([
      { shape: [2, 3, 5, 6], size: [6, 10], half: false },
      { shape: [2, 3, 5, 6], size: [5, 9], half: false },
      { shape: [2, 3, 5, 6], size: [6, 9], half: false },
      { shape: [1, 1, 1, 1], size: [1, 1], half: false },
      { shape: [2, 2, 1, 9], size: [3, 2], half: true },
    ]),
  )('upsample of $shape to $size, half $half', async ({ shape, size, half }) => {
    const [batch, height, width, channels] = shape as [number, number, number, number]
    const [outHeight, outWidth] = size as [number, number]
    const x = tensor(shape)
    const y = tensor([batch, outHeight, outWidth, channels])
    const data = throughHalf(noise(elementCount(shape), 13))
    const op: UpsampleOp = { kind: 'upsample', path: 'upsample', inputs: { x }, outputs: { y } }
    const result = await runKernel(lowerUpsample, op, {
      facts: half ? halves : {},
      inputs: new Map([[x, data]]),
    })
    const expected = new Float32Array(elementCount(y.shape))
    for (let index = 0; index < expected.length; index++) {
      const c = index % channels
      const j = Math.floor(index / channels) % outWidth
      const i = Math.floor(index / channels / outWidth) % outHeight
      const b = Math.floor(index / channels / (outWidth * outHeight))
      expected[index] = data[((b * height + (i >> 1)) * width + (j >> 1)) * channels + c] as number
    }
    expectClose(result.output(y), expected, exact)
  })
})
