import { z } from 'zod'
import { AttuneError } from '../contract/errors.ts'
import { type PredictionType, predictionTypes, type SamplerId } from './scheduler.ts'

/**
 * The fields of diffusers' `scheduler_config.json` that we act on, under their names in the file. Every class
 * saves its own selection, and any file may be used with any sampler.
 */
const fields = {
  num_train_timesteps: z.int().min(1).max(1_000_000),
  beta_start: z.number(),
  beta_end: z.number(),
  beta_schedule: z.string(),
  trained_betas: z.array(z.number()),
  prediction_type: z.string(),
  timestep_spacing: z.string(),
  steps_offset: z.int().min(0),
  rescale_betas_zero_snr: z.boolean(),
  clip_sample: z.boolean(),
  clip_sample_range: z.number(),
  set_alpha_to_one: z.boolean(),
  thresholding: z.boolean(),
  interpolation_type: z.string(),
  timestep_type: z.string(),
  use_karras_sigmas: z.boolean(),
  use_exponential_sigmas: z.boolean(),
  use_beta_sigmas: z.boolean(),
  use_lu_lambdas: z.boolean(),
  use_flow_sigmas: z.boolean(),
  final_sigmas_type: z.string(),
  sigma_min: z.number(),
  sigma_max: z.number(),
  algorithm_type: z.string(),
  solver_order: z.int().min(1),
  solver_type: z.string(),
  lower_order_final: z.boolean(),
  euler_at_final: z.boolean(),
  // Python writes the default, minus infinity, as a bare word; see parseSchedulerJson.
  lambda_min_clipped: z.union([z.number(), z.literal([-Infinity, Infinity])]),
  variance_type: z.string(),
  predict_x0: z.boolean(),
  disable_corrector: z.array(z.int()),
  original_inference_steps: z.int().min(1),
  timestep_scaling: z.number(),
}

