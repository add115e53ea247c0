/**
 * The words of `attune generate` and `attune explain`, and those that every command that draws has: their definition,
 * what is refused by name because a later version brings it, and the way from text to a validated job. Looks at no
 * file; `commands/job.ts` does.
 */
import { randomBytes } from 'node:crypto'
import { Command, Option } from 'commander'
import { AttuneError } from '../model/contract/errors.ts'
import { type PromptDialect, promptDialects, weightLaws } from '../model/contract/prompt.ts'
import {
  type GenerateRequest,
  noiseGenerators,
  parseRequest,
  precisions,
  samplers,
} from '../model/contract/request.ts'
import { type RepairOptions, repairKinds, repairTries } from '../model/pipeline/repair-options.ts'
import type { ExplainArguments } from './commands/explain.ts'
import {
  addControlOptions,
  type ControlArguments,
  type RawControlOptions,
  readControlArguments,
} from './control-options.ts'
import { curveOption, readCurves, refuseCurves } from './curve-options.ts'
import { type Backend, backends } from './engine.ts'
import {
  addGuideOptions,
  type GuideArguments,
  type RawGuideOptions,
  readGuideArguments,
} from './guide-options.ts'
import {
  addImagePromptOptions,
  type ImagePromptArguments,
  type RawImagePromptOptions,
  readImagePromptArguments,
} from './image-prompt-options.ts'
import {
  addMapsOptions,
  type MapsArguments,
  type MeterTime,
  type RawMapsOptions,
  readMapsArguments,
  readMeter,
} from './maps-options.ts'

/** What every command that draws is told, after validation; paths are as typed. */
export interface DrawArguments {
  readonly backend: Backend
  readonly model?: string
  readonly tokenizer?: string
  readonly out?: string
  readonly latents?: string
  readonly stepNoise?: string
  readonly saveLatents?: string
  readonly init?: string
  readonly mask?: string
  readonly json: boolean
  readonly overwrite: boolean
  /** ControlNets and their pictures. */
  readonly guides?: GuideArguments
  /** IP-Adapters and their pictures. */
  readonly imagePrompts?: ImagePromptArguments
  readonly maps?: MapsArguments
  /** Measure what each source of attention brings. */
  readonly meter?: MeterTime
  /** Evaluate once more without each control, to tell how much it does. */
  readonly effects: boolean
}

export interface GenerateArguments extends DrawArguments {
  readonly request: GenerateRequest
  readonly controls?: ControlArguments
  readonly repair?: RepairOptions
}

/** The words of the contract that a later version brings: [flags, what it will be]. */
const laterOptions: readonly (readonly [flags: string, what: string])[] = [['--lora [file]', 'LoRA files']]

/** Numbers of the request and the option that sets each: for parsing and for messages. */
const numberOptions = {
  width: '--width',
  height: '--height',
  steps: '--steps',
  guidanceScale: '--guidance',
  guidanceRescale: '--guidance-rescale',
  strength: '--strength',
  clipSkip: '--clip-skip',
  vaeTile: '--vae-tile',
} as const
const otherOptions: Readonly<Record<string, string>> = {
  seed: '--seed',
  prompt: 'The prompt',
  negativePrompt: '--negative',
}

/** Values of the options that every command that draws has, as commander leaves them. */
export interface RawDrawOptions extends RawMapsOptions, RawGuideOptions, RawImagePromptOptions {
  readonly backend: Backend
  readonly model?: string
  readonly tokenizer?: string
  readonly out?: string
  readonly latents?: string
  readonly stepNoise?: string
  readonly saveLatents?: string
  readonly init?: string
  readonly mask?: string
  readonly effects: boolean
  readonly json?: boolean
  readonly overwrite?: boolean
}

