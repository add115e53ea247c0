/**
 * Folders of learned preprocessors: which files they must have, looked at before anything is loaded, because
 * Transformers.js says "Cannot read properties of undefined" of a folder that lacks one.
 */
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { AttuneError } from '../../model/contract/errors.ts'
import { dataFolder } from '../settings/settings.ts'

/** What a learned preprocessor finds. */
export const learnedNames = ['depth', 'pose', 'seg'] as const
export type LearnedName = (typeof learnedNames)[number]

interface LearnedFacts {
  readonly what: string
  readonly aliases: readonly string[]
  /** `model_type` of configurations that fit. */
  readonly types: readonly string[]
  /** A model that fits, as people find it. */
  readonly example: string
}

export const learned: Readonly<Record<LearnedName, LearnedFacts>> = {
  depth: {
    what: 'how near things are: near is bright',
    aliases: ['depth_anything', 'depth_anything_v2', 'depth_midas', 'depth_zoe'],
    types: ['dpt', 'depth_anything', 'glpn', 'sapiens', 'depth_pro', 'metric3d', 'metric3dv2', 'chmv2'],
    example: 'onnx-community/depth-anything-v2-small',
  },
  pose: {
    what: 'the body of one person, as OpenPose draws it',
    aliases: ['openpose'],
    types: ['vitpose'],
    example: 'onnx-community/vitpose-base-simple',
  },
  seg: {
    what: 'what is where, a colour for each class',
    aliases: ['seg_ofade20k', 'seg_ofcoco', 'seg_ufade20k'],
    types: ['segformer', 'detr', 'maskformer', 'sapiens', 'modnet', 'birefnet', 'isnet', 'ben'],
    example: 'Xenova/segformer-b0-finetuned-ade-512-512',
  },
}

/** A learned preprocessor by its name or another one. */
export function findLearned(name: string): LearnedName | undefined {
  return learnedNames.find(key => key === name || learned[key].aliases.includes(name))
}

/** Where a model is looked for when nobody says. */
export function learnedFolder(
  name: LearnedName,
  env: Readonly<Record<string, string | undefined>> = process.env,
): string {
  return join(dataFolder(env), 'preprocessors', name)
}

/** Precisions that onnxruntime's processor computes, best first, with the ends of their files' names. */
const precisions = [
  ['fp32', ''],
  ['fp16', '_fp16'],
  ['q8', '_quantized'],
  ['int8', '_int8'],
  ['uint8', '_uint8'],
] as const
export type LearnedPrecision = (typeof precisions)[number][0]

export interface LearnedModel {
  readonly name: LearnedName
  readonly folder: string
  readonly precision: LearnedPrecision
  readonly type: string
  /** Names of classes, in the network's order. */
  readonly labels: readonly string[]
  /** Metres instead of their inverse: far is high. */
  readonly isMetric: boolean
  /** Colours of classes, where the folder has them: `palette.json`. */
  readonly palette?: readonly (readonly [number, number, number])[]
}

/** Types whose networks give metres. */
const metricTypes = new Set(['glpn', 'metric3d', 'metric3dv2'])
const textLimit = 4 << 20

/**
 * Looks at a folder.
 * @throws AttuneError `bad-model` naming what is missing or does not fit, and where a model that fits belongs
 */
export async function openLearned(name: LearnedName, folder: string): Promise<LearnedModel> {
  const { types, example } = learned[name]
  const remedy = `Put a model such as ${example} (config.json, preprocessor_config.json, onnx/model.onnx) into ${folder}, or name its folder with --model.`
  const info = await stat(folder).catch(() => undefined)
  if (!info?.isDirectory()) {
    const why = info ? `${folder} is not a folder` : `there is nothing at ${folder}`
    throw new AttuneError('bad-model', `${name} needs a network, and ${why}.`, remedy)
  }
  const missing = (file: string) => new AttuneError('bad-model', `${folder} has no ${file}.`, remedy)
  const config = await readJson(join(folder, 'config.json'))
  if (config === undefined) throw missing('config.json')
  const type = typeof config['model_type'] === 'string' ? config['model_type'] : 'unnamed'
  if (!types.includes(type)) {
    throw new AttuneError(
      'bad-model',
      `${folder} holds a model of the kind "${type.slice(0, 40)}"; ${name} runs ${types.join(', ')}.`,
      remedy,
    )
  }
  if ((await readJson(join(folder, 'preprocessor_config.json'))) === undefined)
    throw missing('preprocessor_config.json')
  const precision = await findPrecision(folder)
  if (!precision) throw missing('onnx/model.onnx (nor a half or eight-bit one)')
  const palette = await readPalette(folder)
  return {
    name,
    folder,
    precision,
    type,
    labels: labelsOf(config['id2label']),
    isMetric: metricTypes.has(type) || config['depth_estimation_type'] === 'metric',
    ...(palette && { palette }),
  }
}

async function findPrecision(folder: string): Promise<LearnedPrecision | undefined> {
  for (const [precision, end] of precisions) {
    const file = await stat(join(folder, 'onnx', `model${end}.onnx`)).catch(() => undefined)
    if (file?.isFile() && file.size > 0) return precision
  }
  return undefined
}

function labelsOf(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.values(value).filter(label => typeof label === 'string')
}

async function readPalette(folder: string): Promise<LearnedModel['palette'] | undefined> {
  const path = join(folder, 'palette.json')
  const value = await readJson(path)
  if (value === undefined) return undefined
  if (Array.isArray(value) && value.length > 0 && value.every(isColour)) return value
  throw new AttuneError(
    'bad-model',
    `${path} is not a list of colours.`,
    'Write one [red, green, blue] of numbers from 0 to 255 for each class, or remove the file.',
  )
}

function isColour(value: unknown): value is [number, number, number] {
  return (
    Array.isArray(value) &&
    value.length === 3 &&
    value.every(part => Number.isInteger(part) && part >= 0 && part <= 255)
  )
}

/** @returns undefined when there is no such file */
async function readJson(path: string): Promise<Record<string, unknown> | undefined> {
  const info = await stat(path).catch(() => undefined)
  if (!info?.isFile()) return undefined
  const refuse = (why: string, cause?: unknown) =>
    new AttuneError('bad-model', `${path} ${why}.`, 'Download the model again.', { cause })
  if (info.size > textLimit) throw refuse(`has ${info.size} bytes, too many for a text`)
  let value: unknown
  try {
    value = JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    throw refuse('is not JSON', error)
  }
  if (typeof value !== 'object' || value === null) throw refuse('holds no object')
  return value as Record<string, unknown>
}
