/**
 * Exporting what a run attended to: from a `CapturedAttention` (fresh, or of a recording) to files in a folder, with
 * a manifest.json that says what each file is and what its colours mean. Everything that can be refused is refused
 * before the first file; each file is whole or not there; the manifest is the last.
 */
import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { CapturedAttention, CapturedLayer } from '../../model/attention/captured.ts'
import {
  chooseLayers,
  mapsOfHead,
  mapsOfLayer,
  mapsOfWords,
  mapsOverSteps,
  type NamedMap,
  tokenMatrix,
} from '../../model/attention/named-maps.ts'
import { chooseWords } from '../../model/attention/maps.ts'
import { type AttentionReport, attentionReport } from '../../model/attention/report.ts'
import { writeRecording } from '../../model/attention/recording.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import { type HeatRange, overlayHeat, paintHeat, rangeOf, resizeHeat } from '../../model/image/heat.ts'
import type { MatrixFigure } from '../../model/image/figure.ts'
import { type Pixels, resizeLanczos } from '../../model/image/resample.ts'
import { writeNpy } from '../../model/tensor/npy.ts'
import { writeSafetensors } from '../../model/weights/write-safetensors.ts'
import { checkWritable, exists, writeFileAtomic } from '../write.ts'
import { encodeAnimation, encodeFigure, encodePng16 } from './encode.ts'
import { encodePng } from '../images.ts'
import { mapNames } from './names.ts'
import { exportFileLimit, type ExportOptions, type Normalisation } from './options.ts'
import { writeCsv } from './report.ts'
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

/** A file that is still to be made: nothing large is held before its turn. */
interface Planned {
  readonly name: string
  make(): Promise<Uint8Array> | Uint8Array
}

export interface ExportResult {
  /** Paths in the order written; manifest.json is the last. */
  readonly files: readonly string[]
  /** The report of the words. */
  readonly report: AttentionReport
}

/**
 * Writes the chosen formats of the chosen maps into a folder.
 * @throws AttuneError `bad-argument` before anything is written (unknown words or layers, a missing picture, a name
 *   that is taken); `bad-file` when the disk refuses; `cancelled`: files written until then are whole and stay
 */
