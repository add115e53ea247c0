/**
 * The attention of one run: its words, what the request asks of them, and what is watched, joined into the inputs of
 * the denoising graph.
 */
import { AttuneError } from '../contract/errors.ts'
import type { ResolvedRequest } from '../contract/request.ts'
import { type CaptureOptions, CapturePlan, type LiveMaps } from '../attention/capture.ts'
import type { CapturedAttention, CapturedWord } from '../attention/captured.ts'
import { type SpotMap, SpotPlan, type SpotPoint } from '../attention/spot.ts'
import { MeterPlan } from '../attention/meter.ts'
import {
  type ControlKind,
  ControlPlan,
  type ImageSources,
  type SeamInputs,
} from '../attention/control-plan.ts'
import { chooseBlendGrid } from '../attention/edit/local-blend.ts'
import { EditPlan } from '../attention/edit/plan.ts'
import type { SeamLayout } from '../attention/layout.ts'
import type { AttentionGrid } from '../nn/transformer.ts'
import type { WeightedToken } from '../text/weighted-tokens.ts'
import type { AttentionControls } from '../unet/unet-2d-condition-model.ts'
import type { Trajectory } from './checkpoint.ts'
import type { Conditioning } from './conditioning.ts'
import type { DiffusionModel } from './diffusion-model.ts'

/** How much a control does. */
export interface ControlEffect {
  readonly control: ControlKind | 'edit'
  /**
   * ‖with − without‖ / ‖without‖: of the guided prediction at the evaluation where the control first acts; of an edit, of
   * the final latents against those of the source.
   */
  readonly change: number
  /** The evaluation that was measured, from 1; absent for an edit. */
  readonly step?: number
}

/** Below it nobody sees a difference: a thousandth of the prediction. */
export const noEffect = 1e-3

export interface SeamOptions {
  /** Evaluations of the network that will be made. */
  readonly calls: number
  /** Of the latents. */
  readonly latent: AttentionGrid
  readonly capture?: CaptureOptions | undefined
  readonly spot?: SpotPoint | undefined
  readonly images?: ImageSources | undefined
}

export class Seam {
  /** What the person should know before the run, a sentence or two each. */
  readonly notices: readonly string[]
  readonly hasCapture: boolean
  /** What the prompt multiplies each watched token with, by its dialect; curves and edits come on top. */
  readonly tokenWeights: readonly number[] | undefined
  /** For the denoising graph; recorded once. */
  readonly attentionControls: AttentionControls | undefined
  readonly #words: Conditioning
  readonly #request: ResolvedRequest
  readonly #latent: AttentionGrid
  readonly #images: ImageSources | undefined
  readonly #plan: ControlPlan
  readonly #edit: EditPlan | undefined
  readonly #capture: CapturePlan | undefined
  readonly #blendGrid: AttentionGrid | undefined
  readonly #spot: SpotPlan | undefined
  readonly #effects: ControlEffect[] = []
  #current: SeamInputs = {}
  /** What a measurement has changed, and the next call must be given again. */
  #restored: SeamInputs = {}
  #weights: Float32Array | undefined
  #version = 0

