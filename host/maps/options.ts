/** What can be exported and how; shared by the export itself and by the commands that ask for it. */
import { AttuneError } from '../../model/contract/errors.ts'
import type { RunFacts } from '../../model/attention/recording-manifest.ts'
import type { StepMaps } from '../../model/attention/recording.ts'
import type { SpotMap } from '../../model/attention/spot.ts'
import { colormaps, type Colormap } from '../../model/image/colormap.ts'
import type { Pixels } from '../../model/image/resample.ts'
import type { MeterFacts } from './meter.ts'

export const mapFormats = [
  /** Colours, 8-bit, at the picture's size. */
  'png',
  /** 16-bit grey, linear, on the map's own grid; what 0 and 65535 mean stands in manifest.json. */
  'png16',
  /** The heat over the picture. */
  'overlay',
  /** [height, width] F32, one file a map. */
  'npy',
  /** All maps in one NumPy archive. */
  'npz',
  /** All maps in one file by name. */
  'safetensors',
  /** Everything captured: opens again with `attune maps open`. */
  'recording',
  /** A word's map over the steps, animated. */
  'webp',
  /** The report, one line a word. */
  'csv',
  /** The report and the manifest. */
  'json',
  /** Source tokens × target positions, as PNG and SVG. */
  'figure',
] as const
export type MapFormat = (typeof mapFormats)[number]

export const normalisations = [
  /** Each map from its smallest to its largest value. */
  'minmax',
  /** All maps from 0 to the largest value of all: maps can be compared by eye. */
  'shared',
  /** Probabilities as they are, 0 to 1. */
  'absolute',
] as const
export type Normalisation = (typeof normalisations)[number]

export const stepKinds = [
  /** The mean up to each step: the word's map as it forms, and at the end its map. */
  'running',
  /** What each step looked at by itself. */
  'each',
] as const
export type StepKind = (typeof stepKinds)[number]

/** How a word's map is made of its tokens, layers and heads. */
export const mapRules = [
  /** Sum over the word's tokens, mean over steps, heads and layers (model/attention/maps.ts): probabilities. */
  'mean',
  /** As DAAM does (model/attention/daam.ts), for comparison with its figures: sums over steps. */
  'daam',
] as const
export type MapRule = (typeof mapRules)[number]

/** Formats in which a spot's map is written. */
export const spotFormats: readonly MapFormat[] = [
  'png',
  'png16',
  'overlay',
  'npy',
  'npz',
  'safetensors',
  'recording',
]

export interface ExportOptions {
  /** Made where it does not exist; what is in it stays. */
  readonly folder: string
  readonly formats: readonly MapFormat[]
  /** Words as typed; all when absent. */
  readonly words?: readonly string[]
  /** Besides the means over layers: these layers (paths, beginnings of paths, or `all`), one map each. */
  readonly layers?: readonly string[]
  /** Besides those: these heads of each chosen layer (of every layer, where none is chosen). */
  readonly heads?: readonly number[] | 'all'
  readonly colormap?: Colormap
  readonly normalise?: Normalisation
  /** The picture, for overlays. Of any size with the captured aspect. */
  readonly image?: Pixels
  /** Of the maps over all layers; `mean` when absent. */
  readonly rule?: MapRule
  readonly perStep?: StepMaps
  /** What animations show; `running` when absent. */
  readonly steps?: StepKind
  /** What a point of the picture looks at: one map more in the formats of maps. */
  readonly spot?: SpotMap
  /** What each source brought: meter.json and meter.csv. */
  readonly meter?: MeterFacts
  /** What made the picture, for the manifest and the recording. */
  readonly run?: RunFacts
  /** Of the recording that this comes from: kept when it is written again. */
  readonly otherMetadata?: Readonly<Record<string, string>>
  /** Whether heads were reduced; a recording says so. */
  readonly recordedHeads?: 'all' | 'mean'
  /** Side p of the figure's p×p grid of patches; absent: every position. */
  readonly patches?: number
  /** Replace files of the same names. */
  readonly overwrite?: boolean
  readonly signal?: AbortSignal
}

/** What does not speak of a folder. */
export type PlanOptions = Omit<ExportOptions, 'folder' | 'overwrite' | 'signal'>

/** More files than this are a mistake (all words × layers × heads of a large model). */
export const exportFileLimit = 20_000

/** What people write: `png,npy`. @throws AttuneError `bad-argument` naming what there is */
export function parseFormats(text: string, option: string): MapFormat[] {
  return parseList(text, option).map(name => choose(name, mapFormats, option))
}

export function parseColormap(text: string): Colormap {
  return choose(text, colormaps, '--colormap')
}

export function parseNormalisation(text: string): Normalisation {
  return choose(text, normalisations, '--normalise')
}

export function parseStepKind(text: string, option: string): StepKind {
  return choose(text, stepKinds, option)
}

export function parseMapRule(text: string, option: string): MapRule {
  return choose(text, mapRules, option)
}

/** `all`, or numbers with commas. */
export function parseHeads(text: string): number[] | 'all' {
  if (text.trim() === 'all') return 'all'
  return parseList(text, '--heads').map(part => {
    if (/^\d{1,4}$/.test(part)) return Number(part)
    throw new AttuneError(
      'bad-argument',
      `--heads takes numbers from 0 or "all", but has "${part.slice(0, 40)}".`,
      'Write for example --heads 0,3.',
    )
  })
}

/** Parts between commas, each once. @throws AttuneError `bad-argument` for an empty list */
export function parseList(text: string, option: string): string[] {
  const parts = [...new Set(text.split(',').map(part => part.trim()))].filter(Boolean)
  if (parts.length) return parts
  throw new AttuneError('bad-argument', `${option} is empty.`, 'Give a value, or leave the option out.')
}

function choose<T extends string>(name: string, from: readonly T[], option: string): T {
  const found = from.find(one => one === name.toLowerCase())
  if (found) return found
  throw new AttuneError(
    'bad-argument',
    `${option} does not know "${name.slice(0, 40)}".`,
    `Choose among: ${from.join(', ')}.`,
  )
}
