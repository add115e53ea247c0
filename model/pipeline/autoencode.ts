/**
 * The autoencoder for pictures of any size: whole where that fits the device, else in tiles (`model/vae/tiled.ts`). What
 * fits is known before anything is allocated; where a device turns out to have less, the run begins again in tiles.
 */
import { AttuneError, invariant } from '../contract/errors.ts'
import type { Graph } from '../graph/ops.ts'
import type { Backend, Footprint, Program } from '../graph/program.ts'
import type { AutoencoderKL } from '../vae/autoencoder-kl.ts'
import { type HostImage, planRun, runTiled, type TiledRun, type TileStep } from '../vae/tiled.ts'

/** A tile that is done. The first one of a run says, where nobody asked for tiles, why there are any. */
export interface AutoencodeStep extends TileStep {
  readonly stage: 'decode' | 'encode'
  readonly notice?: string
}

export interface AutoencodeOptions {
  readonly backend: Backend
  readonly compile: (graph: Graph) => Promise<Program>
  /** Throws to stop. Called before each tile. */
  readonly stop: () => void
  /** Pixels a side of a tile; the device's room decides when absent. */
  readonly tilePixels?: number | undefined
}

export interface Area {
  readonly height: number
  readonly width: number
}

/** Most bytes of host memory for what passes between the whole and the tiled part of the network. */
const hiddenByteLimit = 768 * 2 ** 20

/** Pixels a side of tiles, the first that fits. Below the last one edges would cost more than the tiles. */
const automaticTiles = [2048, 1024, 512, 256, 128]

/**
 * @param latents [1, h, w, C] in the VAE's own units
 * @param size of the latents
 * @returns image [1, H, W, 3], about −1 … 1; and the program that made it, unless it was made in tiles
 */
export async function* decodeLatents(
  vae: AutoencoderKL,
  latents: Float32Array,
  size: Area,
  options: AutoencodeOptions,
): AsyncGenerator<AutoencodeStep, { image: Float32Array; program: Program | undefined }> {
  const result = yield* wholeOrTiled(options, {
    stage: 'decode',
    picture: { height: size.height * vae.sizeFactor, width: size.width * vae.sizeFactor },
    whole: vae.recordDecode({ batch: 1, ...size }),
    inputs: { latents },
    levels: vae.levels,
    cut(blocks) {
      const scale = 2 ** Math.min(blocks, vae.levels - 1)
      return {
        cells: { height: size.height * scale, width: size.width * scale },
        inputScale: 1,
        outputScale: vae.sizeFactor / scale,
        atOnce: vae.recordDecodeHead({ batch: 1, ...size }, blocks),
        record: (height, width) => vae.recordDecodeTail({ batch: 1, height, width }, blocks),
      }
    },
    async *tiles(cut, core) {
      const hidden = await runOnce(options, cut.atOnce, { latents })
      const input = imageOf(hidden, cut.cells)
      const image = yield* runTiled({
        ...options,
        ...cut,
        input,
        outputChannels: vae.config.outChannels,
        core,
      })
      return image.data
    },
  })
  return { image: result.values, program: result.program }
}

/**
 * @param image [1, H, W, 3] in −1 … 1
 * @param size of the picture
 * @returns moments [1, h, w, 2C]
 */
export async function* encodePicture(
  vae: AutoencoderKL,
  image: Float32Array,
  size: Area,
  options: AutoencodeOptions,
): AsyncGenerator<AutoencodeStep, Float32Array> {
  const result = yield* wholeOrTiled(options, {
    stage: 'encode',
    picture: size,
    whole: vae.recordEncode({ batch: 1, ...size }),
    inputs: { image },
    levels: vae.levels,
    cut(blocksAtOnce) {
      // The last block does not change the size: a cut behind it would be the one before it with more to do in tiles.
      const blocks = Math.max(0, vae.levels - 1 - blocksAtOnce)
      const scale = 2 ** blocks
      const cells = { height: size.height / scale, width: size.width / scale }
      return {
        cells,
        inputScale: scale,
        outputScale: 1,
        atOnce: vae.recordEncodeRest({ batch: 1, ...cells }, blocks),
        record: (height, width) => vae.recordEncodeFront({ batch: 1, height, width }, blocks),
      }
    },
    async *tiles(cut, core) {
      const outputChannels = cut.atOnce.inputs.get('hidden')?.shape.at(-1) ?? 0
      const front = yield* runTiled({ ...options, ...cut, input: imageOf(image, size), outputChannels, core })
      options.stop()
      return runOnce(options, cut.atOnce, { hidden: front.data })
    },
  })
  return result.values
}

/** One way of cutting the network in two: a part that runs at once, and a local part that runs in tiles. */
interface Cut extends Pick<TiledRun, 'record' | 'inputScale' | 'outputScale'> {
  /** Size of what passes between the parts. */
  readonly cells: Area
  readonly atOnce: Graph
}

interface Job {
  readonly stage: 'decode' | 'encode'
  readonly picture: Area
  readonly whole: Graph
  readonly inputs: Readonly<Record<string, Float32Array>>
  readonly levels: number
  /** The cut with so many blocks in the part that runs at once. */
  readonly cut: (blocks: number) => Cut
  readonly tiles: (cut: Cut, core: number) => AsyncGenerator<TileStep, Float32Array>
}

