/**
 * What the words of a request tell the network at each of its calls: keys and values, inputs of the attention laws, and
 * how the answers to several texts become one prediction.
 *
 * Rows of a batch: the unconditional text first where there is guidance, then each part of an AND (Liu et al. 2022).
 */
import { AttuneError, invariant } from '../contract/errors.ts'
import type { ResolvedRequest } from '../contract/request.ts'
import type { GraphBuilder } from '../graph/builder.ts'
import type { Graph, Tensor } from '../graph/ops.ts'
import type { Program } from '../graph/program.ts'
import { bindCurves } from '../prompt/curves.ts'
import { parsePrompt } from '../prompt/parse.ts'
import { guidanceRescale } from '../schedulers/index.ts'
import type { CaptureText } from '../attention/capture.ts'
import { joinFloats } from '../tensor/join.ts'
import { chunkLength, padChunks, type TokenChunk, tokenPlaces } from '../text/chunks.ts'
import { actsInAttention, lawOfDialect, type WeightLaw } from '../text/laws.ts'
import { PromptPlan } from '../text/plan.ts'
import { type Encoding, PromptEncoder } from '../text/prompt-encoder.ts'
import type { Token } from '../text/tokenizer.ts'
import type { AttentionControls } from '../unet/unet-2d-condition-model.ts'
import type { DiffusionModel } from './diffusion-model.ts'

/** Inputs of the denoiser by name. */
export type TextInputs = Readonly<Record<string, Float32Array>>

/** A text among those that are given to the network together. */
interface TextRow {
  readonly plan: PromptPlan
  /** Of the plan. */
  readonly row: number
  /** How much its difference from the unconditional prediction counts. */
  readonly weight: number
}

/** Bytes of keys and values that a changing prompt keeps: an alternation comes back to them. */
const cacheBytes = 1 << 27
/** Each part of an AND is one more picture in every batch. */
const mostParts = 32
/** Of a token with weight 0: its probability is 0 in f32, and the number fits f16. */
const smallestLogWeight = -1e4

const logitBiasInput = 'promptLogitBias'
const valueGainInput = 'promptValueGain'

export class Conditioning {
  /** True where the unconditional text is in the batch. */
  readonly guided: boolean
  readonly batch: number
  /** S of every row. */
  readonly textTokens: number
  readonly #model: DiffusionModel
  readonly #request: ResolvedRequest
  readonly #law: WeightLaw
  readonly #rows: readonly TextRow[]
  readonly #chunksEach: number
  readonly #calls: number
  readonly #isConstant: boolean
  readonly #isWeighted: boolean
  #encoder: PromptEncoder | undefined
  /** Of a constant prompt, all rows after one another. */
  #constant: Encoding | undefined
  #program: Program | undefined
  /** Keys and values of rows by what they say; the one used longest ago is first. */
  readonly #kept = new Map<string, Float32Array>()
  #key: string | undefined
  #current: TextInputs = {}

