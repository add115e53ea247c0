/**
 * The words of `attune generate` that paint, place and hide: from text to masks by reference, and from there to the
 * controls of a request. Looks at no file; whoever resolves the masks does.
 *
 *     --region "a dog@rect:0,0,0.5,1"                         x,y,width,height as shares of the picture, from the top left
 *     --region "a dog@C:\masks\dog.png:weight=2:feather=0.05:negative=a (cat:1.3), a wolf"
 *     --paint  "red car@rect:0.5,0.5,0.5,0.5:0.8"             the strength comes behind the mask, and is needed
 *     --paint  "red car@car.png:0.8:feather=0.1"
 *
 * The first @ ends the words; where they, or the path, hold an @ of their own, `@rect:` and `@file:` end them whatever
 * stands before. (For --paint a = does as well as an @, since the words of a phrase rarely hold one.) Options come last,
 * each as `:name=value`, so drive letters, commas and spaces in paths need no care; `negative` takes all that follows.
 */
import { type Command, Option } from 'commander'
import {
  type ControlMask,
  type ControlsInput,
  type ControlWindow,
  controlLimits,
  type PaintControl,
  type RegionsControl,
} from '../model/contract/controls.ts'
import { AttuneError } from '../model/contract/errors.ts'

/** A mask before its file is read; a path is as typed. */
export type MaskReference =
  | (ControlMask & { readonly kind: 'rect' })
  | { readonly kind: 'file'; readonly path: string }

export interface RegionArgument {
  readonly prompt: string
  readonly mask: MaskReference
  readonly weight?: number
  readonly feather?: number
  readonly negativePrompt?: string
}

export interface PaintArgument {
  readonly phrase: string
  readonly mask: MaskReference
  readonly strength: number
  readonly feather?: number
}

/** What the options say; absent where nothing was asked for. */
export interface ControlArguments {
  readonly paint?: {
    readonly items: readonly PaintArgument[]
    readonly law?: PaintLaw
    readonly window?: ControlWindow
  }
  readonly regions?: {
    readonly items: readonly RegionArgument[]
    readonly baseWeight?: number
    readonly law?: RegionLaw
    readonly window?: ControlWindow
  }
  readonly hidePadding?: true
}

export const paintLaws = ['constant', 'paint-with-words'] as const satisfies readonly PaintControl['law'][]
export type PaintLaw = (typeof paintLaws)[number]
export const regionLaws = ['mix', 'isolate'] as const satisfies readonly RegionsControl['law'][]
export type RegionLaw = (typeof regionLaws)[number]

/** Values as commander leaves them. */
export interface RawControlOptions {
  readonly region?: readonly string[]
  readonly regionBase?: string
  readonly regionLaw?: RegionLaw
  readonly regionWindow?: string
  readonly paint?: readonly string[]
  readonly paintLaw?: PaintLaw
  readonly paintWindow?: string
  readonly hidePadding?: boolean
}

const collect = (value: string, before: readonly string[] | undefined): string[] => [...(before ?? []), value]

/** Adds the options to a command. */
export function addControlOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--region <text@mask>',
        'a text for a part of the picture: "a dog@rect:0,0,0.5,1" or "a dog@mask.png:weight=2"; again for more',
      ).argParser(collect),
    )
    .option('--region-base <weight>', 'how much the prompt itself counts inside of regions (default: 0.2)')
    .addOption(
      new Option('--region-law <law>', 'mix pictures of texts, or isolate words (default: mix)').choices(
        regionLaws,
      ),
    )
    .option('--region-window <from-to>', 'in which part of the run regions count (default: 0-1)')
    .addOption(
      new Option(
        '--paint <words@mask:strength>',
        'draw words of the prompt there: "car@rect:0,0,0.5,1:0.8" or "car@mask.png:0.8"; again for more',
      ).argParser(collect),
    )
    .addOption(
      new Option('--paint-law <law>', 'what the strength is measured in (default: constant)').choices(
        paintLaws,
      ),
    )
    .option('--paint-window <from-to>', 'in which part of the run paint counts (default: 0-1)')
    .option('--hide-padding', 'show the words to the picture, and not what fills up the text')
}

/**
 * Reads the options of a command that `addControlOptions` was called for.
 * @returns undefined where nothing is asked for
 * @throws AttuneError `bad-argument`
 */
