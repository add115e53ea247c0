/**
 * The words that ask what words did: `--maps` and what belongs to it, of every command that draws, and `attune maps`,
 * whose work stands in `commands/maps.ts`, loaded when it runs.
 */
import { Command } from 'commander'
import {
  type MapFormat,
  mapFormats,
  type MapRule,
  mapRules,
  type Normalisation,
  normalisations,
  parseColormap,
  parseFormats,
  parseList,
  parseMapRule,
  parseNormalisation,
  parseStepKind,
  spotFormats,
  type StepKind,
  stepKinds,
} from '../host/maps/options.ts'
import type { SpotPoint } from '../model/attention/spot.ts'
import { AttuneError } from '../model/contract/errors.ts'
import { type Colormap, colormaps } from '../model/image/colormap.ts'
import type { MapsOpenOptions } from './commands/maps.ts'
import type { CommandIO } from './io.ts'

/** Word maps beside the picture. */
export interface MapsArguments {
  readonly folder: string
  readonly formats: readonly MapFormat[]
  /** All words of the prompt when absent. */
  readonly words?: readonly string[]
  readonly colormap?: Colormap
  readonly normalise?: Normalisation
  readonly rule?: MapRule
  /** What animations show. */
  readonly steps?: StepKind
  readonly spot?: SpotPoint
}

/** When it is measured what each source brings: an evaluation counted from 0. */
export type MeterTime = number | 'middle'

/** Values as commander leaves them. */
export interface RawMapsOptions {
  readonly maps?: string
  readonly mapsFormat?: string
  readonly mapsRule?: string
  readonly mapsSteps?: string
  readonly words?: string
  readonly colormap?: string
  readonly normalise?: string
  readonly spot?: string
  readonly meter?: string | true
}

const defaultMapFormats = 'png,overlay,json'

/** Options that need --maps, and how they are written. */
const mapsOnly = {
  mapsFormat: '--maps-format',
  mapsRule: '--maps-rule',
  mapsSteps: '--maps-steps',
  words: '--words',
  colormap: '--colormap',
  normalise: '--normalise',
  spot: '--spot',
} as const satisfies Partial<Record<keyof RawMapsOptions, string>>

/** Adds what every command that draws has. */
export function addMapsOptions(command: Command): Command {
  return command
    .option('--maps <dir>', 'write what every word did: maps, overlays, a report')
    .option('--maps-format <list>', `${mapFormats.join(', ')} (default: ${defaultMapFormats})`)
    .option('--words <list>', 'with --maps: only these words, with commas')
    .option('--colormap <name>', `with --maps: ${colormaps.join(', ')}`)
    .option('--normalise <how>', `with --maps: ${normalisations.join(', ')}`)
    .option('--maps-rule <rule>', `with --maps: ${mapRules.join(' or ')} (default: mean)`)
    .option('--maps-steps <how>', `with --maps-format webp: ${stepKinds.join(' or ')} (default: running)`)
    .option(
      '--spot <x,y>',
      'with --maps: what this point of the picture looks at, as shares from the top left',
    )
    .option(
      '--meter [step]',
      'measure what the prompt and each region bring (default: in the middle of the run)',
    )
}

/** @throws AttuneError `bad-argument` for formats that are not there, or options of maps without --maps */
export function readMapsArguments(raw: RawMapsOptions): MapsArguments | undefined {
  if (raw.maps === undefined) {
    for (const [name, option] of Object.entries(mapsOnly)) {
      if (raw[name as keyof typeof mapsOnly] === undefined) continue
      throw wrong(`${option} does nothing without --maps.`, 'Add --maps FOLDER or drop it.')
    }
    return undefined
  }
  const formats = parseFormats(raw.mapsFormat ?? defaultMapFormats, '--maps-format')
  if (raw.mapsSteps !== undefined && !formats.includes('webp')) {
    throw wrong(
      '--maps-steps does nothing without the format webp.',
      'Add it: --maps-format webp, or drop --maps-steps.',
    )
  }
  const spot = raw.spot === undefined ? undefined : parseSpot(raw.spot)
  if (spot && !formats.some(format => spotFormats.includes(format))) {
    throw wrong(
      `--spot is a map, which none of the formats ${formats.join(', ')} holds.`,
      `Add one of: ${spotFormats.join(', ')}.`,
    )
  }
  return {
    folder: raw.maps,
    formats,
    ...(raw.words !== undefined && { words: parseList(raw.words, '--words') }),
    ...(raw.colormap !== undefined && { colormap: parseColormap(raw.colormap) }),
    ...(raw.normalise !== undefined && { normalise: parseNormalisation(raw.normalise) }),
    ...(raw.mapsRule !== undefined && { rule: parseMapRule(raw.mapsRule, '--maps-rule') }),
    ...(raw.mapsSteps !== undefined && { steps: parseStepKind(raw.mapsSteps, '--maps-steps') }),
    ...(spot && { spot }),
  }
}

