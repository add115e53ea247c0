/**
 * Binds what a request asks of the attention (weights of words, painted bias, regions, an edit, hidden padding, how much
 * image prompts count) to the inputs of the one seam (D4): which inputs a denoising graph declares, and their numbers at each call of the network.
 *
 * Axis letters: B rows of the batch, S tokens of all sources, G sources, L = h·w positions of a layer's grid.
 */
import { AttuneError } from '../contract/errors.ts'
import { type Controls, isInWindow } from '../contract/controls.ts'
import type { GraphBuilder } from '../graph/builder.ts'
import type { Tensor } from '../graph/ops.ts'
import type { AttentionExtras, SelfAttentionExtras } from '../nn/attention.ts'
import type { AttentionGrid } from '../nn/transformer.ts'
import type { AttentionControls } from '../unet/unet-2d-condition-model.ts'
import type { CaptureText } from './capture.ts'
import {
  hiddenBias,
  isolationBias,
  prepareRegions,
  type PreparedRegions,
  regionMasks,
  regionWarnings,
  rowMasks,
} from './controls/regions.ts'
import {
  activePaints,
  paintBias,
  paintScale,
  paintWarnings,
  preparePaint,
  type PreparedPaint,
} from './controls/paint.ts'
import type { EditPlan } from './edit/plan.ts'
import { endOfTexts, gapTokens, type SeamLayout } from './layout.ts'

/** Inputs of the denoiser by name. */
export type SeamInputs = Readonly<Record<string, Float32Array>>

/** Controls whose effect can be told by leaving them out. */
export type ControlKind = 'paint' | 'regions' | 'hidePadding'

export interface ControlPlanOptions {
  readonly controls: Controls
  readonly layout: SeamLayout
  /** Evaluations of the network that will be made. */
  readonly calls: number
  /** The law of words' weights, where it acts inside attention. */
  readonly seamLaw: 'logit-bias' | 'value-gain' | undefined
  /** The texts whose words are painted, one a picture; throws where one is not one steady text. */
  readonly texts: (why: string) => readonly CaptureText[]
  /** [B, S]; throws where texts change. */
  readonly padding: () => Uint8Array
  /** Of the picture, in pixels. */
  readonly picture: AttentionGrid
  /** Of the latents: the finest grid. */
  readonly latent: AttentionGrid
  /** Of the layers, each once. */
  readonly grids: readonly AttentionGrid[]
  readonly edit?: EditPlan
  readonly images?: ImageSources
}

/** Image prompts, whose tokens stand behind those of the texts. */
export interface ImageSources {
  /** Of those that act: their places in the request. */
  readonly indices: readonly number[]
  readonly hasMasks: boolean
  /** How much an image counts at a call; 0 outside of its window. */
  factorAt(image: number, call: number): number
  /** Where it counts, [L]; undefined for everywhere. */
  maskAt(image: number, grid: AttentionGrid): Float32Array | undefined
}

/** Of a word with weight 0: its probability is 0 in f32, and the number fits f16. */
const smallestLogWeight = -1e4

/** Names of the graph's inputs; those of positions end in the grid. */
const names = {
  logitBias: 'attention.logitBias',
  peakScale: 'attention.peakScale',
  valueGain: 'attention.valueGain',
  tokenScale: 'attention.tokenScale',
  outputMask: 'attention.outputMask',
  querySample: 'attention.querySample',
  selfSample: 'attention.selfSample',
} as const
const at = (name: string, { height, width }: AttentionGrid): string => `${name}.${height}x${width}`

export class ControlPlan {
  readonly #options: ControlPlanOptions
  readonly #paint: PreparedPaint | undefined
  readonly #regions: PreparedRegions | undefined
  readonly #padding: Uint8Array | undefined
  /** What the network has now, by the key that the numbers depend on. */
  readonly #given = new Map<string, { readonly key: string; readonly values: Float32Array }>()

  /** @throws AttuneError for controls that cannot act, or not together */
  constructor(options: ControlPlanOptions) {
    this.#options = options
    const { controls, seamLaw } = options
    const { paint = [], regions, hidePadding } = controls
    const company = { isolate: regions?.law === 'isolate', hidePadding: hidePadding === true }
    if (paint.length > 0) {
      this.#paint = preparePaint(paint, options.texts('Painting words needs'), options.picture, company)
    }
    this.#regions = regions && prepareRegions(regions, options.picture)
    if (hidePadding) this.#padding = options.padding()
    if (this.#isScaled && seamLaw === 'logit-bias') {
      throw new AttuneError(
        'unsupported',
        'Painted words of the law paint-with-words cannot be drawn together with the emphasis logit-bias: both are a bias, and that law scales the bias by what a layer computes.',
        'Use the paint law constant, or another emphasis.',
      )
    }
  }

