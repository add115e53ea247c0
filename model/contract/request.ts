/**
 * What a person can ask for in one picture: plain, serialisable values that mean the same on the command line, in
 * the window, in a queued job and in the record inside a PNG. Files (a model, an init image, latents) are not in
 * here: each door reads its own and hands them to the engine beside the request.
 */
import { z } from 'zod'
import { type Controls, controlsSchema, hasNoControls } from './controls.ts'
import { AttuneError } from './errors.ts'
import { type ControlGuide, guidesSchema } from './guides.ts'
import { type ImagePrompt, imagePromptsSchema } from './image-prompts.ts'
import {
  promptDialects,
  type PromptDialect,
  type WeightCurve,
  weightCurvesSchema,
  type WeightLaw,
  weightLaws,
} from './prompt.ts'

/** The samplers by the names of the command line. */
export const samplers = [
  'ddim',
  'euler',
  'euler_a',
  'heun',
  'dpmpp_2m',
  'dpmpp_2m_karras',
  'dpmpp_sde',
  'unipc',
  'lcm',
] as const
export type Sampler = (typeof samplers)[number]

/** Number formats of a run: f16 stores weights and activations in half, f32 is for parity. Sums are f32 in both. */
export const precisions = ['f32', 'f16'] as const
export type Precision = (typeof precisions)[number]

/**
 * Where noise comes from: `cpu` gives the numbers of PyTorch's CPU generator, `philox` those of its CUDA
 * generator. A seed means the same picture only together with this.
 */
export const noiseGenerators = ['cpu', 'philox'] as const
export type NoiseGenerator = (typeof noiseGenerators)[number]

export const requestLimits = {
  /** Longest prompt in characters: far above any text encoder's use, far below what would stall a parser. */
  promptLength: 200_000,
  smallestSide: 8,
  largestSide: 16_384,
  /** Number of sampling steps: above the training steps of any known model there is nothing to sample. */
  steps: 1_000,
  guidance: 100,
  clipSkip: 12,
  /** Pixels: below it the edges of a tile cost many times the tile. */
  smallestTile: 64,
  /** Seeds are unsigned 64-bit numbers, so they travel as decimal text: a double would round them. */
  largestSeed: 18_446_744_073_709_551_615n,
} as const

const integerBetween = (least: number, most: number) =>
  z
    .number('must be a number')
    .refine(Number.isInteger, 'must be a whole number')
    .refine(value => value >= least && value <= most, `must be between ${least} and ${most}`)

const numberBetween = (least: number, most: number) =>
  z.number('must be a number').refine(value => value >= least && value <= most, {
    message: `must be between ${least} and ${most}`,
  })

const isSeed = (text: string) => /^[0-9]{1,20}$/.test(text) && BigInt(text) <= requestLimits.largestSeed

export const seedSchema = z
  .string()
  .refine(isSeed, `must be a whole number from 0 to ${requestLimits.largestSeed}`)
  // One seed has one spelling, so that equal requests are equal text.
  .transform(text => (isSeed(text) ? BigInt(text).toString() : text))

const side = integerBetween(requestLimits.smallestSide, requestLimits.largestSide)
const prompt = z
  .string()
  .max(requestLimits.promptLength, `must be at most ${requestLimits.promptLength} characters`)

/**
 * A request as a person makes it. What is left out is the model's choice (size, steps, guidance, sampler) and is
 * settled by `resolveRequest` once the model's configuration is read.
 */
