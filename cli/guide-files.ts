/**
 * The files of guides: looked at before the engine starts, and opened by it. A request knows nets and pictures by name;
 * here stands which file each name is.
 */
import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { basename, dirname, extname, join, resolve } from 'node:path'
import { openFileSource } from '../host/files.ts'
import { inspectPicture, readWholePicture } from '../host/images.ts'
import { readControlMask } from '../host/masks.ts'
import { knownModelDigest, modelDigest } from '../host/model-hash.ts'
import { openModelFolder } from '../host/model-folder.ts'
import { factsOf, preprocessFile } from '../host/preprocess/run.ts'
import { exists } from '../host/write.ts'
import { AttuneError } from '../model/contract/errors.ts'
import { type ControlGuide, type GuideResize, parseGuides } from '../model/contract/guides.ts'
import type { ControlNetModel } from '../model/controlnet/control-net-model.ts'
import type { Pixels } from '../model/image/resample.ts'
import { type GuidedModel, openControlNetFile, openControlNetFolder } from '../model/pipeline/control-net.ts'
import type { GuideFiles, GuideNetRecord } from './engine.ts'
import type { GuideArgument, GuideArguments } from './guide-options.ts'

export interface CheckedGuides {
  readonly guides: readonly ControlGuide[]
  readonly files: GuideFiles
}

/**
 * Looks at every file that guides name, and gives each a name.
 * @param recorded of a picture that is drawn again: its guides, to which files are given in the same order
 * @throws AttuneError `bad-argument`, `bad-file`: not there, no picture, no such preprocessor
 */
export async function checkGuides(
  { items, mask, ...settings }: GuideArguments,
  cwd: string,
  recorded?: readonly ControlGuide[],
): Promise<CheckedGuides> {
  const whole = items.map(item => ({
    ...item,
    model: resolve(cwd, item.model),
    image: resolve(cwd, item.image),
  }))
  const nets = named(
    whole,
    ({ model }) => model,
    ({ model }) => netName(model),
  )
  const pictures = named(whole, pictureKey, pictureName)
  const files: GuideFiles = {
    nets: await Promise.all([...nets.values()].map(({ name, item }) => checkNet(name, item.model))),
    pictures: await Promise.all([...pictures.values()].map(({ name, item }) => checkPicture(name, item))),
  }
  const area = mask === undefined ? undefined : await readControlMask(resolve(cwd, mask))
  const guides = whole.map((item, index) => {
    const { weight, start, end } = item
    const names = { model: nets.get(item.model)?.name, image: pictures.get(pictureKey(item))?.name }
    const before = recorded?.[index]
    if (before) return { ...before, ...names }
    const values = Object.entries({ weight, start, end }).filter(([, value]) => value !== undefined)
    return { ...names, ...Object.fromEntries(values), ...settings, ...(area && { mask: area }) }
  })
  return { guides: parseGuides(guides, '--control'), files }
}

const pictureKey = ({ preprocessor, image }: GuideArgument): string => `${preprocessor ?? ''}@${image}`
const pictureName = ({ preprocessor, image }: GuideArgument): string =>
  preprocessor === undefined ? basename(image) : `${preprocessor}@${basename(image)}`

/** What a net is called: every diffusers folder's file has the same name. */
function netName(path: string): string {
  const file = basename(path, '.safetensors')
  return file.startsWith('diffusion_pytorch_model') ? basename(dirname(path)) : file
}

/** Names for things that differ, by key; the second of a name is "name (2)". */
export function named<T>(
  items: readonly T[],
  key: (item: T) => string,
  nameOf: (item: T) => string,
): ReadonlyMap<string, { readonly name: string; readonly item: T }> {
  const found = new Map<string, { readonly name: string; readonly item: T }>()
  const taken = new Set<string>()
  for (const item of items) {
    if (found.has(key(item))) continue
    const base = nameOf(item)
    let name = base
    for (let number = 2; taken.has(name); number++) name = `${base} (${number})`
    taken.add(name)
    found.set(key(item), { name, item })
  }
  return found
}

async function checkNet(name: string, path: string): Promise<GuideFiles['nets'][number]> {
  const found = await stat(path).catch((cause: unknown) => {
    throw wrong(
      `There is no ControlNet ${path}.`,
      'Check the path given with --control, before its =.',
      cause,
    )
  })
  const has = (file: string): Promise<boolean> => exists(join(path, file))
  if (found.isDirectory() && !(await has('config.json')) && (await has('model_index.json'))) {
    throw wrong(
      `${path} is a whole model, not a ControlNet.`,
      'Name the folder of a ControlNet, with config.json and diffusion_pytorch_model.safetensors.',
    )
  }
  if (found.isFile() && extname(path).toLowerCase() !== '.safetensors') {
    throw wrong(
      `${basename(path)} is not a .safetensors file, and no folder.`,
      'Give a ControlNet as a .safetensors file or a folder in diffusers layout; pickles (.pth, .ckpt, .bin) can run code and are never opened.',
    )
  }
  return { name, path }
}