  /** What is odd about the controls, in words. */
  get notices(): string[] {
    const { controls, calls } = this.#options
    return [
      ...paintWarnings(controls.paint ?? [], calls),
      ...(this.#regions ? regionWarnings(this.#regions, calls, this.#options.grids) : []),
    ].map(({ text }) => text)
  }

  /** True where the seam is asked for anything. */
  get isActive(): boolean {
    const { seamLaw, edit } = this.#options
    return seamLaw !== undefined || edit !== undefined || this.#hasBias || this.#hasMasks
  }

  /** What a denoising graph records for this plan, before capture. For one graph only. */
  get attentionControls(): AttentionControls | undefined {
    if (!this.isActive) return undefined
    this.#given.clear()
    const declared = new Map<string, Tensor>()
    const once = (b: GraphBuilder, name: string, shape: readonly number[]): Tensor => {
      const tensor = declared.get(name) ?? b.input(name, shape)
      declared.set(name, tensor)
      return tensor
    }
    const { layout, edit } = this.#options
    const [B, S, G] = [layout.rows.length, layout.tokens, layout.softmaxes.length]
    return {
      cross: (_, b, grid): AttentionExtras => {
        const L = grid.height * grid.width
        return {
          ...(G > 1 && { sources: layout.softmaxes }),
          ...(this.#hasBias && {
            logitBias: this.#biasHasPositions
              ? once(b, at(names.logitBias, grid), [B, L, S])
              : once(b, names.logitBias, [B, 1, S]),
          }),
          ...(this.#isScaled && { peakScale: once(b, names.peakScale, [B, 1]) }),
          ...(this.#options.seamLaw === 'value-gain' && { valueGain: once(b, names.valueGain, [B, S]) }),
          ...(this.#hasMasks && {
            outputMask: this.#masksHavePositions
              ? once(b, at(names.outputMask, grid), [B, L, G])
              : once(b, names.outputMask, [B, 1, G]),
          }),
          ...(edit && {
            tokenScale: once(b, names.tokenScale, [B, S]),
            querySample: once(b, names.querySample, [B, G]),
          }),
        }
      },
      ...(edit && {
        self: (_, b, grid): SelfAttentionExtras =>
          edit.replacesSelf(grid) ? { querySample: once(b, names.selfSample, [B, 1]) } : {},
      }),
    }
  }

  /**
   * The inputs at a call that are not what the network has already.
   * @param words weights of laws that act inside attention, [B, S], and their number of changes so far
   */
  inputsAt(
    call: number,
    sigma: number,
    words: { readonly weights?: Float32Array | undefined; readonly version: number },
  ): SeamInputs {
    const changed: Record<string, Float32Array> = {}
    for (const { name, key, make } of this.#parts(call, sigma, words)) {
      if (this.#given.get(name)?.key === key) continue
      const values = make()
      this.#given.set(name, { key, values })
      changed[name] = values
    }
    return changed
  }

  /** All inputs as the network has them now. */
  get current(): SeamInputs {
    return Object.fromEntries([...this.#given].map(([name, { values }]) => [name, values]))
  }

  /** The inputs at a call as they would be without one kind of control; only those that differ. */
  without(
    kind: ControlKind,
    call: number,
    sigma: number,
    words: { readonly weights?: Float32Array | undefined; readonly version: number },
  ): SeamInputs {
    const changed: Record<string, Float32Array> = {}
    for (const { name, key, make } of this.#parts(call, sigma, words, kind)) {
      if (this.#given.get(name)?.key !== key) changed[name] = make()
    }
    return changed
  }

  /** The masks of a call at a grid, [B, L, G]; undefined where there are none. */
  masksAt(grid: AttentionGrid, call: number): Float32Array | undefined {
    const { controls, calls } = this.#options
    if (!this.#hasMasks) return undefined
    const isOn = controls.regions !== undefined && isInWindow(controls.regions.window, call, calls)
    return this.#masks(grid, isOn, call)
  }

  /** The kinds of controls that act at a call, and whose effect `without` can show. */
  activeAt(call: number): ControlKind[] {
    const { controls, calls } = this.#options
    const isActive = (window: Parameters<typeof isInWindow>[0]): boolean => isInWindow(window, call, calls)
    return [
      ...(controls.paint?.some(({ window }) => isActive(window)) ? (['paint'] as const) : []),
      ...(controls.regions && isActive(controls.regions.window) ? (['regions'] as const) : []),
      ...(controls.hidePadding ? (['hidePadding'] as const) : []),
    ]
  }

  get #isScaled(): boolean {
    return this.#options.controls.paint?.some(({ law }) => law === 'paint-with-words') ?? false
  }

  get #biasHasPositions(): boolean {
    const { paint, regions } = this.#options.controls
    return (paint?.length ?? 0) > 0 || regions?.law === 'isolate'
  }

  get #hasBias(): boolean {
    return this.#biasHasPositions || this.#padding !== undefined || this.#options.seamLaw === 'logit-bias'
  }

  get #hasMasks(): boolean {
    return this.#hasRegionMasks || this.#options.images !== undefined
  }

  get #hasRegionMasks(): boolean {
    return this.#options.controls.regions?.law === 'mix'
  }

  get #masksHavePositions(): boolean {
    return this.#hasRegionMasks || this.#options.images?.hasMasks === true
  }

