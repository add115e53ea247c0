import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { AttuneError } from '../../model/contract/errors.ts'
import {
  gaussianSource,
  PhiloxGenerator,
  type RandomKind,
  slerpNoise,
  TorchCpuGenerator,
} from '../../model/random/index.ts'
import { elementCount } from '../../model/tensor/shape.ts'

function fixture<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../fixtures/random/${name}.json`, import.meta.url), 'utf8')) as T
}

function greatestDistance(actual: ArrayLike<number>, expected: readonly number[]): number {
  expect(actual.length).toBe(expected.length)
  let greatest = 0
  for (let i = 0; i < expected.length; i++) {
    const distance = Math.abs((actual[i] as number) - (expected[i] as number))
    // NaN must not slip through a comparison.
    greatest = distance <= greatest ? greatest : distance
  }
  return greatest
}

/** FNV-1a over the bytes of a draw. */
function checksum(kind: RandomKind): string {
  let hash = 0x811c9dc5
  for (const byte of new Uint8Array(gaussianSource(kind, 20_241_123n).randn(20_003).buffer))
    hash = Math.imul(hash ^ byte, 0x01000193)
  return (hash >>> 0).toString(16)
}

interface TorchCase {
  seed: string
  draws: { shape: number[]; at?: number[]; values: number[] }[]
}

describe('TorchCpuGenerator', () => {
  const { cases } = fixture<{ cases: TorchCase[] }>('torch-cpu')

  it.each(
    cases.map(c => [`seed ${c.seed}, ${c.draws.map(d => d.shape.join('x')).join(' then ')}`, c] as const),
  )('draws what torch draws: %s', (_name, { seed, draws }) => {
    const generator = new TorchCpuGenerator(BigInt(seed))
    for (const { shape, at, values } of draws) {
      const drawn = generator.randn(elementCount(shape))
      const picked = at ? at.map(i => drawn[i] as number) : drawn
      expect(greatestDistance(picked, values)).toBeLessThanOrEqual(1e-6)
    }
  })

  it('gives the first row that everybody knows for seed 0', () => {
    const row = [...new TorchCpuGenerator(0n).randn(16)].map(value => value.toFixed(4)).join(' ')
    expect(row).toBe(
      '-1.1258 -1.1524 -0.2506 -0.4339 0.8487 0.6920 -0.3160 -2.1152 ' +
        '0.3223 -1.2633 0.3500 0.3081 0.1198 1.2377 1.1168 -0.2473',
    )
  })

  it('looks at the low 32 bits of the seed alone', () => {
    expect(new TorchCpuGenerator(7n).randn(32)).toEqual(new TorchCpuGenerator(7n + 5n * 2n ** 32n).randn(32))
  })

  it('has the moments of a standard normal', () => {
    const values = new TorchCpuGenerator(11n).randn(160_000)
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length
    expect(Math.abs(mean)).toBeLessThan(0.01)
    expect(Math.abs(variance - 1)).toBeLessThan(0.015)
  })
})

describe('PhiloxGenerator', () => {
  const { printedByCuda, cases } = fixture<{
    printedByCuda: number[]
    cases: { seed: string; draws: number[][] }[]
  }>('philox')

  it('draws what a CUDA generator printed', () => {
    expect(greatestDistance(new PhiloxGenerator(0n).randn(12), printedByCuda)).toBeLessThanOrEqual(5e-7)
  })

  it.each(cases.map(c => [c.seed, c] as const))(
    'follows the algorithm for seed %s',
    (_seed, { seed, draws }) => {
      const generator = new PhiloxGenerator(BigInt(seed))
      for (const values of draws)
        expect(greatestDistance(generator.randn(values.length), values)).toBeLessThanOrEqual(2e-7)
    },
  )

  it('begins a longer draw with the numbers of a shorter one', () => {
    expect(new PhiloxGenerator(3n).randn(100).subarray(0, 37)).toEqual(new PhiloxGenerator(3n).randn(37))
  })
})

describe('gaussianSource', () => {
  it('is bit-identical everywhere: the checksums of the two streams never change', () => {
    // A change here breaks every saved seed: it needs a very good reason.
    expect({ cpu: checksum('cpu'), cuda: checksum('cuda') }).toMatchInlineSnapshot(`
      {
        "cpu": "ff5a839c",
        "cuda": "a5f4f5e8",
      }
    `)
  })

  it('gives an empty draw without using the stream up', () => {
    const source = gaussianSource('cpu', 4n)
    expect(source.randn(0)).toHaveLength(0)
    expect(source.randn(16)).toEqual(gaussianSource('cpu', 4n).randn(16))
  })

  it.each([2n ** 64n, -(2n ** 63n) - 1n])('refuses the seed %s', seed => {
    expect(() => gaussianSource('cpu', seed)).toThrow(AttuneError)
    expect(() => gaussianSource('cuda', seed)).toThrow('not a whole number')
  })

  it.each([-1, 1.5, NaN, Infinity])('refuses to draw %s numbers', count => {
    expect(() => gaussianSource('cpu', 0n).randn(count)).toThrow('random numbers were asked for')
    expect(() => gaussianSource('cuda', 0n).randn(count)).toThrow('random numbers were asked for')
  })

  it('names an unknown kind', () => {
    expect(() => gaussianSource('dice' as RandomKind, 0n)).toThrow("called 'dice'")
  })
})

describe('slerpNoise', () => {
  const { cases } = fixture<{
    cases: { shape: number[]; seeds: [string, string]; strength: number; values: number[] }[]
  }>('slerp')

  it.each(cases.map(c => [c.strength, c] as const))('blends as A1111 at strength %s', (strength, c) => {
    const [base, variation] = c.seeds.map(seed =>
      new TorchCpuGenerator(BigInt(seed)).randn(elementCount(c.shape)),
    )
    const blended = slerpNoise(base as Float32Array, variation as Float32Array, strength, c.shape)
    expect(greatestDistance(blended, c.values)).toBeLessThanOrEqual(5e-6)
  })

  it('blends straight where there is no arc', () => {
    const base = new TorchCpuGenerator(1n).randn(12)
    const opposed = base.map(value => -value)
    expect(greatestDistance(slerpNoise(base, base, 0.3, [1, 4, 3]), [...base])).toBeLessThan(1e-6)
    expect(slerpNoise(base, opposed, 0.5, [1, 4, 3]).every(value => value === 0)).toBe(true)
  })

  it('refuses a strength or a shape that does not fit', () => {
    const noise = new Float32Array(12)
    expect(() => slerpNoise(noise, noise, 1.5, [1, 4, 3])).toThrow('strength 1.5')
    expect(() => slerpNoise(noise, noise, 0.5, [1, 4, 4])).toThrow('[1, 4, 4]')
    expect(() => slerpNoise(noise, noise, 0.5, [12])).toThrow('[12]')
  })
})
