/**
 * The small vision encoders and IP-Adapters of `test/fixtures/ipadapter` (made by test/fixtures/make/ip_adapter.py) and
 * diffusers' runs with them. Weights come by formula; the files are written here, in any of the layouts that people have.
 */
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readWholePicture } from '../../host/images.ts'
import { readControlMask } from '../../host/masks.ts'
import { openModelFolder } from '../../host/model-folder.ts'
import { memorySource } from '../../model/contract/bytes.ts'
import { type ImagePromptInput, parseImagePrompts } from '../../model/contract/image-prompts.ts'
import type { ResolvedRequest, Sampler } from '../../model/contract/request.ts'
import type { Backend } from '../../model/graph/program.ts'
import { diffusersName } from '../../model/ipadapter/file-layout.ts'
import type { ClipVisionModel } from '../../model/ipadapter/vision-encoder.ts'
import type { DiffusionModel } from '../../model/pipeline/diffusion-model.ts'
import { type GeneratedPicture, type GenerateInputs, generate } from '../../model/pipeline/generate.ts'
import {
  openIPAdapterFile,
  type OpenIPAdapter,
  openVisionEncoder,
} from '../../model/pipeline/image-prompt-open.ts'
import type { ImagePromptInputs } from '../../model/pipeline/image-prompts.ts'
import { floatToHalf } from '../../model/tensor/dtype.ts'
import type { Shape } from '../../model/tensor/shape.ts'
import { guideInputs, safetensors, type TinyNet } from './controlnet.ts'
import { formulaTensor } from './formula-weights.ts'
import { loadNpy, parityCase } from './parity.ts'
import { openTinyModel } from './run-case.ts'
import type { TinyKind } from './tiny-models.ts'

const folder = fileURLToPath(new URL('../fixtures/ipadapter/', import.meta.url))
export const fixture = (file: string): string => join(folder, file)

export type TinyEncoder = 'quick' | 'gelu'
export type TinyAdapter = 'sd1-base' | 'sd1-plus' | 'sd1-full' | 'sd2-base' | 'sd2-plus' | 'story-base'

interface ModelsFile {
  readonly encoders: Readonly<
    Record<TinyEncoder, { seed: number; config: Record<string, unknown>; tensors: Record<string, Shape> }>
  >
  readonly adapters: Readonly<
    Record<
      TinyAdapter,
      { kind: TinyKind; encoder: TinyEncoder; type: string; seed: number; tensors: Record<string, Shape> }
    >
  >
  /** Layers that ask the text, as diffusers counts them. */
  readonly layers: Readonly<Record<string, readonly string[]>>
}

export interface PromptedCase {
  readonly id: string
  readonly kind: TinyKind
  readonly sampler: Sampler
  readonly steps: number
  readonly guidance: number
  readonly prompts: readonly (Omit<ImagePromptInput, 'mask'> & {
    readonly adapter: TinyAdapter
    readonly mask?: 'left' | 'right'
    /** What our preset of the same scales is called. */
    readonly preset?: string
  })[]
  readonly control?: TinyNet
  readonly prompt: string
  readonly negative: string
  readonly width: number
  readonly height: number
  /** Relative L2 between diffusers' latents with the image prompts and without. */
  readonly change: number
}

const read = <T>(file: string): T => JSON.parse(readFileSync(fixture(file), 'utf8')) as T
export const tinyModels = read<ModelsFile>('models.json')
export const promptedCases = read<readonly PromptedCase[]>('cases.json')

export function promptedCase(id: string): PromptedCase {
  const found = promptedCases.find(each => each.id === id)
  if (!found) throw new Error(`No case ${id}`)
  return found
}