  #parts(
    call: number,
    sigma: number,
    words: { readonly weights?: Float32Array | undefined; readonly version: number },
    without?: ControlKind,
  ): { name: string; key: string; make: () => Float32Array }[] {
    const { controls, calls, edit, seamLaw, layout } = this.#options
    const { grids } = this.#options
    const on = {
      paint: without === 'paint' ? undefined : this.#paint,
      regions:
        controls.regions && without !== 'regions' && isInWindow(controls.regions.window, call, calls)
          ? this.#regions
          : undefined,
      padding: without === 'hidePadding' ? undefined : this.#padding,
    }
    const parts: { name: string; key: string; make: () => Float32Array }[] = []
    if (this.#hasBias) {
      const painted = on.paint ? activePaints(on.paint, call, calls).join() : ''
      const key = `${words.version} ${painted} ${on.regions ? 'regions' : ''} ${on.padding ? 'padding' : ''}`
      if (!this.#biasHasPositions) {
        parts.push({ name: names.logitBias, key, make: () => this.#tokenBias(words.weights, on.padding) })
      } else {
        for (const grid of grids) {
          const make = (): Float32Array => this.#positionBias(grid, words.weights, on, call)
          parts.push({ name: at(names.logitBias, grid), key, make })
        }
      }
    }
    if (this.#isScaled) {
      const scale = paintScale(sigma)
      const make = (): Float32Array => new Float32Array(layout.rows.length).fill(scale)
      parts.push({ name: names.peakScale, key: String(scale), make })
    }
    if (seamLaw === 'value-gain') {
      const ones = (): Float32Array => new Float32Array(layout.rows.length * layout.tokens).fill(1)
      parts.push({ name: names.valueGain, key: String(words.version), make: () => words.weights ?? ones() })
    }
    if (this.#hasMasks) {
      const { images } = this.#options
      const factors = images?.indices.map((_, image) => images.factorAt(image, call)) ?? []
      const key = `${on.regions && this.#hasRegionMasks ? 'regions' : ''} ${factors.join()}`
      const isOn = on.regions !== undefined
      if (this.#masksHavePositions) {
        for (const grid of grids) {
          parts.push({ name: at(names.outputMask, grid), key, make: () => this.#masks(grid, isOn, call) })
        }
      } else {
        const nowhere = { height: 1, width: 1 }
        parts.push({ name: names.outputMask, key, make: () => this.#masks(nowhere, isOn, call) })
      }
    }
    if (edit) {
      const key = edit.keyAt(call)
      parts.push({ name: names.tokenScale, key, make: () => edit.tokenScale(call) })
      parts.push({ name: names.querySample, key: 'constant', make: () => edit.querySample() })
      if (grids.some(grid => edit.replacesSelf(grid))) {
        const isActive = edit.selfActive(call)
        const make = (): Float32Array => edit.selfSample(isActive)
        parts.push({ name: names.selfSample, key: String(isActive), make })
      }
    }
    return parts
  }

  /** [B, S]: what lies on a token wherever it is asked from. */
  #tokenBias(weights: Float32Array | undefined, padding: Uint8Array | undefined): Float32Array {
    const { layout, seamLaw } = this.#options
    const bias = new Float32Array(layout.rows.length * layout.tokens)
    if (seamLaw === 'logit-bias' && weights) {
      for (const [i, weight] of weights.entries()) bias[i] = Math.max(Math.log(weight), smallestLogWeight)
    }
    if (padding) for (const [i, is] of padding.entries()) if (is) bias[i] = hiddenBias
    if (layout.isOneSoftmax) {
      for (const gap of gapTokens(layout))
        for (let i = gap; i < bias.length; i += layout.tokens) bias[i] = hiddenBias
    }
    return bias
  }

  /** [B, L, S] */
  #positionBias(
    grid: AttentionGrid,
    weights: Float32Array | undefined,
    on: {
      readonly paint: PreparedPaint | undefined
      readonly regions: PreparedRegions | undefined
      readonly padding: Uint8Array | undefined
    },
    call: number,
  ): Float32Array {
    const { layout, calls, latent, controls } = this.#options
    const [S, L] = [layout.tokens, grid.height * grid.width]
    const everywhere = this.#tokenBias(weights, on.padding)
    const end = endOfTexts(layout)
    const { paint } = on
    // Of an edit both pictures are painted: the one that it begins with was painted when it was drawn.
    const painted = layout.rows.map(({ trajectory, half }) =>
      paint && half === 'cond' ? paintBias(paint, { tokens: S }, grid, call, calls, trajectory) : undefined,
    )
    const isolated = controls.regions?.law === 'isolate' ? controls.regions : undefined
    const isolation = isolated && on.regions && isolationBias(on.regions, layout, grid, latent)
    const bias = new Float32Array(layout.rows.length * L * S)
    for (const [b, row] of layout.rows.entries()) {
      const tokens = everywhere.subarray(b * S, (b + 1) * S)
      const parts: Float32Array[] = []
      const own = painted[b]
      if (own) parts.push(own)
      const sees = row.half === 'cond' || isolated?.regions.some(each => each.negativePrompt !== undefined)
      if (isolation && sees) parts.push(isolation)
      const hides = isolated && !(isolation && sees)
      for (let l = 0; l < L; l++) {
        const start = (b * L + l) * S
        bias.set(tokens, start)
        if (hides) bias.fill(hiddenBias, start + (layout.sources[1]?.start ?? S), start + end)
        for (const part of parts) {
          for (let s = 0; s < S; s++)
            bias[start + s] = (bias[start + s] as number) + (part[l * S + s] as number)
        }
      }
    }
    return bias
  }

  /** [B, L, G]: of the texts, and behind them of image prompts. */
  #masks(grid: AttentionGrid, isOn: boolean, call: number): Float32Array {
    const { layout, images } = this.#options
    const [B, G, L] = [layout.rows.length, layout.softmaxes.length, grid.height * grid.width]
    const texts = G - (images?.indices.length ?? 0)
    const own = this.#hasRegionMasks
      ? this.#textMasks(grid, isOn, texts)
      : new Float32Array(B * L * texts).fill(1)
    if (!images) return own
    const all = new Float32Array(B * L * G)
    for (let i = 0; i < B * L; i++) all.set(own.subarray(i * texts, (i + 1) * texts), i * G)
    for (const image of images.indices.keys()) {
      const factor = images.factorAt(image, call)
      const mask = this.#masksHavePositions ? images.maskAt(image, grid) : undefined
      for (let i = 0; i < B * L; i++) all[i * G + texts + image] = factor * (mask?.[i % L] ?? 1)
    }
    return all
  }

  /** [B, L, G] of the texts alone. */
  #textMasks(grid: AttentionGrid, isOn: boolean, G: number): Float32Array {
    const { layout, controls } = this.#options
    const L = grid.height * grid.width
    const masks = isOn && this.#regions && this.#withBorrowed(regionMasks(this.#regions, grid), L, G)
    const hasNegative = controls.regions?.regions.some(each => each.negativePrompt !== undefined)
    const all = rowMasks(
      layout.rows.map(row => (masks && (row.half === 'cond' || hasNegative) ? masks : undefined)),
      L,
      G,
    )
    if (this.#options.edit) {
      // What is borrowed stands in for one's own text, and takes its share.
      for (let i = 0; i < all.length; i += G) all[i + G - 1] = all[i] as number
    }
    return all
  }

  /** Masks of base and regions [L, 1 + R] at the layout's number of sources. */
  #withBorrowed(masks: Float32Array, positions: number, sources: number): Float32Array {
    const given = masks.length / positions
    if (given === sources) return masks
    const all = new Float32Array(positions * sources)
    for (let l = 0; l < positions; l++) {
      for (let g = 0; g < given; g++) all[l * sources + g] = masks[l * given + g] as number
    }
    return all
  }
}
