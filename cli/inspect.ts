/**
 * What is in a model folder or file, from configurations and safetensors headers only: gigabytes of weights are
 * never read. Problems are collected, not thrown, so that one look shows them all.
 */
import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { openFileSource } from '../host/files.ts'
import { AttuneError } from '../model/contract/errors.ts'
import { elementCount } from '../model/tensor/shape.ts'
import { readSafetensorsHeader } from '../model/weights/safetensors.ts'

export interface WeightsSummary {
  readonly file: string
  readonly bytes: number
  readonly tensors: number
  readonly parameters: number
  /** Tensors by dtype, e.g. { F16: 686 }. */
  readonly dtypes: Readonly<Record<string, number>>
  /** Tensors by the first part of their names; tells what a single file holds. */
  readonly groups: Readonly<Record<string, number>>
}

export interface ComponentSummary {
  readonly name: string
  readonly className?: string
  readonly weights?: WeightsSummary
  /** Other weight files of the same component, which are not used. */
  readonly otherFiles: readonly string[]
  /** The configuration's plain values. */
  readonly config: Readonly<Record<string, unknown>>
}

export interface ModelSummary {
  readonly kind: 'folder' | 'file'
  readonly path: string
  readonly pipeline?: string
  readonly components: readonly ComponentSummary[]
  readonly licence?: string
  /** What keeps the model from being used. */
  readonly problems: readonly string[]
}

/** Parts that text-to-image cannot do without, and what each has to hold. */
const required = ['tokenizer', 'text_encoder', 'unet', 'vae', 'scheduler'] as const
const withoutWeights = new Set([
  'tokenizer',
  'tokenizer_2',
  'scheduler',
  'feature_extractor',
  'image_processor',
])
/** diffusers' name of what a ControlNet's config.json describes. */
const controlNet = 'ControlNetModel'
/** Configurations are kilobytes; a file that claims to be one and is larger is something else. */
const configByteLimit = 4 << 20

/** @throws AttuneError `bad-argument` when there is nothing at the path */
export async function inspectModel(path: string): Promise<ModelSummary> {
  const found = await stat(path).catch((cause: unknown) => {
    throw new AttuneError('bad-argument', `There is nothing at ${path}.`, 'Check the path.', { cause })
  })
  return found.isDirectory() ? inspectFolder(path) : inspectFile(path)
}

async function inspectFolder(path: string): Promise<ModelSummary> {
  const problems: string[] = []
  const index = await readConfig(join(path, 'model_index.json'))
  if (!index && (await isControlNet(path))) return inspectControlNet(path)
  if (index instanceof AttuneError) problems.push(index.message)
  const folders = (await readdir(path, { withFileTypes: true })).filter(entry => entry.isDirectory())
  const classes = new Map<string, string>()
  if (index && !(index instanceof AttuneError)) {
    for (const [name, value] of Object.entries(index)) {
      // A part that the pipeline does without is [null, null].
      if (Array.isArray(value) && typeof value[1] === 'string') classes.set(name, value[1])
    }
  } else if (!index) problems.push('model_index.json is missing: this is not a whole diffusers folder')
  const here = new Set(folders.map(folder => folder.name))
  const names = classes.size
    ? [...classes.keys()]
    : [...here].filter(name => required.some(part => part === name))
  for (const part of required) if (!names.includes(part)) problems.push(`${part} is missing`)
  const components: ComponentSummary[] = []
  for (const name of names.sort()) {
    if (!here.has(name)) {
      // A safety checker is named by many folders that leave it out; Attune does not use it.
      if (name !== 'safety_checker' && name !== 'feature_extractor')
        problems.push(`${name}: its folder is missing`)
      continue
    }
    components.push(await inspectComponent(path, name, classes.get(name), problems))
  }
  const pipeline = index && !(index instanceof AttuneError) ? index['_class_name'] : undefined
  const licence = await findLicence(path)
  return {
    kind: 'folder',
    path,
    components,
    problems,
    ...(typeof pipeline === 'string' ? { pipeline } : {}),
    ...(licence ? { licence } : {}),
  }
}

async function isControlNet(path: string): Promise<boolean> {
  const config = await readConfig(join(path, 'config.json'))
  return config !== undefined && !(config instanceof AttuneError) && config['_class_name'] === controlNet
}

/** A folder that guides a model and draws nothing by itself. */
async function inspectControlNet(path: string): Promise<ModelSummary> {
  const problems: string[] = []
  const component = await inspectComponent(path, '.', controlNet, problems)
  const licence = await findLicence(path)
  return {
    kind: 'folder',
    path,
    pipeline: controlNet,
    components: [{ ...component, name: 'ControlNet, for --control' }],
    problems,
    ...(licence ? { licence } : {}),
  }
}

