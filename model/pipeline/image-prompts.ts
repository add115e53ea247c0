/**
 * The image prompts of one run: what each picture says (once, before the first step), how much it counts at each
 * evaluation, and where. Their tokens stand behind those of the texts as sources of the same attention, so there is no
 * second pass; ControlNets do not see them.
 */
import { prepareMask, type PreparedMask, preparedMaskAt } from '../attention/controls/mask.ts'
import type { ImageSources } from '../attention/control-plan.ts'
import { AttuneError, invariant } from '../contract/errors.ts'
import { type ImageFit, type ImagePrompt, imagePromptLimits } from '../contract/image-prompts.ts'
import type { ResolvedRequest } from '../contract/request.ts'
import { isGuideActive } from '../controlnet/rules.ts'
import type { Graph } from '../graph/ops.ts'
import type { Backend, Program } from '../graph/program.ts'
import type { Pixels } from '../image/resample.ts'
import { type AdaptedLayer, scaleValues } from '../ipadapter/ip-adapter-model.ts'
import { layerScales } from '../ipadapter/layer-scales.ts'
import { promptMaskAt } from '../ipadapter/mask.ts'
import type { ClipVisionModel, PictureFeatures } from '../ipadapter/vision-encoder.ts'
import { clipPixels, isFitted, patchesOf } from '../ipadapter/vision-input.ts'
import type { AttentionGrid } from '../nn/transformer.ts'
import { curveValue } from '../prompt/curves.ts'
import type { PromptImages } from './conditioning.ts'
import type { DiffusionModel } from './diffusion-model.ts'
import { firstNonFinite, nonFiniteError } from './finite.ts'
import { adaptedUNet, type OpenIPAdapter } from './image-prompt-open.ts'

/** Image prompts as plain data, and what they name. */
export interface ImagePromptInputs {
  readonly prompts: readonly ImagePrompt[]
  readonly adapters: ReadonlyMap<string, OpenIPAdapter>
  /** Of any size; RGB. */
  readonly pictures: ReadonlyMap<string, Pixels>
}

interface PlannedPrompt {
  /** In the request. */
  readonly index: number
  readonly asked: ImagePrompt
  readonly open: OpenIPAdapter
  readonly picture: Pixels
  /** Of the adapter's layers. */
  readonly scales: readonly number[] | undefined
  /** At each evaluation; 0 outside of the window. */
  readonly factors: readonly number[]
  readonly mask: PreparedMask | undefined
}

export class ImagePrompts implements ImageSources, PromptImages {
  /** What the person should know before the run, a sentence or two each. */
  readonly notices: readonly string[]
  readonly #request: ResolvedRequest
  readonly #prompts: readonly PlannedPrompt[]
  readonly #layers: readonly AdaptedLayer[]
  readonly #masks = new Map<string, Float32Array>()
  /** [T, Σ2C] of each prompt, by half. */
  readonly #keyValues: { readonly cond: Float32Array; readonly uncond: Float32Array | undefined }[] = []

  /**
   * @returns undefined where none acts
   * @throws AttuneError `bad-argument` for prompts that cannot act on this model
   */
  static plan(
    model: DiffusionModel,
    request: ResolvedRequest,
    inputs: ImagePromptInputs | undefined,
    { timesteps }: { readonly timesteps: readonly number[] },
  ): ImagePrompts | undefined {
    if (!inputs || inputs.prompts.length === 0) return undefined
    return new ImagePrompts(model, request, inputs, timesteps)
  }

