/**
 * What becomes of a prompt, for people and for interfaces: chunks, tokens, words, the weight of each after the law,
 * what the vocabulary does not know whole, and what crosses or begins at the border of a chunk. Plain data, fit for
 * JSON.
 */
import type { PromptDialect, WeightLaw } from '../contract/prompt.ts'
import { parsePrompt } from '../prompt/parse.ts'
import type { PromptProblem, Span } from '../prompt/source.ts'
import type { Composition, ParsedPrompt, PromptSwap, PromptTag } from '../prompt/types.ts'
import { chunkContent, chunkLength, tokenPlaces, type TokenChunk } from './chunks.ts'
import { lawOfDialect, maskedShare } from './laws.ts'
import { type PlannedPart, PromptPlan } from './plan.ts'
import { type ChunkEncoder, PromptEncoder } from './prompt-encoder.ts'
import { byteLevelPattern } from './tokenizer.ts'
import type { TextTokenizer, WeightedToken } from './weighted-tokens.ts'

export interface ExplainModel {
  readonly tokenizer: TextTokenizer
  /** With it, A1111's mean restoration is measured and part of the effective weights. */
  readonly encoder?: ChunkEncoder
}

export interface ExplainOptions {
  /** The law of the dialect unless given. */
  readonly law?: WeightLaw
  /** For schedules; 20 unless given. */
  readonly steps?: number
  readonly callsPerStep?: number
  readonly oldTimeline?: boolean
  /** Layers left out, as `ClipTextEncoder.encode` counts. */
  readonly clipSkip?: number
  /** A negative prompt: A1111 composes none. */
  readonly isNegative?: boolean
}

export interface ExplainedToken {
  readonly id: number
  readonly text: string
  readonly span: Span
  /** Index among the words. */
  readonly word: number
  readonly chunk: number
  /** In its chunk; 0 is the BOS. */
  readonly position: number
  /** On the token axis of the joined chunks of its text. */
  readonly row: number
  /** As the dialect has it. */
  readonly weight: number
  /** What the token's vector (or its attention) is multiplied with in the end. */
  readonly effective: number
}

export interface ExplainedWord {
  readonly text: string
  readonly span: Span
  /** Indices among the tokens. */
  readonly tokens: readonly number[]
  readonly weight: number
  /** The vocabulary has no token for the whole: a model with a small vocabulary has hardly seen this word. */
  readonly isInPieces: boolean
  readonly crossesChunk: boolean
}

export interface ExplainedChunk {
  /** 77 ids. */
  readonly ids: readonly number[]
  /** Positions with words. */
  readonly used: number
  readonly free: number
  /** A1111's mean restoration; 1 for other laws, and where it was not measured. */
  readonly scale: number
}

/** A weakened fragment of compel's dialect: how much the encoding without it counts, against 1 for the prompt. */
export interface ExplainedMask {
  readonly text: string
  readonly weight: number
  readonly share: number
}

export interface ExplainedText {
  /** In a blend. */
  readonly share: number
  readonly chunks: readonly ExplainedChunk[]
  readonly tokens: readonly ExplainedToken[]
  readonly words: readonly ExplainedWord[]
  readonly masks: readonly ExplainedMask[]
}

/** What a part says during some steps. */
export interface ExplainedState {
  /** Steps from 1, each [first, last]; more than one range for alternations. */
  readonly steps: readonly (readonly [first: number, last: number])[]
  readonly texts: readonly ExplainedText[]
}

export interface ExplainedPart {
  readonly weight: number
  readonly states: readonly ExplainedState[]
  readonly swaps: readonly PromptSwap[]
}

/** Something worth knowing that is no fault of the text. */
export interface ExplainedNote {
  readonly kind: 'in-pieces' | 'crosses-chunk' | 'next-chunk'
  readonly span: Span
  readonly message: string
}

export interface PromptExplanation {
  readonly source: string
  readonly dialect: PromptDialect
  readonly law: WeightLaw
  readonly composition: Composition
  readonly parts: readonly ExplainedPart[]
  readonly tags: readonly PromptTag[]
  readonly problems: readonly PromptProblem[]
  readonly notes: readonly ExplainedNote[]
}

/** Never fails for any text; only the encoder, where one is given, may. */
export async function explainPrompt(
  text: string,
  dialect: PromptDialect,
  model: ExplainModel,
  options: ExplainOptions = {},
): Promise<PromptExplanation> {
  const { law = lawOfDialect(dialect), steps = 20, callsPerStep = 1, oldTimeline = false } = options
  const prompt = parsePrompt(text, dialect, { composes: options.isNegative !== true })
  const plan = new PromptPlan(prompt, model.tokenizer, { steps, callsPerStep, oldTimeline })
  const encoder =
    model.encoder && law === 'a1111'
      ? new PromptEncoder(model.encoder, model.tokenizer, { law, clipSkip: options.clipSkip ?? 0 })
      : undefined
  const explainer = new Explainer(prompt, law)
  const parts: ExplainedPart[] = []
  const planned = plan.rows.flatMap(row => row.parts)
  for (const [index, part] of planned.entries()) {
    const scales = encoder ? await encoder.restorations(part.states) : []
    const weight = prompt.parts[index]?.weight ?? 1
    const swaps = prompt.parts[index]?.texts.flatMap(each => each.swaps) ?? []
    const states = explainer.states(part, scales, steps, callsPerStep)
    parts.push({ weight, states, swaps })
  }
  const { composition, tags, problems } = prompt
  return {
    source: text,
    dialect,
    law,
    composition,
    parts,
    tags,
    problems,
    notes: explainer.sortedNotes(),
  }
}

