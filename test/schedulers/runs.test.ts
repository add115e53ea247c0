import { describe, expect, it } from 'vitest'
import { createScheduler, guidanceRescale } from '../../model/schedulers/index.ts'
import { type Case, config, fixture, relativeDistance, run, wave } from './fixtures.ts'

interface RunCase extends Case {
  readonly strength?: number
  readonly eta?: number
  readonly startIndex: number
  readonly draws: number
  readonly first: number[]
  readonly half: number[]
  readonly halfOriginal?: number[]
  readonly final: number[]
  /** The same run in float64, where diffusers' float32 run strays from it by `rounding`. */
  readonly halfDouble?: number[]
  readonly finalDouble?: number[]
  readonly rounding?: number
}

const { cases } = fixture<{ cases: RunCase[] }>('runs')

function name(c: RunCase): string {
  const more = [c.strength && `strength ${c.strength}`, c.eta && `eta ${c.eta}`].filter(Boolean).join(', ')
  return `${c.sampler} on ${c.config} in ${c.steps} steps ${more}`.trimEnd()
}

describe("whole runs are diffusers'", () => {
  it.each(cases.map(c => [name(c), c] as const))('%s', (_name, c) => {
    const scheduler = createScheduler(c.sampler, config(c.config), c.steps, {
      strength: c.strength,
      eta: c.eta,
    })
    const result = run(scheduler, c.strength === undefined ? undefined : wave(1))
    expect(scheduler.startIndex).toBe(c.startIndex)
    expect(scheduler.drawCount).toBe(c.draws)
    expect(result.draws).toBe(c.draws)
    expect(relativeDistance(result.first, c.first)).toBeLessThanOrEqual(1e-6)
    // Where diffusers' own rounding shows, we must be nearer to the exact run than it is.
    const bound = Math.max(1e-5, 2 * (c.rounding ?? 0))
    if (c.halfDouble) expect(relativeDistance(result.half, c.halfDouble)).toBeLessThanOrEqual(1e-5)
    if (c.finalDouble) expect(relativeDistance(result.final, c.finalDouble)).toBeLessThanOrEqual(1e-5)
    expect(relativeDistance(result.final, c.final)).toBeLessThanOrEqual(bound)
    expect(relativeDistance(result.half, c.half)).toBeLessThanOrEqual(bound)
    if (c.halfOriginal)
      expect(relativeDistance(result.halfOriginal, c.halfOriginal)).toBeLessThanOrEqual(bound)
  })
})

describe('guidanceRescale', () => {
  const rescales = fixture<{ cases: { phi: number; values: number[] }[] }>('guidance-rescale').cases
  const cond = Float32Array.of(...wave(3), ...wave(4))
  const guided = Float32Array.of(...wave(5).map(value => 3 * value + 1), ...wave(6).map(value => 7.5 * value))

  it.each(rescales.map(c => [c.phi, c] as const))(
    "is diffusers' rescale_noise_cfg at %s",
    (phi, { values }) => {
      expect(relativeDistance(guidanceRescale(cond, guided, phi, 2), values)).toBeLessThanOrEqual(1e-6)
    },
  )

  it('keeps a constant prediction, which has no spread', () => {
    const flat = new Float32Array(4).fill(2)
    expect(guidanceRescale(cond.slice(0, 4), flat, 1)).toEqual(flat)
  })

  it('refuses a phi beyond its range, and arrays that do not fit', () => {
    expect(() => guidanceRescale(cond, guided, 1.1)).toThrow('guidance rescale 1.1')
    expect(() => guidanceRescale(cond, guided, NaN)).toThrow('guidance rescale NaN')
    expect(() => guidanceRescale(cond, guided.slice(1), 0.5)).toThrow('Guidance rescale of')
  })
})