/** A tensor of a .safetensors among the fixtures, f32. */
export function expectedTensor(file: 'features' | 'latents', name: string): Float32Array {
  const bytes = readFileSync(fixture(`${file}.safetensors`))
  const length = Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Record<
    string,
    { dtype: string; data_offsets: [number, number] }
  >
  const entry = header[name]
  if (entry?.dtype !== 'F32') throw new Error(`${name} is not in ${file}.safetensors`)
  const [start, end] = entry.data_offsets
  return new Float32Array(new Uint8Array(bytes.subarray(8 + length + start, 8 + length + end)).buffer)
}

/** Writes a vision encoder as a folder of transformers. */
export function writeEncoder(
  encoder: TinyEncoder,
  path: string,
  { dtype = 'F32', config }: { readonly dtype?: 'F32' | 'F16'; readonly config?: object } = {},
): string {
  const { seed, tensors, config: own } = tinyModels.encoders[encoder]
  const all = Object.entries(tensors).map(([key, shape]) => ({
    key,
    shape,
    data: formulaTensor(`image_encoder/${key}`, shape, seed),
  }))
  mkdirSync(path, { recursive: true })
  writeFileSync(
    join(path, 'config.json'),
    JSON.stringify(config ?? { model_type: 'clip_vision_model', ...own }),
  )
  writeFileSync(join(path, 'model.safetensors'), dtype === 'F32' ? safetensors(all) : halfSafetensors(all))
  return path
}

function halfSafetensors(
  tensors: readonly { readonly key: string; readonly shape: Shape; readonly data: Float32Array }[],
): Uint8Array {
  const halves = tensors.map(({ key, shape, data }) => ({
    key,
    shape,
    data: Uint16Array.from(data, floatToHalf),
  }))
  let end = 0
  const header = Object.fromEntries(
    halves.map(({ key, shape, data }) => [
      key,
      { dtype: 'F16', shape, data_offsets: [end, (end += data.byteLength)] },
    ]),
  )
  const json = new TextEncoder().encode(JSON.stringify(header))
  const bytes = new Uint8Array(8 + json.length + end)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true)
  bytes.set(json, 8)
  let at = 8 + json.length
  for (const { data } of halves) {
    bytes.set(new Uint8Array(data.buffer), at)
    at += data.byteLength
  }
  return bytes
}

export type AdapterLayout = 'original' | 'diffusers'

/** An adapter's .safetensors; diffusers' names hold keys and values of the resampler apart. */
export function adapterBytes(adapter: TinyAdapter, layout: AdapterLayout = 'original'): Uint8Array {
  const { seed, tensors, kind } = tinyModels.adapters[adapter]
  const all = Object.entries(tensors).map(([key, shape]) => ({
    key,
    shape,
    data: formulaTensor(`ip_adapter/${key}`, shape, seed),
  }))
  if (layout === 'original') return safetensors(all)
  const layers = tinyModels.layers[kind] ?? []
  return safetensors(
    all.flatMap(({ key, shape, data }) => {
      const [, n, part] = /^ip_adapter\.(\d+)\.(to_[kv])_ip\.weight$/.exec(key) ?? []
      if (n !== undefined) {
        return [{ key: `${layers[(Number(n) - 1) / 2]}.processor.${part}_ip.0.weight`, shape, data }]
      }
      if (!key.endsWith('.to_kv.weight')) return [{ key: diffusersName(key) as string, shape, data }]
      const [rows = 0, columns = 0] = shape
      const half = data.length / 2
      return (['to_k', 'to_v'] as const).map((name, i) => ({
        key: diffusersName(key.replace('to_kv', name)) as string,
        shape: [rows / 2, columns],
        data: data.slice(i * half, (i + 1) * half),
      }))
    }),
  )
}

/** Writes a folder as people have them: the adapter's file, and image_encoder beside it. */
export function writeAdapter(adapter: TinyAdapter, layout: AdapterLayout = 'original'): string {
  const path = mkdtempSync(join(tmpdir(), 'attune-ip-'))
  writeFileSync(join(path, `${adapter}.safetensors`), adapterBytes(adapter, layout))
  writeEncoder(tinyModels.adapters[adapter].encoder, join(path, 'image_encoder'))
  return path
}

