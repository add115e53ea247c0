/**
 * Runs the local part of the autoencoder over a picture in tiles, with the statistics of its group norms shared by all
 * tiles. Every tile sees enough of its neighbours for its own part to be what the whole picture would have given, so
 * nothing is blended and there is no seam; what can differ from an untiled run are the statistics, the same everywhere.
 *
 * They are found by repetition: a first guess from a thinned-out input, then passes over all tiles that each measure
 * what the guess led to. After n passes the first n norms are exact, so that it ends; it stops as soon as what the
 * next pass would still change, told from how much the last change of the statistics moved the picture, cannot be
 * seen. A1111's "multidiffusion" takes only such a guess, diffusers and ComfyUI let each tile have its own statistics.
 */
import { AttuneError, invariant } from '../contract/errors.ts'
import type { Graph } from '../graph/ops.ts'
import type { Program } from '../graph/program.ts'
import { affineOf, Moments, type SharedGraph, type SharedNorm, shareNorms } from './shared-norms.ts'
import { contaminatedEdge, planTiles, type Rectangle, type Tile } from './tiles.ts'

/** The error that may remain, as a share of the output's range: half of 1/255 for a picture from black to white. */
const tolerance = 0.002
/** Statistics that change by fewer deviations than this are found, whatever follows from them. */
const settled = 1e-5

/** An image in host memory: [height, width, channels]. */
export interface HostImage {
  readonly height: number
  readonly width: number
  readonly channels: number
  readonly data: Float32Array
}

export interface TiledRun {
  /** Records the network for an input of this size. One input, one output, convolutions and element-wise operations. */
  readonly record: (height: number, width: number) => Graph
  readonly input: HostImage
  /** Size in cells, the unit of tiles. */
  readonly cells: { readonly height: number; readonly width: number }
  /** Positions of the input and of the output in a cell. One of them is 1. */
  readonly inputScale: number
  readonly outputScale: number
  readonly outputChannels: number
  /** Cells a side of what a tile adds to the picture. */
  readonly core: number
  readonly compile: (graph: Graph) => Promise<Program>
  /** Called before each tile; throws to stop. */
  readonly stop: () => void
}

/** A finished tile. */
export interface TileStep {
  /** From 1. How many passes there will be is not known before. */
  readonly pass: number
  /** 1 … tiles. */
  readonly tile: number
  readonly tiles: number
  readonly milliseconds: number
}

/** Tiles of a run, and the graph of one of them: to see whether it fits before anything is computed. */
export function planRun(run: Pick<TiledRun, 'record' | 'cells' | 'inputScale' | 'outputScale' | 'core'>): {
  readonly tiles: readonly Tile[]
  readonly shared: SharedGraph
} {
  const { record, cells, inputScale, outputScale } = run
  // The depth of wrong edges does not depend on the size; a small image keeps the recording cheap.
  const halo = Math.ceil(contaminatedEdge(record(8 * inputScale, 8 * inputScale)) / outputScale)
  const tiles = planTiles(cells.height, cells.width, run.core, halo)
  const window = tiles[0]?.window
  invariant(window, 'at least one tile')
  const graph = record(window.height * inputScale, window.width * inputScale)
  return { tiles, shared: shareNorms(graph, 'given') }
}

/**
 * @returns the output for the whole input
 * @throws AttuneError `non-finite`, and what `compile`, `stop` and the programs throw
 */
export async function* runTiled(run: TiledRun): AsyncGenerator<TileStep, HostImage> {
  const { input, cells, inputScale, outputScale } = run
  const { tiles, shared } = planRun(run)
  const size = { height: cells.height * outputScale, width: cells.width * outputScale }
  const data = new Float32Array(size.height * size.width * run.outputChannels)
  const output: HostImage = { ...size, channels: run.outputChannels, data }
  const window = tiles[0]?.window as Rectangle
  let given = await guess(run, window)
  const [inputName] = run.record(inputScale, inputScale).inputs.keys()
  invariant(inputName !== undefined, 'a network with an input')
  const program = await run.compile(shared.graph)
  let lastChange = Infinity
  try {
    for (let pass = 1; ; pass++) {
      let moved = 0
      const found = emptyMoments(shared.norms)
      let values: Record<string, Float32Array> = {}
      for (const [index, norm] of shared.norms.entries()) {
        const { scale, shift } = await affineOf(norm, given[index] as Moments)
        values = { ...values, [norm.scale]: scale, [norm.shift]: shift }
      }
      for (const [index, { window, core }] of tiles.entries()) {
        run.stop()
        const started = performance.now()
        const inside = { ...core, top: core.top - window.top, left: core.left - window.left }
        for (const [width, name] of shared.columnInputs) {
          values[name] = columnWeights(width, window.width, inside)
        }
        values[inputName] = crop(input, scaled(window, inputScale))
        const results = await program.run(values)
        // A program keeps its inputs: the statistics travel once a pass.
        values = {}
        collect(shared.norms, found, results, inside, window)
        const [name] = [...program.graph.outputs.keys()].filter(key => !key.startsWith('moments:'))
        const image = results[name ?? '']
        invariant(image, 'a network with an output')
        const to = scaled(core, outputScale)
        const from = scaled(inside, outputScale)
        moved = Math.max(moved, paste(output, to, image, from, window.width * outputScale))
        yield {
          pass,
          tile: index + 1,
          tiles: tiles.length,
          milliseconds: performance.now() - started,
        }
      }
      const change = shared.norms.reduce(
        (worst, { op }, index) =>
          Math.max(worst, (found[index] as Moments).changeFrom(given[index] as Moments, op.eps)),
        0,
      )
      // Infinite where something is not finite: more passes would not mend it.
      if (!Number.isFinite(change)) {
        throw new AttuneError(
          'non-finite',
          'The statistics of the picture in tiles are not finite. No picture was made of it.',
          'Run again with --precision f32. If it stays, the model file may be damaged.',
        )
      }
      const expected = (moved * change) / lastChange
      const close = pass > 1 && expected < tolerance * rangeOf(output.data)
      if (close || change < settled || pass > shared.norms.length) return output
      given = found
      lastChange = change
    }
  } finally {
    program.dispose()
  }
}

