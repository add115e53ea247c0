import { describe, expect, it } from 'vitest'
import { StepMapsCollector } from '../../host/maps/step-maps.ts'

const words = [
  { text: 'car', span: [0, 3] as const, columns: [0, 1] },
  { text: 'sky', span: [4, 7] as const, columns: [2] },
]

/** Sums over two layers of a 2×1 grid, as the network adds them up: tokens 0, 1 and 2 by position. */
function sums(...steps: readonly (readonly number[])[]): Float32Array {
  return Float32Array.from({ length: 6 }, (_, at) =>
    steps.reduce((sum, step) => sum + 2 * (step[at] as number), 0),
  )
}

const grid = { width: 2, height: 1, layers: 2 }
const first = [0.1, 0.2, 0.3, 0.2, 0.2, 0.5]
const second = [0, 0.1, 0.6, 0.3, 0.3, 0.4]

describe('maps of each step', () => {
  it('are what each step adds to the sums, in probabilities', () => {
    const collector = new StepMapsCollector()
    expect(collector.read()).toBeUndefined()
    collector.take({ step: 1, steps: 2, words, maps: [{ ...grid, sums: sums(first) }] })
    collector.take({ step: 2, steps: 2, words, maps: [{ ...grid, sums: sums(first, second) }] })
    // A tile of the decoder brings none.
    collector.take({ step: 2, steps: 2 })
    const { data, ...facts } = collector.read()!
    expect(facts).toEqual({ width: 2, height: 1, steps: [0, 1], words: [0, 1] })
    const expected = [0.3, 0.4, 0.3, 0.5, 0.1, 0.6, 0.6, 0.4]
    expect(data).toHaveLength(expected.length)
    for (const [at, value] of expected.entries()) expect(data[at]).toBeCloseTo(value, 6)
  })

  it('are never below zero, where rounding would put them', () => {
    const collector = new StepMapsCollector()
    const whole = Float32Array.of(1, 0, 0, 1, 0, 0)
    collector.take({ step: 1, steps: 2, words, maps: [{ ...grid, sums: whole }] })
    collector.take({ step: 2, steps: 2, words, maps: [{ ...grid, sums: whole.map(value => value - 1e-7) }] })
    expect(Math.min(...collector.read()!.data)).toBe(0)
  })

  it('are coarser where a run would fill the memory', () => {
    const collector = new StepMapsCollector()
    const large = { width: 64, height: 64, layers: 1, sums: new Float32Array(64 * 64 * 3).fill(0.25) }
    collector.take({ step: 1, steps: 4000, words, maps: [large] })
    const { width, height, data } = collector.read()!
    expect([width, height]).toEqual([32, 32])
    expect(data[0]).toBeCloseTo(0.5, 6)
  })
})
