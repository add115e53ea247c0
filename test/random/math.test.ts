import { describe, expect, it } from 'vitest'
import { acos, ln, sincos } from '../../model/random/math.ts'
import { MersenneTwister } from '../../model/random/mt19937.ts'

/** Uniform numbers in [0, 1) for probing. */
const engine = new MersenneTwister(1)
const uniform = () => engine.nextUint32() * 2 ** -32

describe('MersenneTwister', () => {
  it('gives the reference value: the 10,000th output of seed 5489 is 4123659995 (C++11, [rand.predef])', () => {
    const reference = new MersenneTwister(5489)
    for (let i = 1; i < 10_000; i++) reference.nextUint32()
    expect(reference.nextUint32()).toBe(4123659995)
  })
})

describe('ln', () => {
  it('agrees with Math.log to 1e-12, over all magnitudes', () => {
    let greatest = 0
    for (let i = 0; i < 20_000; i++) {
      const x = (1 + uniform()) * 2 ** (Math.floor(uniform() * 2040) - 1020)
      greatest = Math.max(greatest, Math.abs(ln(x) - Math.log(x)))
    }
    expect(greatest).toBeLessThanOrEqual(1e-12)
  })

  it('keeps its relative precision near 1', () => {
    for (let power = 1; power <= 52; power++) {
      for (const x of [1 + 2 ** -power, 1 - 2 ** -power]) {
        expect(Math.abs(ln(x) / Math.log(x) - 1)).toBeLessThan(1e-15)
      }
    }
    expect(ln(1)).toBe(0)
  })

  it('treats the edges as Math.log does', () => {
    for (const x of [0, -0, -1, NaN, Infinity, -Infinity]) expect(ln(x)).toBe(Math.log(x))
    for (const x of [5e-324, 2 ** -1040, Number.MAX_VALUE]) expect(ln(x)).toBeCloseTo(Math.log(x), 12)
  })
})

describe('sincos', () => {
  it('agrees with Math.sin and Math.cos to 1e-12 over twenty turns and more', () => {
    let greatest = 0
    for (let i = 0; i < 20_000; i++) {
      const x = i % 4 === 0 ? (uniform() - 0.5) * 2e5 : (uniform() - 0.5) * 40 * Math.PI
      const { sin, cos } = sincos(x)
      greatest = Math.max(greatest, Math.abs(sin - Math.sin(x)), Math.abs(cos - Math.cos(x)))
    }
    expect(greatest).toBeLessThanOrEqual(1e-12)
  })

  it('is exact at the quarters to within the rounding of pi', () => {
    for (let quarter = -8; quarter <= 8; quarter++) {
      const x = (quarter * Math.PI) / 2
      expect(Math.abs(sincos(x).sin - Math.sin(x))).toBeLessThan(1e-15)
      expect(Math.abs(sincos(x).cos - Math.cos(x))).toBeLessThan(1e-15)
    }
  })

  it('gives NaN where it would be inexact', () => {
    for (const x of [NaN, Infinity, 2e6]) expect(sincos(x)).toEqual({ sin: NaN, cos: NaN })
  })
})

describe('acos', () => {
  it('agrees with Math.acos to 1e-12', () => {
    let greatest = 0
    for (let i = 0; i < 10_000; i++) {
      const x = uniform() * 2 - 1
      greatest = Math.max(greatest, Math.abs(acos(x) - Math.acos(x)))
    }
    expect(greatest).toBeLessThanOrEqual(1e-12)
    for (const x of [-1, -0.5, 0, 0.5, 1]) expect(acos(x)).toBeCloseTo(Math.acos(x), 14)
    expect(acos(1.0001)).toBeNaN()
  })
})
