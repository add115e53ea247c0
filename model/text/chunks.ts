/**
 * Prompts of any length as chunks that a CLIP text encoder can read: 75 tokens of content between BOS and EOS.
 * Chunks are encoded separately and joined on the token axis.
 *
 * Source: AUTOMATIC1111 `modules/sd_hijack_clip.py`; a prompt that fits one chunk is what diffusers makes of it.
 */
import { invariant } from '../contract/errors.ts'
import type { SpecialIds, Token } from './tokenizer.ts'

/** Positions of a chunk, BOS and EOS included: CLIP's context. */
export const chunkLength = 77
/** Positions for content. */
export const chunkContent = chunkLength - 2

export interface TokenChunk<T extends Token = Token> {
  /** `chunkLength` ids: BOS, content, EOS, padding. */
  readonly ids: readonly number[]
  /** The token at each position; null for BOS, EOS and padding. */
  readonly tokens: readonly (T | null)[]
  /** How many positions hold content; the EOS is at `contentCount + 1`. */
  readonly contentCount: number
}

export interface ChunkOptions {
  /**
   * When a chunk is full and one of its last so many tokens is a comma, what follows that comma moves to the next chunk
   * (AUTOMATIC1111's default is 20). 0 = off, the default.
   */
  readonly commaBackoff?: number
}

/** Where a token of the prompt is found in the encoder's output. */
export interface TokenPlace<T extends Token = Token> {
  readonly token: T
  readonly chunk: number
  /** 0 is the BOS. */
  readonly position: number
  /** On the token axis of the joined chunks: `chunk * chunkLength + position`. */
  readonly row: number
}

/** Packs the tokens of a prompt; an empty prompt gives one chunk. */
export function packChunks<T extends Token>(
  tokens: readonly T[],
  special: SpecialIds,
  options: ChunkOptions = {},
): TokenChunk<T>[] {
  const backoff = options.commaBackoff ?? 0
  invariant(
    Number.isInteger(backoff) && backoff >= 0 && backoff < chunkContent,
    `packChunks: commaBackoff ${backoff}`,
  )
  const chunks: TokenChunk<T>[] = []
  for (let from = 0; from < tokens.length; ) {
    let to = Math.min(from + chunkContent, tokens.length)
    if (to < tokens.length) to = lastComma(tokens, to, backoff) ?? to
    chunks.push(chunkOf(tokens.slice(from, to), special))
    from = to
  }
  return chunks.length > 0 ? chunks : [chunkOf([], special)]
}

/** Adds empty chunks, so that two prompts that are encoded in one batch are equally long. */
export function padChunks<T extends Token>(
  chunks: readonly TokenChunk<T>[],
  count: number,
  special: SpecialIds,
): TokenChunk<T>[] {
  const padded = [...chunks]
  while (padded.length < count) padded.push(chunkOf<T>([], special))
  return padded
}

/** The places of all content tokens, in the order of the prompt. */
export function tokenPlaces<T extends Token>(chunks: readonly TokenChunk<T>[]): TokenPlace<T>[] {
  return chunks.flatMap((each, chunk) =>
    each.tokens.flatMap((token, position) =>
      token ? [{ token, chunk, position, row: chunk * chunkLength + position }] : [],
    ),
  )
}

/** One chunk with this content, of at most `chunkContent` tokens. */
export function chunkOf<T extends Token>(
  content: readonly T[],
  { bosId, eosId, padId }: SpecialIds,
): TokenChunk<T> {
  invariant(content.length <= chunkContent, `chunkOf: ${content.length} tokens`)
  const padding = chunkContent - content.length
  return {
    ids: [bosId, ...content.map(token => token.id), eosId, ...Array<number>(padding).fill(padId)],
    tokens: [null, ...content, null, ...Array<null>(padding).fill(null)],
    contentCount: content.length,
  }
}

/** The position behind the last comma among the `backoff` tokens before `end`, if there is one. */
function lastComma(tokens: readonly Token[], end: number, backoff: number): number | undefined {
  // A comma that begins the next chunk calls for no change, as in A1111.
  if (tokens[end]?.text === ',') return undefined
  // A chunk that ends with its comma needs no change, so the search begins there.
  for (let index = end - 1; index >= end - backoff; index--) {
    if (tokens[index]?.text === ',') return index + 1
  }
  return undefined
}
