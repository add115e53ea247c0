/** The moments of rows against plain loops in f64. */
import { expect, test } from 'vitest'
import { rowMoments } from '../../model/graph/interpreter-ops.ts'
import type { RowMomentsOp } from '../../model/graph/ops.ts'
import type { DeviceFacts } from '../../model/kernels/lowering.ts'
import { lowerRowMoments } from '../../model/kernels/row-moments.ts'
import { elementCount, type Shape } from '../../model/tensor/shape.ts'
import { noise, runKernel, supportsHalf, tensor, throughHalf } from '../support/kernel-harness.ts'
import { normF32, normLargeMeanF32, worst } from '../support/tolerances.ts'

const hardware: Partial<DeviceFacts> = { software: false, subgroupSize: 0 }
const half = await supportsHalf()

interface Case {
  readonly shape: Shape
  readonly groups: number
  /** Columns that count; all when absent. */
  readonly columns?: readonly [first: number, end: number]
  readonly mean?: number
  readonly facts?: Partial<DeviceFacts>
}

const cases: Record<string, Case> = {
  'whole vec4s a group': { shape: [2, 5, 7, 32], groups: 4 },
  'some columns': { shape: [1, 4, 9, 16], groups: 4, columns: [2, 7] },
  'one column, 6 channels a group': { shape: [2, 3, 5, 24], groups: 4, columns: [4, 5] },
  '2 channels a group': { shape: [1, 3, 4, 64], groups: 32 },
  'an odd number of groups': { shape: [1, 3, 3, 18], groups: 3 },
  '1x1 picture': { shape: [2, 1, 1, 30], groups: 3 },
  'one group of 5 channels': { shape: [1, 8, 8, 5], groups: 1 },
  'mean 1000': { shape: [1, 6, 70, 20], groups: 2, mean: 1000, columns: [3, 66] },
  'on hardware': { shape: [2, 5, 7, 32], groups: 4, facts: hardware },
  'on hardware, long rows, some columns': {
    shape: [1, 3, 301, 12],
    groups: 2,
    columns: [17, 290],
    facts: hardware,
  },
  'on hardware, an odd number of groups': { shape: [2, 3, 3, 18], groups: 3, facts: hardware },
  'f16 storage': { shape: [2, 5, 7, 24], groups: 4, facts: { activationType: 'f16' } },
}
const runnable = Object.entries(cases).filter(([, { facts }]) => half || facts?.activationType !== 'f16')

test.each(runnable)('%s', async (_, { shape, groups, columns, mean = 0, facts = {} }) => {
  const [batch = 1, height = 1, width = 1] = shape
  const x = tensor(shape)
  const columnWeights = tensor([width, 1])
  const y = tensor([batch, height, 2 * groups])
  const op: RowMomentsOp = {
    kind: 'rowMoments',
    path: 'norm',
    inputs: { x, columnWeights },
    outputs: { y },
    groups,
  }
  const given = noise(elementCount(shape), 1, 1, mean)
  const data = facts.activationType === 'f16' ? throughHalf(given) : given
  const [first, end] = columns ?? [0, width]
  const weights = Float32Array.from({ length: width }, (_, j) => (j >= first && j < end ? 1 : 0))
  const place = new Map([
    [y, { type: 'f32' }],
    [columnWeights, { type: 'f32' }],
  ] as const)
  const inputs = new Map([
    [x, data],
    [columnWeights, weights],
  ])
  const result = await runKernel(lowerRowMoments, op, { facts, inputs, place })
  const expected = rowMoments(op, Float64Array.from(data), Float64Array.from(weights))
  const found = worst(result.output(y), expected, mean ? normLargeMeanF32 : normF32)
  expect(found.factor, JSON.stringify(found)).toBeLessThanOrEqual(1)
})
