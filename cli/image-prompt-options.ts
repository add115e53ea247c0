/**
 * The words of the command line that put pictures beside the prompt (IP-Adapter): from text to arguments. Looks at no
 * file; image-prompt-files.ts does.
 *
 *     --image-prompt adapters/plus=castle.png                an adapter (folder or .safetensors file) and a picture
 *     --image-prompt adapters/plus=castle.png:0.6:0:0.5      scale 0.6, in the first half of the run
 *
 * The first = ends the adapter; where its path holds one, `=file:` does. Numbers come last, so drive letters need no
 * care. Masks, layers, fits and curves are given once for all image prompts, or once for each, in their order.
 */
import { type Command, Option } from 'commander'
import { AttuneError } from '../model/contract/errors.ts'
import { type GuideCurve, type GuideRule, guideRules } from '../model/contract/guides.ts'
import { type ImageFit, imageFits, imagePromptLimits, layerPresets } from '../model/contract/image-prompts.ts'
import { parseCurve } from './curve-options.ts'
import { splitNumbers, within } from './guide-options.ts'

/** One `--image-prompt`; paths are as typed. */
export interface ImagePromptArgument {
  readonly adapter: string
  readonly image: string
  readonly scale?: number | GuideCurve
  readonly start?: number
  readonly end?: number
  readonly fit?: ImageFit
  /** A mask file. */
  readonly mask?: string
  /** A preset, JSON, or a .json file. */
  readonly layers?: string
}

export interface ImagePromptArguments {
  readonly items: readonly ImagePromptArgument[]
  readonly rule?: GuideRule
  /** The folder of the vision encoder, as typed. */
  readonly encoder?: string
}

/** Values as commander leaves them. */
export interface RawImagePromptOptions {
  readonly imagePrompt?: readonly string[]
  readonly imagePromptMask?: readonly string[]
  readonly imagePromptLayers?: readonly string[]
  readonly imagePromptFit?: readonly string[]
  readonly imagePromptCurve?: readonly string[]
  readonly imagePromptRule?: GuideRule
  readonly imageEncoder?: string
}

const collect = (value: string, before: readonly string[] | undefined): string[] => [...(before ?? []), value]

const repeated = (flags: string, text: string): Option => new Option(flags, text).argParser(collect)

/** Adds the options to a command. */
export function addImagePromptOptions(command: Command): Command {
  return command
    .addOption(
      repeated(
        '--image-prompt <adapter=image>',
        'an IP-Adapter and a picture beside the words: "adapters/plus=castle.png:0.6:0:0.5" (scale, from, to); again for more',
      ),
    )
    .addOption(repeated('--image-prompt-mask <image>', 'where the picture counts: the white parts'))
    .addOption(
      repeated(
        '--image-prompt-layers <which>',
        `${layerPresets.join(', ')}, or scales by block as diffusers has them: JSON or a .json file`,
      ),
    )
    .addOption(
      repeated(
        '--image-prompt-fit <how>',
        `how a picture that is not square is seen: ${imageFits.join(', ')} (default: resize)`,
      ),
    )
    .addOption(repeated('--image-prompt-curve <points>', 'a scale that moves over the run: "0:1,0.5:0.2"'))
    .addOption(
      new Option(
        '--image-prompt-rule <program>',
        'whose counting of from and to (default: diffusers)',
      ).choices(guideRules),
    )
    .option('--image-encoder <dir>', 'the CLIP vision encoder (default: image_encoder beside the adapter)')
}

const example = 'Write it like "adapters/plus=castle.png:0.6" or "adapters/plus=castle.png:0.6:0:0.5".'

/**
 * Reads the options of a command that `addImagePromptOptions` was called for.
 * @returns undefined where nothing is asked for
 * @throws AttuneError `bad-argument`
 */