/** `0.3,0.7`: shares of the picture from the top left. @throws AttuneError `bad-argument` */
export function parseSpot(text: string): SpotPoint {
  const parts = text.split(',').map(part => part.trim())
  const [x = NaN, y = NaN] = parts.map(part => (/^(\d+\.?\d*|\.\d+)$/.test(part) ? Number(part) : NaN))
  if (parts.length === 2 && x >= 0 && x <= 1 && y >= 0 && y <= 1) return { x, y }
  throw wrong(
    `--spot must be a point of the picture, but is "${text.slice(0, 40)}".`,
    'Write x,y as shares of its width and height, from 0 to 1: 0.5,0.25 is the middle of the upper half.',
  )
}

/**
 * `--meter`, or `--meter 6`: the sixth evaluation of the network.
 * @throws AttuneError `bad-argument`
 */
export function readMeter(value: string | true | undefined): MeterTime | undefined {
  if (value === undefined) return undefined
  if (value === true) return 'middle'
  if (/^\d{1,5}$/.test(value) && Number(value) >= 1) return Number(value) - 1
  throw wrong(
    `--meter takes the number of a step, from 1, but has "${value.slice(0, 40)}".`,
    'Write for example --meter 6, or --meter behind the prompt.',
  )
}

function wrong(message: string, remedy: string): AttuneError {
  return new AttuneError('bad-argument', message, remedy)
}

/** `attune maps`, with its actions. */
export function mapsCommand(io: CommandIO): Command {
  const maps = new Command('maps').description('word maps of a recorded picture, without the model')
  const opening = maps
    .command('open')
    .description('export maps from an attention recording')
    .argument('<file>', 'a recording (.safetensors)')
    .requiredOption('--out <dir>', 'where to write; what is there stays')
    .option('--format <list>', mapFormats.join(', '), 'png,json')
    .option('--words <list>', 'only these words, with commas (default: all)')
    .option('--layers <list>', 'also a map per layer: paths, beginnings of paths, or all')
    .option('--heads <list>', 'also a map per head: numbers from 0, or all')
    .option('--colormap <name>', colormaps.join(', '), 'viridis')
    .option('--normalise <how>', `${normalisations.join(', ')}: each map, all alike, or 0 to 1`, 'minmax')
    .option('--rule <rule>', `${mapRules.join(' or ')}: our mean, or as DAAM makes maps`, 'mean')
    .option('--steps <how>', `webp: ${stepKinds.join(' or ')}: the mean so far, or each step`, 'running')
    .option('--image <file>', 'the picture, for overlays')
    .option('--patches <p>', 'figure: p×p patches instead of every position')
    .option('--overwrite', 'replace files that are there')
    .option('--json', 'one JSON line')
  opening.action(async (file: string) => {
    const { openMaps } = await import('./commands/maps.ts')
    await openMaps(file, opening.opts<MapsOpenOptions>(), io)
  })
  const inspecting = maps
    .command('inspect')
    .description('what an attention recording holds')
    .argument('<file>', 'a recording (.safetensors)')
    .option('--json', 'one JSON line')
  inspecting.action(async (file: string) => {
    const { inspectMaps } = await import('./commands/maps.ts')
    await inspectMaps(file, inspecting.opts<{ json?: boolean }>().json === true, io)
  })
  return maps
}
