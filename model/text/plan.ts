/**
 * What a prompt says over a whole run: which text holds at which call of the network, with which weights, and how its
 * parts come together. A plan knows nothing of embeddings; `PromptEncoder` makes them.
 */
import { parseA1111State } from '../prompt/a1111.ts'
import { type BoundCurve, curveFactor, curveValue } from '../prompt/curves.ts'
import { segmentAt, segmentsOf } from '../prompt/timeline.ts'
import type { ParsedPrompt, PromptPart } from '../prompt/types.ts'
import { leaveEmptyWhole } from './laws.ts'
import {
  type Encoding,
  type PartState,
  type PromptEncoder,
  textChunks,
  type TokenWeight,
} from './prompt-encoder.ts'
import type { TextTokenizer } from './weighted-tokens.ts'

export interface PlanOptions {
  /** Steps of the run as the person chose them. */
  readonly steps: number
  /** How often the network is asked in a step: 2 for Heun. Schedules count calls. */
  readonly callsPerStep?: number
  readonly oldTimeline?: boolean
  readonly curves?: readonly BoundCurve[]
  /** Steps that are made: fewer than `steps` when a picture is given. Curves run over these. */
  readonly madeSteps?: number
}

export interface PlannedPart {
  /** A lerp from the empty prompt, for parts of .and(). */
  readonly weight: number
  readonly states: readonly PartState[]
  readonly stateAt: (call: number) => number
  /** Chunks of its longest state. */
  readonly chunks: number
}

/** One answer of the network: a whole prompt, or a part of AND. */
export interface PlannedRow {
  /** Of AND. */
  readonly weight: number
  readonly parts: readonly PlannedPart[]
  /** Chunks of the longest text. */
  readonly chunks: number
}

export class PromptPlan {
  readonly prompt: ParsedPrompt
  readonly rows: readonly PlannedRow[]
  private readonly curves: readonly BoundCurve[]
  private readonly callsPerStep: number
  private readonly steps: number
  /** The last encodings of each part's states; moving weights make new ones every step. */
  private readonly made = new Map<PlannedPart, { key: string; encodings: Promise<readonly Encoding[]> }>()

  constructor(prompt: ParsedPrompt, tokenizer: TextTokenizer, options: PlanOptions) {
    this.prompt = prompt
    this.curves = options.curves ?? []
    this.callsPerStep = options.callsPerStep ?? 1
    this.steps = options.madeSteps ?? options.steps
    const parts = prompt.parts.map(part => planPart(part, prompt, tokenizer, options))
    this.rows =
      prompt.composition === 'noise'
        ? parts.map((part, index) => rowOf([{ ...part, weight: 1 }], prompt.parts[index]?.weight ?? 1))
        : prompt.composition === 'concat'
          ? [rowOf(parts, 1)]
          : [
              rowOf(
                parts.map(part => ({ ...part, weight: 1 })),
                prompt.parts[0]?.weight ?? 1,
              ),
            ]
  }

  /** Equal keys mean equal encodings of a row. */
  keyAt(row: number, call: number): string {
    const states = (this.rows[row]?.parts ?? []).map(part => part.stateAt(call))
    return `${states.join()} ${this.curveKey(call)}`
  }

  /** True when every row says the same at each of so many calls. */
  isConstant(calls: number): boolean {
    if (
      this.curves.length === 0 &&
      this.rows.every(row => row.parts.every(part => part.states.length === 1))
    ) {
      return true
    }
    return this.rows.every((_, row) => {
      const first = this.keyAt(row, 0)
      for (let call = 1; call < calls; call++) if (this.keyAt(row, call) !== first) return false
      return true
    })
  }

  /** True when any token of any state has another weight than 1, or parts are mixed. */
  get isWeighted(): boolean {
    return (
      this.curves.length > 0 ||
      this.rows.some(({ parts }) =>
        parts.some(
          ({ weight, states }) =>
            weight !== 1 ||
            states.some(
              ({ texts }) =>
                texts.length > 1 ||
                texts.some(
                  ({ chunks, share }) =>
                    share !== 1 ||
                    chunks.some(({ tokens }) => tokens.some(token => (token?.weight ?? 1) !== 1)),
                ),
            ),
        ),
      )
    )
  }

