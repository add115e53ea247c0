/**
 * What a prompt means, whichever dialect it was written in: plain data, fit for JSON.
 *
 *   prompt  = parts                 joined by `composition`
 *   part    = texts                 one, or several that are blended into one encoding
 *   text    = pieces                words with a weight each, and breaks between chunks
 *
 * A part of an A1111 prompt may also change while the picture is drawn: then it carries a `schedule`, and its pieces
 * are those of the first step.
 */
import type { PromptDialect } from '../contract/prompt.ts'
import type { PromptProblem, Span } from './source.ts'

export { promptDialects as dialects, type PromptDialect as Dialect } from '../contract/prompt.ts'

/** Words with one weight. `text` is its runs of the text as typed, joined. */
export interface TextPiece {
  readonly kind: 'text'
  readonly text: string
  /** The product of all that stands around it (A1111, compel), or the innermost number (ComfyUI). */
  readonly weight: number
  /** Ranges of the text as typed, in order; more than one where syntax between them was taken out. */
  readonly runs: readonly Span[]
  /** From the first run to the last. */
  readonly span: Span
}

/** What follows starts a chunk of its own (A1111's BREAK). */
export interface BreakPiece {
  readonly kind: 'break'
  readonly span: Span
}

export type Piece = TextPiece | BreakPiece

/** Something in a prompt that is not text: kept as data, for whoever can serve it. */
export interface PromptTag {
  /** `lora`, `lyco`, `hypernet` … (A1111), `embedding` (ComfyUI), `lora` (compel's withLora). */
  readonly name: string
  /** What stands between the colons. */
  readonly args: readonly string[]
  /** The args of the form `key=value`. */
  readonly named: Readonly<Record<string, string>>
  readonly span: Span
  /** Of the text around it, where the dialect gives it one (ComfyUI's embeddings). */
  readonly weight?: number
}

/** When A1111's text changes: the number as typed and what it means. */
export interface When {
  readonly value: number
  /** Written with a decimal point: a share of the steps on the new timeline. */
  readonly hasPoint: boolean
}

/** A node of A1111's scheduling, still without a number of steps. */
export type ScheduleNode =
  | { readonly kind: 'text'; readonly runs: readonly Span[] }
  | {
      readonly kind: 'switch'
      readonly before: readonly ScheduleNode[]
      readonly after: readonly ScheduleNode[]
      readonly when: When
      readonly span: Span
    }
  | {
      readonly kind: 'alternate'
      readonly options: readonly (readonly ScheduleNode[])[]
      readonly span: Span
    }

/**
 * compel's `original.swap(edited, …)`: prompt-to-prompt. The pieces of the text hold the original; `at` tells where.
 * Windows are shares of the steps: `s` for self-attention, `t` for cross-attention.
 */
export interface PromptSwap {
  /** Indices of the original among the pieces of its text: [first, behind the last]. */
  readonly at: readonly [first: number, behind: number]
  readonly edited: readonly TextPiece[]
  readonly sStart: number
  readonly sEnd: number
  readonly tStart: number
  readonly tEnd: number
  readonly span: Span
}

/** One text that is encoded by itself. */
export interface PromptText {
  /** Among the texts of its part: the share in a blend. */
  readonly weight: number
  /** Never empty: a prompt without words is one empty piece of weight 1. */
  readonly pieces: readonly Piece[]
  readonly swaps: readonly PromptSwap[]
  readonly span: Span
}

export interface PromptPart {
  /** Of `AND`: how much its difference from the unconditional prediction counts. Of `.and()`: 1, or a lerp. */
  readonly weight: number
  /** More than one for `.blend()`. */
  readonly texts: readonly PromptText[]
  /** The weights of a blend are divided by their sum. */
  readonly normalized: boolean
  /** Present where the text changes over the steps. */
  readonly schedule?: readonly ScheduleNode[]
  readonly span: Span
}

/**
 * How parts come together: `single` (one part), `noise` (A1111's AND: each part has its own prediction of the
 * network), `concat` (compel's .and(): encodings one after another on the token axis).
 */
export type Composition = 'single' | 'noise' | 'concat'

export interface ParsedPrompt {
  readonly dialect: PromptDialect
  /** As typed. */
  readonly source: string
  readonly composition: Composition
  readonly parts: readonly PromptPart[]
  readonly tags: readonly PromptTag[]
  readonly problems: readonly PromptProblem[]
}

/** Every piece of text of a prompt, in order. */
export function textPieces(prompt: ParsedPrompt): TextPiece[] {
  return prompt.parts.flatMap(part =>
    part.texts.flatMap(({ pieces }) => pieces.filter(piece => piece.kind === 'text')),
  )
}

/** True when anything of the prompt has another weight than 1. */
export function isWeighted(prompt: ParsedPrompt): boolean {
  return textPieces(prompt).some(piece => piece.weight !== 1)
}
