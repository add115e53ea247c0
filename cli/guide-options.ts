/**
 * The words of the command line that guide a drawing by pictures (ControlNet): from text to arguments. Looks at no file;
 * guide-files.ts does.
 *
 *     --control nets/canny=edges.png                     a net (folder or .safetensors file) and the finished hint
 *     --control nets/canny=edges.png:0.8:0:0.6           weight 0.8, in the first six tenths of the run
 *     --control nets/canny=canny@photo.png:0.8           the hint is made of the photo first
 *
 * The first = ends the net, and a name of a preprocessor with an @ may follow it. Where the net's path holds a = of its
 * own, or the picture's name an @, `=file:` (or `=canny@file:`) ends the net whatever stands before. Numbers come last,
 * so drive letters need no care.
 */
import { type Command, Option } from 'commander'
import { AttuneError } from '../model/contract/errors.ts'
import {
  type GuideMode,
  guideLimits,
  guideModes,
  type GuideResize,
  guideResizes,
  type GuideRule,
  guideRules,
} from '../model/contract/guides.ts'

/** One `--control`; paths are as typed. */
export interface GuideArgument {
  readonly model: string
  readonly image: string
  /** Makes the hint of the picture. */
  readonly preprocessor?: string
  readonly weight?: number
  readonly start?: number
  readonly end?: number
}

/** What all of them are told. */
export interface GuideSettings {
  readonly mode?: GuideMode
  readonly resize?: GuideResize
  readonly rule?: GuideRule
  /** A mask file, as typed. */
  readonly mask?: string
}

export interface GuideArguments extends GuideSettings {
  readonly items: readonly GuideArgument[]
}

/** Values as commander leaves them. */
export interface RawGuideOptions {
  readonly control?: readonly string[]
  readonly controlMode?: GuideMode
  readonly controlResize?: GuideResize
  readonly controlRule?: GuideRule
  readonly controlMask?: string
}

const collect = (value: string, before: readonly string[] | undefined): string[] => [...(before ?? []), value]

/** Adds the options to a command. */
export function addGuideOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--control <net=image>',
        'a ControlNet and its picture: "nets/canny=edges.png:0.8:0:0.6" (weight, from, to) or "nets/canny=canny@photo.png"; again for more',
      ).argParser(collect),
    )
    .addOption(
      new Option('--control-mode <mode>', 'what counts more, words or picture (default: balanced)').choices(
        guideModes,
      ),
    )
    .addOption(
      new Option(
        '--control-resize <how>',
        'how a picture of another aspect comes to size (default: stretch)',
      ).choices(guideResizes),
    )
    .addOption(
      new Option('--control-rule <program>', 'whose counting of from and to (default: diffusers)').choices(
        guideRules,
      ),
    )
    .option('--control-mask <image>', 'guide the white parts only')
}

const example = 'Write it like "nets/canny=edges.png:0.8" or "nets/canny=canny@photo.png:0.8:0:0.6".'

/**
 * Reads the options of a command that `addGuideOptions` was called for.
 * @returns undefined where nothing is asked for
 * @throws AttuneError `bad-argument`
 */
export function readGuideArguments(raw: RawGuideOptions): GuideArguments | undefined {
  const { control = [], controlMode, controlResize, controlRule, controlMask } = raw
  if (control.length === 0) {
    const alone = Object.entries({
      '--control-mode': controlMode,
      '--control-resize': controlResize,
      '--control-rule': controlRule,
      '--control-mask': controlMask,
    }).find(([, value]) => value !== undefined)
    if (!alone) return undefined
    throw wrong(`${alone[0]} does nothing without --control.`, 'Add --control NET=IMAGE or drop it.')
  }
  if (control.length > guideLimits.guides) {
    throw wrong(
      `--control is given ${control.length} times; ${guideLimits.guides} can act together.`,
      'Leave some out.',
    )
  }
  return {
    items: control.map(parseGuide),
    ...(controlMode && { mode: controlMode }),
    ...(controlResize && { resize: controlResize }),
    ...(controlRule && { rule: controlRule }),
    ...(controlMask !== undefined && { mask: controlMask }),
  }
}

/** `net=image`, `net=image:0.8`, `net=canny@image:0.8:0:0.6`. @throws AttuneError `bad-argument` */
export function parseGuide(text: string): GuideArgument {
  const where = `--control "${short(text)}"`
  const explicit = text.search(/=(?:[a-z0-9_]+@)?file:/i)
  const equals = explicit >= 0 ? explicit : text.indexOf('=')
  const model = text.slice(0, equals).trim()
  if (equals < 0) throw wrong(`${where} has no picture.`, example)
  if (model === '') throw wrong(`${where} has no ControlNet before its =.`, example)
  const { head, numbers } = splitNumbers(text.slice(equals + 1), where)
  // Letters, digits and _ only: ./photo@2x.png is a path.
  const [whole = '', preprocessor] = /^\s*([a-z0-9_]+)@/i.exec(head) ?? []
  const path = head.slice(whole.length).trim()
  const image = path.startsWith('file:') ? path.slice('file:'.length).trim() : path
  if (image === '') throw wrong(`${where} has no picture.`, example)
  const [weight, start, end] = numbers
  const most = guideLimits.weight
  const result = {
    model,
    image,
    ...(preprocessor !== undefined && { preprocessor }),
    ...(weight !== undefined && { weight: within(weight, `The weight of ${where}`, -most, most) }),
    ...(start !== undefined && { start: within(start, `The beginning of ${where}`, 0, 1) }),
    ...(end !== undefined && { end: within(end, `The end of ${where}`, 0, 1) }),
  }
  if ((result.start ?? 0) >= (result.end ?? 1)) {
    throw wrong(
      `${where} must end after it starts: it goes from ${result.start ?? 0} to ${result.end ?? 1}.`,
      'Write shares of the run, forwards: :0.8:0:0.6 is weight 0.8 in the first six tenths.',
    )
  }
  return result
}

/** Takes `:weight:start:end` off the end. */
export function splitNumbers(
  text: string,
  where: string,
  words: { readonly example: string; readonly first: string } = { example, first: 'weight' },
): { readonly head: string; readonly numbers: readonly number[] } {
  const numbers: number[] = []
  let head = text
  for (;;) {
    const colon = head.lastIndexOf(':')
    const last = head.slice(colon + 1)
    if (colon < 0 || !isNumber(last)) break
    numbers.unshift(Number(last))
    head = head.slice(0, colon)
  }
  if (numbers.length > 3) {
    throw wrong(
      `${where} has ${numbers.length} numbers; there are three: ${words.first}, start and end.`,
      'Leave the others out.',
    )
  }
  if (/:\s*$/.test(head)) throw wrong(`${where} has an empty value.`, words.example)
  return { head, numbers }
}

/** Numbers as people write them; `Number('')`, `0x10` and `1e999` are not among them. */
function isNumber(text: string): boolean {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text.trim()) && Number.isFinite(Number(text))
}

export function within(value: number, what: string, least: number, most: number): number {
  if (value >= least && value <= most) return value
  throw wrong(`${what} must be between ${least} and ${most}, but is ${value}.`, 'Correct the value.')
}

function short(text: string): string {
  return text.length > 80 ? `${text.slice(0, 79)}…` : text
}

function wrong(message: string, remedy: string): AttuneError {
  return new AttuneError('bad-argument', message, remedy)
}