class Explainer {
  private readonly prompt: ParsedPrompt
  private readonly law: WeightLaw
  private readonly notes = new Map<string, ExplainedNote>()

  constructor(prompt: ParsedPrompt, law: WeightLaw) {
    this.prompt = prompt
    this.law = law
  }

  states(
    part: PlannedPart,
    scales: readonly number[],
    steps: number,
    callsPerStep: number,
  ): ExplainedState[] {
    const ranges = part.states.map((): [number, number][] => [])
    for (let step = 1; step <= steps; step++) {
      const list = ranges[part.stateAt((step - 1) * callsPerStep)] ?? []
      const last = list.at(-1)
      if (last?.[1] === step - 1) last[1] = step
      else list.push([step, step])
    }
    return part.states.map(({ texts }, index) => ({
      steps: ranges[index] ?? [],
      texts: texts.map(({ chunks, share }) => this.text(chunks, share, scales)),
    }))
  }

  sortedNotes(): ExplainedNote[] {
    return [...this.notes.values()].sort((a, b) => a.span.start - b.span.start)
  }

  private text(
    chunks: readonly TokenChunk<WeightedToken>[],
    share: number,
    scales: readonly number[],
  ): ExplainedText {
    const places = tokenPlaces(chunks)
    const tokens = places.map(({ token, chunk, position, row }): ExplainedToken => {
      const { id, text, start, end, word, weight } = token
      const effective = this.effective(weight, scales[chunk] ?? 1)
      return { id, text, span: { start, end }, word, chunk, position, row, weight, effective }
    })
    const words = this.words(tokens)
    this.describeChunks(chunks, tokens, words)
    return {
      share,
      chunks: chunks.map(({ ids, contentCount }, index) => ({
        ids,
        used: contentCount,
        free: chunkLength - 2 - contentCount,
        scale: scales[index] ?? 1,
      })),
      tokens,
      words,
      masks: this.law === 'compel' ? this.masks(places.map(({ token }) => token)) : [],
    }
  }

  private effective(weight: number, scale: number): number {
    if (this.law === 'ignore') return 1
    return this.law === 'a1111' ? weight * scale : weight
  }

  private words(tokens: readonly ExplainedToken[]): ExplainedWord[] {
    const grouped = new Map<number, number[]>()
    for (const [index, { word }] of tokens.entries()) {
      const list = grouped.get(word) ?? []
      grouped.set(word, list)
      list.push(index)
    }
    return [...grouped.values()].map(indices => {
      const first = tokens[indices[0] as number] as ExplainedToken
      const last = tokens[indices.at(-1) as number] as ExplainedToken
      const span = { start: first.span.start, end: Math.max(first.span.end, last.span.end) }
      const text = this.prompt.source.slice(span.start, span.end)
      // CLIP parts digits and signs anyway; only what it would have kept together counts as broken.
      const units = text.match(byteLevelPattern)?.flatMap(unit => (/^\p{N}/u.test(unit) ? [...unit] : [unit]))
      const isInPieces = indices.length > Math.max(1, units?.length ?? 1)
      const crossesChunk = first.chunk !== last.chunk
      if (isInPieces) {
        this.note(
          'in-pieces',
          span,
          `"${text}" is no word of this model's vocabulary: it reads ${indices.length} pieces.`,
        )
      }
      if (crossesChunk) {
        this.note(
          'crosses-chunk',
          span,
          `"${text}" is cut at the border of a chunk; its pieces do not see each other.`,
        )
      }
      return { text, span, tokens: indices, weight: first.weight, isInPieces, crossesChunk }
    })
  }

  private describeChunks(
    chunks: readonly TokenChunk<WeightedToken>[],
    tokens: readonly ExplainedToken[],
    words: readonly ExplainedWord[],
  ): void {
    for (let chunk = 1; chunk < chunks.length; chunk++) {
      const first = tokens.find(token => token.chunk === chunk)
      const word = first && words.find(({ tokens: list }) => list.some(index => tokens[index] === first))
      if (!first || !word) continue
      this.note(
        'next-chunk',
        { start: first.span.start, end: word.span.end },
        `Chunk ${chunk + 1} begins at "${word.text}": encoded apart from what is before it. Programs that read one chunk (${chunkContent} tokens) end here.`,
      )
    }
  }

  private masks(tokens: readonly WeightedToken[]): ExplainedMask[] {
    const fragments = new Map<number, WeightedToken[]>()
    for (const token of tokens) {
      if (token.weight >= 1) continue
      const list = fragments.get(token.fragment) ?? []
      fragments.set(token.fragment, list)
      list.push(token)
    }
    return [...fragments.values()].map(list => {
      const [first] = list
      const weight = first?.weight ?? 1
      const text = this.prompt.source.slice(first?.start, list.at(-1)?.end)
      return { text, weight, share: maskedShare(weight) }
    })
  }

  private note(kind: ExplainedNote['kind'], span: Span, message: string): void {
    // Texts of a schedule share most of their words.
    const key = `${kind} ${span.start} ${span.end}`
    if (!this.notes.has(key)) this.notes.set(key, { kind, span, message })
  }
}
