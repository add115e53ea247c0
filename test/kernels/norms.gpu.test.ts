import { describe, expect, test } from 'vitest'
import type { GroupNormOp, LayerNormOp, RmsNormOp } from '../../model/graph/ops.ts'
import { lowerGroupNorm } from '../../model/kernels/group-norm.ts'
import { lowerLayerNorm } from '../../model/kernels/layer-norm.ts'
import type { DeviceFacts } from '../../model/kernels/lowering.ts'
import { lowerRmsNorm } from '../../model/kernels/rms-norm.ts'
import { elementCount, type Shape } from '../../model/tensor/shape.ts'
import { noise, runKernel, supportsHalf, tensor, throughHalf, weightOf } from '../support/kernel-harness.ts'
import { activations, groupNorm, layerNorm, rmsNorm } from '../support/reference.ts'
import { normF32, normLargeMeanF32, storedF16, worst, type Tolerance } from '../support/tolerances.ts'

const hardware: Partial<DeviceFacts> = { software: false, subgroupSize: 0 }

const half = await supportsHalf()
const runnable = (cases: Record<string, Case>): [string, Case][] =>
  Object.entries(cases).filter(([, { facts }]) => half || facts?.activationType !== 'f16')

interface Case {
  readonly shape: Shape
  readonly groups?: number
  readonly activation?: 'none' | 'silu'
  readonly mean?: number
  readonly facts?: Partial<DeviceFacts>
  readonly tolerance?: Tolerance
}

async function checkGroupNorm({
  shape,
  groups = 1,
  activation = 'none',
  mean = 0,
  facts = {},
  tolerance,
}: Case) {
  const half = facts.activationType === 'f16'
  const channels = shape.at(-1) ?? 1
  const batch = shape[0] ?? 1
  const x = tensor(shape)
  const y = tensor(shape)
  const given = noise(elementCount(shape), 1, 1, mean)
  const data = half ? throughHalf(given) : given
  const weight = noise(channels, 2)
  const bias = noise(channels, 3)
  const op: GroupNormOp = {
    kind: 'groupNorm',
    path: 'norm',
    inputs: { x },
    outputs: { y },
    weight: weightOf('norm.weight', weight),
    bias: weightOf('norm.bias', bias),
    groups,
    eps: 1e-5,
    activation,
  }
  const result = await runKernel(lowerGroupNorm, op, { facts, inputs: new Map([[x, data]]) })
  const positions = elementCount(shape) / batch / channels
  const expected = groupNorm(data, [batch, positions, channels], groups, weight, bias, 1e-5).map(
    activations[activation],
  )
  const found = worst(result.output(y), expected, tolerance ?? (half ? storedF16 : normF32))
  expect(found.factor, JSON.stringify(found)).toBeLessThanOrEqual(1)
}

