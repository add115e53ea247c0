/**
 * `attune edit`: reads how a picture was drawn, changes words, and draws it again by prompt-to-prompt (Hertz et al.
 * 2022), so that what was not changed stays where it was.
 */
import { resolve } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { notAmong } from '../../model/attention/edit/phrase.ts'
import { editedPrompt } from '../../model/attention/edit/words.ts'
import { type Controls, type EditControl, editSchema, hasNoControls } from '../../model/contract/controls.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import type { ControlGuide } from '../../model/contract/guides.ts'
import type { ImagePrompt } from '../../model/contract/image-prompts.ts'
import type { GenerateRequest } from '../../model/contract/request.ts'
import { withSwaps } from '../../model/pipeline/swaps.ts'
import type { EditArguments } from '../edit-options.ts'
import type { Engine } from '../engine.ts'
import { checkGuides, type CheckedGuides } from '../guide-files.ts'
import { type CheckedImagePrompts, checkImagePrompts } from '../image-prompt-files.ts'
import { type CommandIO, printableText, writeJson } from '../io.ts'
import { drawPicture } from './draw.ts'
import { isThere, prepareJob, promptWords, refuseControls, refuseSeveralTexts, tellProblems } from './job.ts'
import { chooseOther, chooseTarget } from './picture-target.ts'
import { readRecordedPicture, type RecordedPicture } from './recorded.ts'

export async function edit(
  args: EditArguments,
  io: CommandIO,
  engine: Engine,
  version: string,
): Promise<void> {
  const path = resolve(io.cwd, args.picture)
  const recorded = await readRecordedPicture(path)
  refuseInputs(recorded, args)
  const guided = await sameGuides(args, recorded.request.guides ?? [], io)
  const prompted = await sameImagePrompts(args, recorded.request.imagePrompts ?? [], io)
  const { request: edited, notices } = editedRequest(args, recorded.request)
  const request = {
    ...edited,
    ...(guided && { guides: [...guided.guides] }),
    ...(prompted && { imagePrompts: [...prompted.prompts] }),
  }
  refuseControls(request)
  const target = await chooseTarget(args, request, io)
  const before =
    args.before === undefined ? undefined : await chooseOther(args.before, '--before', args.overwrite, io)
  if (before && before.path === target.path) {
    throw wrong('--before and --out name the same file.', 'Give them different names.')
  }
  const job = await prepareJob(args, request, io, { guides: guided?.files, imagePrompts: prompted?.files })
  const { edit: _, ...others } = request.controls ?? {}
  if (args.effects && !hasNoControls(others)) job.measureEffects = true
  if (before) job.sourcePicture = true
  if (recorded.model) job.recordedModel = recorded.model
  for (const text of [
    ...recorded.notices,
    ...notices,
    ...(guided?.notices ?? []),
    ...(prompted?.notices ?? []),
  ]) {
    if (args.json) writeJson(io, { type: 'notice', text })
    else io.stderr.write(`${printableText(text)}\n`)
  }
  tellProblems(request, args, io)
  await drawPicture({ job, args, target, edited: path, ...(before && { before }) }, io, engine, version)
}

/** Files that took part and are not in the picture must be given again, and no others. */
function refuseInputs({ inputs }: RecordedPicture, args: EditArguments): void {
  const files = [
    ['init', '--init', args.init, 'was drawn from an image'],
    ['mask', '--mask', args.mask, 'was drawn with a mask'],
    ['latents', '--latents', args.latents, 'was drawn from noise of a file'],
    ['step-noise', '--step-noise', args.stepNoise, 'was drawn with step noise of a file'],
  ] as const
  for (const [role, option, given, what] of files) {
    const isNeeded = inputs.includes(role)
    if (isNeeded && given === undefined) {
      throw wrong(
        `The picture ${what}, which it does not hold: without it the original cannot be recomputed.`,
        `Give the same file again: ${option} FILE.`,
      )
    }
    if (!isNeeded && given !== undefined) {
      throw wrong(
        `${option} is given, but the picture's record says nothing of such a file.`,
        'Leave it out, or draw a new picture with attune generate.',
      )
    }
  }
}

/**
 * Guides are a part of how the original was drawn: their nets and pictures must be given again, in order. Weights,
 * windows and modes are those of the picture.
 */
