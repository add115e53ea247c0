import { describe, expect, it } from 'vitest'
import { AttuneError } from '../../model/contract/errors.ts'
import {
  correctedForStableDiffusion,
  createScheduler,
  parseSchedulerConfig,
  parseSchedulerJson,
  samplerOfConfig,
} from '../../model/schedulers/index.ts'
import { config } from './fixtures.ts'

describe('parseSchedulerConfig', () => {
  it('names fields in our way, keeps unknown ones and forgets nulls', () => {
    const parsed = parseSchedulerConfig({
      _class_name: 'PNDMScheduler',
      _diffusers_version: '0.6.0',
      beta_start: 0.00085,
      predict_x0: true,
      trained_betas: null,
      skip_prk_steps: true,
    })
    expect(parsed).toEqual({
      className: 'PNDMScheduler',
      betaStart: 0.00085,
      predictX0: true,
      trainedBetas: undefined,
      other: { _diffusers_version: '0.6.0', skip_prk_steps: true },
    })
  })

  it('leaves out what diffusers filled in by itself', () => {
    const parsed = parseSchedulerConfig({
      timestep_spacing: 'leading',
      steps_offset: 1,
      _use_default_values: ['timestep_spacing'],
    })
    expect(parsed.timestepSpacing).toBeUndefined()
    expect(parsed.stepsOffset).toBe(1)
  })

  it.each([
    ['beta_start', { beta_start: '0.1' }],
    ['num_train_timesteps', { num_train_timesteps: 0 }],
    ['num_train_timesteps', { num_train_timesteps: 10.5 }],
    ['steps_offset', { steps_offset: -1 }],
    ['trained_betas.1', { trained_betas: [0.1, 'x'] }],
    ['use_karras_sigmas', { use_karras_sigmas: 1 }],
    ['prediction_type', { prediction_type: 3 }],
    ['the file', []],
    ['the file', null],
  ])('names the field whose type is wrong: %s', (field, json) => {
    expect(() => parseSchedulerConfig(json)).toThrow(AttuneError)
    expect(() => parseSchedulerConfig(json)).toThrow(field)
  })

  it('names all of them at once', () => {
    expect(() => parseSchedulerConfig({ beta_start: 'a', clip_sample: 'b' })).toThrow(
      /beta_start.*clip_sample/,
    )
  })
})

describe('parseSchedulerJson', () => {
  it("reads Python's bare infinities, but not those within strings", () => {
    const text = '{"lambda_min_clipped": -Infinity, "note": "-Infinity and NaN \\" Infinity", "odd": NaN}'
    const parsed = parseSchedulerJson(text)
    expect(parsed.lambdaMinClipped).toBe(-Infinity)
    expect(parsed.other).toEqual({ note: '-Infinity and NaN " Infinity', odd: null })
    expect(createScheduler('dpmpp_2m', parsed, 5).timesteps).toHaveLength(5)
  })

  it('says that a text is not JSON', () => {
    expect(() => parseSchedulerJson('{')).toThrow('is not JSON')
  })
})

describe('samplerOfConfig', () => {
  it.each([
    [{ _class_name: 'DDIMScheduler' }, 'ddim'],
    [{ _class_name: 'PNDMScheduler' }, 'dpmpp_2m'],
    [{ _class_name: 'EulerDiscreteScheduler' }, 'euler'],
    [{ _class_name: 'EulerAncestralDiscreteScheduler' }, 'euler_a'],
    [{ _class_name: 'HeunDiscreteScheduler' }, 'heun'],
    [{ _class_name: 'UniPCMultistepScheduler' }, 'unipc'],
    [{ _class_name: 'LCMScheduler' }, 'lcm'],
    [{ _class_name: 'DPMSolverMultistepScheduler' }, 'dpmpp_2m'],
    [{ _class_name: 'DPMSolverMultistepScheduler', use_karras_sigmas: true }, 'dpmpp_2m_karras'],
    [{ _class_name: 'DPMSolverMultistepScheduler', algorithm_type: 'sde-dpmsolver++' }, 'dpmpp_sde'],
    [{}, 'dpmpp_2m'],
  ])('%j is for %s', (json, sampler) => {
    expect(samplerOfConfig(parseSchedulerConfig(json))).toBe(sampler)
  })

  it.each(['FlowMatchEulerDiscreteScheduler', 'EDMEulerScheduler', 'toString'])('refuses %s', name => {
    expect(() => samplerOfConfig(parseSchedulerConfig({ _class_name: name }))).toThrow(name)
  })
})