type Fields = typeof fields
type Camel<Name extends string> = Name extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<Camel<Tail>>}`
  : Name

/** A field that a file leaves out, or sets to null, is undefined: the sampler's own default holds. */
export type SchedulerFields = {
  readonly [Name in keyof Fields as Camel<Name>]?: z.infer<Fields[Name]> | undefined
}

export interface SchedulerConfig extends SchedulerFields {
  /** The class that saved the file, such as `PNDMScheduler`; undefined when the file does not say. */
  readonly className?: string | undefined
  /** All that the file holds beside, under the file's own names. */
  readonly other: Readonly<Record<string, unknown>>
}

const schema = z.looseObject({
  _class_name: z.string().nullish(),
  // diffusers' in-memory configurations list the fields that were not in the file.
  _use_default_values: z.array(z.string()).nullish(),
  ...(Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.nullish()])) as {
    [Name in keyof Fields]: z.ZodOptional<z.ZodNullable<Fields[Name]>>
  }),
})

/**
 * Reads the object of a `scheduler_config.json` written by any diffusers class.
 *
 * @param json the parsed file; unknown fields are kept in `other`
 * @throws AttuneError `bad-model` naming each field whose type is wrong
 */
export function parseSchedulerConfig(json: unknown): SchedulerConfig {
  const parsed = schema.safeParse(json)
  if (!parsed.success) {
    const problems = parsed.error.issues.map(
      issue => `${issue.path.join('.') || 'the file'}: ${issue.message}`,
    )
    throw new AttuneError(
      'bad-model',
      `The scheduler configuration cannot be used: ${problems.join('; ')}.`,
      'Take scheduler_config.json from the model as it was published.',
    )
  }
  const { _class_name: className, _use_default_values: defaulted, ...rest } = parsed.data
  const known: Record<string, unknown> = {}
  const other: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(rest)) {
    if (defaulted?.includes(name)) continue
    if (name in fields) known[camelCase(name)] = value ?? undefined
    else other[name] = value
  }
  return { ...(known as SchedulerFields), className: className ?? undefined, other }
}

/**
 * Reads the text of a `scheduler_config.json`. Python writes infinities and NaN as bare words, which JSON forbids,
 * and many published files hold `"lambda_min_clipped": -Infinity`.
 *
 * @throws AttuneError `bad-model` when the text is not JSON, and as {@link parseSchedulerConfig}
 */
export function parseSchedulerJson(text: string): SchedulerConfig {
  const words: Record<string, string> = { Infinity: '1e999', '-Infinity': '-1e999', NaN: 'null' }
  const plain = text.replace(/"(?:[^"\\]|\\.)*"|-?Infinity|NaN/g, token => words[token] ?? token)
  let json: unknown
  try {
    json = JSON.parse(plain)
  } catch (cause) {
    throw new AttuneError(
      'bad-model',
      `The scheduler configuration is not JSON: ${(cause as Error).message}.`,
      'Take scheduler_config.json from the model as it was published.',
      { cause },
    )
  }
  return parseSchedulerConfig(json)
}

function camelCase(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}

/** The nearest of our samplers for a class that we have not. */
const samplerOfClass: Readonly<Record<string, SamplerId>> = {
  DDIMScheduler: 'ddim',
  DDIMInverseScheduler: 'ddim',
  DDIMParallelScheduler: 'ddim',
  DDPMScheduler: 'ddim',
  DDPMParallelScheduler: 'ddim',
  // The file of Stable Diffusion 1.x. PLMS, like DPM-Solver++ 2M, keeps the last answers; the newer needs fewer steps.
  PNDMScheduler: 'dpmpp_2m',
  DEISMultistepScheduler: 'dpmpp_2m',
  DPMSolverSinglestepScheduler: 'dpmpp_2m',
  DPMSolverMultistepScheduler: 'dpmpp_2m',
  DPMSolverSDEScheduler: 'dpmpp_sde',
  EulerDiscreteScheduler: 'euler',
  LMSDiscreteScheduler: 'euler',
  EulerAncestralDiscreteScheduler: 'euler_a',
  KDPM2AncestralDiscreteScheduler: 'euler_a',
  HeunDiscreteScheduler: 'heun',
  KDPM2DiscreteScheduler: 'heun',
  UniPCMultistepScheduler: 'unipc',
  LCMScheduler: 'lcm',
  TCDScheduler: 'lcm',
}

/**
 * The sampler to use when the person names none: the class of the file, or the nearest that we have.
 *
 * @throws AttuneError `unsupported` for a class of another family (flow matching, EDM, ...)
 */
export function samplerOfConfig(config: SchedulerConfig): SamplerId {
  const { className } = config
  if (className === undefined) return 'dpmpp_2m'
  const sampler = Object.hasOwn(samplerOfClass, className) ? samplerOfClass[className] : undefined
  if (sampler === undefined)
    throw new AttuneError(
      'unsupported',
      `The model was trained for ${className}, which has no counterpart among our samplers.`,
      'Use a Stable Diffusion 1.x or 2.x model, or name a sampler yourself.',
    )
  if (sampler !== 'dpmpp_2m') return sampler
  if (config.algorithmType?.startsWith('sde-')) return 'dpmpp_sde'
  return config.useKarrasSigmas ? 'dpmpp_2m_karras' : 'dpmpp_2m'
}

/** The diffusers class that each sampler is. */
const classOfSampler: Readonly<Record<SamplerId, string>> = {
  ddim: 'DDIMScheduler',
  euler: 'EulerDiscreteScheduler',
  euler_a: 'EulerAncestralDiscreteScheduler',
  heun: 'HeunDiscreteScheduler',
  dpmpp_2m: 'DPMSolverMultistepScheduler',
  dpmpp_2m_karras: 'DPMSolverMultistepScheduler',
  dpmpp_sde: 'DPMSolverMultistepScheduler',
  unipc: 'UniPCMultistepScheduler',
  lcm: 'LCMScheduler',
}

/**
 * The configuration as diffusers' StableDiffusionPipeline (and its image-to-image form) corrects it when it is
 * handed a scheduler: `steps_offset` becomes 1 and `clip_sample` false, since files that say otherwise were
 * mistakes of conversion. (A clean latent is not bounded by 1, and clipping it ruins the picture.)
 *
 * What the file states is corrected for every sampler. What it leaves out is corrected only for the sampler that
 * the file is for; for another one its own default stays, as in `X.from_config(pipe.scheduler.config)`.
 */
export function correctedForStableDiffusion(config: SchedulerConfig, sampler: SamplerId): SchedulerConfig {
  const own = config.className === classOfSampler[sampler]
  return {
    ...config,
    ...(own || config.stepsOffset !== undefined ? { stepsOffset: 1 } : {}),
    ...(own || config.clipSample !== undefined ? { clipSample: false } : {}),
  }
}

const diffusersDefaults = {
  numTrainTimesteps: 1000,
  betaStart: 0.0001,
  betaEnd: 0.02,
  betaSchedule: 'linear',
  predictionType: 'epsilon',
  timestepSpacing: 'linspace',
  stepsOffset: 0,
  rescaleBetasZeroSnr: false,
  clipSample: false,
  clipSampleRange: 1,
  setAlphaToOne: true,
  thresholding: false,
  interpolationType: 'linear',
  timestepType: 'discrete',
  useKarrasSigmas: false,
  useExponentialSigmas: false,
  useBetaSigmas: false,
  useLuLambdas: false,
  useFlowSigmas: false,
  finalSigmasType: 'zero',
  solverOrder: 2,
  solverType: 'midpoint',
  lowerOrderFinal: true,
  eulerAtFinal: false,
  lambdaMinClipped: -Infinity,
  predictX0: true,
  disableCorrector: [] as readonly number[],
  originalInferenceSteps: 50,
  timestepScaling: 10,
}

/** A configuration with nothing left open. */
export type Settings = Readonly<typeof diffusersDefaults> &
  Readonly<{
    predictionType: PredictionType
    timestepSpacing: Spacing
    trainedBetas: readonly number[] | undefined
    sigmaMin: number | undefined
    sigmaMax: number | undefined
  }>

const spacings = ['linspace', 'leading', 'trailing'] as const
export type Spacing = (typeof spacings)[number]

/**
 * What diffusers' `X.from_config(config)` uses: the fields of the file, and for those that it leaves out the
 * defaults of class X.
 *
 * @param config the file
 * @param defaults where class X departs from the usual defaults
 * @throws AttuneError `unsupported` for a value that no sampler here knows
 */
export function settingsFor(config: SchedulerConfig, defaults: Partial<Settings>): Settings {
  const settings: Record<string, unknown> = { ...diffusersDefaults, ...defaults }
  for (const [name, value] of Object.entries(config)) if (value !== undefined) settings[name] = value
  const complete = settings as Settings
  choice('prediction_type', complete.predictionType, predictionTypes)
  choice('timestep_spacing', complete.timestepSpacing, spacings)
  return complete
}

/** @throws AttuneError `unsupported` when `value` is not among the `allowed` ones */
export function choice<Value extends string>(
  field: string,
  value: string,
  allowed: readonly Value[],
): asserts value is Value {
  if (!(allowed as readonly string[]).includes(value))
    throw new AttuneError(
      'unsupported',
      `The scheduler configuration has ${field} '${value}', which this sampler does not know.`,
      `It knows ${allowed.join(', ')}: choose another sampler or another model.`,
    )
}

/** @throws AttuneError `unsupported` when a field that we do not implement is switched on */
export function refuseFields(switches: Readonly<Record<string, boolean>>): void {
  for (const [field, on] of Object.entries(switches)) {
    if (on)
      throw new AttuneError(
        'unsupported',
        `The scheduler configuration switches ${field} on, which this sampler does not offer.`,
        `Set ${field} to false in scheduler_config.json, or choose another sampler.`,
      )
  }
}