async function checkPicture(name: string, item: GuideArgument): Promise<GuideFiles['pictures'][number]> {
  const { image: path, preprocessor } = item
  await inspectPicture(path)
  if (preprocessor !== undefined) await checkPreprocessor(preprocessor, path)
  const sha256 = createHash('sha256')
    .update(await readFile(path))
    .digest('hex')
  return { name, path, sha256, ...(preprocessor !== undefined && { preprocessor }) }
}

async function checkPreprocessor(preprocessor: string, path: string): Promise<void> {
  let facts: ReturnType<typeof factsOf>
  try {
    facts = factsOf(preprocessor)
  } catch (error) {
    if (!(error instanceof AttuneError)) throw error
    throw wrong(
      error.message,
      `${error.remedy ?? ''} Before a picture with an @ in its name, write =file: instead of =.`.trim(),
      error,
    )
  }
  const { folder, needsMask } = facts
  if (folder !== undefined && !(await exists(folder))) {
    throw wrong(
      `${preprocessor} needs a network, and there is nothing at ${folder}.`,
      'Put it there, as docs/preprocess.md says, or make the hint elsewhere and give that.',
    )
  }
  if (!needsMask) return
  throw wrong(
    `${preprocessor} needs a mask beside the picture, which --control cannot give it.`,
    `Make the hint first: attune preprocess ${preprocessor} ${basename(path)} hint.png --mask MASK`,
  )
}

/** The nets and pictures of a run, open. */
export interface OpenGuides {
  readonly nets: ReadonlyMap<string, ControlNetModel>
  readonly pictures: ReadonlyMap<string, Pixels>
  /** Begins to hash what is not known, beside the drawing; once, however often it is called. */
  hash(): void
  /** The nets as a record names them; without a digest where it is not ready. */
  records(): Promise<readonly GuideNetRecord[]>
  close(): Promise<void>
}

interface OpenNet {
  readonly name: string
  readonly files: readonly string[]
  digest: Promise<string | undefined>
}

/** What a picture may wait for a digest that is nearly there. */
const patienceMilliseconds = 200

/**
 * Opens each net once and reads each picture.
 * @param size of the drawing, for which hints are made
 * @throws AttuneError of another family, damaged, incomplete; see `openControlNetFolder`
 */
export async function openGuides(
  files: GuideFiles | undefined,
  guides: readonly ControlGuide[],
  model: GuidedModel,
  size: { readonly width: number; readonly height: number },
  signal: AbortSignal,
): Promise<OpenGuides> {
  const nets = new Map<string, ControlNetModel>()
  const pictures = new Map<string, Pixels>()
  const opened: OpenNet[] = []
  const closing: (() => Promise<void>)[] = []
  const close = async (): Promise<void> => {
    await Promise.all(closing.splice(0).map(each => each()))
  }
  try {
    for (const { name, path } of files?.nets ?? []) {
      let weights: readonly string[] = [path]
      if ((await stat(path)).isDirectory()) {
        const folder = await openModelFolder(path)
        closing.push(() => folder.close())
        nets.set(name, await openControlNetFolder(folder, model))
        weights = folder.opened('.')
      } else {
        const source = await openFileSource(path)
        closing.push(() => source.close())
        nets.set(name, await openControlNetFile(source, model))
      }
      opened.push({ name, files: weights, digest: knownModelDigest(weights) })
    }
    for (const { name, path, preprocessor } of files?.pictures ?? []) {
      const resize = guides.find(({ image }) => image === name)?.resize ?? 'stretch'
      const picture =
        preprocessor === undefined
          ? await readWholePicture(path)
          : (
              await preprocessFile({
                name: preprocessor,
                input: path,
                target: { ...size, mode: modeOf(resize) },
              })
            ).hint
      pictures.set(name, picture)
    }
  } catch (error) {
    await close()
    throw error
  }
  const waiting = [...opened]
  return {
    nets,
    pictures,
    hash() {
      for (const net of waiting.splice(0)) {
        net.digest = net.digest.then(known => known ?? modelDigest(net.files, { signal }))
      }
    },
    records: () =>
      Promise.all(
        opened.map(async ({ name, digest }) => {
          const sha256 = await soon(digest)
          return { name, ...(sha256 !== undefined && { sha256 }) }
        }),
      ),
    close,
  }
}

const modeOf = (resize: GuideResize) => (resize === 'stretch' ? 'resize' : resize)

/** What is there within a moment. */
export async function soon<T>(promise: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>(done => {
    timer = setTimeout(() => done(undefined), patienceMilliseconds)
  })
  const value = await Promise.race([promise, late])
  clearTimeout(timer)
  return value
}

function wrong(message: string, remedy: string, cause?: unknown): AttuneError {
  return new AttuneError('bad-argument', message, remedy, cause === undefined ? undefined : { cause })
}