/** Values as commander leaves them. */
interface RawOptions extends RawDrawOptions, RawControlOptions {
  readonly negative?: string
  readonly steps?: string
  readonly guidance?: string
  readonly guidanceRescale?: string
  readonly clipSkip?: string
  readonly vaeTile?: string
  readonly seed?: string
  readonly rng?: GenerateRequest['rng']
  readonly sampler?: GenerateRequest['sampler']
  readonly width?: string
  readonly height?: string
  readonly precision?: GenerateRequest['precision']
  readonly dialect?: GenerateRequest['dialect']
  readonly emphasis?: GenerateRequest['emphasis']
  readonly oldTimeline?: boolean
  readonly curve?: readonly string[]
  readonly strength?: string
  readonly repair?: string | true
  readonly repairTries?: string
}

/** `attune generate`; the caller sets its action. */
export function generateCommand(): Command {
  const command = new Command('generate')
    .description('draw a picture from words')
    .argument('<prompt>', 'what to draw, in quotes')
    .option('--negative <text>', 'what to keep out of the picture')
    .option('--steps <n>', 'sampling steps (default: the model decides)')
    .option('--guidance <scale>', 'how strictly to follow the prompt; 1 switches guidance off')
    .option('--guidance-rescale <share>', 'tames over-exposure at high guidance, 0 to 1')
    .option('--seed <n>', 'the same seed gives the same picture; -1 or none: a random one')
    .addOption(
      new Option('--rng <kind>', "whose noise numbers: PyTorch's CPU or CUDA (philox)").choices(
        noiseGenerators,
      ),
    )
    .addOption(new Option('--sampler <name>', 'how noise becomes a picture').choices(samplers))
    .option('--width <pixels>', 'width of the picture')
    .option('--height <pixels>', 'height of the picture')
    .addOption(
      new Option('--precision <format>', 'number format; f32 is for comparisons').choices(precisions),
    )
    .option('--clip-skip <n>', 'text encoder layer, counted from the end as A1111 does: 1 is the last')
    .addOption(
      new Option('--dialect <name>', 'how emphasis is written in prompts (default: a1111)').choices(
        promptDialects,
      ),
    )
    .addOption(
      new Option('--emphasis <law>', "what a weight does (default: as the dialect's own program)").choices(
        weightLaws,
      ),
    )
    .option('--old-timeline', 'numbers in [from:to:when] as A1111 read them before 1.6')
    .addOption(curveOption())
    .option('--strength <share>', 'how much of the init picture to draw anew, 0 to 1')
    .option('--vae-tile <pixels>', 'decode in tiles of this size (default: only where the picture needs it)')
  addControlOptions(command)
    .addOption(
      new Option(
        '--repair [how]',
        'draw again where a word is looked at little: push words, or try seeds (default: words)',
      ).choices(repairKinds),
    )
    .option('--repair-tries <n>', `how often (default: ${repairTries.words}; ${repairTries.seeds} seeds)`)
  addDrawOptions(command)
  for (const [flags] of laterOptions) command.addOption(new Option(flags).hideHelp())
  const names = laterOptions.map(([flags]) => flags.split(' ')[0])
  return command.addHelpText('after', `\nNot there yet: ${names.join(', ')}.`)
}

/** Adds what every command that draws has. */
export function addDrawOptions(command: Command): Command {
  command
    .option('--model <dir|file|id>', 'the model: a diffusers folder, a .safetensors file or an installed one')
    .option('--tokenizer <dir>', 'folder with vocab.json and merges.txt, where the model has none')
    .option('--init <image>', 'begin from a picture')
    .option('--mask <image>', 'with --init: draw only the white parts anew')
  addGuideOptions(command)
  addImagePromptOptions(command)
    .option('--latents <file.npy>', 'initial noise, [1, C, h, w] floats of unit variance')
    .option('--step-noise <file.npy>', 'the draws of ancestral samplers, [draws, 1, C, h, w]')
    .option('--save-latents <file.npy>', 'write the final latents, [1, C, h, w]')
    .option('--out <file.png>', 'where to write (default: out/<date>-<seed>-<words>.png)')
  return addMapsOptions(command)
    .option('--no-effects', 'do not measure how much each control does (an evaluation more for each)')
    .option('--overwrite', 'replace files that are there')
    .addOption(new Option('--backend <name>', 'what computes').choices(backends).default('auto'))
    .option('--json', 'JSON lines instead of words: progress, notices, effects, the result, errors')
}

