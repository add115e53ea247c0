/**
 * The files of image prompts: looked at before the engine starts, and opened by it. A request knows adapters and
 * pictures by name; here stands which file each name is, and where its vision encoder lies.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, dirname, extname, join, resolve } from 'node:path'
import { openFileSource } from '../host/files.ts'
import { inspectPicture, readWholePicture } from '../host/images.ts'
import { readControlMask } from '../host/masks.ts'
import { knownModelDigest, modelDigest } from '../host/model-hash.ts'
import { openModelFolder } from '../host/model-folder.ts'
import { exists } from '../host/write.ts'
import { AttuneError } from '../model/contract/errors.ts'
import { type ImagePrompt, layerPresets, parseImagePrompts } from '../model/contract/image-prompts.ts'
import type { Pixels } from '../model/image/resample.ts'
import type { ClipVisionModel } from '../model/ipadapter/vision-encoder.ts'
import {
  openIPAdapterFile,
  type OpenIPAdapter,
  openVisionEncoder,
  type PromptedModel,
} from '../model/pipeline/image-prompt-open.ts'
import type { GenerateResult, ImagePromptFiles } from './engine.ts'
import { named, soon } from './guide-files.ts'
import type { ImagePromptArguments } from './image-prompt-options.ts'

export interface CheckedImagePrompts {
  readonly prompts: readonly ImagePrompt[]
  readonly files: ImagePromptFiles
}

/** A text of scales is a few lines. */
const layersLimit = 1 << 16

/**
 * Looks at every file that image prompts name, and gives each a name.
 * @param recorded of a picture that is drawn again: its image prompts, to which files are given in the same order
 * @throws AttuneError `bad-argument`, `bad-file`: not there, no picture, no vision encoder
 */
export async function checkImagePrompts(
  { items, rule, encoder }: ImagePromptArguments,
  cwd: string,
  recorded?: readonly ImagePrompt[],
): Promise<CheckedImagePrompts> {
  const whole = await Promise.all(
    items.map(async item => ({
      ...item,
      adapter: await adapterFile(resolve(cwd, item.adapter)),
      image: resolve(cwd, item.image),
    })),
  )
  const adapters = named(
    whole,
    ({ adapter }) => adapter,
    ({ adapter }) => adapterName(adapter),
  )
  const pictures = named(
    whole,
    ({ image }) => image,
    ({ image }) => basename(image),
  )
  const given = encoder === undefined ? undefined : await encoderFolder(resolve(cwd, encoder))
  const files: ImagePromptFiles = {
    adapters: await Promise.all(
      [...adapters.values()].map(async ({ name, item }) => ({
        name,
        path: item.adapter,
        encoder: given ?? (await findEncoder(item.adapter)),
      })),
    ),
    pictures: await Promise.all(
      [...pictures.values()].map(({ name, item }) => checkPicture(name, item.image)),
    ),
  }
  const prompts = await Promise.all(
    whole.map(async ({ mask, layers, ...item }, index) => {
      const names = { adapter: adapters.get(item.adapter)?.name, image: pictures.get(item.image)?.name }
      const before = recorded?.[index]
      if (before) return { ...before, ...names }
      return {
        ...item,
        ...names,
        ...(rule && { rule }),
        ...(mask !== undefined && { mask: await readControlMask(resolve(cwd, mask)) }),
        ...(layers !== undefined && { layers: await readLayers(layers, cwd) }),
      }
    }),
  )
  return { prompts: parseImagePrompts(prompts, '--image-prompt'), files }
}

/** What an adapter is called: diffusers saves every one under the same name. */
function adapterName(path: string): string {
  const file = basename(path, extname(path))
  return /^(diffusion_pytorch_model|pytorch_lora_weights|model)/.test(file) ? basename(dirname(path)) : file
}

/** The adapter's file: itself, or the only one in its folder. */
async function adapterFile(path: string): Promise<string> {
  const found = await stat(path).catch((cause: unknown) => {
    throw wrong(
      `There is no IP-Adapter ${path}.`,
      'Check the path given with --image-prompt, before its =.',
      cause,
    )
  })
  if (!found.isDirectory()) {
    if (extname(path).toLowerCase() === '.safetensors') return path
    throw wrong(
      `${basename(path)} is not a .safetensors file, and no folder.`,
      'Give the .safetensors version of the IP-Adapter; pickles (.bin, .pth) can run code and are never opened.',
    )
  }
  const names = await readdir(path)
  const files = names.filter(name => name.toLowerCase().endsWith('.safetensors')).toSorted()
  const [file] = files
  if (file !== undefined && files.length === 1) return join(path, file)
  if (names.includes('model_index.json')) {
    throw wrong(
      `${path} is a whole model, not an IP-Adapter.`,
      'Name the .safetensors file of an IP-Adapter.',
    )
  }
  if (file === undefined) {
    const pickle = names.find(name => /\.(bin|pth|pt|ckpt)$/i.test(name))
    throw wrong(
      `${path} holds no .safetensors file${pickle === undefined ? '' : `; ${pickle} is a pickle, which can run code and is never opened`}.`,
      'Name the .safetensors file of an IP-Adapter.',
    )
  }
  throw wrong(
    `${path} holds ${files.length} .safetensors files: ${files.slice(0, 6).join(', ')}${files.length > 6 ? ' …' : ''}.`,
    'Name one of them.',
  )
}

