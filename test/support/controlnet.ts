/**
 * The small ControlNets of `test/fixtures/controlnet` (made by test/fixtures/make/controlnet.py) and diffusers' runs
 * with them. Weights come by formula; the files are written here, in any of the layouts that people have.
 */
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readMask, readPicture } from '../../host/images.ts'
import { openModelFolder } from '../../host/model-folder.ts'
import { memorySource } from '../../model/contract/bytes.ts'
import { type ControlGuideInput, parseGuides } from '../../model/contract/guides.ts'
import type { ResolvedRequest, Sampler } from '../../model/contract/request.ts'
import type { ControlNetModel } from '../../model/controlnet/control-net-model.ts'
import type { Backend } from '../../model/graph/program.ts'
import type { Pixels } from '../../model/image/resample.ts'
import { openControlNetFile, openControlNetFolder } from '../../model/pipeline/control-net.ts'
import type { DiffusionModel } from '../../model/pipeline/diffusion-model.ts'
import { type GeneratedPicture, type GenerateInputs, generate } from '../../model/pipeline/generate.ts'
import type { GuideInputs } from '../../model/pipeline/guides.ts'
import type { Shape } from '../../model/tensor/shape.ts'
import { formulaTensor } from './formula-weights.ts'
import { loadNpy, loadPixels, parityCase, parityPath } from './parity.ts'
import { openTinyModel } from './run-case.ts'
import type { TinyKind } from './tiny-models.ts'

const folder = fileURLToPath(new URL('../fixtures/controlnet/', import.meta.url))

export type TinyNet = 'sd1-a' | 'sd1-b' | 'sd1-pool' | 'sd2-a' | 'sd2-b' | 'story-a'

interface NetRecord {
  readonly kind: TinyKind
  readonly seed: number
  readonly config: Readonly<Record<string, unknown>>
  readonly tensors: string
}

interface ModelsFile {
  readonly nets: Readonly<Record<TinyNet, NetRecord>>
  /** Of each tensor its shape and its name in lllyasviel's layout. */
  readonly tensors: Readonly<Record<string, Readonly<Record<string, readonly [Shape, string]>>>>
}

export interface GuidedCase {
  readonly id: string
  readonly kind: TinyKind
  readonly task: 'txt2img' | 'img2img' | 'inpaint'
  readonly sampler: Sampler
  readonly steps: number
  readonly guidance: number
  readonly strength?: number
  readonly guides: readonly (ControlGuideInput & { readonly model: TinyNet })[]
  readonly prompt: string
  readonly negative: string
  readonly width: number
  readonly height: number
  /** Relative L2 between diffusers' latents with the guides and without. */
  readonly change: number
}

const read = <T>(file: string): T => JSON.parse(readFileSync(join(folder, file), 'utf8')) as T

let models: ModelsFile | undefined

function modelsFile(): ModelsFile {
  models ??= read<ModelsFile>('models.json')
  return models
}

export const guidedCases = read<readonly GuidedCase[]>('cases.json')

export function guidedCase(id: string): GuidedCase {
  const found = guidedCases.find(each => each.id === id)
  if (!found) throw new Error(`No guided case ${id}`)
  return found
}

export function netConfig(net: TinyNet): Readonly<Record<string, unknown>> {
  return modelsFile().nets[net].config
}

/** Of each tensor its shape and its name in lllyasviel's layout, by diffusers' names. */
export function netTensors(net: TinyNet): Readonly<Record<string, readonly [Shape, string]>> {
  const { nets, tensors } = modelsFile()
  return tensors[nets[net].tensors] as Readonly<Record<string, readonly [Shape, string]>>
}

export type NetLayout = 'diffusers' | 'original' | 'original-bare'

/** A net's .safetensors. */
export function netBytes(net: TinyNet, layout: NetLayout = 'diffusers'): Uint8Array {
  const { seed } = modelsFile().nets[net]
  const tensors = Object.entries(netTensors(net)).map(([key, [shape, original]]) => ({
    key: layout === 'diffusers' ? key : layout === 'original' ? `control_model.${original}` : original,
    shape,
    data: formulaTensor(`controlnet/${key}`, shape, seed),
  }))
  return safetensors(tensors)
}

