/**
 * What an export of a `CapturedAttention` consists of: the files by name, each made when its turn comes, with a
 * manifest.json that says what each file is and what its colours mean. Folders, archives and previews take their files
 * from here, so that a name that was shown is the name that is written.
 */
import type { CapturedAttention, CapturedLayer } from '../../model/attention/captured.ts'
import {
  chooseLayers,
  daamMapsOfWords,
  mapsOfHead,
  mapsOfLayer,
  mapsOfWords,
  type NamedMap,
} from '../../model/attention/named-maps.ts'
import { chooseWords } from '../../model/attention/maps.ts'
import { type AttentionReport, attentionReport } from '../../model/attention/report.ts'
import { writeRecording } from '../../model/attention/recording.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import {
  type HeatMap,
  type HeatRange,
  overlayHeat,
  paintHeat,
  rangeOf,
  resizeHeat,
} from '../../model/image/heat.ts'
import { type Pixels, resizeLanczos } from '../../model/image/resample.ts'
import { writeNpy } from '../../model/tensor/npy.ts'
import { writeSafetensors } from '../../model/weights/write-safetensors.ts'
import { encodePng16 } from './encode.ts'
import { planAnimations, planFigures } from './figures.ts'
import { type Planned, reservedStems } from './folder.ts'
import { encodePng } from '../images.ts'
import { meterFiles } from './meter.ts'
import { mapNames } from './names.ts'
import { exportFileLimit, type MapRule, type Normalisation, type PlanOptions } from './options.ts'
import { writeCsv } from './report.ts'
import { markSpot, spotEntry } from './spot.ts'
import { writeZip } from './zip.ts'

/** What manifest.json says of one map. */
interface MapEntry {
  readonly name: string
  readonly word: string
  readonly span: readonly [number, number]
  readonly layer?: string
  readonly head?: number
  readonly width: number
  readonly height: number
  /** The probabilities that are black (0) and white (255, 65535) in its pictures. */
  readonly range: HeatRange
}

/** How the maps over all layers were made, for the manifest. */
const rules: Readonly<Record<MapRule, string>> = {
  mean: 'sum over the tokens of the word; mean over steps and heads; layers resized (bilinear) to the finest grid, mean over layers',
  daam: 'DAAM: each layer and head resized (bicubic) to 64x64 and clamped at 0; mean over them, sum over steps, mean over the tokens and places of the word; neither the middle nor the coarsest layers',
}

/** A map as the picture formats take it. */
interface NamedHeat {
  readonly name: string
  readonly map: HeatMap
  readonly range: HeatRange
  /** Shown in overlays. */
  readonly mark?: { readonly x: number; readonly y: number }
}

export interface ExportPlan {
  /** In the order in which they are written; manifest.json is the last. */
  readonly files: readonly Planned[]
  /** The report of the words. */
  readonly report: AttentionReport
}

/**
 * Decides what the files of an export are, and refuses what cannot be exported. Nothing is made yet.
 * @throws AttuneError `bad-argument`: unknown words or layers, a missing picture, nothing kept per step
 */
export function planExport(captured: CapturedAttention, options: PlanOptions): ExportPlan {
  const { formats } = options
  if (formats.length === 0) {
    throw new AttuneError('bad-argument', 'No format is chosen.', 'Name one, such as --format png.')
  }
  const words = chooseWords(captured, options.words).map(chosen => chosen.index)
  const maps = collectMaps(captured, words, options)
  const colormap = options.colormap ?? 'viridis'
  const normalisation = options.normalise ?? 'minmax'
  const isSum = ({ layer }: NamedMap): boolean => options.rule === 'daam' && layer === undefined
  const ranges = rangesOf(maps, normalisation, isSum, captured.steps)
  const spot = options.spot && spotEntry(options.spot, normalisation)
  const names = mapNames(maps, [...reservedStems(formats), ...(spot ? [spot.name] : [])])
  const report = attentionReport(captured, { words })
  const entries = maps.map(
    (map, at): MapEntry => ({
      name: names[at] as string,
      word: map.label,
      span: captured.words[map.word]?.span ?? [0, 0],
      ...(map.layer === undefined ? {} : { layer: map.layer }),
      ...(map.head === undefined ? {} : { head: map.head }),
      width: map.width,
      height: map.height,
      range: ranges[at] as HeatRange,
    }),
  )
  const manifest = {
    format: 'attune.maps',
    version: 1,
    ...options.run,
    prompt: captured.prompt,
    width: captured.width,
    height: captured.height,
    steps: captured.steps,
    half: captured.half,
    colormap,
    normalise: normalisation,
    rule: rules[options.rule ?? 'mean'],
    maps: entries,
    ...(spot && { spots: [spot] }),
    ...(formats.includes('webp') && { animation: options.steps ?? 'running' }),
  }
  const heats = maps.map(
    (map, at): NamedHeat => ({ name: names[at] as string, map, range: ranges[at] as HeatRange }),
  )
  if (spot && options.spot) {
    heats.push({ name: spot.name, map: options.spot, range: spot.range, mark: options.spot.point })
  }

  const planned: Planned[] = []
  const each = (
    suffix: string,
    make: (map: HeatMap, range: HeatRange, mark: NamedHeat['mark']) => Promise<Uint8Array> | Uint8Array,
  ) => {
    for (const { name, map, range, mark } of heats)
      planned.push({ name: `${name}${suffix}`, make: () => make(map, range, mark) })
  }
  const sized = (map: HeatMap) => resizeHeat(map, captured.width, captured.height)
  for (const format of formats) {
    switch (format) {
      case 'png':
        each('.png', (map, range) => encodePng(paintHeat(sized(map), range, colormap)))
        break
      case 'png16':
        each('.16.png', (map, range) => encodePng16(map, range))
        break
      case 'overlay': {
        const picture = checkPicture(options.image, captured)
        each('.overlay.png', (map, range, mark) => {
          const heat = resizeHeat(map, picture.width, picture.height)
          const laid = overlayHeat(picture, heat, range, colormap)
          return encodePng(mark ? markSpot(laid, mark) : laid)
        })
        break
      }
      case 'npy':
        each('.npy', map => writeNpy([map.height, map.width], map.data))
        break
      case 'npz':
        planned.push({
          name: 'maps.npz',
          make: () =>
            writeZip(
              heats.map(({ name, map }) => ({
                name: `${name}.npy`,
                data: writeNpy([map.height, map.width], map.data),
              })),
            ),
        })
        break
      case 'safetensors':
        planned.push({
          name: 'maps.safetensors',
          make: () =>
            writeSafetensors(
              new Map(
                heats.map(({ name, map }) => [
                  name,
                  { dtype: 'F32', shape: [map.height, map.width], data: map.data },
                ]),
              ),
              { 'attune.maps': JSON.stringify(manifest) },
            ),
        })
        break
      case 'recording':
        planned.push({ name: 'recording.safetensors', make: () => recordingOf(captured, options) })
        break
      case 'webp':
        planAnimations(captured, words, names, options, normalisation, planned)
        break
      case 'csv':
        planned.push({
          name: 'report.csv',
          make: () => utf8(writeCsv(captured, report, options.run?.tokenWeights)),
        })
        break
      case 'json':
        planned.push({
          name: 'report.json',
          make: () => utf8(`${JSON.stringify({ ...manifest, report }, undefined, 2)}\n`),
        })
        break
      case 'figure':
        planFigures(captured, words, options, planned)
        break
      default:
        format satisfies never
    }
  }
  if (options.meter) planned.push(...meterFiles(options.meter))
  planned.push({
    name: 'manifest.json',
    make: () =>
      utf8(`${JSON.stringify({ ...manifest, files: planned.map(file => file.name) }, undefined, 2)}\n`),
  })
  return { files: planned, report }
}