export const generateRequestSchema = z.strictObject({
  prompt,
  negativePrompt: prompt.default(''),
  width: side.optional(),
  height: side.optional(),
  steps: integerBetween(1, requestLimits.steps).optional(),
  /** Classifier-free guidance; 1 switches it off (one network pass a step instead of two). */
  guidanceScale: numberBetween(0, requestLimits.guidance).optional(),
  /** diffusers' guidance_rescale: 0 leaves the guided prediction as it is. */
  guidanceRescale: numberBetween(0, 1).default(0),
  seed: seedSchema,
  rng: z.enum(noiseGenerators).default('cpu'),
  sampler: z.enum(samplers).optional(),
  precision: z.enum(precisions).optional(),
  /** How much of an init image is drawn anew: 1 ignores it, near 0 keeps it. Only used with an init image. */
  strength: numberBetween(0, 1).optional(),
  /** A1111's counting: 1 is the last layer of the text encoder, 2 the last but one. */
  clipSkip: integerBetween(1, requestLimits.clipSkip).optional(),
  /** How emphasis is written in both prompts. */
  dialect: z.enum(promptDialects).default('a1111'),
  /** What a weight does; the law of the dialect's own program unless given. */
  emphasis: z.enum(weightLaws).optional(),
  /** Numbers in `[from:to:when]` as A1111 read them before 1.6. */
  oldTimeline: z.boolean().optional(),
  /** Weights of words of the prompt that move over the steps. */
  weightCurves: weightCurvesSchema.optional(),
  /** What is asked of the attention between words and picture. */
  controls: controlsSchema.optional(),
  /** Pictures that guide the drawing through ControlNets; each door hands over what they name. */
  guides: guidesSchema.optional(),
  /** Pictures that stand beside the words, through IP-Adapters; likewise. */
  imagePrompts: imagePromptsSchema.optional(),
  /** Encode and decode in tiles of so many pixels a side; the engine decides when absent. */
  vaeTile: integerBetween(requestLimits.smallestTile, requestLimits.largestSide).optional(),
})

export type GenerateRequest = z.output<typeof generateRequestSchema>
export type GenerateRequestInput = z.input<typeof generateRequestSchema>

/** What a model (or, failing that, its family) draws with when the person does not say. */
export interface ModelDefaults {
  readonly width: number
  readonly height: number
  readonly steps: number
  readonly guidanceScale: number
  readonly sampler: Sampler
  readonly precision: Precision
  readonly clipSkip: number
}

/** A request with nothing left open: what is run, and what the PNG records. */
export interface ResolvedRequest {
  readonly prompt: string
  readonly negativePrompt: string
  readonly width: number
  readonly height: number
  readonly steps: number
  readonly guidanceScale: number
  readonly guidanceRescale: number
  readonly seed: string
  readonly rng: NoiseGenerator
  readonly sampler: Sampler
  readonly precision: Precision
  readonly clipSkip: number
  /** Absent in records from before there were dialects: then prompts are plain text. */
  readonly dialect?: PromptDialect
  /** Absent: the dialect's own law. */
  readonly emphasis?: WeightLaw
  readonly oldTimeline?: boolean
  readonly weightCurves?: readonly WeightCurve[]
  /** Present where something is asked for. */
  readonly controls?: Controls
  /** Present where there are any. */
  readonly guides?: readonly ControlGuide[]
  readonly imagePrompts?: readonly ImagePrompt[]
  /** Present for a run that begins from an image. */
  readonly strength?: number
  /** Present where tiles were asked for. */
  readonly vaeTile?: number
}

/**
 * Validates a request from outside.
 * @param label turns a field's name into the words that the person typed, e.g. `guidanceScale` → `--guidance`
 * @throws AttuneError `bad-argument` naming every field that cannot be used
 */
export function parseRequest(
  input: unknown,
  label: (field: string) => string = field => field,
): GenerateRequest {
  const parsed = generateRequestSchema.safeParse(input)
  if (parsed.success) return parsed.data
  // The first problem of each field: 3.5 is not a whole number, that it is small as well helps nobody.
  const first = new Map(parsed.error.issues.toReversed().map(issue => [issue.path.join('.'), issue]))
  const problems = [...first.values()].reverse().map(issue => describeIssue(issue, input, label))
  throw new AttuneError('bad-argument', problems.join('. ') + '.', 'Correct the value and run again.')
}

