import { describe, expect, it } from 'vitest'
import { createScheduler } from '../../model/schedulers/index.ts'
import { type Case, config, fixture } from './fixtures.ts'

interface TableCase extends Case {
  readonly timesteps: number[]
  readonly sigmas: number[]
  readonly initNoiseSigma: number
}

const { cases } = fixture<{ cases: TableCase[] }>('tables')

/** Each value within a relative distance of the expected one, or within 1e-7 (log sigma crosses zero). */
function expectClose(actual: readonly number[], expected: readonly number[], tolerance = 1e-6): void {
  for (const [i, value] of expected.entries()) {
    const distance = Math.abs((actual[i] as number) - value)
    if (!(distance <= Math.max(1e-7, tolerance * Math.abs(value))))
      expect(actual[i], `entry ${i}`).toBe(value)
  }
}

describe("timesteps and sigmas are diffusers'", () => {
  it.each(cases.map(c => [c.sampler, c.config, c.steps, c] as const))(
    '%s on %s in %i steps',
    (...[, , , c]) => {
      const scheduler = createScheduler(c.sampler, config(c.config), c.steps)
      // torch's square root is Intel MKL's on some machines, off by one unit of f32 in every fifth value; rescaling
      // to zero SNR subtracts such roots. Ours are rounded correctly everywhere.
      const tolerance = c.config.startsWith('zero_snr') ? 4e-6 : 1e-6
      expect(scheduler.timesteps).toHaveLength(c.timesteps.length)
      expect(scheduler.sigmas).toHaveLength(c.timesteps.length)
      expectClose(scheduler.timesteps, c.timesteps)
      expectClose(scheduler.sigmas, c.sigmas.slice(0, c.timesteps.length), tolerance)
      expectClose([scheduler.initNoiseSigma], [c.initNoiseSigma])
    },
  )
})