export async function exportMaps(captured: CapturedAttention, options: ExportOptions): Promise<ExportResult> {
  const { folder, formats } = options
  if (formats.length === 0) {
    throw new AttuneError('bad-argument', 'No format is chosen.', 'Name one, such as --format png.')
  }
  const words = chooseWords(captured, options.words).map(chosen => chosen.index)
  const maps = collectMaps(captured, words, options)
  const colormap = options.colormap ?? 'viridis'
  const normalisation = options.normalise ?? 'minmax'
  const ranges = rangesOf(maps, normalisation)
  const names = mapNames(
    maps,
    formats.flatMap(format => fixedNames[format] ?? []).concat('manifest', 'report'),
  )
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
    rule: 'sum over the tokens of the word; mean over steps and heads; layers resized (bilinear) to the finest grid, mean over layers',
    maps: entries,
  }

  const planned: Planned[] = []
  const each = (
    suffix: string,
    make: (map: NamedMap, range: HeatRange) => Promise<Uint8Array> | Uint8Array,
  ) =>
    maps.forEach((map, at) =>
      planned.push({ name: `${names[at]}${suffix}`, make: () => make(map, ranges[at] as HeatRange) }),
    )
  const sized = (map: NamedMap) => resizeHeat(map, captured.width, captured.height)
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
        each('.overlay.png', (map, range) =>
          encodePng(overlayHeat(picture, resizeHeat(map, picture.width, picture.height), range, colormap)),
        )
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
              maps.map((map, at) => ({
                name: `${names[at]}.npy`,
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
                maps.map((map, at) => [
                  names[at] as string,
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
  planned.push({
    name: 'manifest.json',
    make: () =>
      utf8(`${JSON.stringify({ ...manifest, files: planned.map(file => file.name) }, undefined, 2)}\n`),
  })
  await checkFolder(folder, planned, options.overwrite === true)
  const files: string[] = []
  for (const { name, make } of planned) {
    if (options.signal?.aborted) throw stopped(folder, files.length)
    const path = join(folder, name)
    await writeFileAtomic(path, await make(), { overwrite: options.overwrite === true })
    files.push(path)
  }
  return { files, report }
}

/** Names that a format takes for all maps together: a word of that name gets a number. */
const fixedNames: Readonly<Record<string, readonly string[]>> = {
  npz: ['maps'],
  safetensors: ['maps'],
  recording: ['recording'],
  figure: ['figure'],
}

/** Means over layers first, one per word; then layers; then heads. */
function collectMaps(
  captured: CapturedAttention,
  words: readonly number[],
  options: ExportOptions,
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
    ...mapsOfWords(captured, words),
    ...layers.flatMap(layer => mapsOfLayer(captured, layer, words)),
    ...headLayers.flatMap(layer => headsOf(layer).flatMap(head => mapsOfHead(captured, layer, head, words))),
  ]
}

function rangesOf(maps: readonly NamedMap[], normalisation: Normalisation): HeatRange[] {
  if (normalisation === 'absolute') return maps.map(() => ({ low: 0, high: 1 }))
  const own = maps.map(map => rangeOf(map.data))
  if (normalisation === 'minmax') return own
  const high = own.reduce((most, range) => Math.max(most, range.high), 0)
  return maps.map(() => ({ low: 0, high }))
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

/** One animation a word; the range is that of all its steps, so that colours can be compared along time. */
function planAnimations(
  captured: CapturedAttention,
  words: readonly number[],
  names: readonly string[],
  options: ExportOptions,
  normalisation: Normalisation,
  planned: Planned[],
): void {
  const { perStep } = options
  if (!perStep) {
    throw new AttuneError(
      'bad-argument',
      'There are no maps per step, which an animation needs.',
      'Leave the format webp out, or record again with maps per step.',
    )
  }
  const sequences = words.map(word => mapsOverSteps(captured, perStep, word))
  const shared = sequences.flat().reduce((most, map) => Math.max(most, rangeOf(map.data).high), 0)
  words.forEach((word, at) => {
    const frames = sequences[at] as NamedMap[]
    if (frames.length === 0) {
      throw new AttuneError(
        'bad-argument',
        `The word "${captured.words[word]?.text}" was not kept per step.`,
        'Leave the word or the format webp out.',
      )
    }
    const own = frames.map(frame => rangeOf(frame.data))
    const range =
      normalisation === 'absolute'
        ? { low: 0, high: 1 }
        : normalisation === 'shared'
          ? { low: 0, high: shared }
          : { low: Math.min(...own.map(one => one.low)), high: Math.max(...own.map(one => one.high)) }
    planned.push({
      name: `${names[at]}.webp`,
      make: () =>
        encodeAnimation(
          frames.map(frame =>
            paintHeat(
              resizeHeat(frame, captured.width, captured.height),
              range,
              options.colormap ?? 'viridis',
            ),
          ),
        ),
    })
  })
}

/** The mean over layers, and one figure per chosen layer. */
function planFigures(
  captured: CapturedAttention,
  words: readonly number[],
  options: ExportOptions,
  planned: Planned[],
): void {
  const layers = options.layers?.length ? chooseLayers(captured, options.layers) : []
  const patches = options.patches === undefined ? {} : { patches: options.patches }
  for (const layer of [undefined, ...layers]) {
    const name = layer
      ? `figure.${layer.path.replace(/\.transformer_blocks\.0\.attn2$/, '').replace(/[^\w.-]+/g, '-')}`
      : 'figure'
    let made: ReturnType<typeof encodeFigure> | undefined
    const once = () =>
      (made ??= encodeFigure(tokenFigure(captured, words, options, layer ? { layer, ...patches } : patches)))
    planned.push({ name: `${name}.png`, make: async () => (await once()).png })
    planned.push({ name: `${name}.svg`, make: async () => (await once()).svg })
  }
}

/** Source tokens × target positions, ready to draw. */
export function tokenFigure(
  captured: CapturedAttention,
  words: readonly number[],
  options: Pick<ExportOptions, 'colormap' | 'normalise'> = {},
  which: Parameters<typeof tokenMatrix>[2] = {},
): MatrixFigure {
  const matrix = tokenMatrix(captured, words, which)
  const { width, height } = matrix.grid
  const what = which?.patches ? 'patches' : 'positions'
  const range =
    options.normalise === 'absolute' ? { low: 0, high: 1 } : { low: 0, high: rangeOf(matrix.data).high }
  const prompt = captured.prompt.length > 70 ? `${captured.prompt.slice(0, 69)}…` : captured.prompt
  return {
    title: prompt.replace(/\s+/g, ' ') || 'Attention',
    subtitle: `${which?.layer?.path ?? `mean of ${captured.layers.length} layers`} · ${captured.steps} steps · ${captured.half === 'cond' ? 'conditional half' : 'unconditional half'}`,
    rowLabels: matrix.rowLabels,
    rowTitle: 'source token',
    columnTitle: `target ${what}: ${width} × ${height}, row by row from the top`,
    data: matrix.data,
    columns: matrix.columns,
    group: width,
    range,
    barTitle: 'mean probability',
    colormap: options.colormap ?? 'viridis',
  }
}

function recordingOf(captured: CapturedAttention, options: ExportOptions): Uint8Array {
  return writeRecording({
    captured,
    run: options.run ?? {},
    heads: options.recordedHeads ?? 'all',
    ...(options.perStep ? { perStep: options.perStep } : {}),
    otherMetadata: options.otherMetadata ?? {},
  })
}

/** Looks for everything in the way before the first byte is written. */
async function checkFolder(folder: string, planned: readonly Planned[], overwrite: boolean): Promise<void> {
  await checkWritable(join(folder, 'manifest.json'))
  if (!overwrite) {
    for (const { name } of planned) {
      if (!(await exists(join(folder, name)))) continue
      throw new AttuneError(
        'bad-argument',
        `${join(folder, name)} is there already. Nothing was written.`,
        'Choose another folder, or add --overwrite to replace the files of these names.',
      )
    }
  }
  const found = await stat(folder).catch(() => undefined)
  if (!found) await mkdir(folder, { recursive: true }).catch(() => undefined) // the first write says why, if it fails
}

function stopped(folder: string, written: number): AttuneError {
  return new AttuneError(
    'cancelled',
    `Cancelled: ${written} files were written to ${folder}, all of them whole.`,
  )
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}