  /** The encoding of a row at a call, filled up with the empty prompt to a number of chunks. */
  async encodingAt(row: number, call: number, encoder: PromptEncoder, chunks: number): Promise<Encoding> {
    const { parts } = this.rows[row] as PlannedRow
    const encodings: Encoding[] = []
    for (const part of parts) {
      const states = await this.encodeStates(part, call, encoder)
      const { data, weights } = encoder.pad(states[part.stateAt(call)] as Encoding, part.chunks)
      const whole = part.weight === 1 ? data : leaveEmptyWhole(data, part.weight, await encoder.empty())
      encodings.push({ data: whole, weights })
    }
    const [first] = encodings
    const joined = encodings.length === 1 && first ? first : join(encodings)
    return encoder.pad(joined, chunks)
  }

  private encodeStates(
    part: PlannedPart,
    call: number,
    encoder: PromptEncoder,
  ): Promise<readonly Encoding[]> {
    const key = this.curveKey(call)
    const known = this.made.get(part)
    if (known?.key === key) return known.encodings
    const factor = this.factorAt(call)
    const weigh: TokenWeight | undefined = factor && (token => token.weight * factor(token))
    const encodings = encoder.encodeStates(part.states, weigh)
    this.made.set(part, { key, encodings })
    return encodings
  }

  private factorAt(call: number): ReturnType<typeof curveFactor> {
    return curveFactor(this.curves, Math.floor(call / this.callsPerStep), this.steps)
  }

  private curveKey(call: number): string {
    const step = Math.floor(call / this.callsPerStep)
    return this.curves.map(({ curve }) => curveValue(curve, step, this.steps)).join()
  }
}

function rowOf(parts: readonly PlannedPart[], weight: number): PlannedRow {
  return { weight, parts, chunks: parts.reduce((sum, part) => sum + part.chunks, 0) }
}

function planPart(
  part: PromptPart,
  prompt: ParsedPrompt,
  tokenizer: TextTokenizer,
  options: PlanOptions,
): PlannedPart {
  const { source, dialect } = prompt
  const { schedule, normalized, weight } = part
  if (!schedule) {
    const texts = part.texts.map(text => textChunks(text, source, dialect, tokenizer))
    return {
      weight,
      states: [{ texts, normalized, count: 1 }],
      stateAt: () => 0,
      chunks: Math.max(...texts.map(({ chunks }) => chunks.length)),
    }
  }
  const { steps, callsPerStep = 1, oldTimeline = false } = options
  const segments = segmentsOf(schedule, { calls: steps * callsPerStep, oldTimeline })
  // Each distinct text is encoded once, however often an alternation comes back to it.
  const known = new Map<string, number>()
  const states: { texts: PartState['texts']; normalized: boolean; count: number }[] = []
  const stateOf = segments.map(({ runs }) => {
    const key = runs.map(({ start, end }) => `${start}-${end}`).join()
    const found = known.get(key)
    if (found !== undefined) {
      ;(states[found] as { count: number }).count++
      return found
    }
    const text = { weight: 1, pieces: parseA1111State(source, runs), swaps: [], span: part.span }
    states.push({ texts: [textChunks(text, source, dialect, tokenizer)], normalized, count: 1 })
    known.set(key, states.length - 1)
    return states.length - 1
  })
  return {
    weight,
    states,
    stateAt: call => stateOf[segmentAt(segments, call)] ?? 0,
    chunks: Math.max(...states.flatMap(({ texts }) => texts.map(({ chunks }) => chunks.length))),
  }
}

function join(encodings: readonly Encoding[]): Encoding {
  const data = new Float32Array(encodings.reduce((length, each) => length + each.data.length, 0))
  const weights = new Float32Array(encodings.reduce((length, each) => length + each.weights.length, 0))
  let row = 0
  let value = 0
  for (const each of encodings) {
    data.set(each.data, value)
    weights.set(each.weights, row)
    value += each.data.length
    row += each.weights.length
  }
  return { data, weights }
}