export function readImagePromptArguments(raw: RawImagePromptOptions): ImagePromptArguments | undefined {
  const { imagePrompt = [], imagePromptRule: rule, imageEncoder: encoder } = raw
  if (imagePrompt.length === 0) {
    const alone = Object.entries({
      '--image-prompt-mask': raw.imagePromptMask,
      '--image-prompt-layers': raw.imagePromptLayers,
      '--image-prompt-fit': raw.imagePromptFit,
      '--image-prompt-curve': raw.imagePromptCurve,
      '--image-prompt-rule': rule,
      '--image-encoder': encoder,
    }).find(([, value]) => value !== undefined)
    if (!alone) return undefined
    throw wrong(
      `${alone[0]} does nothing without --image-prompt.`,
      'Add --image-prompt ADAPTER=IMAGE or drop it.',
    )
  }
  if (imagePrompt.length > imagePromptLimits.prompts) {
    throw wrong(
      `--image-prompt is given ${imagePrompt.length} times; ${imagePromptLimits.prompts} can act together.`,
      'Leave some out.',
    )
  }
  const count = imagePrompt.length
  const masks = each('--image-prompt-mask', raw.imagePromptMask, count)
  const layers = each('--image-prompt-layers', raw.imagePromptLayers, count)
  const fits = each('--image-prompt-fit', raw.imagePromptFit, count)
  const curves = each('--image-prompt-curve', raw.imagePromptCurve, count)
  return {
    items: imagePrompt.map((text, i): ImagePromptArgument => {
      const item = parseImagePrompt(text)
      const [mask, which, fit, curve] = [masks[i], layers[i], fits[i], curves[i]]
      if (curve !== undefined && item.scale !== undefined) {
        throw wrong(
          `--image-prompt "${short(text)}" has a scale and a curve.`,
          'Leave the number out: the curve is the scale.',
        )
      }
      return {
        ...item,
        ...(fit !== undefined && { fit: checkedFit(fit) }),
        ...(mask !== undefined && { mask }),
        ...(which !== undefined && { layers: which }),
        ...(curve !== undefined && { scale: checkedCurve(curve) }),
      }
    }),
    ...(rule && { rule }),
    ...(encoder !== undefined && { encoder }),
  }
}

/** The value of each image prompt: one for all, or one for each. */
function each(
  option: string,
  values: readonly string[] | undefined,
  count: number,
): readonly (string | undefined)[] {
  if (!values) return []
  if (values.length === 1) return Array.from({ length: count }, () => values[0])
  if (values.length === count) return values
  throw wrong(
    `${option} is given ${values.length} times, and --image-prompt ${count} times.`,
    'Give it once for all, or once for each.',
  )
}

/** `adapter=image`, `adapter=image:0.6`, `adapter=image:0.6:0:0.5`. @throws AttuneError `bad-argument` */
export function parseImagePrompt(text: string): ImagePromptArgument {
  const where = `--image-prompt "${short(text)}"`
  const explicit = text.indexOf('=file:')
  const equals = explicit >= 0 ? explicit : text.indexOf('=')
  const adapter = text.slice(0, Math.max(0, equals)).trim()
  if (equals < 0) throw wrong(`${where} has no picture.`, example)
  if (adapter === '') throw wrong(`${where} has no IP-Adapter before its =.`, example)
  const { head, numbers } = splitNumbers(text.slice(equals + 1), where, { example, first: 'scale' })
  const path = head.trim()
  const image = path.startsWith('file:') ? path.slice('file:'.length).trim() : path
  if (image === '') throw wrong(`${where} has no picture.`, example)
  const [scale, start, end] = numbers
  const most = imagePromptLimits.scale
  const result = {
    adapter,
    image,
    ...(scale !== undefined && { scale: within(scale, `The scale of ${where}`, -most, most) }),
    ...(start !== undefined && { start: within(start, `The beginning of ${where}`, 0, 1) }),
    ...(end !== undefined && { end: within(end, `The end of ${where}`, 0, 1) }),
  }
  if ((result.start ?? 0) >= (result.end ?? 1)) {
    throw wrong(
      `${where} must end after it starts: it goes from ${result.start ?? 0} to ${result.end ?? 1}.`,
      'Write shares of the run, forwards: :0.6:0:0.5 is scale 0.6 in the first half.',
    )
  }
  return result
}

function checkedFit(text: string): ImageFit {
  const found = imageFits.find(fit => fit === text)
  if (found) return found
  throw wrong(`--image-prompt-fit ${short(text)} is unknown.`, `Choose among: ${imageFits.join(', ')}.`)
}

function checkedCurve(text: string): GuideCurve {
  // Points are written as those of words are.
  const { keys, shape } = parseCurve(text.includes('=') ? text : `--image-prompt-curve=${text}`)
  const beyond = keys.find(({ weight }) => Math.abs(weight) > imagePromptLimits.scale)
  if (!beyond) return { keys, shape }
  throw wrong(
    `--image-prompt-curve has the scale ${beyond.weight}, beyond ${imagePromptLimits.scale}.`,
    'About 0.5 mixes picture and words; 1 leaves the words little.',
  )
}

function short(text: string): string {
  return text.length > 80 ? `${text.slice(0, 79)}…` : text
}

function wrong(message: string, remedy: string): AttuneError {
  return new AttuneError('bad-argument', message, remedy)
}