  private constructor(
    model: DiffusionModel,
    request: ResolvedRequest,
    inputs: ImagePromptInputs,
    timesteps: readonly number[],
  ) {
    const { prompts } = inputs
    if (prompts.length > imagePromptLimits.prompts) {
      throw new AttuneError(
        'bad-argument',
        `${prompts.length} image prompts were given; ${imagePromptLimits.prompts} can act together.`,
        'Leave some out.',
      )
    }
    this.#request = request
    this.#layers = adaptedUNet(model).layers
    const planned = prompts.map((_, index) => planPrompt(inputs, index, request, timesteps, this.#layers))
    this.notices = planned.flatMap(each => noticesOf(each, timesteps.length))
    // One that never acts would still be asked in every layer.
    this.#prompts = planned.filter(({ factors }) => factors.some(each => each !== 0))
  }

  /** False where none acts at any evaluation. */
  get act(): boolean {
    return this.#prompts.length > 0
  }

  get hasMasks(): boolean {
    return this.#prompts.some(({ mask }) => mask !== undefined)
  }

  get tokens(): readonly number[] {
    return this.#prompts.map(({ open }) => open.adapter.tokens)
  }

  /** Of those that act: their places in the request. */
  get indices(): readonly number[] {
    return this.#prompts.map(({ index }) => index)
  }

  factorAt(image: number, call: number): number {
    return this.#prompts[image]?.factors[call] ?? 0
  }

  maskAt(image: number, grid: AttentionGrid): Float32Array | undefined {
    const { mask } = this.#prompts[image] ?? {}
    if (!mask) return undefined
    const key = `${image} ${grid.height}x${grid.width}`
    const known = this.#masks.get(key)
    if (known) return known
    const { height, width } = this.#request
    const made = promptMaskAt(preparedMaskAt(mask, { height, width }), { height, width }, grid)
    this.#masks.set(key, made)
    return made
  }

  keyValues(image: number, half: 'cond' | 'uncond'): Float32Array {
    const values = this.#keyValues[image]?.[half]
    invariant(values, `image prompt ${image + 1} is encoded (${half})`)
    return values
  }

  /**
   * Sees all pictures, and makes keys and values of them; an encoder is loaded once and freed before the next.
   * @param guided whether the unconditional half is drawn
   * @param stop throws where the run was stopped
   * @throws AttuneError `non-finite`, and what the backend throws
   */
  async encode(backend: Backend, guided: boolean, stop: () => void): Promise<void> {
    const features = await this.#features(backend, guided, stop)
    const seen = (open: OpenIPAdapter, key: string): Float32Array => {
      const found = features.get(open.encoder)?.get(key)
      invariant(found, `features of ${key}`)
      return open.adapter.featuresOf(found)
    }
    for (const open of new Set(this.#prompts.map(each => each.open))) {
      const { adapter } = open
      const own = this.#prompts.filter(each => each.open === open)
      const wanted = new Map(own.map(each => [pictureKey(each), seen(open, pictureKey(each))]))
      if (guided) {
        const zeros = adapter.uncondRule === 'zero-picture'
        wanted.set(uncondKey, zeros ? seen(open, uncondKey) : new Float32Array(adapter.facts.featureDim))
      }
      const made = await this.#project(backend, open, wanted, stop)
      for (const each of own) {
        const cond = scaled(made.get(pictureKey(each)), each, this.#layers)
        const uncond = guided ? scaled(made.get(uncondKey), each, this.#layers) : undefined
        this.#keyValues[this.#prompts.indexOf(each)] = { cond, uncond }
      }
    }
  }

  async #features(
    backend: Backend,
    guided: boolean,
    stop: () => void,
  ): Promise<Map<ClipVisionModel, Map<string, PictureFeatures>>> {
    const all = new Map<ClipVisionModel, Map<string, PictureFeatures>>()
    for (const encoder of new Set(this.#prompts.map(({ open }) => open.encoder))) {
      stop()
      const own = this.#prompts.filter(({ open }) => open.encoder === encoder)
      const { config } = encoder
      const zeros = guided && own.some(({ open }) => open.adapter.uncondRule === 'zero-picture')
      const pixels = new Map(
        own.map(each => [pictureKey(each), clipPixels(each.picture, config.imageSize, each.asked.fit)]),
      )
      if (zeros) pixels.set(uncondKey, new Float32Array(3 * config.imageSize ** 2))
      all.set(encoder, await encodePictures(backend, encoder, pixels, stop))
    }
    return all
  }

  /** Features by key → keys and values by key. */
  async #project(
    backend: Backend,
    { adapter }: OpenIPAdapter,
    wanted: ReadonlyMap<string, Float32Array>,
    stop: () => void,
  ): Promise<Map<string, Float32Array>> {
    const { projection } = adapter
    const tokens = await runEach(backend, projection.record(), wanted, stop, async (program, features) =>
      projection.read(await program.run(await projection.inputs(features))),
    )
    return runEach(backend, adapter.recordKeyValues(), tokens, stop, async (program, values) => {
      const { keyValues } = await program.run({ tokens: values })
      invariant(keyValues, 'keys and values')
      if (firstNonFinite(keyValues) >= 0) {
        throw nonFiniteError(`What ${adapter.name} makes of a picture`, undefined, this.#request.precision)
      }
      return keyValues
    })
  }
}

/** The key of what the unconditional half sees; no picture has it. */
const uncondKey = ''

const pictureKey = ({ asked }: PlannedPrompt): string => `${asked.fit} ${asked.image}`

/**
 * What an encoder sees in pictures; it is loaded for them and freed.
 * @param pixels of each key, see `clipPixels`
 */
export async function encodePictures(
  backend: Backend,
  encoder: ClipVisionModel,
  pixels: ReadonlyMap<string, Float32Array>,
  stop: () => void = () => undefined,
): Promise<Map<string, PictureFeatures>> {
  const positions = await encoder.readPositions()
  return runEach(backend, encoder.recordEncode(), pixels, stop, async (program, values) =>
    encoder.read(await program.run({ patches: patchesOf(values, encoder.config), positions })),
  )
}

async function runEach<T, R>(
  backend: Backend,
  graph: Graph,
  inputs: ReadonlyMap<string, T>,
  stop: () => void,
  run: (program: Program, input: T) => Promise<R>,
): Promise<Map<string, R>> {
  stop()
  const program = await backend.compile(graph)
  try {
    const results = new Map<string, R>()
    for (const [key, input] of inputs) {
      stop()
      results.set(key, await run(program, input))
    }
    return results
  } finally {
    program.dispose()
  }
}

function scaled(
  keyValues: Float32Array | undefined,
  { scales, open }: PlannedPrompt,
  layers: readonly AdaptedLayer[],
): Float32Array {
  invariant(keyValues, 'keys and values')
  if (!scales) return keyValues
  const copy = keyValues.slice()
  scaleValues(copy, open.adapter.tokens, layers, scales)
  return copy
}

function planPrompt(
  { prompts, adapters, pictures }: ImagePromptInputs,
  index: number,
  request: ResolvedRequest,
  timesteps: readonly number[],
  layers: readonly AdaptedLayer[],
): PlannedPrompt {
  const asked = prompts[index] as ImagePrompt
  const open = adapters.get(asked.adapter)
  const picture = pictures.get(asked.image)
  if (!open || !picture) {
    const [what, which] = open ? ['picture', asked.image] : ['IP-Adapter', asked.adapter]
    throw new AttuneError(
      'bad-argument',
      `Image prompt ${index + 1} names the ${what} "${which}", which was not given.`,
      `Give the ${what}, or leave the image prompt out.`,
    )
  }
  const calls = timesteps.length
  const callsPerStep = request.sampler === 'heun' ? 2 : 1
  return {
    index,
    asked,
    open,
    picture,
    scales:
      asked.layers &&
      layerScales(
        asked.layers,
        layers.map(({ path }) => path),
      ),
    factors: timesteps.map((timestep, call) => {
      if (!isGuideActive(asked, { index: call, count: calls, timestep })) return 0
      if (typeof asked.scale === 'number') return asked.scale
      const [step, steps] = [Math.floor(call / callsPerStep), Math.ceil(calls / callsPerStep)]
      return curveValue({ phrase: '', ...asked.scale }, step, steps)
    }),
    mask: asked.mask && prepareMask(asked.mask, { picture: request, name: `image prompt ${asked.image}` }),
  }
}

const fitWords: Readonly<Record<ImageFit, string>> = {
  resize: 'is squeezed to a square, so that all of it counts',
  crop: 'is seen by its middle square only',
  pad: 'is seen whole, with borders of CLIP’s mean colour beside it',
}

function noticesOf({ asked, picture, factors, scales }: PlannedPrompt, calls: number): string[] {
  const { image, fit, start, end, rule } = asked
  const { width, height } = picture
  const others = (['resize', 'crop', 'pad'] as const).filter(each => each !== fit)
  const isEmpty = factors.every(each => each === 0)
  return [
    ...(isFitted(picture)
      ? [
          `The image prompt ${image} (${width}x${height}) ${fitWords[fit]} (${fit}; ${others.join(' or ')} would be other ways).`,
        ]
      : []),
    ...(isEmpty
      ? [
          `The image prompt ${image} does nothing: its window ${start}-${end} (as ${rule} counts) and its scale leave it none of the ${calls} evaluations. Widen the window or draw with more steps.`,
        ]
      : []),
    ...(!isEmpty && scales?.every(each => each === 0)
      ? [`The image prompt ${image} does nothing: all its layers have the scale 0.`]
      : []),
  ]
}