/** The statistics of the input thinned out to at most a window's size: right in kind, as its neighbours differ more. */
async function guess(run: TiledRun, window: Rectangle): Promise<Moments[]> {
  const { input, cells, inputScale } = run
  let step = 1
  const thin = (length: number): number => Math.ceil(length / step)
  while (thin(cells.height) * thin(cells.width) > window.height * window.width) step++
  const height = thin(cells.height) * inputScale
  const width = thin(cells.width) * inputScale
  const { graph, norms, columnInputs } = shareNorms(run.record(height, width), 'own')
  const moments = new Map([...graph.outputs].filter(([name]) => name.startsWith('moments:')))
  run.stop()
  const program = await run.compile({ ...graph, outputs: moments })
  try {
    const values: Record<string, Float32Array> = {}
    for (const [columns, name] of columnInputs) values[name] = new Float32Array(columns).fill(1)
    const [inputName] = [...graph.inputs.keys()].filter(name => !name.startsWith('columns:'))
    values[inputName ?? ''] = thinned(input, height, width)
    const results = await program.run(values)
    const found = emptyMoments(norms)
    const whole = { top: 0, left: 0, height: height / inputScale, width: width / inputScale }
    collect(norms, found, results, whole, whole)
    return found
  } finally {
    program.dispose()
  }
}

function emptyMoments(norms: readonly SharedNorm[]): Moments[] {
  return norms.map(({ op }) => new Moments(op.groups))
}

/** Adds the rows of a tile's core, in the scale of each norm. */
function collect(
  norms: readonly SharedNorm[],
  found: readonly Moments[],
  results: Readonly<Record<string, Float32Array>>,
  inside: Rectangle,
  window: Rectangle,
): void {
  for (const [index, { op, moments, height }] of norms.entries()) {
    const rows = results[moments]
    invariant(rows, `${moments} is an output`)
    const scale = height / window.height
    const columns = 2 * op.groups
    for (let row = inside.top * scale; row < (inside.top + inside.height) * scale; row++) {
      found[index]?.addRow(rows.subarray(row * columns, (row + 1) * columns), inside.width * scale)
    }
  }
}

/** 1 for the columns of the core, at the scale at which the window has `width` columns. */
function columnWeights(width: number, windowWidth: number, inside: Rectangle): Float32Array {
  const scale = width / windowWidth
  const weights = new Float32Array(width)
  return weights.fill(1, inside.left * scale, (inside.left + inside.width) * scale)
}

function scaled({ top, left, height, width }: Rectangle, scale: number): Rectangle {
  return { top: top * scale, left: left * scale, height: height * scale, width: width * scale }
}

function crop(image: HostImage, { top, left, height, width }: Rectangle): Float32Array {
  const { channels } = image
  const result = new Float32Array(height * width * channels)
  for (let row = 0; row < height; row++) {
    const start = ((top + row) * image.width + left) * channels
    result.set(image.data.subarray(start, start + width * channels), row * width * channels)
  }
  return result
}

/** @returns the largest difference from what was there. */
function paste(
  target: HostImage,
  to: Rectangle,
  source: Float32Array,
  from: Rectangle,
  sourceWidth: number,
): number {
  const { channels, data } = target
  let largest = 0
  for (let row = 0; row < to.height; row++) {
    const start = ((from.top + row) * sourceWidth + from.left) * channels
    const place = ((to.top + row) * target.width + to.left) * channels
    for (let i = 0; i < to.width * channels; i++) {
      const value = source[start + i] as number
      const difference = Math.abs(value - (data[place + i] as number))
      if (difference > largest) largest = difference
      data[place + i] = value
    }
  }
  return largest
}

function rangeOf(values: Float32Array): number {
  let low = Infinity
  let high = -Infinity
  for (const value of values) {
    if (value < low) low = value
    if (value > high) high = value
  }
  return high - low
}

/** Every n-th position, as it is: an average would take away the differences that the variance is made of. */
function thinned(image: HostImage, height: number, width: number): Float32Array {
  const { channels } = image
  const result = new Float32Array(height * width * channels)
  for (let i = 0; i < height; i++) {
    const row = Math.floor((i * image.height) / height)
    for (let j = 0; j < width; j++) {
      const start = (row * image.width + Math.floor((j * image.width) / width)) * channels
      result.set(image.data.subarray(start, start + channels), (i * width + j) * channels)
    }
  }
  return result
}
