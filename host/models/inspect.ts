/**
 * What a model on the disk is: its family, its parts, what is missing, its licence. Headers and configurations are
 * read, weights are not; nothing of a pickle is touched.
 */
import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { AttuneError } from '../../model/contract/errors.ts'
import { elementCount } from '../../model/tensor/shape.ts'
import { readSafetensorsHeader, type SafetensorsHeader } from '../../model/weights/safetensors.ts'
import { openFileSource } from '../files.ts'

/** Families by the network that draws. */
export const modelFamilies = [
  'sd1',
  'sd2',
  'sdxl',
  'sdxl-refiner',
  'sd3',
  'flux',
  'small',
  'unknown',
] as const
export type ModelFamily = (typeof modelFamilies)[number]

/** What a file or folder is for. */
export type ModelRole = 'model' | 'lora' | 'vae' | 'controlnet' | 'embedding' | 'text-encoder' | 'unknown'

export interface ModelPart {
  readonly name: string
  readonly bytes: number
  /** Numbers in its weights. */
  readonly parameters: number
  readonly dtypes: Readonly<Record<string, number>>
}

export interface ModelInfo {
  readonly path: string
  readonly name: string
  readonly layout: 'diffusers' | 'file'
  readonly role: ModelRole
  readonly family: ModelFamily
  /** Bytes of all its weights. */
  readonly bytes: number
  readonly parameters: number
  readonly parts: readonly ModelPart[]
  /** Parts that it needs and lacks. */
  readonly missing: readonly string[]
  readonly licence?: { readonly name: string; readonly file?: string }
  /** Why it cannot be drawn with, in sentences; empty for one that can. */
  readonly problems: readonly string[]
  /** Of files next to it that are used: tells whether it has changed. */
  readonly stamp: string
}

const configLimit = 4 << 20
const requiredParts = ['tokenizer', 'text_encoder', 'unet', 'vae', 'scheduler'] as const
const weightless = new Set(['tokenizer', 'tokenizer_2', 'scheduler', 'feature_extractor', 'image_processor'])
const pickle = /\.(ckpt|pt|pth|bin)$/i

/** @throws AttuneError `bad-argument` when there is nothing at the path, or neither a file nor a folder */
export async function inspectModel(path: string): Promise<ModelInfo> {
  const info = await stat(path).catch((cause: unknown) => {
    throw new AttuneError('bad-argument', `There is nothing at ${path}.`, 'Check the path.', { cause })
  })
  if (info.isDirectory()) return inspectFolder(path)
  // A pipe would be waited for, a device read for ever.
  if (!info.isFile()) throw new AttuneError('bad-argument', `${path} is no file.`, 'Name a model.')
  return inspectFile(path, info.size, info.mtimeMs)
}

async function inspectFolder(path: string): Promise<ModelInfo> {
  const problems: string[] = []
  const missing: string[] = []
  const parts: ModelPart[] = []
  const stamps: string[] = []
  const index = await readJson(join(path, 'model_index.json'))
  const classes = new Map<string, string>()
  for (const [name, value] of Object.entries(index ?? {})) {
    if (Array.isArray(value) && typeof value[1] === 'string' && /^\w{1,60}$/.test(name))
      classes.set(name, value[1])
  }
  if (!index) problems.push('model_index.json is missing or damaged: this is no whole diffusers folder.')
  const entries = await readdir(path, { withFileTypes: true })
  const present = new Set(entries.filter(entry => !entry.isFile()).map(entry => entry.name))
  const transformer = classes.has('transformer') || (!classes.size && present.has('transformer'))
  const required = requiredParts.map(part => (part === 'unet' && transformer ? 'transformer' : part))
  const optional = new Set(['safety_checker', 'feature_extractor', 'image_encoder'])
  const wanted = new Set([...required, ...classes.keys()])
  for (const name of [...wanted].sort()) {
    if (!present.has(name)) {
      if (!optional.has(name)) missing.push(name)
      continue
    }
    const found = await inspectPart(join(path, name), name)
    if (found.part) parts.push(found.part)
    stamps.push(...found.stamps)
    if (found.problem && !optional.has(name)) problems.push(found.problem)
  }
  if (missing.length) problems.push(`These parts are missing: ${missing.join(', ')}.`)
  const network = transformer ? 'transformer' : 'unet'
  const family = familyOfConfig(
    (await readJson(join(path, network, 'config.json'))) ?? {},
    String(index?.['_class_name']),
  )
  problems.push(...familyProblems(family))
  const licence = await findLicence(
    path,
    entries.filter(entry => entry.isFile()).map(entry => entry.name),
  )
  return {
    path,
    name: basename(path),
    layout: 'diffusers',
    role: 'model',
    family,
    bytes: sum(parts.map(part => part.bytes)),
    parameters: sum(parts.map(part => part.parameters)),
    parts,
    missing,
    ...(licence && { licence }),
    problems,
    stamp: stamps.join('\n'),
  }
}

