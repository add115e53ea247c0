/**
 * `attune generate`: checks everything that can be checked before the engine starts, runs it, and writes the
 * picture with its record. Files appear whole, under their final names, at the end.
 */
import { readFile, stat } from 'node:fs/promises'
import { basename, dirname, extname, join, relative, resolve } from 'node:path'
import { encodePng, inspectPicture } from '../../host/images.ts'
import { checkWritable, exists, isExisting, writeFileAtomic, writeFileNew } from '../../host/write.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import type { GenerateRequest } from '../../model/contract/request.ts'
import { makeRecord, recordKeyword, writeRecord } from '../../model/contract/record.ts'
import { infotextKeyword, infotextOf } from '../../model/image/infotext.ts'
import { parsePrompt } from '../../model/prompt/parse.ts'
import { formatProblem, type PromptProblem } from '../../model/prompt/source.ts'
import type { ParsedPrompt } from '../../model/prompt/types.ts'
import { undrawnProblems } from '../../model/prompt/undrawn.ts'
import { type NpyArray, readNpy, writeNpy } from '../../model/tensor/npy.ts'
import type { Engine, GenerateJob, GenerateResult } from '../engine.ts'
import { cancelled, type CommandIO, formatSeconds, printableText, writeJson } from '../io.ts'
import type { GenerateArguments } from '../options.ts'
import { progressLine } from '../progress.ts'

/** Largest .npy that is read: latents of a 16384-pixel picture with room to spare. */
const npyByteLimit = 1 << 30

export async function generate(
  args: GenerateArguments,
  io: CommandIO,
  engine: Engine,
  version: string,
): Promise<void> {
  const target = await chooseTarget(args, io)
  const job = await prepareJob(args, io)
  tellProblems(args, io)
  const progress = progressLine(io.stderr)
  const result = await engine
    .runGenerate(job, {
      signal: io.signal,
      onProgress: step => (args.json ? writeJson(io, { type: 'progress', ...step }) : progress.show(step)),
      onNotice: text =>
        args.json ? writeJson(io, { type: 'notice', text }) : progress.say(printableText(text)),
    })
    .finally(() => progress.clear())
  if (io.signal.aborted) throw cancelled()
  const files = await writeResult(result, job, args, target, io, version)
  const maps = await writeMaps(result, args, io, version)
  report(result, maps ? { ...files, ...maps } : files, args, io)
}

/** What is odd about the prompts, one line each. They are drawn all the same. */
function tellProblems({ request, json }: GenerateArguments, io: CommandIO): void {
  for (const [field, problem] of problemsOf(request)) {
    if (json) writeJson(io, { type: 'prompt-problem', field, ...problem })
    else {
      const where = field === 'prompt' ? 'prompt' : 'negative prompt'
      io.stderr.write(`${problem.level}: ${where}, ${printableText(oneLine(formatProblem(problem)))}\n`)
    }
  }
}

function problemsOf({ prompt, negativePrompt, dialect }: GenerateRequest): [string, PromptProblem][] {
  const own = all(parsePrompt(prompt, dialect))
  const negative = all(parsePrompt(negativePrompt, dialect, { composes: false }))
  return [
    ...own.map((problem): [string, PromptProblem] => ['prompt', problem]),
    ...negative.map((problem): [string, PromptProblem] => ['negativePrompt', problem]),
  ]
}

const all = (parsed: ParsedPrompt) => [...parsed.problems, ...undrawnProblems(parsed)]

const oneLine = (text: string) => text.replace(/\s*\n\s*/g, ' ')

interface Target {
  readonly path: string
  /** The person named this file: it is replaced with --overwrite, and not numbered. */
  readonly named: boolean
}

/** Settles the picture's name, and refuses what could not be written after minutes of drawing. */
async function chooseTarget(args: GenerateArguments, io: CommandIO): Promise<Target> {
  if (args.saveLatents !== undefined) {
    if (extname(args.saveLatents).toLowerCase() !== '.npy') {
      throw new AttuneError(
        'bad-argument',
        '--save-latents writes .npy files only.',
        'Give it a name that ends in .npy.',
      )
    }
    const path = resolve(io.cwd, args.saveLatents)
    await checkWritable(path)
    await refuseTaken(path, args.overwrite)
  }
  const target = await choosePicture(args, io)
  await checkWritable(target.path)
  if (target.named) await refuseTaken(target.path, args.overwrite)
  return target
}

async function choosePicture(args: GenerateArguments, io: CommandIO): Promise<Target> {
  const name = defaultName(args, io.now())
  if (args.out === undefined) return { path: resolve(io.cwd, 'out', name), named: false }
  const path = resolve(io.cwd, args.out)
  const isFolder = /[/\\]$/.test(args.out) || (await stat(path).catch(() => undefined))?.isDirectory()
  if (isFolder) return { path: join(path, name), named: false }
  if (extname(path).toLowerCase() === '.png') return { path, named: true }
  throw new AttuneError(
    'bad-argument',
    `--out ${args.out} is not a .png name, and PNG is the only format that is written.`,
    'Give it a name that ends in .png, or a folder with a slash at the end.',
  )
}

/** An existing file is somebody's work; an empty one is a reserved name (mktemp) and may be filled. */
async function refuseTaken(path: string, overwrite: boolean): Promise<void> {
  const file = await stat(path).catch(() => undefined)
  if (!file || (file.isFile() && (overwrite || file.size === 0))) return
  const what = file.isFile() ? 'is there already' : 'is not an ordinary file'
  throw new AttuneError(
    'bad-argument',
    `${path} ${what}.`,
    'Choose another name, or add --overwrite to replace a file.',
  )
}