describe('correctedForStableDiffusion', () => {
  it('corrects what the file states, for every sampler', () => {
    const stated = parseSchedulerConfig({ _class_name: 'PNDMScheduler', steps_offset: 0, clip_sample: true })
    expect(correctedForStableDiffusion(stated, 'ddim')).toMatchObject({ stepsOffset: 1, clipSample: false })
  })

  it('corrects what it leaves out for its own sampler alone', () => {
    const bare = parseSchedulerConfig({ _class_name: 'DDIMScheduler' })
    expect(correctedForStableDiffusion(bare, 'ddim')).toMatchObject({ stepsOffset: 1, clipSample: false })
    expect(correctedForStableDiffusion(bare, 'euler')).toEqual(bare)
  })
})

describe('a configuration that a sampler cannot serve is refused by name', () => {
  it.each([
    ['ddim', { thresholding: true }, 'thresholding'],
    ['lcm', { thresholding: true }, 'thresholding'],
    ['dpmpp_2m', { thresholding: true }, 'thresholding'],
    ['unipc', { thresholding: true }, 'thresholding'],
    ['euler', { prediction_type: 'flow_prediction' }, "prediction_type 'flow_prediction'"],
    ['euler_a', { prediction_type: 'sample' }, "prediction_type 'sample'"],
    ['euler', { timestep_spacing: 'log' }, "timestep_spacing 'log'"],
    ['euler', { beta_schedule: 'sigmoid' }, "beta_schedule 'sigmoid'"],
    ['euler', { use_beta_sigmas: true }, 'use_beta_sigmas'],
    ['unipc', { use_flow_sigmas: true }, 'use_flow_sigmas'],
    ['dpmpp_2m', { final_sigmas_type: 'one' }, "final_sigmas_type 'one'"],
    ['dpmpp_2m', { solver_order: 4 }, "solver_order '4'"],
    ['dpmpp_2m', { solver_type: 'rk' }, "solver_type 'rk'"],
    ['dpmpp_2m', { variance_type: 'learned' }, 'variance_type'],
    ['unipc', { lower_order_final: false }, 'lower_order_final'],
    ['unipc', { solver_p: { _class_name: 'DDIMScheduler' } }, 'solver_p'],
    ['heun', { use_karras_sigmas: true, use_exponential_sigmas: true }, 'use_exponential_sigmas'],
    ['ddim', { num_train_timesteps: 6, trained_betas: [0.1, 0.2] }, '2 trained_betas for 6'],
    ['ddim', { beta_start: -0.5 }, 'not within 0 and 1'],
    ['lcm', { num_train_timesteps: 20 }, 'original_inference_steps'],
    ['ddim', { rescale_betas_zero_snr: true, timestep_spacing: 'trailing' }, 'noise alone'],
  ] as const)('%s: %j', (sampler, json, message) => {
    const make = () => createScheduler(sampler, parseSchedulerConfig(json), 5)
    expect(make).toThrow(AttuneError)
    expect(make).toThrow(message)
  })

  it('keeps the configuration as it was', () => {
    const sd1 = config('sd1')
    const before = structuredClone(sd1)
    createScheduler('dpmpp_2m_karras', sd1, 5)
    expect(sd1).toEqual(before)
  })
})