/** Means over layers first, one per word; then layers; then heads. */
function collectMaps(
  captured: CapturedAttention,
  words: readonly number[],
  options: PlanOptions,
): NamedMap[] {
  const { heads } = options
  const layers = options.layers?.length ? chooseLayers(captured, options.layers) : []
  const headLayers = heads === undefined ? [] : layers.length ? layers : captured.layers
  const headsOf = (layer: CapturedLayer) =>
    heads === 'all' ? Array.from({ length: layer.numHeads }, (_, head) => head) : (heads ?? [])
  const headCount = headLayers.reduce((sum, layer) => sum + headsOf(layer).length, 0)
  const count = words.length * (1 + layers.length + headCount) * options.formats.length
  if (count > exportFileLimit) {
    throw new AttuneError(
      'bad-argument',
      `That would be ${count} maps in all formats, more than ${exportFileLimit}.`,
      'Choose fewer words, layers or heads.',
    )
  }
  return [
    ...(options.rule === 'daam'
      ? daamMapsOfWords(captured, words, options.recordedHeads)
      : mapsOfWords(captured, words)),
    ...layers.flatMap(layer => mapsOfLayer(captured, layer, words)),
    ...headLayers.flatMap(layer => headsOf(layer).flatMap(head => mapsOfHead(captured, layer, head, words))),
  ]
}

/** DAAM's values are sums over steps: they share no range with the probabilities of layers and heads. */
function rangesOf(
  maps: readonly NamedMap[],
  normalisation: Normalisation,
  isSum: (map: NamedMap) => boolean,
  steps: number,
): HeatRange[] {
  if (normalisation === 'absolute') return maps.map(map => ({ low: 0, high: isSum(map) ? steps : 1 }))
  const own = maps.map(map => rangeOf(map.data))
  if (normalisation === 'minmax') return own
  const highest = (sums: boolean): number =>
    own.reduce(
      (most, { high }, at) => (isSum(maps[at] as NamedMap) === sums ? Math.max(most, high) : most),
      0,
    )
  const [high, highOfSums] = [highest(false), highest(true)]
  return maps.map(map => ({ low: 0, high: isSum(map) ? highOfSums : high }))
}

/** A picture of the captured aspect, RGB. @throws AttuneError `bad-argument` */
function checkPicture(image: Pixels | undefined, captured: CapturedAttention): Pixels {
  if (!image) {
    throw new AttuneError(
      'bad-argument',
      'An overlay needs the picture.',
      'Add --image PICTURE.png, or leave the format overlay out.',
    )
  }
  const [mine, theirs] = [captured.width / captured.height, image.width / image.height]
  // One pixel of rounding is no other aspect.
  if (
    Math.abs(mine / theirs - 1) >
    1.5 / Math.min(image.width, image.height, captured.width, captured.height)
  ) {
    throw new AttuneError(
      'bad-argument',
      `The picture is ${image.width}x${image.height}, but the maps are of one of ${captured.width}x${captured.height}.`,
      'Name the picture that these maps were recorded with.',
    )
  }
  // A thumbnail would make blocks of the heat: it is brought to the size that was drawn.
  return image.width < captured.width ? resizeLanczos(image, captured.width, captured.height) : image
}

function recordingOf(captured: CapturedAttention, options: PlanOptions): Uint8Array {
  return writeRecording({
    captured,
    run: options.run ?? {},
    heads: options.recordedHeads ?? 'all',
    ...(options.perStep ? { perStep: options.perStep } : {}),
    ...(options.spot ? { spot: options.spot } : {}),
    otherMetadata: options.otherMetadata ?? {},
  })
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}
