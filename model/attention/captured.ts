/**
 * What a run brings back from the attention seam: probabilities summed over steps, by layer and head, for chosen
 * tokens. Everything shown or exported (word maps, reports, recordings) is computed from this alone.
 *
 * Axis letters: N heads, H·W positions of a layer's grid (row by row), T captured tokens.
 */

/** A token of the prompt whose attention was captured: one column of every layer's sums. */
export interface CapturedToken {
  /** Position among all S tokens of the text that the network saw, 0 … 77·chunks − 1. */
  readonly index: number
  /** Which chunk of 77, and where in it (0 is <|startoftext|>). */
  readonly chunk: number
  readonly position: number
  readonly id: number
  /** The token's own text, without `</w>`; `<|startoftext|>` and `<|endoftext|>` for markers and padding. */
  readonly text: string
  /** Characters of the prompt as typed, [start, end); absent for markers and padding. */
  readonly span?: readonly [start: number, end: number]
  /** Index into `CapturedAttention.words`; absent for markers and padding. */
  readonly word?: number
}

/** A word of the prompt as the tokenizer splits words; it may have several tokens. */
export interface CapturedWord {
  readonly text: string
  readonly span: readonly [start: number, end: number]
  /** Columns (0 … T − 1) of its tokens. */
  readonly columns: readonly number[]
}

export interface CapturedLayer {
  /** The layer's weight path, such as `down_blocks.0.attentions.0.transformer_blocks.0.attn2`. */
  readonly path: string
  readonly numHeads: number
  /** The grid of its positions. */
  readonly height: number
  readonly width: number
  /** [N, H·W, T]: post-softmax probabilities of the captured half, summed (not averaged) over `steps` evaluations. */
  readonly sums: Float32Array
}

export interface CapturedAttention {
  readonly prompt: string
  /** Of the picture, in pixels. */
  readonly width: number
  readonly height: number
  /** Evaluations of the network that were summed. */
  readonly steps: number
  readonly half: 'cond' | 'uncond'
  /** T of them. */
  readonly tokens: readonly CapturedToken[]
  readonly words: readonly CapturedWord[]
  /** In the order in which the network runs them. */
  readonly layers: readonly CapturedLayer[]
}