export function safetensors(
  tensors: readonly { readonly key: string; readonly shape: Shape; readonly data: Float32Array }[],
): Uint8Array {
  let end = 0
  const header = Object.fromEntries(
    tensors.map(({ key, shape, data }) => [
      key,
      { dtype: 'F32', shape, data_offsets: [end, (end += data.byteLength)] },
    ]),
  )
  const text = JSON.stringify(header)
  const json = new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 8) * 8))
  const bytes = new Uint8Array(8 + json.length + end)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true)
  bytes.set(json, 8)
  let position = 8 + json.length
  for (const { data } of tensors) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), position)
    position += data.byteLength
  }
  return bytes
}

/** Writes a net as a diffusers folder. */
export function writeNet(net: TinyNet, config: object = netConfig(net)): string {
  const path = join(mkdtempSync(join(tmpdir(), 'attune-net-')), net)
  mkdirSync(path, { recursive: true })
  writeFileSync(join(path, 'config.json'), JSON.stringify(config))
  writeFileSync(join(path, 'diffusion_pytorch_model.safetensors'), netBytes(net))
  return path
}

const opened = new Map<string, Promise<ControlNetModel>>()

/** A net opened for a tiny model, as a user's would be. */
export function openTinyNet(net: TinyNet, model: DiffusionModel, kind: string): Promise<ControlNetModel> {
  const key = `${net} ${kind}`
  const known = opened.get(key)
  if (known) return known
  const made = openModelFolder(writeNet(net)).then(each => openControlNetFolder(each, model))
  opened.set(key, made)
  return made
}

export function openTinyNetFile(
  net: TinyNet,
  model: DiffusionModel,
  layout: NetLayout,
): Promise<ControlNetModel> {
  return openControlNetFile(memorySource(`${net}.safetensors`, netBytes(net, layout)), model)
}

export async function guidePicture(file: string): Promise<Pixels> {
  const { shape, data } = await loadPixels(join('..', 'controlnet', file))
  return { width: shape[1] as number, height: shape[0] as number, channels: 3, data }
}

export function expectedLatents(id: string): Float32Array {
  const bytes = readFileSync(join(folder, 'latents.safetensors'))
  const length = Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Record<
    string,
    { dtype: string; data_offsets: [number, number] }
  >
  const entry = header[id]
  if (entry?.dtype !== 'F32') throw new Error(`${id} is not among the expected latents`)
  const [start, end] = entry.data_offsets
  return new Float32Array(new Uint8Array(bytes.subarray(8 + length + start, 8 + length + end)).buffer)
}

/** Guides as `generate` takes them, with nets and pictures of the fixtures. */
export async function guideInputs(
  guides: readonly ControlGuideInput[],
  model: DiffusionModel,
  kind: string,
): Promise<GuideInputs> {
  const nets = new Map<string, ControlNetModel>()
  const pictures = new Map<string, Pixels>()
  for (const { model: net, image } of guides) {
    nets.set(net, await openTinyNet(net as TinyNet, model, kind))
    pictures.set(image, await guidePicture(image))
  }
  return { guides: parseGuides(guides), nets, pictures }
}

/** Runs a case; `nets` and other inputs in place of the fixtures' where given. */
export async function runGuided(
  theCase: GuidedCase,
  backend: Backend,
  changes: {
    readonly request?: Partial<ResolvedRequest>
    readonly inputs?: GenerateInputs
    readonly guides?: Partial<GuideInputs>
  } = {},
): Promise<GeneratedPicture & { readonly notices: readonly string[] }> {
  const { kind, width, height, task } = theCase
  const model = await openTinyModel(kind)
  const given = await guideInputs(theCase.guides, model, kind)
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
    ...(theCase.strength !== undefined && { strength: theCase.strength }),
    ...changes.request,
  }
  const { files } = parityCase(kind === 'inpaint9' ? 'inpaint9-inpaint-ddim' : `${kind}-ddim`)
  const run = generate(model, backend, request, {
    initialNoise: loadNpy(files.initialNoise as string).data,
    ...(task !== 'txt2img' && { init: await readPicture(parityPath(`${kind}/init.png`), width, height) }),
    ...(task === 'inpaint' && { mask: await readMask(parityPath(`${kind}/mask.png`), width, height) }),
    guides: { ...given, ...changes.guides },
    ...changes.inputs,
  })
  const notices: string[] = []
  for (;;) {
    const next = await run.next()
    if (next.done) return { ...next.value, notices }
    if (next.value.notice !== undefined) notices.push(next.value.notice)
  }
}
