import { describe, expect, it } from 'vitest'
import { AttuneError } from '../../model/contract/errors.ts'
import {
  createScheduler,
  parseSchedulerConfig,
  type SamplerId,
  samplerIds,
  startStep,
} from '../../model/schedulers/index.ts'
import { config, network, run, wave } from './fixtures.ts'

const noNoise = () => {
  throw new Error('This sampler asked for noise.')
}

describe.each(samplerIds)('%s', id => {
  const sd1 = config('sd1')

  it('repeats a run bit for bit after reset, and in a new scheduler', () => {
    const scheduler = createScheduler(id, sd1, 7)
    const first = run(scheduler).final
    scheduler.reset()
    expect(run(scheduler).final).toEqual(first)
    expect(run(createScheduler(id, sd1, 7)).final).toEqual(first)
  })

  it('resets in the middle of a step', () => {
    const scheduler = createScheduler(id, sd1, 7)
    for (let index = 0; index < 3; index++) scheduler.step(wave(9), index, wave(8), () => wave(7))
    scheduler.reset()
    expect(run(scheduler).final).toEqual(run(createScheduler(id, sd1, 7)).final)
  })

  it('changes none of its arguments, and does not mind when its results are changed', () => {
    const careful = run(createScheduler(id, sd1, 7)).final
    const scheduler = createScheduler(id, sd1, 7)
    let draws = 0
    let sample = wave(0).map(value => value * scheduler.initNoiseSigma)
    for (const [index, timestep] of scheduler.timesteps.entries()) {
      const input = scheduler.scaleModelInput(sample, index)
      expect(input).not.toBe(sample)
      const output = network(input, timestep)
      const [sampleBefore, outputBefore] = [sample.slice(), output.slice()]
      const result = scheduler.step(output, index, sample, () => wave(++draws + 1))
      expect(sample).toEqual(sampleBefore)
      expect(output).toEqual(outputBefore)
      const next = result.prevSample.slice()
      for (const array of [sample, output, result.prevSample, result.predOriginalSample]) array.fill(NaN)
      sample = next
    }
    expect(sample).toEqual(careful)
  })

  it('falls in timestep and in sigma, one of each per evaluation', () => {
    const { timesteps, sigmas } = createScheduler(id, config('zero_snr'), 20)
    expect(sigmas).toHaveLength(timesteps.length)
    for (let i = 1; i < timesteps.length; i++) {
      expect(timesteps[i]).toBeLessThanOrEqual(timesteps[i - 1] as number)
      expect(sigmas[i]).toBeLessThanOrEqual(sigmas[i - 1] as number)
    }
    expect(sigmas.every(Number.isFinite)).toBe(true)
  })

  it('puts the noise of any evaluation on a picture, as inpainting needs', () => {
    const scheduler = createScheduler(id, sd1, 7)
    for (const [index, sigma] of scheduler.sigmas.entries()) {
      const noisy = scheduler.addNoise(new Float32Array(24).fill(1), new Float32Array(24).fill(-1), index)
      const pure = scheduler.addNoise(new Float32Array(24), new Float32Array(24).fill(1), index)
      const clean = scheduler.addNoise(new Float32Array(24).fill(1), new Float32Array(24), index)
      expect((pure[0] as number) / (clean[0] as number) / sigma).toBeCloseTo(1, 5)
      expect(noisy[0]).toBeCloseTo((clean[0] as number) - (pure[0] as number), 4)
    }
  })

  it('takes a single step from noise alone', () => {
    const scheduler = createScheduler(id, config('sd2_v'), 1)
    expect(scheduler.timesteps).toHaveLength(1)
    expect(run(scheduler).final.every(Number.isFinite)).toBe(true)
  })

  it.each([0, -3, 2.5, NaN, Infinity, 1_000_000])('refuses %s steps', steps => {
    const make = () => createScheduler(id, sd1, steps)
    expect(make).toThrow(AttuneError)
    expect(make).toThrow(/steps (cannot be taken|are too many)/)
    expect(() => createScheduler(id, sd1, steps, { strength: 0.5 })).toThrow(/steps (cannot|are too many)/)
  })

  it('says so when an evaluation is skipped, repeated or out of range, or a length is wrong', () => {
    const scheduler = createScheduler(id, sd1, 7)
    expect(() => scheduler.step(wave(1), 1, wave(2), () => wave(3))).toThrow('where 0 was due')
    expect(() => scheduler.scaleModelInput(wave(1), 99)).toThrow('Evaluation 99')
    expect(() => scheduler.step(new Float32Array(3), 0, wave(2), () => wave(3))).toThrow('3 numbers')
    scheduler.step(wave(1), 0, wave(2), () => wave(3))
    expect(() => scheduler.step(wave(1), 0, wave(2), () => wave(3))).toThrow('where 1 was due')
  })

  it('counts its draws before the run', () => {
    for (const strength of [1, 0.5]) {
      const scheduler = createScheduler(id, sd1, 8, { strength })
      expect(run(scheduler, wave(1)).draws).toBe(scheduler.drawCount)
    }
  })
})