const encoders = new Map<TinyEncoder, Promise<ClipVisionModel>>()

export function openTinyEncoder(encoder: TinyEncoder): Promise<ClipVisionModel> {
  const known = encoders.get(encoder)
  if (known) return known
  const path = writeEncoder(encoder, join(mkdtempSync(join(tmpdir(), 'attune-clip-')), encoder))
  const made = openModelFolder(path).then(openVisionEncoder)
  encoders.set(encoder, made)
  return made
}

const adapters = new Map<string, Promise<OpenIPAdapter>>()

export function openTinyAdapter(
  adapter: TinyAdapter,
  model: DiffusionModel,
  layout: AdapterLayout = 'original',
): Promise<OpenIPAdapter> {
  const key = `${adapter} ${layout} ${model.folder.name}`
  const { encoder } = tinyModels.adapters[adapter]
  const made =
    adapters.get(key) ??
    openTinyEncoder(encoder).then(vision =>
      openIPAdapterFile(
        memorySource(`${adapter}.safetensors`, adapterBytes(adapter, layout)),
        model,
        vision,
        { encoder },
      ),
    )
  adapters.set(key, made)
  return made
}

/** Image prompts as `generate` takes them, with adapters, pictures and masks of the fixtures. */
export async function promptInputs(theCase: PromptedCase, model: DiffusionModel): Promise<ImagePromptInputs> {
  const opened = new Map<string, OpenIPAdapter>()
  const pictures = new Map<string, Awaited<ReturnType<typeof readWholePicture>>>()
  const prompts: ImagePromptInput[] = []
  for (const { mask, preset: _, ...prompt } of theCase.prompts) {
    opened.set(prompt.adapter, await openTinyAdapter(prompt.adapter, model))
    pictures.set(prompt.image, await readWholePicture(fixture(prompt.image)))
    const area = mask && (await readControlMask(fixture(`mask-${theCase.kind}-${mask}.png`)))
    prompts.push({ ...prompt, ...(area && { mask: area }) })
  }
  return { prompts: parseImagePrompts(prompts), adapters: opened, pictures }
}

export interface PromptedPicture extends GeneratedPicture {
  readonly notices: readonly string[]
}

/** Runs a case; parts of it in place of the fixtures' where given. */
export async function runPrompted(
  theCase: PromptedCase,
  backend: Backend,
  changes: {
    readonly request?: Partial<ResolvedRequest>
    readonly inputs?: GenerateInputs
    readonly prompts?: (given: ImagePromptInputs) => ImagePromptInputs | undefined
  } = {},
): Promise<PromptedPicture> {
  const { kind, width, height } = theCase
  const model = await openTinyModel(kind)
  const given = await promptInputs(theCase, model)
  const imagePrompts = changes.prompts ? changes.prompts(given) : given
  const request: ResolvedRequest = {
    prompt: theCase.prompt,
    negativePrompt: theCase.negative,
    width,
    height,
    steps: theCase.steps,
    guidanceScale: theCase.guidance,
    guidanceRescale: 0,
    seed: '0',
    rng: 'cpu',
    sampler: theCase.sampler,
    precision: 'f32',
    clipSkip: 1,
    ...changes.request,
  }
  const { files } = parityCase(`${kind}-ddim`)
  const run = generate(model, backend, request, {
    initialNoise: loadNpy(files.initialNoise as string).data,
    ...(theCase.control && {
      guides: await guideInputs([{ model: theCase.control, image: 'a.png' }], model, kind),
    }),
    ...(imagePrompts && { imagePrompts }),
    ...changes.inputs,
  })
  const notices: string[] = []
  for (;;) {
    const next = await run.next()
    if (next.done) return { ...next.value, notices }
    if (next.value.notice !== undefined) notices.push(next.value.notice)
  }
}
