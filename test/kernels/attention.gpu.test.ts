import { describe, expect, test } from 'vitest'
import type { AttentionOp, Tensor } from '../../model/graph/ops.ts'
import { planAttention } from '../../model/kernels/attention-plan.ts'
import { lowerThreePassAttention } from '../../model/kernels/attention-three-pass.ts'
import { attentionVariant, lowerAttention } from '../../model/kernels/attention.ts'
import type { DeviceFacts, Lowering } from '../../model/kernels/lowering.ts'
import {
  noise,
  runKernel,
  supportsHalf,
  tensor,
  throughHalf,
  type KernelResult,
  type Place,
} from '../support/kernel-harness.ts'
import { attention } from '../support/reference.ts'
import { attentionF32, storedF16, worst } from '../support/tolerances.ts'

interface Case {
  readonly batch?: number
  readonly length: number
  readonly keys: number
  readonly heads: number
  readonly headSize: number
  readonly keyBatch?: number
  readonly causal?: boolean
  /** Leading sizes of the bias. */
  readonly bias?: readonly [batch: number, length: number]
  readonly tokenScale?: number
  readonly valueGain?: number
  readonly capture?: boolean
  /** Controls that change nothing. */
  readonly neutral?: boolean
  /** Query, key and value are thirds of one buffer's rows. */
  readonly fused?: boolean
  readonly facts?: Partial<DeviceFacts>
  /** Bytes for scores; forces the three-pass kernel. */
  readonly budget?: number
}

async function runAttention(
  given: Case,
): Promise<{ y: Float32Array; probabilities?: Float32Array; result: KernelResult }> {
  const { op, data, expected, place } = build(given)
  const { budget } = given
  const lower: Lowering<AttentionOp> =
    budget === undefined
      ? lowerAttention
      : (op, context) => lowerThreePassAttention(planAttention(op, context), context, budget)
  const result = await runKernel(lower, op, { facts: given.facts ?? {}, inputs: data, place })
  const half = given.facts?.activationType === 'f16'
  const y = result.output(op.outputs.y)
  const found = worst(y, expected.y, half ? storedF16 : attentionF32)
  expect(found.factor, `y ${JSON.stringify(found)}`).toBeLessThanOrEqual(1)
  if (!op.outputs.probabilities) return { y, result }
  const probabilities = result.output(op.outputs.probabilities)
  const off = worst(probabilities, expected.probabilities, attentionF32)
  expect(off.factor, `probabilities ${JSON.stringify(off)}`).toBeLessThanOrEqual(1)
  return { y, probabilities, result }
}

function build(given: Case) {
  const {
    batch = 1,
    length,
    keys,
    heads,
    headSize,
    keyBatch = batch,
    causal = false,
    bias,
    facts = {},
  } = given
  const width = heads * headSize
  const data = new Map<Tensor, Float32Array>()
  const make = (shape: readonly number[], label: string, values: Float32Array): Tensor => {
    const made = tensor(shape, label)
    data.set(made, values)
    return made
  }
  const stored = (values: Float32Array): Float32Array =>
    facts.activationType === 'f16' ? throughHalf(values) : values
  const neutral = (count: number, value: number, values: () => Float32Array): Float32Array =>
    given.neutral ? new Float32Array(count).fill(value) : values()
  const query = make([batch, length, width], 'query', stored(noise(batch * length * width, 1)))
  const key = make([keyBatch, keys, width], 'key', stored(noise(keyBatch * keys * width, 2)))
  const value = make([keyBatch, keys, width], 'value', stored(noise(keyBatch * keys * width, 3)))
  const biasCount = bias ? bias[0] * bias[1] * keys : 0
  const logitBias =
    bias &&
    make(
      [...bias, keys],
      'bias',
      // Some tokens are masked as padding is: with a large negative number.
      neutral(biasCount, 0, () =>
        noise(biasCount, 4).map((v, i) => (i % keys !== 1 && i % 5 === 0 ? -3e4 : v)),
      ),
    )
  const factors = (rows: number | undefined, label: string, seed: number): Tensor | undefined =>
    rows === undefined
      ? undefined
      : make(
          [rows, keys],
          label,
          neutral(rows * keys, 1, () => noise(rows * keys, seed, 1, 1)),
        )
  const tokenScale = factors(given.tokenScale, 'tokenScale', 5)
  const valueGain = factors(given.valueGain, 'valueGain', 6)
  const y = tensor([batch, length, width], 'y')
  const probabilities = given.capture ? tensor([batch, heads, length, keys], 'probabilities') : undefined
  const op: AttentionOp = {
    kind: 'attention',
    path: 'attention',
    inputs: {
      query,
      key,
      value,
      ...(logitBias && { logitBias }),
      ...(tokenScale && { tokenScale }),
      ...(valueGain && { valueGain }),
    },
    outputs: probabilities ? { y, probabilities } : { y },
    numHeads: heads,
    softmaxScale: 1 / Math.sqrt(headSize),
    causal,
  }
  // As in a program: activations follow the facts, what comes from or goes to the host is f32.
  const place = new Map<Tensor, Place>()
  for (const host of [logitBias, tokenScale, valueGain, probabilities])
    if (host) place.set(host, { type: 'f32' })
  if (given.fused) {
    for (const [index, part] of [query, key, value].entries()) {
      place.set(part, { buffer: 'qkv', offset: 4 + index * width, rowStride: 3 * width })
    }
  }
  const numbers = (of: Tensor | undefined): Float32Array | undefined => of && data.get(of)
  const [biasValues, scaleValues, gainValues] = [numbers(logitBias), numbers(tokenScale), numbers(valueGain)]
  const expected = attention({
    batch,
    length,
    keys,
    heads,
    headSize,
    softmaxScale: op.softmaxScale,
    causal,
    query: data.get(query) as Float32Array,
    key: data.get(key) as Float32Array,
    value: data.get(value) as Float32Array,
    ...(bias && biasValues && { logitBias: { batch: bias[0], length: bias[1], values: biasValues } }),
    ...(scaleValues && { tokenScale: scaleValues }),
    ...(gainValues && { valueGain: gainValues }),
  })
  return { op, data, expected, place }
}