async function inspectPart(
  folder: string,
  name: string,
): Promise<{ part?: ModelPart; problem?: string; stamps: string[] }> {
  const files = (await readdir(folder).catch(() => [])).sort()
  if (name.startsWith('tokenizer')) {
    const isWhole =
      files.includes('tokenizer.json') || (files.includes('vocab.json') && files.includes('merges.txt'))
    return isWhole || files.includes('spiece.model')
      ? { stamps: [] }
      : { problem: `${name}: vocab.json and merges.txt are missing.`, stamps: [] }
  }
  if (weightless.has(name)) return { stamps: [] }
  const weights = files.filter(file => file.endsWith('.safetensors'))
  const preferred = [
    'diffusion_pytorch_model.safetensors',
    'model.safetensors',
    'diffusion_pytorch_model.fp16.safetensors',
    'model.fp16.safetensors',
  ]
  const single = preferred.find(file => weights.includes(file))
  // Large networks come in numbered pieces, which are all needed.
  const pieces = weights.filter(file => /-\d{5}-of-\d{5}\.safetensors$/.test(file))
  const chosen = single ? [single] : pieces.length ? pieces : weights.slice(0, 1)
  if (!chosen.length) {
    const problem = files.some(file => pickle.test(file))
      ? `${name}: its weights are in a pickle file, which can run code and is not read; get the .safetensors.`
      : `${name}: its weights (.safetensors) are missing.`
    return { problem, stamps: [] }
  }
  const stamps: string[] = []
  let part: ModelPart = { name, bytes: 0, parameters: 0, dtypes: {} }
  for (const file of chosen) {
    try {
      const { header, bytes, stamp } = await readHeader(join(folder, file))
      stamps.push(`${name}/${file} ${stamp}`)
      part = addTo(part, header, bytes)
    } catch (error) {
      return { problem: `${name}: ${error instanceof Error ? error.message : String(error)}`, stamps }
    }
  }
  return { part, stamps }
}

async function inspectFile(path: string, size: number, changed: number): Promise<ModelInfo> {
  const name = basename(path)
  const base = { path, name, layout: 'file' as const, missing: [], stamp: `${size} ${changed}` }
  const broken = (problem: string): ModelInfo => ({
    ...base,
    role: 'unknown',
    family: 'unknown',
    bytes: size,
    parameters: 0,
    parts: [],
    problems: [problem],
  })
  if (pickle.test(name))
    return broken(
      'This is a pickle file, which can run code when it is opened; get the .safetensors of the model.',
    )
  let header: SafetensorsHeader
  try {
    header = (await readHeader(path)).header
  } catch (error) {
    return broken(error instanceof Error ? error.message : String(error))
  }
  const part = addTo({ name, bytes: 0, parameters: 0, dtypes: {} }, header, size)
  const { role, family } = roleOfTensors(header)
  const problems =
    role === 'model'
      ? [
          'Single files are not drawn with yet; get the model as a diffusers folder.',
          ...familyProblems(family),
        ]
      : [`${roleNames[role]}.`]
  return { ...base, role, family, bytes: size, parameters: part.parameters, parts: [part], problems }
}

const roleNames: Readonly<Record<ModelRole, string>> = {
  model: 'This is a model',
  lora: 'This is a LoRA: it changes a model and draws nothing by itself',
  vae: 'This is an autoencoder (VAE): a part of a model',
  controlnet: 'This is a ControlNet: it guides a model and draws nothing by itself',
  embedding: 'This is a textual inversion embedding: a word for a prompt',
  'text-encoder': 'This is a text encoder: a part of a model',
  unknown: 'It is not recognised',
}