async function sameGuides(
  { guides: given }: EditArguments,
  recorded: readonly ControlGuide[],
  io: CommandIO,
): Promise<(CheckedGuides & { readonly notices: readonly string[] }) | undefined> {
  const words = recorded.map(({ model, image }) => `--control "${model}=${image}"`).join(' ')
  const again = `Give the same again, with the paths on this machine: ${words}.`
  if (!given) {
    if (recorded.length === 0) return undefined
    const what = recorded.length === 1 ? 'a ControlNet' : `${recorded.length} ControlNets`
    throw wrong(
      `The picture was drawn with ${what}, whose files it does not hold: without them the original cannot be recomputed.`,
      again,
    )
  }
  if (recorded.length === 0) {
    throw wrong(
      "--control is given, but the picture's record says nothing of a ControlNet.",
      'Leave it out, or draw a new picture with attune generate.',
    )
  }
  if (given.items.length !== recorded.length) {
    throw wrong(
      `--control is given ${given.items.length} times, but the picture was drawn with ${recorded.length}.`,
      again,
    )
  }
  const { items, ...settings } = given
  const setting = Object.keys(settings)[0]
  const numbered = items.some(({ weight }) => weight !== undefined)
  if (setting !== undefined || numbered) {
    throw wrong(
      `attune edit takes no ${setting === undefined ? 'numbers behind --control' : `--control-${setting}`}: the picture's own settings draw it again.`,
      'Leave it out, or draw a new picture with attune generate.',
    )
  }
  const checked = await checkGuides(given, io.cwd, recorded)
  const notices = checked.guides.flatMap(({ model, image }, index) => {
    const before = recorded[index]
    if (!before || (before.model === model && before.image === image)) return []
    return [
      `Guide ${index + 1} was "${before.model}=${before.image}", and is "${model}=${image}": with other files the recomputed original will differ from the picture.`,
    ]
  })
  return { ...checked, notices }
}

/** Image prompts likewise: the adapters and pictures again, in order; scales, windows and masks are the picture's. */
async function sameImagePrompts(
  { imagePrompts: given }: EditArguments,
  recorded: readonly ImagePrompt[],
  io: CommandIO,
): Promise<(CheckedImagePrompts & { readonly notices: readonly string[] }) | undefined> {
  const words = recorded.map(({ adapter, image }) => `--image-prompt "${adapter}=${image}"`).join(' ')
  const again = `Give the same again, with the paths on this machine: ${words}.`
  if (!given) {
    if (recorded.length === 0) return undefined
    throw wrong(
      `The picture was drawn with ${recorded.length === 1 ? 'an image prompt' : `${recorded.length} image prompts`}, whose files it does not hold: without them the original cannot be recomputed.`,
      again,
    )
  }
  if (recorded.length === 0) {
    throw wrong(
      "--image-prompt is given, but the picture's record says nothing of one.",
      'Leave it out, or draw a new picture with attune generate.',
    )
  }
  if (given.items.length !== recorded.length) {
    throw wrong(
      `--image-prompt is given ${given.items.length} times, but the picture was drawn with ${recorded.length}.`,
      again,
    )
  }
  const files = new Set(['adapter', 'image'])
  const settings = given.items.flatMap(item => Object.keys(item).filter(key => !files.has(key)))
  const [setting] = [...settings, ...(given.rule ? ['rule'] : [])]
  if (setting !== undefined) {
    throw wrong(
      `attune edit takes no ${setting} of --image-prompt: the picture's own settings draw it again.`,
      'Leave it out, or draw a new picture with attune generate.',
    )
  }
  const checked = await checkImagePrompts(given, io.cwd, recorded)
  const notices = checked.prompts.flatMap(({ adapter, image }, index) => {
    const before = recorded[index]
    if (!before || (before.adapter === adapter && before.image === image)) return []
    return [
      `Image prompt ${index + 1} was "${before.adapter}=${before.image}", and is "${adapter}=${image}": with other files the recomputed original will differ from the picture.`,
    ]
  })
  return { ...checked, notices }
}

/**
 * The request of the edited picture.
 * @throws AttuneError `bad-argument` for words that are not there, `unsupported` for pictures that cannot be edited
 */