async function* wholeOrTiled(
  options: AutoencodeOptions,
  job: Job,
): AsyncGenerator<AutoencodeStep, { values: Float32Array; program: Program | undefined }> {
  const { tilePixels } = options
  if (tilePixels !== undefined) {
    const chosen = chooseCut(options.backend, job, tilePixels, true)
    if (!chosen) throw tooLarge(job, 'even a part of it needs more memory than this device gives')
    return { values: yield* staged(job, chosen, undefined), program: undefined }
  }
  const whole = await tryWhole(options, job)
  if (typeof whole !== 'string') return whole
  const side = Math.max(job.picture.height, job.picture.width)
  let failure: AttuneError | undefined
  for (const pixels of automaticTiles.filter(each => each < side)) {
    const chosen = chooseCut(options.backend, job, pixels, false)
    if (!chosen) continue
    const { height, width } = job.picture
    const notice = `A picture of ${width}x${height} cannot be ${job.stage}d at once here: it is done in tiles of ${pixels} pixels (${whole}).`
    try {
      return { values: yield* staged(job, chosen, notice), program: undefined }
    } catch (error) {
      failure = outOfMemory(error)
    }
  }
  throw failure ?? tooLarge(job, whole)
}

/** @returns the result, or in words why there is none. */
async function tryWhole(
  { backend, compile, stop }: AutoencodeOptions,
  { whole, inputs }: Job,
): Promise<{ values: Float32Array; program: Program } | string> {
  const footprint = backend.footprint?.(whole)
  if (footprint && !footprint.fits) return footprint.why
  let program: Program | undefined
  try {
    program = await compile(whole)
    stop()
    return { values: onlyOutput(await program.run(inputs)), program }
  } catch (error) {
    const why = outOfMemory(error).message.replace(/\.$/, '')
    program?.dispose()
    return why
  }
}

/** Passes the one error on which a smaller tile can help. */
function outOfMemory(error: unknown): AttuneError {
  if (error instanceof AttuneError && error.code === 'out-of-memory') return error
  throw error
}

function tooLarge({ stage, picture }: Job, why: string): AttuneError {
  return new AttuneError(
    'out-of-memory',
    `A picture of ${picture.width}x${picture.height} cannot be ${stage}d here, not even in tiles: ${why}.`,
    'Choose a smaller picture, or another --backend.',
  )
}

async function* staged(
  job: Job,
  { cut, core }: { cut: Cut; core: number },
  notice: string | undefined,
): AsyncGenerator<AutoencodeStep, Float32Array> {
  const run = job.tiles(cut, core)
  let said = notice === undefined
  for (;;) {
    const next = await run.next()
    if (next.done) return next.value
    yield { ...next.value, stage: job.stage, ...(!said && notice !== undefined && { notice }) }
    said = true
  }
}

/**
 * The cut that leaves least to the tiles: few tiled layers mean narrow edges and few passes. Where a person asks for
 * small tiles, the part that runs at once must be small as well: no larger than a tile or a quarter of the whole.
 */
function chooseCut(
  backend: Backend,
  job: Job,
  pixels: number,
  asked: boolean,
): { cut: Cut; core: number } | undefined {
  const room = (graph: Graph): Footprint =>
    backend.footprint?.(graph) ?? { activationBytes: 0, fits: true, why: '' }
  for (let blocks = job.levels - 1; blocks >= 0; blocks--) {
    const cut = job.cut(blocks)
    const { cells, inputScale, outputScale, atOnce } = cut
    const hidden = job.stage === 'decode' ? atOnce.outputs.get('hidden') : atOnce.inputs.get('hidden')
    const hiddenBytes =
      cells.height * cells.width * (hidden?.shape.at(-1) ?? 0) * Float32Array.BYTES_PER_ELEMENT
    if (hiddenBytes > hiddenByteLimit && blocks > 0) continue
    const core = Math.max(1, Math.floor(pixels / Math.max(inputScale, outputScale)))
    const tile = room(planRun({ ...cut, core }).shared.graph)
    const rest = room(atOnce)
    const small = rest.activationBytes <= Math.max(tile.activationBytes, room(job.whole).activationBytes / 4)
    if (tile.fits && rest.fits && (small || !asked || blocks === 0)) return { cut, core }
  }
  return undefined
}

async function runOnce(
  { compile, stop }: AutoencodeOptions,
  graph: Graph,
  inputs: Readonly<Record<string, Float32Array>>,
): Promise<Float32Array> {
  const program = await compile(graph)
  try {
    stop()
    return onlyOutput(await program.run(inputs))
  } finally {
    program.dispose()
  }
}

function onlyOutput(results: Readonly<Record<string, Float32Array>>): Float32Array {
  const [values] = Object.values(results)
  invariant(values, 'a graph with an output')
  return values
}

function imageOf(data: Float32Array, { height, width }: Area): HostImage {
  return { height, width, channels: data.length / (height * width), data }
}