export function readControlArguments(raw: RawControlOptions): ControlArguments | undefined {
  const needs: readonly (readonly [keyof RawControlOptions, 'region' | 'paint', string])[] = [
    ['regionBase', 'region', '--region-base'],
    ['regionLaw', 'region', '--region-law'],
    ['regionWindow', 'region', '--region-window'],
    ['paintLaw', 'paint', '--paint-law'],
    ['paintWindow', 'paint', '--paint-window'],
  ]
  for (const [name, other, option] of needs) {
    if (raw[name] === undefined || raw[other]?.length) continue
    throw wrong(`${option} does nothing without --${other}.`, `Add --${other} or drop it.`)
  }
  const { region = [], paint = [], regionBase, regionLaw, regionWindow, paintLaw, paintWindow } = raw
  for (const [option, { length }] of [
    ['--region', region],
    ['--paint', paint],
  ] as const) {
    if (length <= controlLimits.items) continue
    throw wrong(
      `${option} is given ${length} times; at most ${controlLimits.items} are drawn.`,
      'Leave some out, or join their masks.',
    )
  }
  const result: ControlArguments = {
    ...(region.length > 0 && {
      regions: {
        items: region.map(parseRegion),
        ...(regionBase !== undefined && {
          baseWeight: parseNumber(regionBase, '--region-base', 0, controlLimits.strength),
        }),
        ...(regionLaw && { law: regionLaw }),
        ...(regionWindow !== undefined && { window: parseWindow(regionWindow, '--region-window') }),
      },
    }),
    ...(paint.length > 0 && {
      paint: {
        items: paint.map(parsePaint),
        ...(paintLaw && { law: paintLaw }),
        ...(paintWindow !== undefined && { window: parseWindow(paintWindow, '--paint-window') }),
      },
    }),
    ...(raw.hidePadding === true && { hidePadding: true as const }),
  }
  return Object.keys(result).length > 0 ? result : undefined
}

/** The controls of a request. @param readMask reads a mask file, such as `readControlMask` of host/masks.ts */
export async function resolveControls(
  { paint, regions, hidePadding }: ControlArguments,
  readMask: (path: string) => Promise<ControlMask>,
): Promise<ControlsInput> {
  // A file that several controls name is read once.
  const read = new Map<string, Promise<ControlMask>>()
  const resolve = async (mask: MaskReference): Promise<ControlMask> => {
    if (mask.kind === 'rect') return mask
    const known = read.get(mask.path) ?? readMask(mask.path)
    read.set(mask.path, known)
    return known
  }
  const result: ControlsInput = {}
  if (paint) {
    const { items, ...common } = paint
    result.paint = await Promise.all(
      items.map(async ({ mask, ...item }) => ({ ...item, ...common, mask: await resolve(mask) })),
    )
  }
  if (regions) {
    const { items, ...common } = regions
    const masked = items.map(async ({ mask, ...item }) => ({ ...item, mask: await resolve(mask) }))
    result.regions = { ...common, regions: await Promise.all(masked) }
  }
  if (hidePadding) result.hidePadding = true
  return result
}

/** `a dog@rect:0,0,0.5,1`, `a dog@mask.png:weight=2:feather=0.05:negative=…`. @throws AttuneError `bad-argument` */
export function parseRegion(text: string): RegionArgument {
  const example =
    'Write it like "a dog@rect:0,0,0.5,1" or "a dog@mask.png:weight=2:feather=0.05:negative=a cat".'
  // First of all, since it may hold anything.
  const [placed = '', ...others] = text.split(':negative=')
  const negativePrompt = others.length > 0 ? others.join(':negative=').trim() : undefined
  const { words, rest } = splitWords(placed, '--region', /@/, example)
  const { head, options } = splitOptions(
    rest,
    ['weight', 'feather'],
    `--region "${short(text)}"`,
    ', negative',
  )
  const { weight, feather } = options
  return {
    prompt: words,
    mask: parseMask(head, `--region "${short(text)}"`, example),
    ...(weight !== undefined && {
      weight: parseNumber(weight, `The weight of --region "${short(text)}"`, 0, controlLimits.strength),
    }),
    ...(feather !== undefined && {
      feather: parseNumber(feather, `The feather of --region "${short(text)}"`, 0, 1),
    }),
    ...(negativePrompt !== undefined && { negativePrompt }),
  }
}

/** `car@rect:0,0,0.5,1:0.8`, `car=mask.png:0.8:feather=0.1`. @throws AttuneError `bad-argument` */
export function parsePaint(text: string): PaintArgument {
  const example = 'Write it like "car@rect:0,0,0.5,1:0.8" or "car@mask.png:0.8:feather=0.1".'
  const { words, rest } = splitWords(text, '--paint', /[@=]/, example)
  const { head, options } = splitOptions(rest, ['feather'], `--paint "${short(text)}"`)
  const colon = head.lastIndexOf(':')
  const strength = head.slice(colon + 1)
  if (colon < 0 || !isNumber(strength)) {
    throw wrong(`--paint "${short(text)}" has no strength behind its mask.`, example)
  }
  return {
    phrase: words,
    mask: parseMask(head.slice(0, colon), `--paint "${short(text)}"`, example),
    strength: parseNumber(
      strength,
      `The strength of --paint "${short(text)}"`,
      -controlLimits.strength,
      controlLimits.strength,
    ),
    ...(options['feather'] !== undefined && {
      feather: parseNumber(options['feather'], `The feather of --paint "${short(text)}"`, 0, 1),
    }),
  }
}