describe('the number of evaluations', () => {
  it('is one a step, but for Heun two and at the last one', () => {
    const lengths = samplerIds.map(id => createScheduler(id, config('sd1'), 10).timesteps.length)
    expect(lengths).toEqual([10, 10, 10, 19, 10, 10, 10, 10, 10])
  })

  it('is that of the steps under trailing too, where numpy would add the timestep -1', () => {
    for (const id of samplerIds) {
      if (id === 'lcm' || id === 'heun') continue
      const { timesteps } = createScheduler(id, config('trailing'), 61)
      expect(timesteps).toHaveLength(61)
      expect(Math.min(...timesteps)).toBeGreaterThanOrEqual(0)
    }
  })
})

describe('the greatest number of steps', () => {
  it.each([
    ['ddim', 'sd1', 999, 1001],
    ['ddim', 'trailing', 1000, 1001],
    ['euler', 'sd1', 1500, 10_001],
    ['euler', 'sd1_leading', 1000, 1001],
    ['heun', 'trailing', 1200, 10_001],
    ['dpmpp_2m', 'sd1', 900, 1000],
    ['dpmpp_2m_karras', 'sd1', 1200, 10_001],
    ['unipc', 'trailing', 999, 1000],
    ['lcm', 'sd1', 50, 51],
  ] as const)('of %s on %s is at least %i and below %i', (id, name, most, tooMany) => {
    expect(createScheduler(id, config(name), most).timesteps.length).toBeGreaterThanOrEqual(most)
    expect(() => createScheduler(id, config(name), tooMany)).toThrow('too many')
  })

  it('is less where two steps would meet on one timestep', () => {
    expect(() => createScheduler('unipc', config('sd1'), 999)).not.toThrow()
    const clipped = parseSchedulerConfig({ beta_schedule: 'squaredcos_cap_v2', lambda_min_clipped: -5.1 })
    expect(() => createScheduler('dpmpp_2m', clipped, 999)).toThrow('would fall on one timestep')
  })

  it('is less for DDIM when steps_offset moves the first timestep beyond training', () => {
    expect(() => createScheduler('ddim', config('sd1'), 1000)).toThrow('steps_offset')
  })
})

describe('image-to-image', () => {
  it.each([
    [10, 1, 0],
    [10, 0.6, 4],
    [50, 0.8, 10],
    [20, 0.05, 19],
    // 0.29 * 100 is a little below 29: diffusers truncates, so 28 steps remain.
    [100, 0.29, 72],
  ])('of %i steps at strength %s begins with step %i', (steps, strength, start) => {
    expect(startStep(steps, strength)).toBe(start)
    const scheduler = createScheduler('euler', config('sd1'), steps, { strength })
    expect(scheduler.startIndex).toBe(start)
    expect(createScheduler('heun', config('sd1'), steps, { strength }).startIndex).toBe(2 * start)
  })

  it('equals a run that is told where to begin', () => {
    const byStrength = createScheduler('unipc', config('sd1'), 10, { strength: 0.5 })
    const byIndex = createScheduler('unipc', config('sd1'), 10, { startIndex: 5 })
    expect(run(byIndex, wave(1))).toEqual(run(byStrength, wave(1)))
  })

  it.each([0, -1, 1.01, NaN])('refuses the strength %s', strength => {
    expect(() => createScheduler('ddim', config('sd1'), 10, { strength })).toThrow(`strength ${strength}`)
  })

  it('refuses a strength that leaves no step, and says how many it takes', () => {
    expect.assertions(2)
    try {
      createScheduler('ddim', config('sd1'), 10, { strength: 0.03 })
    } catch (error) {
      expect((error as AttuneError).message).toContain('none of 10 steps')
      expect((error as AttuneError).remedy).toContain('34 steps')
    }
  })

  it.each([
    ['ddim', 10],
    ['ddim', -1],
    ['ddim', 1.5],
    ['heun', 3],
  ] as const)('refuses to begin %s at evaluation %s', (id, startIndex) => {
    expect(() => createScheduler(id, config('sd1'), 10, { startIndex })).toThrow('cannot begin at')
  })
})

describe('what a sampler refuses', () => {
  it('is an unknown name', () => {
    expect(() => createScheduler('plms' as SamplerId, config('sd1'), 10)).toThrow("called 'plms'")
  })

  it('is an eta beyond its range', () => {
    expect(() => createScheduler('ddim', config('sd1'), 10, { eta: 1.5 })).toThrow('eta 1.5')
  })

  it('is, for LCM, a UNet that wants the guidance scale as an embedding', () => {
    expect(() => createScheduler('lcm', config('sd1'), 4, { timeCondProjDim: 256 })).toThrow(
      'time_cond_proj_dim',
    )
    expect(createScheduler('lcm', config('sd1'), 4, { timeCondProjDim: null }).timesteps).toEqual([
      999, 759, 499, 259,
    ])
  })
})

it('asks for no noise where none is added', () => {
  for (const id of ['ddim', 'euler', 'heun', 'dpmpp_2m', 'dpmpp_2m_karras', 'unipc'] as const) {
    const scheduler = createScheduler(id, config('sd1'), 3)
    expect(scheduler.drawCount).toBe(0)
    expect(() => scheduler.step(wave(1), 0, wave(2), noNoise)).not.toThrow()
  }
})