/** `2026-11-23-1234567-a-red-car-under-a-blue-sky.png` */
export function defaultName(args: Pick<GenerateArguments, 'request'>, date: Date): string {
  const day = `${date.getFullYear()}-${twoDigits(date.getMonth() + 1)}-${twoDigits(date.getDate())}`
  return [day, args.request.seed, slug(args.request.prompt)].filter(Boolean).join('-') + '.png'
}

const twoDigits = (value: number) => String(value).padStart(2, '0')

/** The first words of a prompt as a file name that every system takes. */
export function slug(prompt: string, length = 48): string {
  const words = prompt
    .slice(0, 400)
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '-')
    .replace(/^-|-$/g, '')
  // By code points, so that no character is cut in half; then back to the last whole word.
  const short = [...words].slice(0, length).join('')
  return short.length < words.length ? short.replace(/-[^-]*$/, '') : short
}

/** Reads and checks the files that a run takes in. */
async function prepareJob(args: GenerateArguments, io: CommandIO): Promise<GenerateJob> {
  const path = (text: string) => resolve(io.cwd, text)
  const job: { -readonly [K in keyof GenerateJob]: GenerateJob[K] } = {
    request: args.request,
    backend: args.backend,
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
  if (args.maps) job.capture = args.maps.words ? { words: args.maps.words } : {}
  return job
}

/** Writes the maps of the captured words beside the picture. */
async function writeMaps(
  result: GenerateResult,
  { maps, overwrite }: GenerateArguments,
  io: CommandIO,
  version: string,
): Promise<Pick<WrittenFiles, 'maps' | 'mapsFolder'> | undefined> {
  if (!maps || !result.attention) return undefined
  // The encoders are loaded by those who ask for maps only.
  const { exportMaps } = await import('../../host/maps/export.ts')
  const { folder, ...options } = maps
  const mapsFolder = resolve(io.cwd, folder)
  const { used, model } = result
  const { files } = await exportMaps(result.attention, {
    ...options,
    folder: mapsFolder,
    image: result.picture,
    run: {
      app: { name: 'Attune', version },
      model,
      sampler: used.sampler,
      seed: used.seed,
      guidanceScale: used.guidanceScale,
      ...(used.dialect && { dialect: used.dialect }),
    },
    recordedHeads: 'all',
    overwrite,
    signal: io.signal,
  })
  return { maps: files, mapsFolder }
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

interface WrittenFiles {
  readonly file: string
  readonly latents?: string
  readonly maps?: readonly string[]
  readonly mapsFolder?: string
}

async function writeResult(
  result: GenerateResult,
  job: GenerateJob,
  args: GenerateArguments,
  target: Target,
  io: CommandIO,
  version: string,
): Promise<WrittenFiles> {
  const inputs = [
    ...(job.init ? [{ role: 'init', name: basename(job.init.path) }] : []),
    ...(job.mask ? [{ role: 'mask', name: basename(job.mask) }] : []),
    ...(args.latents ? [{ role: 'latents', name: basename(args.latents) }] : []),
    ...(args.stepNoise ? [{ role: 'step-noise', name: basename(args.stepNoise) }] : []),
  ]
  const record = makeRecord({
    appVersion: version,
    created: io.now(),
    request: result.used,
    model: result.model,
    inputs,
    machine: { backend: result.adapter.backend, adapter: result.adapter.name },
  })
  const png = await encodePng(result.picture, [
    { keyword: infotextKeyword, text: infotextOf(record) },
    { keyword: recordKeyword, text: writeRecord(record) },
  ])
  let latents: string | undefined
  if (args.saveLatents !== undefined) {
    latents = resolve(io.cwd, args.saveLatents)
    await writeFileAtomic(latents, writeNpy(result.latents.shape, result.latents.data), { overwrite: true })
  }
  const file = await writePicture(target, png, args.overwrite)
  return latents === undefined ? { file } : { file, latents }
}

async function writePicture(target: Target, png: Uint8Array, overwrite: boolean): Promise<string> {
  if (!target.named) return writeFileNew(target.path, png)
  const reserved = (await stat(target.path).catch(() => undefined))?.size === 0
  try {
    await writeFileAtomic(target.path, png, { overwrite: overwrite || reserved })
    return target.path
  } catch (error) {
    // Somebody took the name while we drew: the picture is kept beside it rather than lost.
    if (isExisting(error)) return writeFileNew(target.path, png)
    throw error
  }
}

function report(result: GenerateResult, files: WrittenFiles, args: GenerateArguments, io: CommandIO): void {
  const { used, timings, adapter, peakBytes, model } = result
  if (args.json) {
    const { width, height, steps, guidanceScale, sampler, precision, seed } = used
    const settings = { width, height, steps, guidance: guidanceScale, sampler, precision }
    writeJson(io, { type: 'done', ...files, seed, ...settings, model, adapter, timings, peakBytes })
    return
  }
  const total = timings['total']
  const facts = [
    `${used.width}x${used.height}`,
    `${used.steps} steps`,
    `seed ${used.seed}`,
    ...(total === undefined ? [] : [formatSeconds(total / 1000)]),
    adapter.name,
  ]
  io.stdout.write(
    `Wrote ${printableText(shortest(files.file, io.cwd))} (${printableText(facts.join(', '))})\n`,
  )
  if (files.latents) io.stdout.write(`Wrote ${printableText(shortest(files.latents, io.cwd))}\n`)
  if (files.maps && files.mapsFolder) {
    const folder = printableText(shortest(files.mapsFolder, io.cwd))
    io.stdout.write(`Wrote ${files.maps.length} files of word maps in ${folder}\n`)
  }
}

/** Relative inside the current folder, absolute elsewhere. */
function shortest(path: string, cwd: string): string {
  const short = relative(cwd, path)
  return short.startsWith('..') || dirname(short) === short ? path : short
}
