/**
 * What the words of a request tell the network at each of its calls: keys and values, and how the answers to several
 * texts become one prediction. Which texts there are says `rows.ts`; what acts beside them in the attention layers,
 * `model/attention/control-plan.ts`.
 */
import { AttuneError, invariant } from '../contract/errors.ts'
import type { ResolvedRequest } from '../contract/request.ts'
import type { Graph } from '../graph/ops.ts'
import type { Program } from '../graph/program.ts'
import { guidanceRescale } from '../schedulers/index.ts'
import type { CaptureText } from '../attention/capture.ts'
import type { SeamLayout } from '../attention/layout.ts'
import { joinFloats } from '../tensor/join.ts'
import { padChunks, type TokenChunk } from '../text/chunks.ts'
import { actsInAttention, lawOfDialect, type WeightLaw } from '../text/laws.ts'
import type { PromptPlan } from '../text/plan.ts'
import { type Encoding, PromptEncoder } from '../text/prompt-encoder.ts'
import type { Token } from '../text/tokenizer.ts'
import type { DiffusionModel } from './diffusion-model.ts'
import { type BatchTexts, batchTexts, paddingOf, type PlannedText, steadyText, type TextRow } from './rows.ts'

/** Keys and values, and weights, of every source of every row; new arrays where they changed. */
export interface Words {
  /** [B, S, Σ2C] */
  readonly textKeyValues: Float32Array
  /** Of laws that act inside attention, [B, S]; 1 elsewhere. */
  readonly weights?: Float32Array
}

/** Fills a source whose tokens are made of others' (an edit's). */
export interface BorrowedSource {
  /** Equal keys mean equal tokens. */
  keyAt(call: number): string
  /**
   * @param own of each row, the keys and values of its own text [S, Σ2C]
   * @returns of a row, those of the borrowed source [S, Σ2C]; undefined where it borrows nothing
   */
  tokensAt(call: number, row: number, own: readonly Float32Array[]): Float32Array | undefined
}

/** Image prompts, whose tokens are the same at every call. */
export interface PromptImages {
  /** Of each. */
  readonly tokens: readonly number[]
  /** Keys and values [T, Σ2C] of an image, for one half of the guidance. */
  keyValues(image: number, half: 'cond' | 'uncond'): Float32Array
}

/** Bytes of keys and values that a changing prompt keeps: an alternation comes back to them. */
const cacheBytes = 1 << 27

export class Conditioning {
  readonly #model: DiffusionModel
  readonly #request: ResolvedRequest
  readonly #law: WeightLaw
  readonly #batch: BatchTexts
  readonly #calls: number
  readonly #isConstant: boolean
  readonly #isWeighted: boolean
  readonly #images: PromptImages | undefined
  #encoder: PromptEncoder | undefined
  /** Of constant prompts, text by text. */
  #constant: readonly Encoding[] | undefined
  #program: Program | undefined
  #borrowed: BorrowedSource | undefined
  /** Keys and values of texts by what they say; the one used longest ago is first. */
  readonly #kept = new Map<string, Float32Array>()
  #key: string | undefined

