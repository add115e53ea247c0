/**
 * An edit bound to a run: which tokens borrow, when, and the numbers that the seam takes for it. Rows of the batch are
 * those of the layout; row `source` is the conditional half of the picture that was, row `target` of the edited one.
 *
 * The factors on the text's own probabilities are given as `tokenScale`, not as a gain of values (both are the same
 * number in the sum), so that captured maps show what the edited picture was drawn with.
 */
import type { EditControl } from '../../contract/controls.ts'
import { AttuneError } from '../../contract/errors.ts'
import type { AttentionGrid } from '../../nn/transformer.ts'
import type { CaptureText, RowShare } from '../capture.ts'
import type { SeamLayout } from '../layout.ts'
import { type Alignment, alignPrompts, formatChange } from './align.ts'
import { borrowCoefficients, borrowedKeyValues, type LayerColumns, ownGain } from './borrow.ts'
import { blendLatents, blendMask } from './local-blend.ts'
import { findPhrase, phraseRows } from './phrase.ts'
import { blendActive, crossAlphas, emptyWindows, reweightFactors, selfActive } from './windows.ts'

export interface EditTexts {
  readonly source: CaptureText & { readonly sample: number }
  readonly target: CaptureText & { readonly sample: number }
}

export class EditPlan {
  readonly alignment: Alignment
  /** What is odd, in words, before the run. */
  readonly notices: readonly string[]
  readonly #edit: EditControl
  readonly #texts: EditTexts
  readonly #layout: SeamLayout
  readonly #calls: number
  readonly #layers: readonly LayerColumns[]
  readonly #factors: Float32Array
  /** S of one text, and where the borrowed one begins. */
  readonly #rows: number
  readonly #offset: number
  /** Rows of each text whose maps make the mask. */
  readonly #blend:
    | { source: number[]; target: number[]; subtract: { source: number[]; target: number[] } }
    | undefined