function describeIssue(issue: z.core.$ZodIssue, input: unknown, label: (field: string) => string): string {
  if (issue.code === 'unrecognized_keys') return `Unknown setting ${issue.keys.join(', ')}`
  const field = issue.path.length ? issue.path.map(String).join('.') : 'request'
  const given = issue.path.reduce<unknown>(
    (value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key],
    input,
  )
  if (given !== null && typeof given === 'object') return `${label(field)} ${issue.message}`
  const shown = typeof given === 'string' && given.length > 40 ? `${given.slice(0, 40)}…` : String(given)
  return `${label(field)} ${issue.message}, but is ${shown}`
}

/**
 * Checks a picture's size against the model's factor: the number of pixels that one cell of its coarsest grid
 * covers (the VAE's reduction times the UNet's). Known only after the model's configuration is read.
 * @throws AttuneError `bad-argument` that names the nearest sizes
 */
export function checkSize(width: number, height: number, factor: number): void {
  for (const [name, size] of [
    ['width', width],
    ['height', height],
  ] as const) {
    if (!Number.isInteger(size) || size < requestLimits.smallestSide || size > requestLimits.largestSide) {
      throw new AttuneError(
        'bad-argument',
        `The ${name} must be a whole number of pixels from ${requestLimits.smallestSide} to ${requestLimits.largestSide}, but is ${size}.`,
        `Choose a ${name} in that range.`,
      )
    }
  }
  if (width % factor === 0 && height % factor === 0) return
  const near = (size: number) => {
    const below = Math.max(factor, Math.floor(size / factor) * factor)
    const above = Math.ceil(size / factor) * factor
    return below === above ? `${below}` : `${below} or ${above}`
  }
  const wrong = width % factor ? (height % factor ? 'width and height' : 'width') : 'height'
  throw new AttuneError(
    'bad-argument',
    `A picture of ${width}x${height} does not fit this model: its ${wrong} must be a multiple of ${factor} pixels.`,
    `Use width ${near(width)} and height ${near(height)}.`,
  )
}

/**
 * Fills what the person left open, and checks the size.
 * @param factor see `checkSize`
 * @param initSize the init image's own size, which wins over the model's default (rounded down to the factor, as
 *   diffusers does)
 */
export function resolveRequest(
  request: GenerateRequest,
  defaults: ModelDefaults,
  factor: number,
  initSize?: { readonly width: number; readonly height: number },
): ResolvedRequest {
  const fit = (size: number) => Math.max(factor, Math.floor(size / factor) * factor)
  const width = request.width ?? (initSize ? fit(initSize.width) : defaults.width)
  const height = request.height ?? (initSize ? fit(initSize.height) : defaults.height)
  checkSize(width, height, factor)
  return {
    prompt: request.prompt,
    negativePrompt: request.negativePrompt,
    width,
    height,
    steps: request.steps ?? defaults.steps,
    guidanceScale: request.guidanceScale ?? defaults.guidanceScale,
    guidanceRescale: request.guidanceRescale,
    seed: request.seed,
    rng: request.rng,
    sampler: request.sampler ?? defaults.sampler,
    precision: request.precision ?? defaults.precision,
    clipSkip: request.clipSkip ?? defaults.clipSkip,
    dialect: request.dialect,
    ...(request.emphasis && { emphasis: request.emphasis }),
    ...(request.oldTimeline && { oldTimeline: true }),
    ...(request.weightCurves?.length && { weightCurves: request.weightCurves }),
    ...(request.controls && !hasNoControls(request.controls) && { controls: request.controls }),
    ...(request.guides?.length && { guides: request.guides }),
    ...(request.imagePrompts?.length && { imagePrompts: request.imagePrompts }),
    // diffusers' default for both image-to-image and inpainting is 0.8 and 1; one value is easier to remember.
    ...(initSize ? { strength: request.strength ?? 0.8 } : {}),
    ...(request.vaeTile !== undefined && { vaeTile: request.vaeTile }),
  }
}