/** `0-0.6`: from the beginning to six tenths of the run. @throws AttuneError `bad-argument` */
export function parseWindow(text: string, option: string): ControlWindow {
  const example = 'Write it like 0-0.6: shares of the run, from 0 to 1.'
  const [from = '', to = '', ...others] = text.split('-').map(part => part.trim())
  if (others.length > 0 || !isNumber(from) || !isNumber(to)) {
    throw wrong(`${option} must be a part of the run, but is "${short(text)}".`, example)
  }
  const [start, end] = [Number(from), Number(to)]
  if (start < 0 || end > 1 || start > end) {
    throw wrong(`${option} ${short(text)} is no part of the run: it goes from 0 to 1, and forwards.`, example)
  }
  return { start, end }
}

/** The words before the mask, and what follows them. */
function splitWords(
  text: string,
  option: string,
  separator: RegExp,
  example: string,
): { readonly words: string; readonly rest: string } {
  const signs = separator.source === '@' ? '@' : '[@=]'
  const explicit = text.search(new RegExp(`${signs}(?:rect|file):`))
  const at = explicit >= 0 ? explicit : text.search(separator)
  if (at < 0) throw wrong(`${option} "${short(text)}" has no mask.`, example)
  const words = text.slice(0, at).trim()
  if (words === '') throw wrong(`${option} "${short(text)}" has no words before its mask.`, example)
  return { words, rest: text.slice(at + 1) }
}

/** Takes `:name=value` off the end. */
function splitOptions(
  text: string,
  names: readonly string[],
  where: string,
  alsoKnown = '',
): { readonly head: string; readonly options: Readonly<Record<string, string>> } {
  const options: Record<string, string> = {}
  let head = text
  for (;;) {
    // No colon or slash in a value: `C:\a=b\mask.png` ends in no option.
    const found = /:([a-z]+)=([^:/\\]*)$/i.exec(head)
    const [whole, name = '', value = ''] = found ?? []
    if (whole === undefined) return { head, options }
    if (!names.includes(name)) {
      throw wrong(`${where} has an unknown option "${name}".`, `There are: ${names.join(', ')}${alsoKnown}.`)
    }
    if (name in options) throw wrong(`${where} has two values for ${name}.`, 'Give one of them.')
    options[name] = value
    head = head.slice(0, -whole.length)
  }
}

function parseMask(text: string, where: string, example: string): MaskReference {
  if (!text.startsWith('rect:')) {
    const path = (text.startsWith('file:') ? text.slice('file:'.length) : text).trim()
    if (path === '') throw wrong(`${where} has no mask.`, example)
    return { kind: 'file', path }
  }
  const parts = text
    .slice('rect:'.length)
    .split(',')
    .map(part => part.trim())
  const shares = parts.map(Number)
  const [x = 0, y = 0, width = 0, height = 0] = shares
  if (parts.length !== 4 || !parts.every(isNumber) || shares.some(share => share < 0 || share > 1)) {
    throw wrong(
      `${where} has a rectangle that is not four shares of the picture, from 0 to 1.`,
      'Write rect:x,y,width,height, from the top left: rect:0.5,0,0.5,1 is the right half.',
    )
  }
  if (width === 0 || height === 0) {
    throw wrong(`${where} has an empty rectangle.`, 'Give it a width and a height above 0.')
  }
  // 0.7 + 0.3 may be a hair above 1.
  if (x + width > 1 + 1e-9 || y + height > 1 + 1e-9) {
    throw wrong(
      `${where} has a rectangle that reaches beyond the picture.`,
      'The last two numbers are its width and height, not its other corner: rect:0.5,0,0.5,1 is the right half.',
    )
  }
  return { kind: 'rect', x, y, width, height }
}

/** Numbers as people write them; `Number('')`, `0x10` and `1e999` are not among them. */
function isNumber(text: string): boolean {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text.trim()) && Number.isFinite(Number(text))
}

function parseNumber(text: string, what: string, least: number, most: number): number {
  if (!isNumber(text)) throw wrong(`${what} must be a number, but is "${short(text)}".`, 'Correct the value.')
  const value = Number(text)
  if (value >= least && value <= most) return value
  throw wrong(`${what} must be between ${least} and ${most}, but is ${value}.`, 'Correct the value.')
}

function short(text: string): string {
  return text.length > 60 ? `${text.slice(0, 59)}…` : text
}

function wrong(message: string, remedy: string): AttuneError {
  return new AttuneError('bad-argument', message, remedy)
}