/** `attune explain`; the caller sets its action. */
export function explainCommand(): Command {
  return new Command('explain')
    .description('what becomes of a prompt: chunks, tokens, weights, schedules')
    .argument('<prompt>', 'the prompt, in quotes')
    .option('--model <dir>', 'a diffusers folder, whose tokenizer and text encoder are used')
    .addOption(
      new Option('--dialect <name>', 'how emphasis is written').choices(promptDialects).default('a1111'),
    )
    .addOption(new Option('--emphasis <law>', 'what a weight does').choices(weightLaws))
    .option('--old-timeline', 'numbers in [from:to:when] as A1111 read them before 1.6')
    .option('--steps <n>', 'sampling steps, for schedules', '20')
    .option('--json', 'one JSON line')
}

/** @throws AttuneError `bad-argument` */
export function readExplainArguments(prompt: string, command: Command): ExplainArguments {
  const raw = command.opts<RawOptions & { readonly dialect: PromptDialect }>()
  const steps = number(raw.steps, '--steps') ?? 20
  // The limits of a run hold here too.
  const request = parseRequest({ prompt, seed: '0', steps }, field =>
    field === 'prompt' ? 'The prompt' : '--steps',
  )
  return {
    prompt: request.prompt,
    steps,
    dialect: raw.dialect,
    json: raw.json === true,
    ...pick(raw, ['model', 'emphasis', 'oldTimeline']),
  }
}

/**
 * Turns what commander parsed into a validated job description.
 * @param draw chooses a seed when none is given
 * @throws AttuneError `bad-argument`
 */
export function readGenerateArguments(
  prompt: string,
  command: Command,
  draw: () => string = randomSeed,
): GenerateArguments {
  refuseLater(command)
  const raw = command.opts<RawOptions & Record<string, unknown>>()
  refuseEmpty(raw)
  if (raw.strength !== undefined && raw.init === undefined) {
    throw new AttuneError(
      'bad-argument',
      '--strength does nothing without --init.',
      'Add --init IMAGE or drop it.',
    )
  }
  const common = readDrawArguments(raw)
  const controls = readControlArguments(raw)
  const curves = raw.curve && readCurves(raw.curve)
  const request = parseRequest(
    withoutUndefined({
      prompt,
      negativePrompt: raw.negative,
      width: number(raw.width, '--width'),
      height: number(raw.height, '--height'),
      steps: number(raw.steps, '--steps'),
      guidanceScale: number(raw.guidance, '--guidance'),
      guidanceRescale: number(raw.guidanceRescale, '--guidance-rescale'),
      strength: number(raw.strength, '--strength'),
      clipSkip: number(raw.clipSkip, '--clip-skip'),
      vaeTile: number(raw.vaeTile, '--vae-tile'),
      seed: raw.seed === undefined || raw.seed === '-1' ? draw() : raw.seed,
      rng: raw.rng,
      sampler: raw.sampler,
      precision: raw.precision,
      dialect: raw.dialect,
      emphasis: raw.emphasis,
      oldTimeline: raw.oldTimeline,
      weightCurves: curves,
    }),
    field => numberOptions[field as keyof typeof numberOptions] ?? otherOptions[field] ?? field,
  )
  refuseCurves(request)
  refuseMeter(request, common.meter)
  const repair = repairOf(raw)
  return { ...common, request, ...(controls && { controls }), ...(repair && { repair }) }
}

/** An empty value is a slip, but for the texts that may be empty. @throws AttuneError `bad-argument` */
export function refuseEmpty(raw: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(raw)) {
    if (value !== '' || name === 'negative' || name === 'prompt') continue
    throw new AttuneError(
      'bad-argument',
      `--${kebab(name)} is empty.`,
      'Give a value, or leave the option out.',
    )
  }
}

