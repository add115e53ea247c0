/**
 * The job of a run: the files that it takes in, read and checked before the engine starts, and what is odd about its
 * prompts and controls.
 */
import { readFile, stat } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { inspectPicture } from '../../host/images.ts'
import { checkMapsFolder } from '../../host/maps/folder.ts'
import { exists } from '../../host/write.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import type { PromptDialect } from '../../model/contract/prompt.ts'
import { recordLengthLimit } from '../../model/contract/record.ts'
import type { GenerateRequest } from '../../model/contract/request.ts'
import { swapPrompts } from '../../model/attention/edit/swap.ts'
import { notAmong } from '../../model/attention/edit/phrase.ts'
import { withSwaps } from '../../model/pipeline/swaps.ts'
import { phrasePlaces } from '../../model/prompt/curves.ts'
import { parsePrompt } from '../../model/prompt/parse.ts'
import { formatProblem, type PromptProblem } from '../../model/prompt/source.ts'
import { textPieces } from '../../model/prompt/types.ts'
import { drawsSwaps, undrawnProblems } from '../../model/prompt/undrawn.ts'
import { type NpyArray, readNpy } from '../../model/tensor/npy.ts'
import { chunkContent } from '../../model/text/chunks.ts'
import type { GenerateJob, GuideFiles, ImagePromptFiles } from '../engine.ts'
import { type CommandIO, printableText, writeJson } from '../io.ts'
import type { MapsArguments } from '../maps-options.ts'
import type { DrawArguments } from '../options.ts'
import { hasSeveralSources } from './meter.ts'

/** Largest .npy that is read: latents of a 16384-pixel picture with room to spare. */
const npyByteLimit = 1 << 30

export type Job = { -readonly [K in keyof GenerateJob]: GenerateJob[K] }

/**
 * Reads and checks the files that a run takes in.
 * @param files looked at already, since the request has their names
 */
export async function prepareJob(
  args: DrawArguments,
  request: GenerateRequest,
  io: CommandIO,
  files: {
    readonly guides?: GuideFiles | undefined
    readonly imagePrompts?: ImagePromptFiles | undefined
  } = {},
): Promise<Job> {
  const path = (text: string) => resolve(io.cwd, text)
  const job: Job = {
    request,
    backend: args.backend,
    ...(files.guides && { guides: files.guides }),
    ...(files.imagePrompts && { imagePrompts: files.imagePrompts }),
  }
  if (args.model !== undefined) {
    // A word without a slash may be the id of an installed model: the engine's library decides.
    const looksLikePath = /[/\\]|^\.|\.safetensors$/.test(args.model)
    const found = await exists(path(args.model))
    if (looksLikePath && !found) {
      throw new AttuneError(
        'bad-argument',
        `There is no model ${args.model}.`,
        'Check the path given with --model.',
      )
    }
    job.model = found ? path(args.model) : args.model
  }
  if (args.tokenizer !== undefined) {
    job.tokenizer = path(args.tokenizer)
    const folder = await stat(job.tokenizer).catch(() => undefined)
    if (!folder?.isDirectory()) {
      throw new AttuneError(
        'bad-argument',
        `--tokenizer ${args.tokenizer} is not a folder.`,
        'Name the folder that holds vocab.json and merges.txt.',
      )
    }
  }
  if (args.latents !== undefined) job.initialLatents = await readArray(path(args.latents), '--latents', 4)
  if (args.stepNoise !== undefined) job.stepNoise = await readArray(path(args.stepNoise), '--step-noise', 5)
  if (args.init !== undefined) {
    const { width, height } = await inspectPicture(path(args.init))
    job.init = { path: path(args.init), width, height }
  }
  if (args.mask !== undefined) {
    await inspectPicture(path(args.mask))
    job.mask = path(args.mask)
  }
  if (args.maps) {
    const { folder, formats, spot } = args.maps
    await checkMapsFolder(path(folder), formats, args.overwrite)
    job.capture = captureOf(args.maps, request)
    if (spot) job.spot = spot
  }
  if (args.meter !== undefined && hasSeveralSources(request)) job.meterAt = args.meter
  return job
}

/** @throws AttuneError `bad-argument` for a word that is nowhere in the prompt: the engine looks again, by tokens */
function captureOf(
  { words, formats, rule }: MapsArguments,
  request: GenerateRequest,
): NonNullable<GenerateJob['capture']> {
  const { prompt } = withSwaps(request)
  const missing = words?.find(word => !prompt.toLowerCase().includes(word.toLowerCase()))
  if (missing !== undefined) throw notAmong(missing, promptWords(prompt, request.dialect))
  // A word is a token at least; how many more, only the model's tokenizer knows.
  if (rule === 'daam' && promptWords(prompt, request.dialect).length > chunkContent) {
    throw new AttuneError(
      'bad-argument',
      `DAAM's rule is for prompts of one chunk, ${chunkContent} tokens, and this one is longer.`,
      'Leave --maps-rule out, or shorten the prompt.',
    )
  }
  // What an animation shows, and what a recording keeps for one.
  const live = formats.includes('webp') || formats.includes('recording')
  return { ...(words && { words }), ...(live && { live }) }
}