const encoderName = 'image_encoder'

async function findEncoder(adapter: string): Promise<string> {
  const places = [join(dirname(adapter), encoderName), join(dirname(dirname(adapter)), encoderName)]
  for (const place of places) {
    if (await exists(join(place, 'config.json'))) return place
  }
  throw wrong(
    `${basename(adapter)} needs a CLIP vision encoder, and there is none in ${places.join(' or ')}.`,
    'Put the folder image_encoder (config.json, model.safetensors) beside the IP-Adapter, or name it: --image-encoder FOLDER.',
  )
}

async function encoderFolder(path: string): Promise<string> {
  if (await exists(join(path, 'config.json'))) return path
  throw wrong(
    `--image-encoder ${path} has no config.json.`,
    'Name the folder of a CLIPVisionModelWithProjection: config.json and model.safetensors.',
  )
}

async function checkPicture(name: string, path: string): Promise<ImagePromptFiles['pictures'][number]> {
  await inspectPicture(path)
  const sha256 = createHash('sha256')
    .update(await readFile(path))
    .digest('hex')
  return { name, path, sha256 }
}

/** A preset's name, JSON, or a file of it. */
async function readLayers(text: string, cwd: string): Promise<unknown> {
  if ((layerPresets as readonly string[]).includes(text)) return text
  const isFile = !text.trim().startsWith('{')
  const where = `--image-prompt-layers ${text.length > 60 ? `${text.slice(0, 59)}…` : text}`
  const remedy = `Give ${layerPresets.join(' or ')}, or scales by block such as '{"up": {"block_1": [1, 0, 0]}}', or a .json file of them.`
  let json = text
  if (isFile) {
    const path = resolve(cwd, text)
    const found = await stat(path).catch(() => undefined)
    if (!found?.isFile() || found.size > layersLimit) {
      throw wrong(`${where} is no preset and no file of scales.`, remedy)
    }
    json = await readFile(path, 'utf8')
  }
  try {
    return JSON.parse(json) as unknown
  } catch (cause) {
    throw wrong(`${where} is not valid JSON.`, remedy, cause)
  }
}

/** The adapters and pictures of a run, open. */
export interface OpenImagePrompts {
  readonly adapters: ReadonlyMap<string, OpenIPAdapter>
  readonly pictures: ReadonlyMap<string, Pixels>
  /** Begins to hash what is not known, beside the drawing; once, however often it is called. */
  hash(): void
  /** Adapters and encoders as a record names them; without a digest where it is not ready. */
  records(): Promise<NonNullable<GenerateResult['adapters']>>
  close(): Promise<void>
}

interface Opened {
  readonly role: 'ip-adapter' | 'image-encoder'
  readonly name: string
  readonly files: readonly string[]
  digest: Promise<string | undefined>
}

/**
 * Opens each adapter and each vision encoder once, and reads each picture.
 * @throws AttuneError of another family, damaged, incomplete; see `openIPAdapterFile` and `openVisionEncoder`
 */
export async function openImagePrompts(
  files: ImagePromptFiles | undefined,
  model: PromptedModel,
  signal: AbortSignal,
): Promise<OpenImagePrompts> {
  const adapters = new Map<string, OpenIPAdapter>()
  const encoders = new Map<string, ClipVisionModel>()
  const pictures = new Map<string, Pixels>()
  const opened: Opened[] = []
  const closing: (() => Promise<void>)[] = []
  const close = async (): Promise<void> => {
    await Promise.all(closing.splice(0).map(each => each()))
  }
  const remember = (role: Opened['role'], name: string, weights: readonly string[]): void => {
    opened.push({ role, name, files: weights, digest: knownModelDigest(weights) })
  }
  try {
    for (const { name, path, encoder: place } of files?.adapters ?? []) {
      let encoder = encoders.get(place)
      if (!encoder) {
        const folder = await openModelFolder(place)
        closing.push(() => folder.close())
        encoder = await openVisionEncoder(folder)
        encoders.set(place, encoder)
        remember('image-encoder', basename(place), folder.opened('.'))
      }
      const source = await openFileSource(path)
      closing.push(() => source.close())
      adapters.set(name, await openIPAdapterFile(source, model, encoder, { adapter: name, encoder: place }))
      remember('ip-adapter', name, [path])
    }
    for (const { name, path } of files?.pictures ?? []) pictures.set(name, await readWholePicture(path))
  } catch (error) {
    await close()
    throw error
  }
  const waiting = [...opened]
  return {
    adapters,
    pictures,
    hash() {
      for (const each of waiting.splice(0)) {
        each.digest = each.digest.then(known => known ?? modelDigest(each.files, { signal }))
      }
    },
    records: () =>
      Promise.all(
        opened.map(async ({ role, name, digest }) => {
          const sha256 = await soon(digest)
          return { role, name, ...(sha256 !== undefined && { sha256 }) }
        }),
      ),
    close,
  }
}

function wrong(message: string, remedy: string, cause?: unknown): AttuneError {
  return new AttuneError('bad-argument', message, remedy, cause === undefined ? undefined : { cause })
}