describe('groupNorm', () => {
  const cases: Record<string, Case> = {
    'whole vec4s a group': { shape: [2, 5, 7, 32], groups: 4, activation: 'silu' },
    '6 channels a group': { shape: [2, 3, 5, 24], groups: 4 },
    '10 channels a group': { shape: [1, 9, 9, 320], groups: 32, activation: 'silu' },
    '2 channels a group': { shape: [2, 4, 4, 64], groups: 32 },
    '1 channel a group': { shape: [1, 3, 3, 7], groups: 7 },
    'padding columns': { shape: [2, 3, 3, 18], groups: 3, activation: 'silu' },
    '1x1 picture': { shape: [2, 1, 1, 30], groups: 3 },
    'one group': { shape: [1, 8, 8, 5], groups: 1 },
    'many positions, several chunks': { shape: [1, 100, 110, 8], groups: 2 },
    'mean 1000': { shape: [1, 33, 31, 20], groups: 2, mean: 1000, tolerance: normLargeMeanF32 },
    'whole vec4s, large': { shape: [2, 65, 67, 8], groups: 2, activation: 'silu' },
    'mean 1000, small groups of whole vec4s': {
      shape: [2, 9, 13, 24],
      groups: 3,
      mean: 1000,
      tolerance: normLargeMeanF32,
    },
    'on hardware': { shape: [2, 5, 7, 32], groups: 4, activation: 'silu', facts: hardware },
    'on hardware, 10 channels a group': {
      shape: [2, 19, 17, 20],
      groups: 2,
      activation: 'silu',
      facts: hardware,
    },
    'on hardware, 2 channels a group': { shape: [2, 4, 4, 64], groups: 32, facts: hardware },
    'on hardware, padding columns': { shape: [2, 3, 3, 18], groups: 3, activation: 'silu', facts: hardware },
    'on hardware, large': { shape: [1, 140, 121, 8], groups: 2, activation: 'silu', facts: hardware },
    'on hardware, large, 2 channels a group': { shape: [1, 190, 175, 4], groups: 2, facts: hardware },
    'on hardware, f16 storage': {
      shape: [2, 5, 7, 24],
      groups: 4,
      activation: 'silu',
      facts: { ...hardware, activationType: 'f16' },
    },
    'on hardware, mean 1000': {
      shape: [1, 33, 35, 20],
      groups: 2,
      mean: -1000,
      facts: hardware,
      tolerance: normLargeMeanF32,
    },
    'f16 storage': { shape: [2, 5, 7, 24], groups: 4, activation: 'silu', facts: { activationType: 'f16' } },
  }
  test.each(runnable(cases))('%s', async (_, given) => {
    await checkGroupNorm(given)
  })

  test.each([2, 8])('a constant picture becomes the bias, %i groups', async groups => {
    const x = tensor([1, 5, 5, 8])
    const y = tensor([1, 5, 5, 8])
    const bias = noise(8, 3)
    const op: GroupNormOp = {
      kind: 'groupNorm',
      path: 'norm',
      inputs: { x },
      outputs: { y },
      weight: weightOf('norm.weight', noise(8, 2)),
      bias: weightOf('norm.bias', bias),
      groups,
      eps: 1e-5,
      activation: 'none',
    }
    const result = await runKernel(lowerGroupNorm, op, {
      inputs: new Map([[x, new Float32Array(200).fill(777.7)]]),
    })
    expect(result.output(y)).toEqual(Float32Array.from({ length: 200 }, (_, i) => bias[i % 8] as number))
  })
})

const rowCases: Record<string, Case> = {
  'whole vec4s': { shape: [2, 9, 64] },
  'columns not a multiple of 4': { shape: [1, 5, 30] },
  'one row': { shape: [1, 1, 7] },
  'one column': { shape: [2, 3, 1] },
  'mean 1000': { shape: [1, 19, 320], mean: 1000, tolerance: normLargeMeanF32 },
  'on hardware': { shape: [2, 9, 322], facts: hardware },
  'on hardware, one short row': { shape: [1, 1, 6], facts: hardware },
  'f16 storage': { shape: [2, 9, 30], facts: { activationType: 'f16' } },
}

describe.each(['layerNorm', 'rmsNorm'] as const)('%s', kind => {
  test.each(runnable(rowCases))('%s', async (_, { shape, mean = 0, facts = {}, tolerance }) => {
    const half = facts.activationType === 'f16'
    const columns = shape.at(-1) ?? 1
    const x = tensor(shape)
    const y = tensor(shape)
    const given = noise(elementCount(shape), 4, 1, mean)
    const data = half ? throughHalf(given) : given
    const weight = noise(columns, 5)
    const bias = noise(columns, 6)
    const common = {
      path: 'norm',
      inputs: { x },
      outputs: { y },
      weight: weightOf('norm.weight', weight),
      eps: 1e-6,
    }
    const layer: LayerNormOp = { ...common, kind: 'layerNorm', bias: weightOf('norm.bias', bias) }
    const rms: RmsNormOp = { ...common, kind: 'rmsNorm' }
    const run = { facts, inputs: new Map([[x, data]]) }
    const result =
      kind === 'layerNorm'
        ? await runKernel(lowerLayerNorm, layer, run)
        : await runKernel(lowerRmsNorm, rms, run)
    const expected =
      kind === 'layerNorm'
        ? layerNorm(data, columns, weight, bias, 1e-6)
        : rmsNorm(data, columns, weight, 1e-6)
    const found = worst(result.output(y), expected, tolerance ?? (half ? storedF16 : normF32))
    expect(found.factor, JSON.stringify(found)).toBeLessThanOrEqual(1)
  })
})
