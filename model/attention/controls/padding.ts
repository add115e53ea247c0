/**
 * Hiding what fills up the end of a text, and putting the parts of a bias together.
 *
 * CLIP's chunks are 77 positions whatever the text says: BOS, content, EOS, and copies of the padding token. Positions
 * of the picture look at those copies, too, often more than at any word; networks are trained that way, so hiding the
 * padding changes the picture, mostly towards the words.
 *
 * Axis letters: B samples, L = h·w positions, S tokens of all sources.
 */
import { invariant } from '../../contract/errors.ts'
import { chunkLength, type TokenChunk } from '../../text/chunks.ts'
import { hiddenBias } from './regions.ts'

/** A text among the tokens of all sources. */
export interface PaddedText {
  readonly chunks: readonly Pick<TokenChunk, 'contentCount'>[]
  /** The token at which its first chunk begins; 0 unless given. */
  readonly start?: number
}

/**
 * The bias that hides padding: `hiddenBias` behind the first EOS of each chunk, 0 on BOS, content, that EOS, and on
 * tokens of no text. So something is left to look at in every source, also in an empty chunk.
 * @param tokens S
 * @returns [S]
 */
export function hidePadding(texts: readonly PaddedText[], tokens: number): Float32Array {
  const bias = new Float32Array(tokens)
  for (const { chunks, start = 0 } of texts) {
    invariant(
      start + chunks.length * chunkLength <= tokens,
      `${tokens} tokens are too few for the text at ${start}`,
    )
    chunks.forEach(({ contentCount }, chunk) => {
      const first = start + chunk * chunkLength
      // BOS, content, EOS.
      bias.fill(hiddenBias, first + contentCount + 2, first + chunkLength)
    })
  }
  return bias
}

/** The sizes of a bias; `positions` is 1 for one that is the same everywhere. */
export interface BiasShape {
  /** B. */
  readonly rows: number
  /** L, or 1. */
  readonly positions: number
  /** S. */
  readonly tokens: number
}

/**
 * Adds a part to one sample's rows of a bias, in place: what isolates, hides and paints goes into the one input of the
 * seam.
 * @param target [B, L, S]
 * @param part [L, S], or [S] for all positions alike; nothing when undefined
 */
export function addBias(
  target: Float32Array,
  { rows, positions, tokens }: BiasShape,
  row: number,
  part: Float32Array | undefined,
): void {
  if (!part) return
  const size = positions * tokens
  invariant(
    target.length === rows * size && row >= 0 && row < rows,
    `row ${row} of a bias of ${target.length}`,
  )
  invariant(part.length === size || part.length === tokens, `a bias of ${part.length} in one of ${size}`)
  const start = row * size
  if (part.length === size) {
    for (let i = 0; i < size; i++) target[start + i] = (target[start + i] as number) + (part[i] as number)
    return
  }
  for (let token = 0; token < tokens; token++) {
    const value = part[token] as number
    // Most tokens have nothing to add.
    if (value === 0) continue
    for (let at = start + token; at < start + size; at += tokens) target[at] = (target[at] as number) + value
  }
}
