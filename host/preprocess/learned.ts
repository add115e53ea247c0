/**
 * Depth, pose and segmentation by networks that a person adds, run by Transformers.js on onnxruntime's WebAssembly
 * build. Nothing is fetched, ever: models are files of a folder, the runtime is the one that came with Attune.
 */
import type * as transformers from '@xenova/transformers'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { pathToFileURL } from 'node:url'
import { AttuneError } from '../../model/contract/errors.ts'
import { resizePicture, toRgb } from '../../model/image/preprocess/filters.ts'
import { depthHint, labelColour, type Segment, segmentHint } from '../../model/image/preprocess/maps.ts'
import { drawPoses, pointsOf, toOpenPose } from '../../model/image/preprocess/pose.ts'
import type { Pixels } from '../../model/image/resample.ts'
import { learned, type LearnedModel } from './model-files.ts'

type Transformers = typeof transformers

export interface LearnedOptions {
  /** Pose: points of which the network is less sure are left out. 0.3. */
  readonly threshold?: number
  /** Depth: turns near and far round, for a network that gives the other. */
  readonly flip?: boolean
}

export interface LearnedResult {
  readonly hint: Pixels
  /** What was seen, for people: classes of a segmentation. */
  readonly labels?: readonly string[]
}

let loading: Promise<Transformers> | undefined

/** The library, set to stay on this machine. */
function offline(): Promise<Transformers> {
  loading ??= import('@xenova/transformers').then(library => {
    const { env } = library
    env.allowRemoteModels = false
    env.allowLocalModels = true
    env.useFSCache = false
    env.useBrowserCache = false
    env.useWasmCache = false
    // Should a path be taken for an address all the same.
    env.fetch = () => Promise.reject(new Error('Attune loads no models from the network'))
    // Else the runtime asks a server for its own WebAssembly.
    const dist = dirname(createRequire(import.meta.url).resolve('onnxruntime-web'))
    const { wasm } = env.backends.onnx
    if (wasm) wasm.wasmPaths = `${pathToFileURL(dist).href}/`
    return library
  })
  return loading
}

/**
 * Runs a network on a picture; the hint has the picture's size.
 * @throws AttuneError `bad-model` when the files cannot be run or give what a model of their kind does not
 */
export async function runLearned(
  model: LearnedModel,
  picture: Pixels,
  options: LearnedOptions = {},
): Promise<LearnedResult> {
  const library = await offline()
  const run = { depth: runDepth, pose: runPose, seg: runSegmentation }[model.name]
  try {
    return await run(library, model, toRgb(picture), options)
  } catch (cause) {
    if (cause instanceof AttuneError) throw cause
    const why = cause instanceof Error ? (cause.message.split('\n', 1)[0] ?? '') : String(cause)
    throw new AttuneError(
      'bad-model',
      `The network in ${model.folder} could not be run: ${why.slice(0, 200).replace(/\.$/, '')}.`,
      `Download it again, or try ${learned[model.name].example}.`,
      { cause },
    )
  }
}

/** The processor through WebAssembly; `cpu` is its name in the build for Node. */
const place = (model: LearnedModel) =>
  ({ dtype: model.precision, device: 'cpu', local_files_only: true }) as const

async function runDepth(
  library: Transformers,
  model: LearnedModel,
  picture: Pixels,
  { flip = false }: LearnedOptions,
): Promise<LearnedResult> {
  const estimate = await library.pipeline('depth-estimation', model.folder, place(model))
  try {
    const { predicted_depth: depth } = await estimate(imageOf(library, picture))
    const { width, height } = picture
    const data = Float32Array.from(depth.data as ArrayLike<number>)
    if (data.length !== width * height) throw new Error(`${data.length} depths for ${width}x${height} pixels`)
    return { hint: depthHint({ width, height, data }, model.isMetric !== flip) }
  } finally {
    await estimate.dispose()
  }
}

async function runSegmentation(
  library: Transformers,
  model: LearnedModel,
  picture: Pixels,
): Promise<LearnedResult> {
  const find = await library.pipeline('image-segmentation', model.folder, place(model))
  try {
    const found = await find(imageOf(library, picture))
    const { width, height } = picture
    const segments = found.map(({ label, mask }): Segment => {
      if (mask.width !== width || mask.height !== height || mask.channels !== 1)
        throw new Error(`a mask of ${mask.width}x${mask.height}x${mask.channels}`)
      const index = label === null ? -1 : model.labels.indexOf(label)
      return { mask: Uint8Array.from(mask.data), ...(index >= 0 && { label: index }) }
    })
    const colourOf = (label: number) => model.palette?.[label] ?? labelColour(label)
    const labels = [...new Set(found.flatMap(({ label }) => (label === null ? [] : [label])))]
    return { hint: segmentHint(width, height, segments, colourOf), labels }
  } finally {
    await find.dispose()
  }
}

/**
 * Transformers.js finds no people, so the picture is taken for one person; and its processor does not keep the aspect,
 * so the picture is put on grey of the network's aspect first.
 */
async function runPose(
  library: Transformers,
  model: LearnedModel,
  picture: Pixels,
  { threshold = 0.3 }: LearnedOptions,
): Promise<LearnedResult> {
  const processor = await library.AutoProcessor.from_pretrained(model.folder, { local_files_only: true })
  const network = await library.AutoModelForPoseEstimation.from_pretrained(model.folder, place(model))
  try {
    const size = (processor.image_processor as { size?: { width?: number; height?: number } } | undefined)
      ?.size
    const [across, down] = [size?.width ?? 192, size?.height ?? 256]
    const scale = Math.min(across / picture.width, down / picture.height)
    const inner = resizePicture(
      picture,
      Math.max(1, Math.round(picture.width * scale)),
      Math.max(1, Math.round(picture.height * scale)),
    )
    const padded = padGrey(inner, across, down)
    const inputs: unknown = await processor(imageOf(library, padded))
    const { heatmaps } = (await network(inputs)) as { heatmaps?: { dims: number[]; data: Float32Array } }
    const [batch, count = 0, height = 0, width = 0] = heatmaps?.dims ?? []
    if (!heatmaps || batch !== 1 || count !== 17)
      throw new Error(`heat maps of [${heatmaps?.dims.join(', ') ?? ''}] are not those of 17 points`)
    const points = pointsOf({ count, width, height, data: heatmaps.data }, across, down)
    const [left, top] = [(across - inner.width) / 2, (down - inner.height) / 2].map(Math.floor) as [
      number,
      number,
    ]
    const own = points.map(({ x, y, score }) => ({
      x: ((x - left) * picture.width) / inner.width,
      y: ((y - top) * picture.height) / inner.height,
      score,
    }))
    return { hint: drawPoses(picture.width, picture.height, [toOpenPose(own, threshold)]) }
  } finally {
    await network.dispose()
  }
}

function padGrey(picture: Pixels, width: number, height: number): Pixels {
  const data = new Uint8Array(width * height * 3).fill(128)
  const left = Math.floor((width - picture.width) / 2)
  const top = Math.floor((height - picture.height) / 2)
  for (let y = 0; y < picture.height; y++) {
    const row = picture.data.subarray(y * picture.width * 3, (y + 1) * picture.width * 3)
    data.set(row, ((top + y) * width + left) * 3)
  }
  return { width, height, channels: 3, data }
}

function imageOf({ RawImage }: Transformers, { width, height, data }: Pixels) {
  return new RawImage(new Uint8ClampedArray(data), width, height, 3)
}