  /**
   * @param calls evaluations of the network that will be made.
   * @param images that stand beside the words; asked for their tokens at the first `changesAt`
   * @throws AttuneError `bad-argument`, `unsupported`: what this request's words cannot mean.
   */
  constructor(model: DiffusionModel, request: ResolvedRequest, calls: number, images?: PromptImages) {
    this.#model = model
    this.#request = request
    this.#calls = calls
    this.#law = request.emphasis ?? lawOfDialect(request.dialect ?? 'plain')
    this.#images = images
    this.#batch = batchTexts(request, model.tokenizer, calls, images?.tokens)
    const plans = [...new Set(this.#batch.texts.map(each => each.plan))]
    this.#isConstant = plans.every(each => each.isConstant(calls))
    this.#isWeighted = plans.some(each => each.isWeighted)
    if (actsInAttention(this.#law) && plans.some(isMixed)) {
      throw new AttuneError(
        'unsupported',
        `The law ${this.#law} weighs single words inside attention, and a blend of texts has none.`,
        'Choose another emphasis, or write the prompt without .blend() and weights of .and().',
      )
    }
  }

  /** True where the unconditional text is in the batch. */
  get guided(): boolean {
    return this.#batch.guided
  }

  /** Pictures that are drawn together. */
  get trajectories(): number {
    return this.#batch.trajectories
  }

  /** B */
  get batch(): number {
    return this.#batch.rows.length
  }

  get layout(): SeamLayout {
    return this.#batch.layout
  }

  /** The texts of the run, and where they stand. */
  get texts(): BatchTexts {
    return this.#batch
  }

  /** The law of weights that act inside attention, where there are any. */
  get seamLaw(): 'logit-bias' | 'value-gain' | undefined {
    if (!this.#isWeighted || !actsInAttention(this.#law)) return undefined
    return this.#law === 'value-gain' ? 'value-gain' : 'logit-bias'
  }

  /**
   * The tokens of one half's text, and its place in the batch: of the last picture (an edit's result) unless said.
   * @param why begins the message where it is not one steady text
   * @throws AttuneError `unsupported`
   */
  textOf(
    half: 'cond' | 'uncond',
    why: string,
    trajectory = this.trajectories - 1,
  ): CaptureText & { readonly sample: number } {
    if (half === 'uncond' && !this.guided) {
      throw new AttuneError(
        'unsupported',
        'Without guidance there is no unconditional half whose attention could be shown.',
        'Ask for the conditional half, or set a guidance other than 1.',
      )
    }
    const sample = this.#batch.rows.findIndex(row => row.trajectory === trajectory && row.half === half)
    const row = this.#batch.rows[sample]
    invariant(row, `a row for ${half}`)
    return { ...steadyText(row, this.#calls, why), sample }
  }

  /** Padding of each source of each row, [B, S]: 1 behind the end marker of each chunk. Of texts that stay. */
  padding(): Uint8Array {
    const { rows, cells, texts, layout, chunksEach } = this.#batch
    const padding = new Uint8Array(rows.length * layout.tokens)
    for (const [b, row] of cells.entries()) {
      for (const [g, text] of row.entries()) {
        const planned = text === null ? undefined : texts[text]
        if (!planned) continue
        steadyText(planned, this.#calls, 'Hiding padding needs')
        padding.set(paddingOf(planned, 0, chunksEach), b * layout.tokens + (layout.sources[g]?.start ?? 0))
      }
    }
    return padding
  }

  /** Runs the text encoder for all that the run will say: on wasm it must not run beside networks. */
  async encode(): Promise<void> {
    const encoder = await this.#model.textEncoder()
    // People count from 1 (the last layer), diffusers from 0 (layers left out).
    const clipSkip = this.#request.clipSkip - 1
    const { texts } = this.#batch
    if (this.#isConstant && !this.#isWeighted) {
      const { data } = await encoder.encode(this.#plainChunks(), { clipSkip })
      const size = data.length / texts.length
      this.#constant = texts.map((_, i) => ({
        data: data.subarray(i * size, (i + 1) * size),
        weights: new Float32Array(0),
      }))
      return
    }
    this.#encoder = new PromptEncoder(encoder, this.#model.tokenizer, { law: this.#law, clipSkip })
    if (this.#isConstant) {
      const all: Encoding[] = []
      for (const text of texts) all.push(await this.#encodingAt(text, 0))
      this.#constant = all
      for (const { weights } of all) this.#checkWeights(weights)
      return
    }
    // The raw encodings stay; what is made of them is cheap enough to make again.
    for (const text of texts) {
      let last: string | undefined
      for (let call = 0; call < this.#calls; call++) {
        const key = text.plan.keyAt(text.row, call)
        if (key !== last) this.#checkWeights((await this.#encodingAt(text, call)).weights)
        last = key
      }
    }
  }

  /** Equal keys mean equal encodings of all rows' own texts. */
  textKeyAt(call: number): string {
    return this.#batch.rows.map(({ plan, row }) => plan.keyAt(row, call)).join('\n')
  }

  /** The encoding of each row's own text, [S, E], for networks beside the UNet. `encode` must have ended. */
  async encodingsAt(call: number): Promise<Float32Array[]> {
    const { cells, texts } = this.#batch
    const result: Float32Array[] = []
    for (const [own] of cells) {
      const [text, index] = [texts[own ?? 0], own ?? 0]
      invariant(text, 'a text of the row')
      result.push((this.#constant?.[index] ?? (await this.#encodingAt(text, call))).data)
    }
    return result
  }

  /** The projection of encodings to keys and values: of all texts at once, or text by text where they change. */
  recordKeyValues(): Graph {
    const { texts, layout } = this.#batch
    return this.#model.unet.recordTextKeyValues(
      this.#isConstant ? texts.length : 1,
      layout.sources[0]?.length ?? 0,
    )
  }

  /** Takes the compiled `recordKeyValues`, which stays the caller's. */
  useProgram(program: Program): void {
    this.#program = program
  }

  /** Takes what fills the borrowed source of an edit. */
  useBorrowed(borrowed: BorrowedSource): void {
    this.#borrowed = borrowed
  }

  /** The words at a call, undefined where they stay as they were. `encode` must have ended. */
  async changesAt(call: number): Promise<Words | undefined> {
    const { texts } = this.#batch
    const keys = this.#isConstant
      ? []
      : texts.map(each => `${this.#planIndex(each)} ${each.row} ${each.plan.keyAt(each.row, call)}`)
    const key = [...keys, this.#borrowed?.keyAt(call) ?? ''].join('\n')
    if (key === this.#key) return undefined
    let values: readonly Float32Array[]
    let weights: readonly Float32Array[]
    if (this.#constant) {
      const encodings = this.#constant
      values = await this.#projectAll(encodings.map(({ data }) => data))
      weights = encodings.map(each => each.weights)
    } else {
      const [some, others]: [Float32Array[], Float32Array[]] = [[], []]
      for (const [index, text] of texts.entries()) {
        const encoding = await this.#encodingAt(text, call)
        some.push(await this.#projectKept(keys[index] as string, encoding.data))
        others.push(encoding.weights)
      }
      values = some
      weights = others
    }
    this.#key = key
    return {
      textKeyValues: this.#composed(values, call),
      ...(this.seamLaw && { weights: this.#composedWeights(weights) }),
    }
  }

  /**
   * Classifier-free guidance (Ho & Salimans 2022) for any number of texts: u + Σ w·g·(dᵢ − u). Then the rescale of Lin
   * et al., which takes the deviation of the prediction without guidance: d, or u + Σ w·(dᵢ − u) for several texts.
   * @param output [B, …]
   * @param trajectory of which picture
   */
  guide(output: Float32Array, trajectory: number): Float32Array {
    const { rows, guided } = this.#batch
    const length = output.length / rows.length
    const first = rows.findIndex(row => row.trajectory === trajectory)
    const answer = (row: number): Float32Array =>
      output.subarray((first + row) * length, (first + row + 1) * length)
    if (!guided) return rows.length === 1 ? output : answer(0)
    const { guidanceScale, guidanceRescale: rescale } = this.#request
    const texts = rows.filter(row => row.trajectory === trajectory).slice(1)
    const base = answer(0)
    const sum = (scale: number): Float32Array => {
      const result = new Float32Array(length)
      const answers = texts.map((text, i) => ({ weight: scale * text.weight, data: answer(i + 1) }))
      for (let i = 0; i < length; i++) {
        const uncond = base[i] as number
        let value = uncond
        for (const { weight, data } of answers) value += weight * ((data[i] as number) - uncond)
        result[i] = value
      }
      return result
    }
    const predicted = sum(guidanceScale)
    if (rescale <= 0) return predicted
    const isSingle = texts.length === 1 && texts[0]?.weight === 1
    return guidanceRescale(isSingle ? answer(1) : sum(1), predicted, rescale)
  }

  /** The picture that a row belongs to. */
  trajectoryOf(row: number): number {
    return (this.#batch.rows[row] as TextRow).trajectory
  }

  /** [B, S, Σ2C]: each source's tokens where the layout has them; zeros between them. */
  #composed(values: readonly Float32Array[], call: number): Float32Array {
    const { cells, layout } = this.#batch
    const width = this.#model.unet.textKeyValueWidth
    const own = cells.map(row => values[row[0] ?? 0] as Float32Array)
    if (layout.sources.length === 1) return joinFloats(own)
    const all = new Float32Array(layout.rows.length * layout.tokens * width)
    for (const [b, row] of cells.entries()) {
      for (const [g, text] of row.entries()) {
        const start = (b * layout.tokens + (layout.sources[g]?.start ?? 0)) * width
        const tokens = text === null ? this.#borrowed?.tokensAt(call, b, own) : values[text]
        if (tokens) all.set(tokens, start)
      }
      const { half } = layout.rows[b] as SeamLayout['rows'][number]
      for (const { image, start } of layout.sources) {
        if (image === undefined || !this.#images) continue
        all.set(this.#images.keyValues(image, half), (b * layout.tokens + start) * width)
      }
    }
    return all
  }

  /** [B, S] */
  #composedWeights(weights: readonly Float32Array[]): Float32Array {
    const { cells, layout } = this.#batch
    const all = new Float32Array(layout.rows.length * layout.tokens).fill(1)
    for (const [b, row] of cells.entries()) {
      for (const [g, text] of row.entries()) {
        if (text === null) continue
        all.set(weights[text] ?? [], b * layout.tokens + (layout.sources[g]?.start ?? 0))
      }
    }
    return all
  }

  /** The chunks of all texts as they are encoded without weights, in one run. */
  #plainChunks(): TokenChunk[] {
    const { tokenizer } = this.#model
    const { texts, chunksEach } = this.#batch
    return texts.flatMap(({ plan, row }) => {
      const parts = plan.rows[row]?.parts ?? []
      const chunks = parts.flatMap(({ states, stateAt, chunks: count }): TokenChunk[] =>
        padChunks<Token>(states[stateAt(0)]?.texts[0]?.chunks ?? [], count, tokenizer),
      )
      return padChunks(chunks, chunksEach, tokenizer)
    })
  }

  #encodingAt({ plan, row }: PlannedText, call: number): Promise<Encoding> {
    invariant(this.#encoder, 'a prompt that was not encoded')
    return plan.encodingAt(row, call, this.#encoder, this.#batch.chunksEach)
  }

  #planIndex({ plan }: PlannedText): number {
    return this.#batch.texts.findIndex(each => each.plan === plan)
  }

  async #project(encoderHiddenStates: Float32Array): Promise<Float32Array> {
    const results = await this.#program?.run({ encoderHiddenStates })
    invariant(results?.['textKeyValues'], 'projections of the text')
    return results['textKeyValues']
  }

  /** Of constant texts: projected once, and kept for edits whose borrowed tokens change. */
  async #projectAll(data: readonly Float32Array[]): Promise<Float32Array[]> {
    const key = 'constant'
    const all = this.#kept.get(key) ?? (await this.#project(joinFloats(data)))
    if (this.#borrowed) this.#kept.set(key, all)
    const size = all.length / data.length
    return data.map((_, i) => all.subarray(i * size, (i + 1) * size))
  }

  async #projectKept(key: string, data: Float32Array): Promise<Float32Array> {
    const values = this.#kept.get(key) ?? (await this.#project(data))
    this.#kept.delete(key)
    this.#kept.set(key, values)
    const most = Math.max(1, Math.floor(cacheBytes / values.byteLength))
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= most) break
      this.#kept.delete(oldest)
    }
    return values
  }

  #checkWeights(weights: Float32Array): void {
    if (this.seamLaw !== 'logit-bias') return
    const negative = weights.find(weight => weight < 0)
    if (negative === undefined) return
    throw new AttuneError(
      'bad-argument',
      `A weight of ${negative} has no meaning under the law logit-bias: no probability can be negative.`,
      'Use weights from 0, or another emphasis.',
    )
  }
}

/** True for prompts in which a token's row is more than one token, or not wholly its own. */
function isMixed({ rows }: PromptPlan): boolean {
  return rows.some(({ parts }) =>
    parts.some(({ weight, states }) => weight !== 1 || states.some(({ texts }) => texts.length > 1)),
  )
}