  /**
   * @param calls evaluations of the network that will be made
   * @throws AttuneError `bad-argument`, `unsupported` for an edit that cannot act
   */
  constructor(
    edit: EditControl,
    texts: EditTexts,
    layout: SeamLayout,
    calls: number,
    layers: readonly LayerColumns[],
  ) {
    if (layout.isOneSoftmax) {
      throw new AttuneError(
        'unsupported',
        'An edit borrows attention from its source, and isolated regions have one softmax for all texts.',
        'Give the regions the law mix.',
      )
    }
    const [own] = layout.sources
    const borrowed = layout.sources.find(({ kind }) => kind === 'borrowed')
    this.#rows = own?.length ?? 0
    this.#offset = borrowed?.start ?? 0
    this.#edit = edit
    this.#texts = texts
    this.#layout = layout
    this.#calls = calls
    this.#layers = layers
    // Words that stand in for others keep their places, also beside words that are new.
    this.alignment = alignPrompts(texts.source, texts.target, this.#rows, { kind: 'mixed' })
    this.#factors = reweightFactors(edit, texts.target, this.#rows)
    // Finds phrases that are not there before the run.
    crossAlphas(edit, texts.target, this.#rows, 0, calls)
    const { blend } = edit
    this.#blend = blend && {
      source: unique(blend.source.flatMap(phrase => phraseRows(texts.source, phrase))),
      target: unique(blend.target.flatMap(phrase => phraseRows(texts.target, phrase))),
      // A word to keep out may stand in either text.
      subtract: {
        source: unique(blend.subtract.flatMap(phrase => findPhrase(texts.source, phrase))),
        target: unique(blend.subtract.flatMap(phrase => findPhrase(texts.target, phrase))),
      },
    }
    for (const phrase of blend?.subtract ?? []) {
      if (findPhrase(texts.source, phrase).length === 0) phraseRows(texts.target, phrase)
    }
    const { changes } = this.alignment
    const isReweighted = this.#factors.some(factor => factor !== 1)
    this.notices = [
      changes.length === 0 && !isReweighted
        ? 'The edited prompt says the same as the original, and no word is reweighted: the edit changes nothing.'
        : `Edit: ${[...changes.map(formatChange), ...edit.reweight.map(({ phrase, factor }) => `${phrase} × ${factor}`)].join(', ')}.`,
      ...emptyWindows(edit, calls).map(({ message, remedy }) => `${message} ${remedy}`),
    ]
  }

  /** Equal keys mean equal borrowed tokens and scales. */
  keyAt(call: number): string {
    return this.#alphas(call).join('')
  }

  /** Keys and values of the borrowed source, for the edited row only: a `BorrowedSource`. */
  tokensAt(call: number, row: number, own: readonly Float32Array[]): Float32Array | undefined {
    const { source, target } = this.#texts
    const [from, to] = [own[source.sample], own[target.sample]]
    if (row !== target.sample || !from || !to) return undefined
    const coefficients = borrowCoefficients(this.#alphas(call), this.#factors, this.alignment)
    return borrowedKeyValues(from, to, this.#layers, this.alignment, coefficients)
  }

  /** [B, S] */
  tokenScale(call: number): Float32Array {
    const { rows, tokens } = this.#layout
    const scale = new Float32Array(rows.length * tokens).fill(1)
    const alphas = this.#alphas(call)
    const start = this.#texts.target.sample * tokens
    scale.set(ownGain(alphas, this.#factors, this.alignment), start)
    // What is borrowed from now; values that nobody takes are 0 already, and their maps shall be as well.
    const isTaken = new Uint8Array(this.#rows)
    for (const [t, shares] of this.alignment.from.entries()) {
      if (alphas[t]) for (const { row } of shares) isTaken[row] = 1
    }
    for (const [row, taken] of isTaken.entries()) scale[start + this.#offset + row] = taken
    return scale
  }

  /** [B, G]: whose queries ask each source. */
  querySample(): Float32Array {
    const { rows, sources } = this.#layout
    const { source, target } = this.#texts
    const samples = new Float32Array(rows.length * sources.length)
    for (const b of rows.keys()) samples.fill(b, b * sources.length, (b + 1) * sources.length)
    const borrowed = sources.findIndex(({ kind }) => kind === 'borrowed')
    samples[target.sample * sources.length + borrowed] = source.sample
    return samples
  }

  selfActive(call: number): boolean {
    return selfActive(this.#edit, call, this.#calls)
  }

  /** True for layers whose self-attention may be replaced. */
  replacesSelf({ height, width }: AttentionGrid): boolean {
    return this.#edit.self.end > this.#edit.self.start && height * width <= this.#edit.selfPositions
  }

  /** [B, 1]: whose self-attention a row uses. Both halves of the guidance have their own text, the edit is of one. */
  selfSample(isActive: boolean): Float32Array {
    const samples = Float32Array.from(this.#layout.rows, (_, b) => b)
    if (isActive) samples[this.#texts.target.sample] = this.#texts.source.sample
    return samples
  }

  /** Where the attention of the edited text's token `row` stands among all S rows, for `CaptureExtra`. */
  rowsOf(row: number): readonly RowShare[] {
    const shares = this.alignment.from[row] ?? []
    const factor = this.#factors[row] ?? 1
    return [
      { row, share: 1 },
      ...shares.map(each => ({ row: this.#offset + each.row, share: each.share * factor })),
    ]
  }

  /** The captures that the mask of the edit needs. */
  get blendNeeds(): { readonly samples: readonly number[]; readonly rows: readonly number[] } | undefined {
    const blend = this.#blend
    if (!blend) return undefined
    const targets = [...blend.target, ...blend.subtract.target].flatMap(row => this.rowsOf(row))
    return {
      samples: [this.#texts.source.sample, this.#texts.target.sample],
      rows: [...new Set([...blend.source, ...blend.subtract.source, ...targets.map(({ row }) => row)])],
    }
  }

  /**
   * The edited latents after a step, held to the source outside of the mask.
   * @param mapOf of a sample and a row, the running map at `grid`, [L]
   * @param latents of source and target, [C, H, W]
   */
  blend(
    call: number,
    grid: AttentionGrid,
    latent: AttentionGrid,
    mapOf: (sample: number, row: number) => Float32Array,
    latents: { readonly source: Float32Array; readonly target: Float32Array },
  ): Float32Array {
    const blend = this.#blend
    if (!blend || !blendActive(this.#edit, call, this.#calls)) return latents.target
    const { source, target } = this.#texts
    const sum = (rows: readonly RowShare[], sample: number): Float32Array | undefined => {
      if (rows.length === 0) return undefined
      const total = new Float32Array(grid.height * grid.width)
      for (const { row, share } of rows) {
        for (const [l, value] of mapOf(sample, row).entries()) total[l] = (total[l] as number) + share * value
      }
      return total
    }
    const through = (rows: readonly number[]): RowShare[] => rows.flatMap(row => this.rowsOf(row))
    const mask = blendMask({
      grid,
      latent,
      maps: {
        source: sum(whole(blend.source), source.sample),
        target: sum(through(blend.target), target.sample),
      },
      subtract: {
        source: sum(whole(blend.subtract.source), source.sample),
        target: sum(through(blend.subtract.target), target.sample),
      },
      threshold: this.#edit.blend?.threshold ?? 0.3,
    })
    return blendLatents(latents.source, latents.target, mask)
  }

  #alphas(call: number): Float32Array {
    return crossAlphas(this.#edit, this.#texts.target, this.#rows, call, this.#calls)
  }
}

const unique = (rows: readonly number[]): number[] => [...new Set(rows)]

const whole = (rows: readonly number[]): RowShare[] => rows.map(row => ({ row, share: 1 }))