async function inspectComponent(
  root: string,
  name: string,
  className: string | undefined,
  problems: string[],
): Promise<ComponentSummary> {
  const folder = join(root, name)
  const files = (await readdir(folder)).sort()
  const configName =
    name === 'scheduler'
      ? 'scheduler_config.json'
      : name.startsWith('tokenizer')
        ? 'tokenizer_config.json'
        : name === 'feature_extractor'
          ? 'preprocessor_config.json'
          : 'config.json'
  const config = await readConfig(join(folder, configName))
  if (config instanceof AttuneError) problems.push(`${name}: ${config.message}`)
  else if (!config) problems.push(`${name}/${configName} is missing`)
  if (name.startsWith('tokenizer')) {
    const whole =
      files.includes('tokenizer.json') || (files.includes('vocab.json') && files.includes('merges.txt'))
    if (!whole) problems.push(`${name}: vocab.json and merges.txt are missing`)
  }
  const weightFiles = files.filter(file => /\.(safetensors|bin|ckpt|pt|onnx)$/.test(file))
  const chosen = chooseWeights(weightFiles)
  let weights: WeightsSummary | undefined
  if (chosen) {
    try {
      weights = await summariseWeights(join(folder, chosen))
    } catch (error) {
      problems.push(`${name}: ${error instanceof Error ? error.message : String(error)}`)
    }
  } else if (!withoutWeights.has(name) && name !== 'safety_checker') {
    const pickles = weightFiles.some(file => /\.(bin|ckpt|pt)$/.test(file))
    problems.push(
      pickles
        ? `${name}: its weights are in a pickle file, which can run code and is not read; get the .safetensors`
        : `${name}: its weights (.safetensors) are missing`,
    )
  }
  return {
    name,
    otherFiles: weightFiles.filter(file => file !== chosen),
    config: config && !(config instanceof AttuneError) ? plainValues(config) : {},
    ...(className ? { className } : {}),
    ...(weights ? { weights } : {}),
  }
}

/** diffusers' and transformers' own names first, then their half-precision variants, then whatever is there. */
function chooseWeights(files: readonly string[]): string | undefined {
  const safetensors = files.filter(file => file.endsWith('.safetensors'))
  const preferred = [
    'diffusion_pytorch_model.safetensors',
    'model.safetensors',
    'diffusion_pytorch_model.fp16.safetensors',
    'model.fp16.safetensors',
  ]
  return preferred.find(name => safetensors.includes(name)) ?? safetensors[0]
}

async function inspectFile(path: string): Promise<ModelSummary> {
  if (/\.(ckpt|pt|pth|bin)$/i.test(path)) {
    const problem =
      'this is a pickle file, which can run code when it is opened; get the .safetensors of the model'
    return { kind: 'file', path, components: [], problems: [problem] }
  }
  const weights = await summariseWeights(path)
  const component = { name: basename(path), weights, otherFiles: [], config: {} }
  return { kind: 'file', path, components: [component], problems: [] }
}

async function summariseWeights(path: string): Promise<WeightsSummary> {
  const source = await openFileSource(path)
  try {
    const header = await readSafetensorsHeader(source)
    const dtypes: Record<string, number> = {}
    const groups = new Map<string, number>()
    let parameters = 0
    for (const [name, entry] of header.tensors) {
      dtypes[entry.dtype] = (dtypes[entry.dtype] ?? 0) + 1
      parameters += elementCount(entry.shape)
      const group = name.split('.', 1)[0] ?? name
      groups.set(group, (groups.get(group) ?? 0) + 1)
    }
    const largest = [...groups].sort((a, b) => b[1] - a[1]).slice(0, 12)
    return {
      file: basename(path),
      bytes: source.byteLength,
      tensors: header.tensors.size,
      parameters,
      dtypes,
      groups: Object.fromEntries(largest),
    }
  } finally {
    await source.close()
  }
}

/** A JSON object; undefined when there is no such file, an error when it cannot be used. */
async function readConfig(path: string): Promise<Record<string, unknown> | AttuneError | undefined> {
  const file = await stat(path).catch(() => undefined)
  if (!file) return undefined
  const name = basename(path)
  if (!file.isFile() || file.size > configByteLimit)
    return new AttuneError('bad-file', `${name} is not a configuration`)
  try {
    const json: unknown = JSON.parse(await readFile(path, 'utf8'))
    if (json && typeof json === 'object' && !Array.isArray(json)) return json as Record<string, unknown>
    return new AttuneError('bad-file', `${name} is not a JSON object`)
  } catch {
    return new AttuneError('bad-file', `${name} is not JSON`)
  }
}

const isPlain = (value: unknown) => ['string', 'number', 'boolean'].includes(typeof value)

/** Numbers, words and short lists: what a person wants to see of a configuration. */
function plainValues(config: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(config).filter(
      ([key, value]) =>
        !key.startsWith('_') &&
        (isPlain(value) || (Array.isArray(value) && value.length <= 8 && value.every(isPlain))),
    ),
  )
}

/** The licence by file name, or by the `license:` line of a model card. */
async function findLicence(folder: string): Promise<string | undefined> {
  const files = await readdir(folder)
  const file = files.find(name => /^licen[cs]e/i.test(name))
  if (file) return file
  const card = files.find(name => name.toLowerCase() === 'readme.md')
  if (!card) return undefined
  const text = (await readFile(join(folder, card), 'utf8')).slice(0, 4096)
  return /^license:\s*["']?([\w.+-]{1,60})/m.exec(text)?.[1]
}