/** Facts that force each kernel, and the head sizes that it takes. */
const variants = {
  'three-pass': { facts: {}, headSize: 12 },
  'three-pass without subgroups': { facts: { subgroupSize: 0 }, headSize: 12 },
  'three-pass on hardware': { facts: { subgroupSize: 0, software: false }, headSize: 164 },
  flash: { facts: { subgroupSize: 0, software: false }, headSize: 12 },
  simple: { facts: {}, headSize: 7 },
} satisfies Record<string, { facts: Partial<DeviceFacts>; headSize: number }>

describe.each(Object.entries(variants))('attention, %s', (name, { facts, headSize }) => {
  test('is the kernel meant', () => {
    const all = { subgroupSize: 8, software: true, ...facts } as DeviceFacts
    expect(name.startsWith(attentionVariant(all, headSize))).toBe(true)
  })

  test.each<[string, Omit<Case, 'headSize'>]>([
    ['a square of odd size, batch 2', { batch: 2, length: 19, keys: 19, heads: 3 }],
    ['one query, one key', { length: 1, keys: 1, heads: 1 }],
    ['more keys than a tile', { length: 5, keys: 77, heads: 2 }],
    ['more queries than a tile', { length: 131, keys: 3, heads: 1 }],
    ['keys shared by the batch', { batch: 2, keyBatch: 1, length: 9, keys: 6, heads: 2 }],
    ['causal', { length: 21, keys: 21, heads: 2, causal: true }],
    [
      'all controls, each batch its own',
      { batch: 2, length: 9, keys: 18, heads: 3, bias: [2, 9], tokenScale: 2, valueGain: 2, capture: true },
    ],
    [
      'all controls, shared, causal',
      {
        batch: 2,
        keyBatch: 1,
        length: 9,
        keys: 9,
        heads: 3,
        bias: [1, 1],
        tokenScale: 1,
        valueGain: 1,
        causal: true,
        capture: true,
      },
    ],
  ])('%s', async (_, given) => {
    await runAttention({ ...given, headSize, facts })
  })

  test('neutral controls and capture change no bit', async () => {
    const plain = { batch: 2, length: 13, keys: 27, heads: 2, headSize, facts }
    const { y } = await runAttention(plain)
    const neutral = { bias: [1, 13], tokenScale: 1, valueGain: 2, neutral: true, capture: true } as const
    expect((await runAttention({ ...plain, ...neutral })).y).toEqual(y)
  })
})

const half = await supportsHalf()

describe('attention', () => {
  test.each([{}, { subgroupSize: 0, software: false }])('on views of one fused product, %o', async facts => {
    await runAttention({ batch: 2, length: 10, keys: 10, heads: 2, headSize: 12, fused: true, facts })
  })

  test.skipIf(!half)('in f16 storage', async () => {
    const given = { batch: 2, length: 10, keys: 22, heads: 2, tokenScale: 1, capture: true }
    const f16 = { activationType: 'f16' as const }
    await runAttention({ ...given, headSize: 12, facts: { ...f16, subgroupSize: 0, software: false } })
    await runAttention({ ...given, headSize: 12, facts: f16 })
    await runAttention({ ...given, headSize: 5, facts: f16 })
  })

  test('in chunks of queries', async () => {
    const given = {
      batch: 2,
      length: 75,
      keys: 75,
      heads: 3,
      headSize: 12,
      causal: true,
      bias: [2, 75],
    } as const
    const { y, result } = await runAttention({
      ...given,
      tokenScale: 2,
      valueGain: 1,
      capture: true,
      budget: 1,
    })
    expect(result.dispatches.length).toBeGreaterThan(6)
    // The same queries, one chunk: every query's sums are independent of its neighbours.
    expect((await runAttention({ ...given, tokenScale: 2, valueGain: 1, capture: true })).y).toEqual(y)
  })

  test('heads of 40, more than a tile of columns', async () => {
    await runAttention({ length: 33, keys: 77, heads: 2, headSize: 40 })
  })

  test('large logits neither overflow nor lose the largest', async () => {
    for (const facts of [{}, { subgroupSize: 0, software: false }]) {
      const { op, data, place } = build({ length: 3, keys: 9, heads: 1, headSize: 12, facts })
      data.set(op.inputs.query, new Float32Array(36).fill(300))
      data.set(
        op.inputs.key,
        Float32Array.from({ length: 108 }, (_, i) => (Math.floor(i / 12) === 5 ? 300 : -300)),
      )
      const result = await runKernel(lowerAttention, op, { facts, inputs: data, place })
      const row = (data.get(op.inputs.value) as Float32Array).subarray(60, 72)
      expect(result.output(op.outputs.y)).toEqual(Float32Array.of(...row, ...row, ...row))
    }
  })
})