/** @throws AttuneError `bad-argument` */
export function readDrawArguments(raw: RawDrawOptions): DrawArguments {
  if (raw.mask !== undefined && raw.init === undefined) {
    throw new AttuneError('bad-argument', '--mask needs the picture that it belongs to.', 'Add --init IMAGE.')
  }
  const guides = readGuideArguments(raw)
  const imagePrompts = readImagePromptArguments(raw)
  const maps = readMapsArguments(raw)
  const meter = readMeter(raw.meter)
  return {
    backend: raw.backend,
    json: raw.json === true,
    overwrite: raw.overwrite === true,
    effects: raw.effects,
    ...(guides && { guides }),
    ...(imagePrompts && { imagePrompts }),
    ...(maps && { maps }),
    ...(meter !== undefined && { meter }),
    ...pick(raw, ['model', 'tokenizer', 'out', 'latents', 'stepNoise', 'saveLatents', 'init', 'mask']),
  }
}

/** @throws AttuneError `bad-argument` */
function repairOf(raw: RawOptions): RepairOptions | undefined {
  const tries = number(raw.repairTries, '--repair-tries')
  if (raw.repair === undefined) {
    if (tries === undefined) return undefined
    throw new AttuneError(
      'bad-argument',
      '--repair-tries does nothing without --repair.',
      'Add --repair or drop it.',
    )
  }
  const kind = raw.repair === 'seeds' ? 'seeds' : 'words'
  const { least, most } = repairTries
  if (tries === undefined) return { kind, tries: repairTries[kind] }
  if (Number.isInteger(tries) && tries >= least && tries <= most) return { kind, tries }
  throw new AttuneError(
    'bad-argument',
    `--repair-tries must be a whole number from ${least} to ${most}, but is ${tries}.`,
    'Correct the value.',
  )
}

/**
 * Where the number of evaluations is known before the model is; the engine refuses the rest.
 * @throws AttuneError `bad-argument`
 */
function refuseMeter({ steps, sampler }: GenerateRequest, meter: MeterTime | undefined): void {
  // Heun asks the network twice a step; without --sampler the model decides.
  if (typeof meter !== 'number' || steps === undefined || meter < steps * (sampler ? 1 : 2)) return
  if (sampler === 'heun' && meter < steps * 2 - 1) return
  throw new AttuneError(
    'bad-argument',
    `--meter ${meter + 1} is behind the end of the run, which has ${steps} steps.`,
    `Choose a step from 1 to ${steps}.`,
  )
}

function refuseLater(command: Command): void {
  for (const [flags, what] of laterOptions) {
    const option = flags.split(' ')[0] ?? flags
    const name = option.slice(2).replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())
    if (command.getOptionValue(name) !== undefined) throw notYet(option, what)
  }
}

function notYet(option: string, what: string): AttuneError {
  return new AttuneError(
    'bad-argument',
    `${option} is not there yet: a later version of Attune brings ${what}.`,
    'Leave it out.',
  )
}

/** Numbers as people write them; `Number('')`, `0x10` and `1e999` are not among them. */
export function number(text: string | undefined, option: string): number | undefined {
  if (text === undefined) return undefined
  const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text.trim()) ? Number(text) : NaN
  if (Number.isFinite(value)) return value
  throw new AttuneError(
    'bad-argument',
    `${option} must be a number, but is "${text.slice(0, 40)}".`,
    'Correct the value.',
  )
}

/** 32 random bits: what people can read out, and what every other generator accepts. */
export function randomSeed(): string {
  return String(randomBytes(4).readUInt32LE())
}

export function withoutUndefined(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}

function pick<T extends object, K extends keyof T>(
  source: T,
  keys: readonly K[],
): { [P in K]?: NonNullable<T[P]> } {
  const picked: { [P in K]?: NonNullable<T[P]> } = {}
  for (const key of keys) {
    const value = source[key]
    if (value !== undefined && value !== null) picked[key] = value
  }
  return picked
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)
}