/** By the names of tensors, as the programs that write them give them. */
export function roleOfTensors(header: SafetensorsHeader): { role: ModelRole; family: ModelFamily } {
  let lora = false
  let controlnet = false
  let model = false
  let vae = false
  let text = false
  let family: ModelFamily = 'unknown'
  for (const [name, { shape }] of header.tensors) {
    lora ||= /(^|\.)lora_(unet|te\d?|transformer)_|\.lora_(down|up|A|B)\b|\.lora\.(down|up)\./.test(name)
    controlnet ||= /^(control_model\.|controlnet_)|^input_hint_block\./.test(name)
    vae ||= /^(first_stage_model\.)?(encoder|decoder)\.(conv_in|down|down_blocks|up|mid)\b/.test(name)
    text ||= name.startsWith('text_model.encoder.')
    const inside = name.replace(/^model\.diffusion_model\./, '')
    if (inside !== name) model = true
    if (inside.startsWith('double_blocks.')) family = 'flux'
    else if (inside.startsWith('joint_blocks.')) family = 'sd3'
    else if (family === 'unknown' && inside.endsWith('attn2.to_k.weight'))
      family = familyOfWidth(shape[1] ?? 0)
  }
  if (lora) return { role: 'lora', family: 'unknown' }
  if (controlnet) return { role: 'controlnet', family }
  if (model || family === 'flux' || family === 'sd3') return { role: 'model', family }
  if (vae) return { role: 'vae', family: 'unknown' }
  if (text) return { role: 'text-encoder', family: 'unknown' }
  const names = [...header.tensors.keys()]
  const isEmbedding =
    names.length <= 2 && names.some(name => /^(emb_params|clip_l|clip_g|string_to_param.*|<.*>)$/.test(name))
  return { role: isEmbedding ? 'embedding' : 'unknown', family }
}

/** The width of the text tells the families with a UNet apart. */
function familyOfWidth(width: number): ModelFamily {
  if (width === 768) return 'sd1'
  if (width === 1024) return 'sd2'
  if (width === 2048) return 'sdxl'
  if (width === 1280) return 'sdxl-refiner'
  return width > 0 && width < 768 ? 'small' : 'unknown'
}

function familyOfConfig(config: Readonly<Record<string, unknown>>, pipeline: string): ModelFamily {
  if (pipeline.startsWith('Flux')) return 'flux'
  if (pipeline.startsWith('StableDiffusion3')) return 'sd3'
  const width = config['cross_attention_dim']
  return familyOfWidth(typeof width === 'number' ? width : 0)
}

function familyProblems(family: ModelFamily): string[] {
  if (family === 'sd1' || family === 'sd2' || family === 'small') return []
  if (family === 'unknown') return ['Its family is not recognised.']
  return [`Models of the family ${family} are not drawn with yet.`]
}

async function readHeader(path: string) {
  const source = await openFileSource(path)
  try {
    const info = await stat(path)
    const header = await readSafetensorsHeader(source)
    return { header, bytes: source.byteLength, stamp: `${info.size} ${info.mtimeMs}` }
  } finally {
    await source.close()
  }
}

function addTo(part: ModelPart, header: SafetensorsHeader, bytes: number): ModelPart {
  const dtypes: Record<string, number> = { ...part.dtypes }
  let { parameters } = part
  for (const { dtype, shape } of header.tensors.values()) {
    dtypes[dtype] = (dtypes[dtype] ?? 0) + 1
    parameters += elementCount(shape)
  }
  return { name: part.name, bytes: part.bytes + bytes, parameters, dtypes }
}

async function readJson(path: string): Promise<Record<string, unknown> | undefined> {
  try {
    const info = await stat(path)
    if (!info.isFile() || info.size > configLimit) return undefined
    const json: unknown = JSON.parse(await readFile(path, 'utf8'))
    return json && typeof json === 'object' && !Array.isArray(json)
      ? (json as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}

/** A licence file, and the name that the model's card gives. */
async function findLicence(folder: string, files: readonly string[]): Promise<ModelInfo['licence']> {
  const file = files.find(name => /^licen[cs]e/i.test(name))
  // The hub's card first: only that one has fields.
  const cards = files
    .filter(name => /^(readme|model_card)\.md$/i.test(name))
    .sort((a, b) => b.localeCompare(a))
  let name: string | undefined
  for (const card of cards) {
    const text = (await readFile(join(folder, card), 'utf8').catch(() => '')).slice(0, 8192)
    name ??= /^license(?:_name)?:\s*["']?([\w.+-]{1,60})/m.exec(text)?.[1]
  }
  if (name === undefined && file === undefined) return undefined
  return { name: name ?? (file as string), ...(file !== undefined && { file: join(folder, file) }) }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
