/** The words of `attune edit`: their definition, and the way from text to what is to change. Looks at no file. */
import { Command, Option } from 'commander'
import { parseReplacement, parseWeight, type Replacement } from '../model/attention/edit/words.ts'
import { controlLimits, type ControlWindow, type EditControl } from '../model/contract/controls.ts'
import { AttuneError } from '../model/contract/errors.ts'
import { parseWindow } from './control-options.ts'
import {
  addDrawOptions,
  type DrawArguments,
  number,
  type RawDrawOptions,
  readDrawArguments,
  refuseEmpty,
} from './options.ts'

/** Arguments after validation; paths are as typed. */
export interface EditArguments extends DrawArguments {
  readonly picture: string
  /** A whole new prompt, in place of the three below. */
  readonly prompt?: string
  /** Removed words are replaced by nothing. */
  readonly replace: readonly Replacement[]
  readonly add: readonly string[]
  readonly weights: EditControl['reweight']
  readonly cross?: ControlWindow
  readonly self?: ControlWindow
  readonly blend: readonly string[]
  readonly blendThreshold?: number
  readonly keepOut: readonly string[]
  /** Where the recomputed original is written. */
  readonly before?: string
}

interface RawEditOptions extends RawDrawOptions {
  readonly replace?: readonly string[]
  readonly add?: readonly string[]
  readonly remove?: readonly string[]
  readonly prompt?: string
  readonly weight?: readonly string[]
  readonly cross?: string
  readonly self?: string
  readonly blend?: string
  readonly blendThreshold?: string
  readonly keepOut?: readonly string[]
  readonly before?: string
}

/** What the picture's record says, and nobody else. */
const recordedOptions = [
  '--seed',
  '--steps',
  '--sampler',
  '--guidance',
  '--guidance-rescale',
  '--width',
  '--height',
  '--negative',
  '--rng',
  '--dialect',
  '--emphasis',
  '--clip-skip',
  '--precision',
  '--strength',
] as const

const collect = (value: string, before: readonly string[] | undefined): string[] => [...(before ?? []), value]

/** `attune edit`; the caller sets its action. */
export function editCommand(): Command {
  const command = new Command('edit')
    .description('change words of a picture, and keep the rest of it')
    .argument('<picture>', 'a picture that carries its settings')
    .addOption(
      new Option('--replace <old=new>', 'words of its prompt by others: cat=dog; again for more').argParser(
        collect,
      ),
    )
    .addOption(
      new Option('--add <words>', 'words at the end: "in the snow"; again for more').argParser(collect),
    )
    .addOption(
      new Option('--remove <words>', 'words that go from the prompt; again for more').argParser(collect),
    )
    .option('--prompt <text>', 'a whole new prompt')
    .addOption(
      new Option('--weight <words=factor>', 'how much words count: car=1.5; again for more').argParser(
        collect,
      ),
    )
    .option('--cross <from-to>', 'in which part of the run words keep their places (default: 0-0.8)')
    .option('--self <from-to>', 'in which part of the run the layout is kept (default: 0-0.4)')
    .option('--blend <list>', 'change the picture only where these words are, old or new: cat,dog')
    .option('--blend-threshold <share>', 'how much of their largest attention is inside (default: 0.3)')
    .addOption(
      new Option(
        '--keep-out <words>',
        'with --blend: where these words are, nothing changes; again for more',
      ).argParser(collect),
    )
    .option('--before <file.png>', 'also write the picture that the edit begins with, recomputed')
  addDrawOptions(command)
  for (const flags of recordedOptions) command.addOption(new Option(`${flags} [value]`).hideHelp())
  return command.addHelpText(
    'after',
    '\nSeed, size, steps and the like are those of the picture; a picture from an image needs its --init again.',
  )
}

/**
 * Turns what commander parsed into validated arguments.
 * @throws AttuneError `bad-argument`
 */
export function readEditArguments(picture: string, command: Command): EditArguments {
  for (const option of recordedOptions) {
    const name = option.slice(2).replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())
    if (command.getOptionValue(name) === undefined) continue
    throw wrong(
      `attune edit takes no ${option}: the picture's own settings draw it again, and the words change.`,
      'Leave it out, or draw a new picture with attune generate.',
    )
  }
  const raw = command.opts<RawEditOptions & Record<string, unknown>>()
  refuseEmpty(raw)
  const lists = { '--replace': raw.replace, '--add': raw.add, '--remove': raw.remove }
  for (const [option, values] of Object.entries({
    ...lists,
    '--weight': raw.weight,
    '--keep-out': raw.keepOut,
  })) {
    if (values?.some(value => value.trim() === '')) throw wrong(`${option} is empty.`, 'Give it words.')
    if ((values?.length ?? 0) <= controlLimits.items) continue
    throw wrong(
      `${option} is given ${values?.length} times; at most ${controlLimits.items} are read.`,
      'Write the whole new prompt: --prompt "…".',
    )
  }
  const given = Object.entries(lists).find(([, values]) => values !== undefined)?.[0]
  if (raw.prompt !== undefined && given !== undefined) {
    throw wrong(
      `--prompt is a whole new prompt, and ${given} changes the old one.`,
      'Give one of them: put the change into the new prompt.',
    )
  }
  const blend = words(raw.blend)
  const replace = [
    ...(raw.replace ?? []).map(parseReplacement),
    ...(raw.remove ?? []).map(from => ({ from: from.trim(), to: '' })),
  ]
  const result: EditArguments = {
    ...readDrawArguments(raw),
    picture,
    replace,
    add: raw.add ?? [],
    weights: (raw.weight ?? []).map(checkedWeight),
    blend,
    keepOut: (raw.keepOut ?? []).flatMap(words),
    ...(raw.prompt !== undefined && { prompt: raw.prompt }),
    ...(raw.cross !== undefined && { cross: parseWindow(raw.cross, '--cross') }),
    ...(raw.self !== undefined && { self: parseWindow(raw.self, '--self') }),
    ...(raw.blendThreshold !== undefined && { blendThreshold: share(raw.blendThreshold) }),
    ...(raw.before !== undefined && { before: raw.before }),
  }
  if (result.prompt === undefined && replace.length + result.add.length + result.weights.length === 0) {
    throw wrong(
      'Nothing is to change.',
      'Say what: --replace cat=dog, --add "in the snow", --remove word, --weight word=1.5 or --prompt "…".',
    )
  }
  return result
}

function checkedWeight(text: string): EditControl['reweight'][number] {
  const weight = parseWeight(text)
  if (Math.abs(weight.factor) <= controlLimits.strength) return weight
  throw wrong(
    `--weight ${text} is beyond ${controlLimits.strength}.`,
    'From -2 to 5 is usual; 1 leaves a word as it is.',
  )
}

function share(text: string): number {
  const value = number(text, '--blend-threshold') ?? 0
  if (value >= 0 && value <= 1) return value
  throw wrong(`--blend-threshold must be between 0 and 1, but is ${value}.`, 'Correct the value.')
}

/** `cat, dog` */
function words(list: string | undefined): string[] {
  if (list === undefined) return []
  const all = list
    .split(',')
    .map(word => word.trim())
    .filter(word => word !== '')
  if (all.length > 0 && all.length <= controlLimits.items) return all
  throw wrong(
    all.length === 0
      ? `"${list}" is no list of words.`
      : `More than ${controlLimits.items} words are listed.`,
    'Write words with commas: cat,dog.',
  )
}

function wrong(message: string, remedy: string): AttuneError {
  return new AttuneError('bad-argument', message, remedy)
}
