/** A preprocessor by its name, from a file to a file: the pure ones of model/image/preprocess and the learned ones. */
import sharp from 'sharp'
import { AttuneError } from '../../model/contract/errors.ts'
import {
  atWorkingSize,
  findPreprocessor,
  type HintTarget,
  preprocess,
  preprocessors,
  toTarget,
} from '../../model/image/preprocess/catalogue.ts'
import { unknownPreprocessor } from '../../model/image/preprocess/names.ts'
import { number, type OptionSpecs, readOptions, toggle } from '../../model/image/preprocess/options.ts'
import type { Pixels } from '../../model/image/resample.ts'
import { encodePng, inspectPicture, pictureLimits, readMask, readWholePicture } from '../images.ts'
import { writeFileAtomic } from '../write.ts'
import {
  findLearned,
  learned,
  learnedFolder,
  type LearnedName,
  learnedNames,
  openLearned,
} from './model-files.ts'

/** Options of learned preprocessors. */
const learnedOptions: Readonly<Record<LearnedName, OptionSpecs>> = {
  depth: { flip: toggle('turn near and far round') },
  pose: { threshold: number(0.3, 0, 1, 'points that are less sure are left out') },
  seg: {},
}

/** One line of the list. */
export interface PreprocessorFacts {
  readonly name: string
  readonly aliases: readonly string[]
  readonly what: string
  readonly options: OptionSpecs
  readonly needsMask: boolean
  /** A network that a person adds. */
  readonly isLearned: boolean
  /** Where its network is looked for, if it is learned. */
  readonly folder?: string
}

/** All preprocessors. */
export function listPreprocessors(env?: Readonly<Record<string, string | undefined>>): PreprocessorFacts[] {
  return [
    ...preprocessors.map(({ name, aliases, what, options, needsMask }) => ({
      name,
      aliases,
      what,
      options,
      needsMask,
      isLearned: false,
    })),
    ...learnedNames.map(name => ({
      name,
      aliases: learned[name].aliases,
      what: learned[name].what,
      options: learnedOptions[name],
      needsMask: false,
      isLearned: true,
      folder: learnedFolder(name, env),
    })),
  ]
}

/** @throws AttuneError `bad-argument` for a name that there is not, saying what comes nearest */
export function factsOf(name: string, env?: Readonly<Record<string, string | undefined>>): PreprocessorFacts {
  const wanted = findPreprocessor(name)?.name ?? findLearned(name)
  const facts = listPreprocessors(env).find(one => one.name === wanted)
  if (!facts) throw unknownPreprocessor(name, learnedNames)
  return facts
}

export interface FileRequest {
  readonly name: string
  readonly input: string
  /** White is masked; a file of any size. */
  readonly mask?: string
  /** Folder of a learned preprocessor's network. */
  readonly model?: string
  readonly options?: Readonly<Record<string, unknown>>
  readonly resolution?: number
  readonly target?: HintTarget
  readonly env?: Readonly<Record<string, string | undefined>>
}

export interface FileHint {
  readonly name: string
  readonly hint: Pixels
  /** Size of the picture that was read. */
  readonly width: number
  readonly height: number
  /** Classes that a segmentation found. */
  readonly labels?: readonly string[]
}

/**
 * Makes the hint of a file. Everything that can be refused is refused before a picture is decoded.
 * @throws AttuneError `bad-argument`, `bad-file`, `bad-model`
 */
export async function preprocessFile(request: FileRequest): Promise<FileHint> {
  const { input, mask, options = {}, resolution, target } = request
  const facts = factsOf(request.name, request.env)
  const values = readOptions(facts.name, facts.options, options)
  if (facts.needsMask && mask === undefined) {
    throw new AttuneError(
      'bad-argument',
      `${facts.name} needs a mask.`,
      'Add --mask FILE: white is drawn anew.',
    )
  }
  if (!facts.needsMask && mask !== undefined)
    throw new AttuneError('bad-argument', `${facts.name} takes no mask.`, 'Drop --mask.')
  if (!facts.isLearned && request.model !== undefined)
    throw new AttuneError('bad-argument', `${facts.name} needs no network.`, 'Drop --model.')
  const size = await inspectPicture(input)
  const sizes = { ...(resolution !== undefined && { resolution }), ...(target && { target }) }
  const base = { name: facts.name, width: size.width, height: size.height }
  const one = findPreprocessor(facts.name)
  if (one) {
    const masked = mask === undefined ? {} : { mask: await readMask(mask, size.width, size.height) }
    const picture = await readWholePicture(input)
    return { ...base, hint: preprocess(one, picture, { options: values, ...sizes, ...masked }) }
  }
  const name = facts.name as LearnedName
  const model = await openLearned(name, request.model ?? learnedFolder(name, request.env))
  const { runLearned } = await import('./learned.ts')
  const working = atWorkingSize(await readWholePicture(input), sizes)
  const { hint, labels } = await runLearned(model, working, values)
  return { ...base, hint: toTarget(hint, target, name === 'seg'), ...(labels && { labels }) }
}

/** Writes a hint as a PNG, whole or not at all. */
export async function writeHint(path: string, hint: Pixels, overwrite: boolean): Promise<void> {
  await writeFileAtomic(path, await encodePng(hint), { overwrite })
}

/**
 * Reads a hint that was kept: RGB, or RGBA where parts are transparent, which `hintOf` makes −1 of. For networks other
 * than those for inpainting `readWholePicture` is right, which has no alpha.
 */
export async function readHint(path: string): Promise<Pixels> {
  const { width, height, data: rgb } = await readWholePicture(path)
  const alpha = await sharp(path, { failOn: 'error', limitInputPixels: pictureLimits.pixels, pages: 1 })
    .autoOrient()
    .ensureAlpha()
    .extractChannel('alpha')
    .toColourspace('b-w')
    .raw({ depth: 'uchar' })
    .toBuffer()
  if (alpha.every(value => value === 255)) return { width, height, channels: 3, data: rgb }
  const data = new Uint8Array(width * height * 4)
  for (let i = 0; i < alpha.length; i++) {
    data.set(rgb.subarray(i * 3, i * 3 + 3), i * 4)
    data[i * 4 + 3] = alpha[i] as number
  }
  return { width, height, channels: 4, data }
}