  /** @throws AttuneError for words and controls that cannot act */
  constructor(
    model: DiffusionModel,
    request: ResolvedRequest,
    words: Conditioning,
    { calls, latent, capture, spot, images }: SeamOptions,
  ) {
    const { unet } = model
    const controls = request.controls ?? {}
    this.#words = words
    this.#request = request
    this.#latent = latent
    this.#images = images
    if (
      (controls.paint?.length || controls.regions || controls.edit) &&
      unet.crossAttentionLayers.length === 0
    ) {
      throw new AttuneError(
        'unsupported',
        'This model has no layer that asks the text.',
        'Choose another model.',
      )
    }
    const sizes = unet.crossAttentionLayers.map(({ downsampleFactor: factor }) => ({
      height: Math.ceil(latent.height / factor),
      width: Math.ceil(latent.width / factor),
    }))
    const grids = [...new Map(sizes.map(grid => [`${grid.height}x${grid.width}`, grid])).values()]
    const layers = unet.crossAttentionLayers.map(({ keyOffset, valueOffset, numHeads, headDim }) => ({
      keyOffset,
      valueOffset,
      width: numHeads * headDim,
    }))
    if (controls.edit) {
      const why = 'An edit needs'
      const texts = { source: words.textOf('cond', why, 0), target: words.textOf('cond', why) }
      this.#edit = new EditPlan(controls.edit, texts, words.layout, calls, layers)
      words.useBorrowed(this.#edit)
    }
    const edit = this.#edit
    this.#plan = new ControlPlan({
      controls,
      layout: words.layout,
      calls,
      seamLaw: words.seamLaw,
      texts: why => Array.from({ length: words.trajectories }, (_, i) => words.textOf('cond', why, i)),
      padding: () => words.padding(),
      picture: request,
      latent,
      grids,
      ...(edit && { edit }),
      ...(images && { images }),
    })
    const half = capture?.half ?? 'cond'
    const watched = capture && words.textOf(half, 'Word maps need')
    const needs = edit?.blendNeeds
    if (needs) {
      this.#blendGrid = chooseBlendGrid(grids, latent)
    }
    if (watched || needs) {
      this.#capture = new CapturePlan(watched, capture, {
        ...(edit && half === 'cond' && { rowsOf: row => edit.rowsOf(row) }),
        ...(capture?.images && images && { others: imageTokens(words.layout, images.indices) }),
        ...(needs && this.#blendGrid && { running: { ...needs, grid: this.#blendGrid } }),
      })
    }
    this.hasCapture = watched !== undefined
    if (watched) {
      const weights = new Map(
        watched.places.map(({ row, token }) => [row, (token as Partial<WeightedToken>).weight ?? 1]),
      )
      this.tokenWeights = this.#capture?.tokens.map(({ index }) => weights.get(index) ?? 1)
    }
    const planned = this.#plan.attentionControls
    const sample = watched?.sample ?? needs?.samples[0] ?? 0
    const captured = this.#capture ? this.#capture.controls(sample, planned) : planned
    this.#spot = spot && new SpotPlan(spot)
    this.attentionControls = this.#spot ? this.#spot.controls(this.conditionalRow, captured) : captured
    this.notices = [...(edit?.notices ?? []), ...this.#plan.notices]
  }

  /** Begins a meter of the sources: its graph is recorded with what this gives. */
  meter(): MeterPlan {
    return new MeterPlan(this.#words.layout, this.#images?.indices)
  }

  /** The controls of the run without what is captured, for a graph beside it. */
  get plainControls(): AttentionControls | undefined {
    return this.#plan.attentionControls
  }

  /** What a metered graph is given at a call, beside the sample and the time. */
  meterInputs(meter: MeterPlan, call: number): SeamInputs {
    const captured = Object.keys({ ...this.#capture?.inputs, ...this.#spot?.inputs })
    const own = Object.entries(this.#current).filter(([name]) => !captured.includes(name))
    return { ...Object.fromEntries(own), ...meter.inputs(grid => this.#plan.masksAt(grid, call)) }
  }

  /** The row of the batch whose answer is the picture. */
  get conditionalRow(): number {
    return this.#words.layout.rows.findLastIndex(({ half }) => half === 'cond')
  }

  /** What the network must be given before a call: nothing where all stays. */
  async changesAt(call: number, sigma: number): Promise<SeamInputs> {
    const words = await this.#words.changesAt(call)
    if (words) {
      this.#weights = words.weights
      this.#version++
    }
    const isFirst = Object.keys(this.#current).length === 0
    const changed: SeamInputs = {
      ...this.#restored,
      ...(words && { textKeyValues: words.textKeyValues }),
      ...this.#plan.inputsAt(call, sigma, this.#given),
      ...(isFirst && { ...this.#capture?.inputs, ...this.#spot?.inputs }),
    }
    this.#restored = {}
    this.#current = { ...this.#current, ...changed }
    return changed
  }

  /** All inputs as the network has them now. */
  get current(): SeamInputs {
    return this.#current
  }

  /**
   * Compares a call's predictions with those without each control that acts here for the first time.
   * @param evaluate runs the network with some inputs changed; what is captured stays as it is
   */
  async measureAt(
    call: number,
    sigma: number,
    predictions: readonly Float32Array[],
    evaluate: (changed: SeamInputs) => Promise<readonly Float32Array[]>,
  ): Promise<void> {
    const measured = new Set(this.#effects.map(({ control }) => control))
    for (const kind of this.#plan.activeAt(call)) {
      if (measured.has(kind)) continue
      const changed = this.#plan.without(kind, call, sigma, this.#given)
      const without = await evaluate({ ...this.#restored, ...changed, ...this.#capture?.pausedInputs })
      const [own, other] = [predictions.at(-1), without.at(-1)]
      if (own && other) this.#effects.push({ control: kind, change: distance(own, other), step: call + 1 })
      // The program keeps what it was given last: also a second measurement of this call needs it back.
      const names = Object.keys(changed)
      const back = Object.fromEntries(names.map(name => [name, this.#current[name] as Float32Array]))
      this.#restored = { ...this.#restored, ...back, ...this.#capture?.inputs }
    }
  }

  get #given(): { readonly weights: Float32Array | undefined; readonly version: number } {
    return { weights: this.#weights, version: this.#version }
  }

  /** Holds an edited picture to its source outside of the mask. */
  blendAt(
    call: number,
    outputs: Readonly<Record<string, Float32Array>>,
    pictures: readonly Trajectory[],
  ): void {
    const [source] = pictures
    const target = pictures.at(-1)
    if (!this.#edit || !this.#capture || !this.#blendGrid || !source || !target) return
    target.latents = this.#edit.blend(
      call,
      this.#blendGrid,
      this.#latent,
      this.#capture.runningMaps(outputs),
      {
        source: source.latents,
        target: target.latents,
      },
    )
  }

  /** Takes in what the spot looks at in a run. */
  watchSpot(outputs: Readonly<Record<string, Float32Array>>): void {
    this.#spot?.take(outputs)
  }

  get spot(): SpotMap | undefined {
    return this.#spot?.read()
  }

  /** The live maps among a run's outputs. */
  liveMaps(outputs: Readonly<Record<string, Float32Array>>): LiveMaps[] {
    return this.#capture?.liveMaps(outputs) ?? []
  }

  /** The words that are watched. */
  get words(): readonly CapturedWord[] {
    return this.#capture?.words ?? []
  }

  /** What was captured, after the last evaluation. */
  read(states: Readonly<Record<string, Float32Array>>, calls: number): CapturedAttention | undefined {
    return this.hasCapture ? this.#capture?.read(states, this.#request, calls) : undefined
  }

  /** @param latents final ones of each picture */
  effectsOf(latents: readonly Float32Array[]): ControlEffect[] {
    const [source, target] = latents
    const edit =
      this.#edit && source && target ? [{ control: 'edit' as const, change: distance(target, source) }] : []
    return [...this.#effects, ...edit]
  }
}

/** The tokens of image prompts, named by the image's place in the request and the token's, both from 1. */
function imageTokens(
  { sources }: SeamLayout,
  indices: readonly number[],
): { row: number; position: number; text: string }[] {
  return sources.flatMap(({ image, start, length }) =>
    image === undefined
      ? []
      : Array.from({ length }, (_, position) => ({
          row: start + position,
          position,
          text: `image ${(indices[image] ?? image) + 1} token ${position + 1}`,
        })),
  )
}

/** ‖a − b‖ / ‖b‖ */
function distance(a: Float32Array, b: Float32Array): number {
  let [difference, norm] = [0, 0]
  for (let i = 0; i < b.length; i++) {
    difference += ((a[i] as number) - (b[i] as number)) ** 2
    norm += (b[i] as number) ** 2
  }
  return Math.sqrt(difference / norm)
}