async function readArray(path: string, option: string, axes: number): Promise<NpyArray> {
  const file = await stat(path).catch((cause: unknown) => {
    throw new AttuneError('bad-argument', `${option}: there is no file ${path}.`, 'Check the path.', {
      cause,
    })
  })
  if (!file.isFile() || file.size > npyByteLimit) {
    throw new AttuneError(
      'bad-argument',
      `${option}: ${path} is not an .npy file of a sensible size.`,
      'Check the path.',
    )
  }
  const array = readNpy(await readFile(path), basename(path))
  if (array.shape.length !== axes || array.data.length === 0) {
    throw new AttuneError(
      'bad-argument',
      `${option} must have ${axes} axes, ${axes === 4 ? '[1, C, h, w]' : '[draws, 1, C, h, w]'}, but ${basename(path)} is [${array.shape.join(', ')}].`,
      'Save the array with that shape.',
    )
  }
  const bad = array.data.findIndex(value => !Number.isFinite(value))
  if (bad >= 0) {
    throw new AttuneError(
      'bad-file',
      `${basename(path)} holds ${array.data[bad]} at position ${bad}.`,
      'Make the noise again.',
    )
  }
  return array
}

/** What is odd about the prompts, one line each. They are drawn all the same. */
export function tellProblems(request: GenerateRequest, { json }: DrawArguments, io: CommandIO): void {
  for (const [field, problem] of problemsOf(request)) {
    if (json) writeJson(io, { type: 'prompt-problem', field, ...problem })
    else {
      const where = field === 'prompt' ? 'prompt' : 'negative prompt'
      io.stderr.write(`${problem.level}: ${where}, ${printableText(oneLine(formatProblem(problem)))}\n`)
    }
  }
}

function problemsOf({ prompt, negativePrompt, dialect }: GenerateRequest): [string, PromptProblem][] {
  const own = parsePrompt(prompt, dialect)
  const negative = parsePrompt(negativePrompt, dialect, { composes: false })
  const swapped = drawsSwaps(own) ? (swapPrompts(own)?.problems ?? []) : []
  return [
    ...[...own.problems, ...undrawnProblems(own), ...swapped].map((problem): [string, PromptProblem] => [
      'prompt',
      problem,
    ]),
    ...[...negative.problems, ...undrawnProblems(negative, { isNegative: true })].map(
      (problem): [string, PromptProblem] => ['negativePrompt', problem],
    ),
  ]
}

const oneLine = (text: string) => text.replace(/\s*\n\s*/g, ' ')

/** Of a record beside its request: model, inputs, machine. */
const recordMargin = 16_384

/**
 * What controls cannot be: of words that are nowhere in the prompt, of a prompt that is several texts, or with more
 * masks than a picture's record holds. The engine looks again, with the model's own words.
 * @throws AttuneError `bad-argument`
 */
export function refuseControls(request: GenerateRequest): void {
  const { controls, dialect } = request
  // What is drawn: the edited words of a swap.
  const { prompt } = withSwaps(request)
  if (controls?.paint?.length) refuseSeveralTexts(prompt, dialect, 'Painting words needs')
  for (const { phrase } of controls?.paint ?? []) {
    if (!isThere(phrase, prompt, dialect)) throw notAmong(phrase, promptWords(prompt, dialect))
  }
  const { length } = JSON.stringify(request)
  if (length <= recordLengthLimit - recordMargin) return
  throw new AttuneError(
    'bad-argument',
    `The prompts and masks of this picture have ${length} characters; its record holds ${recordLengthLimit - recordMargin}.`,
    'Use fewer mask files: rectangles take no room, and a mask of 128 pixels a quarter of one of 256.',
  )
}

/**
 * Refuses prompts of which some control cannot say which word stands where.
 * @param why the beginning of the message: what needs it
 * @throws AttuneError `bad-argument`
 */
export function refuseSeveralTexts(prompt: string, dialect: PromptDialect, why: string): void {
  const { parts } = parsePrompt(prompt, dialect)
  const [part] = parts
  if (parts.length === 1 && part?.texts.length === 1 && !part.schedule) return
  throw new AttuneError(
    'bad-argument',
    `${why} one text that stays the same over the steps; this prompt changes, or is several texts.`,
    'Write it without a schedule, AND, .blend() or .and().',
  )
}

/** True where a phrase stands in a prompt as typed, or in its words without what is written between them. */
export function isThere(phrase: string, prompt: string, dialect: PromptDialect): boolean {
  const pieces = textPieces(parsePrompt(prompt, dialect)).map(({ text }) => text)
  const texts = [prompt, pieces.join(''), pieces.join(' ').replace(/\\/g, '')]
  return texts.some(text => phrasePlaces(text, phrase).length > 0)
}

/** The words of a prompt, for messages. */
export function promptWords(prompt: string, dialect: PromptDialect): string[] {
  const text = textPieces(parsePrompt(prompt, dialect))
    .map(piece => piece.text)
    .join(' ')
  return text.match(/[\p{L}\p{N}'’]+/gu) ?? []
}