  /**
   * @param calls evaluations of the network that will be made.
   * @throws AttuneError `bad-argument`, `unsupported`: what this request's words cannot mean.
   */
  constructor(model: DiffusionModel, request: ResolvedRequest, calls: number) {
    this.#model = model
    this.#request = request
    this.#calls = calls
    const { dialect = 'plain', guidanceScale, sampler, steps } = request
    this.#law = request.emphasis ?? lawOfDialect(dialect)
    const callsPerStep = sampler === 'heun' ? 2 : 1
    const options = { steps, callsPerStep, oldTimeline: request.oldTimeline === true }
    const plan = new PromptPlan(parsePrompt(request.prompt, dialect), model.tokenizer, {
      ...options,
      curves: bindCurves(request.weightCurves ?? [], request.prompt),
      madeSteps: Math.ceil(calls / callsPerStep),
    })
    if (plan.rows.length > mostParts) {
      throw new AttuneError(
        'bad-argument',
        `The prompt has ${plan.rows.length} parts joined by AND; ${mostParts} can be drawn together.`,
        'Join parts with commas.',
      )
    }
    this.guided = guidanceScale !== 1 || plan.rows.length > 1 || plan.rows[0]?.weight !== 1
    // What counts nothing is not computed.
    const rows = plan.rows.flatMap(({ weight }, row) => (weight === 0 ? [] : [{ plan, row, weight }]))
    if (this.guided) {
      const parsed = parsePrompt(request.negativePrompt, dialect, { composes: false })
      rows.unshift({ plan: new PromptPlan(parsed, model.tokenizer, options), row: 0, weight: 1 })
    }
    this.#rows = rows
    const plans = [...new Set(rows.map(each => each.plan))]
    this.#isConstant = plans.every(each => each.isConstant(calls))
    this.#isWeighted = plans.some(each => each.isWeighted)
    this.#chunksEach = Math.max(...rows.map(({ plan: { rows: all }, row }) => all[row]?.chunks ?? 1))
    this.batch = rows.length
    this.textTokens = this.#chunksEach * chunkLength
    if (actsInAttention(this.#law) && plans.some(isMixed)) {
      throw new AttuneError(
        'unsupported',
        `The law ${this.#law} weighs single words inside attention, and a blend of texts has none.`,
        'Choose another emphasis, or write the prompt without .blend() and weights of .and().',
      )
    }
  }

  /**
   * The tokens of one half's text, for capture, and its place in the batch.
   * @throws AttuneError `unsupported` where the tokens change over the steps, or the half is several texts or none
   */
  captureText(half: 'cond' | 'uncond'): CaptureText & { readonly sample: number } {
    if (half === 'uncond' && !this.guided) {
      throw new AttuneError(
        'unsupported',
        'Without guidance there is no unconditional half whose attention could be shown.',
        'Ask for the conditional half, or set a guidance other than 1.',
      )
    }
    const sample = half === 'cond' && this.guided ? 1 : 0
    const row = this.#rows[sample]
    invariant(row, `a row ${sample} of the batch`)
    const parts = row.plan.rows[row.row]?.parts ?? []
    const [part] = parts
    const states = part?.states ?? []
    const changes = Array.from({ length: this.#calls }, (_, call) => part?.stateAt(call)).some(
      state => state !== part?.stateAt(0),
    )
    const text = states[part?.stateAt(0) ?? 0]?.texts
    if (!part || parts.length > 1 || changes || !text || text.length !== 1) {
      throw new AttuneError(
        'unsupported',
        'Word maps need one text that stays the same over the steps; this prompt changes, or blends several texts.',
        'Draw it without a schedule, .blend() or .and() to see its words.',
      )
    }
    const prompt = half === 'cond' ? this.#request.prompt : this.#request.negativePrompt
    return { prompt, sample, places: tokenPlaces(text[0]?.chunks ?? []) }
  }

  /** Runs the text encoder for all that the run will say: on wasm it must not run beside networks. */
  async encode(): Promise<void> {
    const encoder = await this.#model.textEncoder()
    // People count from 1 (the last layer), diffusers from 0 (layers left out).
    const clipSkip = this.#request.clipSkip - 1
    if (this.#isConstant && !this.#isWeighted) {
      const { data } = await encoder.encode(this.#plainChunks(), { clipSkip })
      this.#constant = { data, weights: new Float32Array(0) }
      return
    }
    this.#encoder = new PromptEncoder(encoder, this.#model.tokenizer, { law: this.#law, clipSkip })
    if (this.#isConstant) {
      const all: Encoding[] = []
      for (const row of this.#rows) all.push(await this.#encodingAt(row, 0))
      this.#constant = {
        data: joinFloats(all.map(({ data }) => data)),
        weights: joinFloats(all.map(({ weights }) => weights)),
      }
      this.#lawInputs(this.#constant.weights)
      return
    }
    // The raw encodings stay; what is made of them is cheap enough to make again.
    for (const row of this.#rows) {
      let last: string | undefined
      for (let call = 0; call < this.#calls; call++) {
        const key = row.plan.keyAt(row.row, call)
        if (key !== last) this.#lawInputs((await this.#encodingAt(row, call)).weights)
        last = key
      }
    }
  }

  /** The projection of encodings to keys and values: of the batch at once, or row by row where they change. */
  recordKeyValues(): Graph {
    return this.#model.unet.recordTextKeyValues(this.#isConstant ? this.batch : 1, this.textTokens)
  }

  /** Takes the compiled `recordKeyValues`, which stays the caller's. */
  useProgram(program: Program): void {
    this.#program = program
  }

  /** Declares the law's input, once for all layers; absent where no law acts inside attention. */
  attentionControls(): { readonly attentionControls?: AttentionControls } {
    if (!actsInAttention(this.#law) || !this.#isWeighted) return {}
    const declared = new WeakMap<GraphBuilder, Tensor>()
    const once = (b: GraphBuilder, name: string, shape: readonly number[]): Tensor => {
      const tensor = declared.get(b) ?? b.input(name, shape)
      declared.set(b, tensor)
      return tensor
    }
    const { batch, textTokens } = this
    const cross: AttentionControls['cross'] =
      this.#law === 'logit-bias'
        ? (_, b) => ({ logitBias: once(b, logitBiasInput, [batch, 1, textTokens]) })
        : (_, b) => ({ valueGain: once(b, valueGainInput, [batch, textTokens]) })
    return { attentionControls: { cross } }
  }

  /** What the network must be given before a call: nothing where the words stay. `encode` must have ended. */
  async changesAt(call: number): Promise<TextInputs> {
    const keys = this.#isConstant
      ? []
      : this.#rows.map(each => `${this.#planIndex(each)} ${each.row} ${each.plan.keyAt(each.row, call)}`)
    const key = keys.join('\n')
    if (key === this.#key) return {}
    if (this.#constant) {
      const { data, weights } = this.#constant
      this.#current = { textKeyValues: await this.#project(data), ...this.#lawInputs(weights) }
    } else {
      const values: Float32Array[] = []
      const weights: Float32Array[] = []
      for (const [index, row] of this.#rows.entries()) {
        const encoding = await this.#encodingAt(row, call)
        values.push(await this.#projectKept(keys[index] as string, encoding.data))
        weights.push(encoding.weights)
      }
      this.#current = { textKeyValues: joinFloats(values), ...this.#lawInputs(joinFloats(weights)) }
    }
    this.#key = key
    return this.#current
  }

  /** All inputs as the network has them now. */
  get current(): TextInputs {
    return this.#current
  }

  /**
   * Classifier-free guidance (Ho & Salimans 2022) for any number of texts: u + Σ w·g·(dᵢ − u). Then the rescale of Lin
   * et al., which takes the deviation of the prediction without guidance: d, or u + Σ w·(dᵢ − u) for several texts.
   * @param output [B, …]
   */
  guide(output: Float32Array): Float32Array {
    if (!this.guided) return output
    const { guidanceScale, guidanceRescale: rescale } = this.#request
    const texts = this.#rows.slice(1)
    const length = output.length / this.batch
    const answer = (row: number): Float32Array => output.subarray(row * length, (row + 1) * length)
    const base = answer(0)
    const sum = (scale: number): Float32Array => {
      const result = new Float32Array(length)
      for (let i = 0; i < length; i++) {
        const uncond = base[i] as number
        let value = uncond
        for (let row = 0; row < texts.length; row++) {
          const weight = scale * (texts[row] as TextRow).weight
          value += weight * ((output[(row + 1) * length + i] as number) - uncond)
        }
        result[i] = value
      }
      return result
    }
    const guided = sum(guidanceScale)
    if (rescale <= 0) return guided
    const isSingle = texts.length === 1 && texts[0]?.weight === 1
    return guidanceRescale(isSingle ? answer(1) : sum(1), guided, rescale)
  }

  /** The chunks of all rows as they are encoded without weights, in one run. */
  #plainChunks(): TokenChunk[] {
    const { tokenizer } = this.#model
    return this.#rows.flatMap(({ plan, row }) => {
      const parts = plan.rows[row]?.parts ?? []
      const chunks = parts.flatMap(({ states, stateAt, chunks: count }): TokenChunk[] =>
        padChunks<Token>(states[stateAt(0)]?.texts[0]?.chunks ?? [], count, tokenizer),
      )
      return padChunks(chunks, this.#chunksEach, tokenizer)
    })
  }

  #encodingAt({ plan, row }: TextRow, call: number): Promise<Encoding> {
    invariant(this.#encoder, 'a prompt that was not encoded')
    return plan.encodingAt(row, call, this.#encoder, this.#chunksEach)
  }

  #planIndex({ plan }: TextRow): number {
    return plan === this.#rows[0]?.plan ? 0 : 1
  }

  async #project(encoderHiddenStates: Float32Array): Promise<Float32Array> {
    const results = await this.#program?.run({ encoderHiddenStates })
    invariant(results?.['textKeyValues'], 'projections of the text')
    return results['textKeyValues']
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

  /** @param weights of all rows' tokens. */
  #lawInputs(weights: Float32Array): TextInputs {
    if (!actsInAttention(this.#law) || !this.#isWeighted) return {}
    if (this.#law === 'value-gain') return { [valueGainInput]: weights }
    const bias = weights.map(weight => {
      if (weight >= 0) return Math.max(Math.log(weight), smallestLogWeight)
      throw new AttuneError(
        'bad-argument',
        `A weight of ${weight} has no meaning under the law logit-bias: no probability can be negative.`,
        'Use weights from 0, or another emphasis.',
      )
    })
    return { [logitBiasInput]: bias }
  }
}

/** True for prompts in which a token's row is more than one token, or not wholly its own. */
function isMixed({ rows }: PromptPlan): boolean {
  return rows.some(({ parts }) =>
    parts.some(({ weight, states }) => weight !== 1 || states.some(({ texts }) => texts.length > 1)),
  )
}