export function editedRequest(
  args: EditArguments,
  recorded: GenerateRequest,
): { readonly request: GenerateRequest; readonly notices: readonly string[] } {
  const notices: string[] = []
  const base = withSwaps(recorded)
  const { dialect } = base
  const earlier = base.controls?.edit
  const sourcePrompt = earlier?.sourcePrompt ?? base.prompt
  if (earlier) {
    notices.push(
      'The picture is itself an edit: both edits together begin with its original, and what was asked for then holds where nothing else is asked for.',
    )
  }
  const { prompt, problems } =
    args.prompt === undefined
      ? editedPrompt(base.prompt, { replace: args.replace, add: args.add })
      : { prompt: args.prompt, problems: [] }
  notices.push(...problems.map(({ message, remedy }) => `${message} ${remedy}`))
  const has = (phrase: string): boolean => isThere(phrase, prompt, dialect)
  const had = (phrase: string): boolean => isThere(phrase, sourcePrompt, dialect)
  /** Keeps what names words that are still there, and says what goes. */
  const standing = <T extends { readonly phrase: string }>(what: string, items: readonly T[]): T[] => {
    const gone = items.filter(({ phrase }) => !has(phrase)).map(({ phrase }) => `"${phrase}"`)
    if (gone.length > 0) {
      notices.push(`Dropped: ${what} of ${gone.join(', ')}, which the new prompt does not have.`)
    }
    return items.filter(({ phrase }) => has(phrase))
  }
  for (const { phrase } of args.weights) {
    if (!has(phrase)) throw notAmong(phrase, promptWords(prompt, dialect))
  }
  const blend = blendOf(args, earlier?.blend, has, had, () => [
    ...promptWords(sourcePrompt, dialect),
    ...promptWords(prompt, dialect),
  ])
  const given = new Set(args.weights.map(({ phrase }) => phrase.toLowerCase()))
  const edit = editSchema.parse({
    ...earlier,
    sourcePrompt,
    ...(args.cross && { cross: args.cross }),
    ...(args.self && { self: args.self }),
    crossWords: standing('the window', earlier?.crossWords ?? []),
    reweight: [
      ...standing('the weight', earlier?.reweight ?? []).filter(
        ({ phrase }) => !given.has(phrase.toLowerCase()),
      ),
      ...args.weights,
    ],
    blend,
  })
  if (earlier?.blend && args.blend.length === 0 && !isDeepStrictEqual(blend?.target, earlier.blend.target)) {
    notices.push(
      'Dropped: words of --blend that the new prompt does not have. Name the words anew to hold the rest.',
    )
  }
  const { paint: painted = [], ...others } = base.controls ?? {}
  const paint = standing('the paint', painted)
  const curves = standing('the weight curve', base.weightCurves ?? [])
  if (painted.length + (base.weightCurves?.length ?? 0) > 0) {
    notices.push(
      'Painted words and weight curves act on the edited picture only: its original is recomputed without them, and will differ from the picture.',
    )
  }
  const controls: Controls = { ...others, edit, ...(paint.length > 0 && { paint }) }
  const { weightCurves: _, ...rest } = base
  const request = { ...rest, prompt, controls, ...(curves.length > 0 && { weightCurves: curves }) }
  refuseUneditable(request, sourcePrompt)
  return { request, notices }
}

function blendOf(
  { blend, blendThreshold, keepOut }: EditArguments,
  earlier: EditControl['blend'],
  has: (phrase: string) => boolean,
  had: (phrase: string) => boolean,
  words: () => string[],
): EditControl['blend'] {
  if (blend.length === 0 && !earlier) {
    const option = keepOut.length > 0 ? '--keep-out' : blendThreshold === undefined ? '' : '--blend-threshold'
    if (option === '') return undefined
    throw wrong(`${option} does nothing without --blend.`, 'Add --blend WORDS or drop it.')
  }
  for (const phrase of [...blend, ...keepOut]) {
    if (!has(phrase) && !had(phrase)) throw notAmong(phrase, words())
  }
  const asked = blend.length > 0 ? { source: blend, target: blend } : (earlier ?? { source: [], target: [] })
  const source = asked.source.filter(had)
  const target = asked.target.filter(has)
  if (source.length + target.length === 0) return undefined
  const subtract = keepOut.length > 0 ? keepOut : (earlier?.subtract ?? [])
  return {
    source,
    target,
    subtract: subtract.filter(phrase => has(phrase) || had(phrase)),
    threshold: blendThreshold ?? earlier?.threshold ?? 0.3,
    start: earlier?.start ?? 0.2,
  }
}

/** What the engine would refuse once the model is open. */
function refuseUneditable(request: GenerateRequest, sourcePrompt: string): void {
  const { prompt, dialect, controls } = request
  if (controls?.regions?.law === 'isolate') {
    throw new AttuneError(
      'unsupported',
      'The picture was drawn with isolated regions, which have one softmax for all texts: an edit cannot borrow from it.',
      'Draw it with --region-law mix, and edit that.',
    )
  }
  for (const text of [sourcePrompt, prompt]) refuseSeveralTexts(text, dialect, 'An edit needs')
  // A new prompt with swaps.
  withSwaps(request)
}

function wrong(message: string, remedy: string): AttuneError {
  return new AttuneError('bad-argument', message, remedy)
}
