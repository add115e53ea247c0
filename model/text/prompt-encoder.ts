/**
 * Encodes the texts of a prompt under a weight law: raw encodings by the text encoder, each distinct chunk once; then
 * the law; then blends. Rows are [S, E], S = chunks × 77.
 */
import { invariant } from '../contract/errors.ts'
import type { Dialect, PromptText } from '../prompt/types.ts'
import { joinFloats } from '../tensor/join.ts'
import { chunkLength, chunkOf, type TokenChunk } from './chunks.ts'
import {
  blend,
  blendMasked,
  leaveEmpty,
  restorationFactor,
  restoreMean,
  scaleRows,
  type WeightedRows,
  type WeightLaw,
} from './laws.ts'
import type { EncodableChunk, TextEmbeddings } from './text-encoder.ts'
import {
  packSections,
  type TextTokenizer,
  tokenizePieces,
  type WeightedToken,
  weightsOf,
} from './weighted-tokens.ts'

/** What is asked of a text encoder: `ClipTextEncoder` has it. */
export interface ChunkEncoder {
  encode(chunks: readonly EncodableChunk[], options: { readonly clipSkip?: number }): Promise<TextEmbeddings>
}

/** A text in chunks, and its share in a blend. */
export interface TextChunks {
  readonly chunks: readonly TokenChunk<WeightedToken>[]
  readonly share: number
}

/** What a part of a prompt says at some step: one text, or several that are blended. */
export interface PartState {
  readonly texts: readonly TextChunks[]
  readonly normalized: boolean
  /** How many segments of the schedule have it: what A1111's mean counts. */
  readonly count: number
}

/** An encoding and the weight of each of its rows, for laws that act inside attention. */
export interface Encoding {
  /** [S, E] */
  readonly data: Float32Array
  /** [S]; 1 for BOS, EOS and padding. */
  readonly weights: Float32Array
}

/** Changes the weight of a token, for weights that move over the steps. */
export type TokenWeight = (token: WeightedToken) => number

export function textChunks(
  text: PromptText,
  source: string,
  dialect: Dialect,
  tokenizer: TextTokenizer,
): TextChunks {
  const sections = tokenizePieces(text.pieces, source, tokenizer)
  return { chunks: packSections(sections, dialect, tokenizer), share: text.weight }
}

/** Chunks that one run of the encoder takes: enough to keep it busy, few enough for small heaps. */
const runLength = 16

export class PromptEncoder {
  private readonly encoder: ChunkEncoder
  private readonly clipSkip: number
  private readonly law: WeightLaw
  private readonly emptyChunk: TokenChunk<WeightedToken>
  /** Raw encodings of chunks [77, E] by their ids and what is hidden. */
  private readonly raw = new Map<string, Float32Array>()

  /** @param options.clipSkip layers left out, as `ClipTextEncoder.encode` counts. */
  constructor(
    encoder: ChunkEncoder,
    tokenizer: TextTokenizer,
    options: { readonly law: WeightLaw; readonly clipSkip: number },
  ) {
    this.encoder = encoder
    this.clipSkip = options.clipSkip
    this.law = options.law
    this.emptyChunk = chunkOf<WeightedToken>([], tokenizer)
  }

  /** Runs of the text encoder's input so far: distinct chunks, masked ones included. */
  get encodedChunks(): number {
    return this.raw.size
  }

  /** The encoding of an empty prompt, [77, E]. */
  async empty(): Promise<Float32Array> {
    await this.load([this.emptyChunk])
    return this.rawOf(this.emptyChunk)
  }

  /**
   * The encodings of all states of a part. They belong together: A1111's mean is taken over all of them.
   * @param weigh in place of the tokens' own weights.
   */
  async encodeStates(states: readonly PartState[], weigh?: TokenWeight): Promise<Encoding[]> {
    const texts = states.flatMap(({ texts, count }) =>
      texts.map(({ chunks }) => weighted(chunks, count, weigh)),
    )
    const masks = this.law === 'compel' ? texts.map(({ chunks }) => masksOf(chunks)) : []
    await this.load([
      this.emptyChunk,
      ...texts.flatMap(({ chunks }) => chunks),
      ...masks.flatMap(list => list.flatMap(mask => mask.chunks)),
    ])
    const encoded =
      this.law === 'a1111' ? this.restored(texts) : texts.map((text, i) => this.one(text, masks[i]))
    let next = 0
    return states.map(({ texts: { length }, ...state }, index) => {
      const from = next
      next += length
      const shares = states[index]?.texts.map(({ share }) => share) ?? []
      return this.blended(encoded.slice(from, next), texts.slice(from, next), shares, state.normalized)
    })
  }

  /** Adds encodings of the empty prompt, to a number of chunks. */
  pad({ data, weights }: Encoding, chunks: number): Encoding {
    const empty = this.rawOf(this.emptyChunk)
    const missing = chunks - weights.length / chunkLength
    if (missing <= 0) return { data, weights }
    const padded = new Float32Array(chunks * empty.length)
    padded.set(data)
    for (let i = chunks - missing; i < chunks; i++) padded.set(empty, i * empty.length)
    const all = new Float32Array(chunks * chunkLength).fill(1)
    all.set(weights)
    return { data: padded, weights: all }
  }

  /** Texts of a blend filled up to one length, and mixed. */
  private blended(
    encodings: readonly Float32Array[],
    texts: readonly WeightedChunks[],
    shares: readonly number[],
    normalized: boolean,
  ): Encoding {
    const longest = Math.max(...texts.map(({ chunks }) => chunks.length))
    const padded = encodings.map((data, index) =>
      this.pad({ data, weights: (texts[index] as WeightedChunks).weights }, longest),
    )
    const [first] = padded
    invariant(first, 'a state without texts')
    if (padded.length === 1) return { ...first, data: blend([first.data], shares, normalized) }
    return {
      data: blend(
        padded.map(({ data }) => data),
        shares,
        normalized,
      ),
      // Inside attention a blend has no single weight a row: the law is refused for it before it comes here.
      weights: new Float32Array(longest * chunkLength).fill(1),
    }
  }

  private one({ chunks, weights }: WeightedChunks, masks: readonly Mask[] = []): Float32Array {
    const data = this.joined(chunks)
    switch (this.law) {
      case 'a1111-no-norm':
        return scaleRows({ data, weights })
      case 'comfy':
        return leaveEmpty({ data, weights }, this.rawOf(this.emptyChunk))
      case 'compel': {
        const empty = this.rawOf(this.emptyChunk)
        const masked = masks.map(mask => ({
          weight: mask.weight,
          data: leaveEmpty({ data: this.joined(mask.chunks), weights }, empty),
        }))
        return blendMasked(leaveEmpty({ data, weights }, empty), masked)
      }
      default:
        return data
    }
  }

  /**
   * What A1111's law multiplies each chunk with to keep its mean, by chunk: 1 where nothing is weighted. For all
   * states of a part together, as they are encoded.
   */
  async restorations(states: readonly PartState[]): Promise<number[]> {
    const texts = states.flatMap(({ texts, count }) =>
      texts.map(({ chunks }) => weighted(chunks, count, undefined)),
    )
    await this.load([this.emptyChunk, ...texts.flatMap(({ chunks }) => chunks)])
    const longest = Math.max(...texts.map(({ chunks }) => chunks.length))
    return Array.from({ length: longest }, (_, index) => restorationFactor(this.groupAt(texts, index)))
  }

  /** A1111's law: chunk by chunk, over all texts. */
  private restored(texts: readonly WeightedChunks[]): Float32Array[] {
    const width = this.rawOf(this.emptyChunk).length
    const results = texts.map(({ chunks }) => new Float32Array(chunks.length * width))
    const longest = Math.max(...texts.map(({ chunks }) => chunks.length))
    for (let index = 0; index < longest; index++) {
      for (const [which, data] of restoreMean(this.groupAt(texts, index)).entries()) {
        if (texts[which]?.chunks[index]) results[which]?.set(data, index * width)
      }
    }
    return results
  }

  /** The same chunk of all texts; those that are shorter stand there with the empty prompt. */
  private groupAt(texts: readonly WeightedChunks[], index: number): WeightedRows[] {
    const begin = index * chunkLength
    return texts.map(({ chunks, weights, count }) => {
      const chunk = chunks[index]
      return {
        data: this.rawOf(chunk ?? this.emptyChunk),
        weights: chunk ? weights.subarray(begin, begin + chunkLength) : ones,
        count,
      }
    })
  }

  private joined(chunks: readonly EncodableChunk[]): Float32Array {
    const parts = chunks.map(chunk => this.rawOf(chunk))
    const [first] = parts
    if (parts.length === 1 && first) return first
    return joinFloats(parts)
  }

  private rawOf(chunk: EncodableChunk): Float32Array {
    const data = this.raw.get(keyOf(chunk))
    invariant(data, 'a chunk that was not encoded')
    return data
  }

  /** Encodes the chunks that are not known yet. */
  private async load(chunks: readonly EncodableChunk[]): Promise<void> {
    const missing = new Map<string, EncodableChunk>()
    for (const chunk of chunks) {
      const key = keyOf(chunk)
      if (!this.raw.has(key)) missing.set(key, chunk)
    }
    const list = [...missing]
    for (let from = 0; from < list.length; from += runLength) {
      const run = list.slice(from, from + runLength)
      const { data } = await this.encoder.encode(
        run.map(([, chunk]) => chunk),
        { clipSkip: this.clipSkip },
      )
      const size = data.length / run.length
      for (const [index, [key]] of run.entries()) {
        this.raw.set(key, data.slice(index * size, (index + 1) * size))
      }
    }
  }
}

const ones = new Float32Array(chunkLength).fill(1)

interface WeightedChunks {
  readonly chunks: readonly TokenChunk<WeightedToken>[]
  /** [S] */
  readonly weights: Float32Array
  readonly count: number
}

function weighted(
  chunks: readonly TokenChunk<WeightedToken>[],
  count: number,
  weigh: TokenWeight | undefined,
): WeightedChunks {
  if (!weigh) return { chunks, weights: weightsOf(chunks), count }
  const changed = chunks.map(chunk => ({
    ...chunk,
    tokens: chunk.tokens.map(token => token && { ...token, weight: weigh(token) }),
  }))
  return { chunks: changed, weights: weightsOf(changed), count }
}

/** A text in which one weakened fragment is hidden. */
interface Mask {
  readonly weight: number
  readonly chunks: readonly EncodableChunk[]
}

function masksOf(chunks: readonly TokenChunk<WeightedToken>[]): Mask[] {
  const fragments = new Map<string, { weight: number; positions: Map<number, number[]> }>()
  for (const [index, { tokens }] of chunks.entries()) {
    for (const [position, token] of tokens.entries()) {
      if (!token || token.weight >= 1) continue
      // Curves may give words of one fragment different weights: then each is masked by itself.
      const key = `${token.fragment} ${token.weight}`
      const fragment = fragments.get(key) ?? { weight: token.weight, positions: new Map<number, number[]>() }
      fragments.set(key, fragment)
      const list = fragment.positions.get(index) ?? []
      fragment.positions.set(index, list)
      list.push(position)
    }
  }
  return [...fragments.values()].map(({ weight, positions }) => ({
    weight,
    chunks: chunks.map((chunk, index) => {
      const hidden = positions.get(index)
      return hidden ? { ids: chunk.ids, hidden } : chunk
    }),
  }))
}

function keyOf({ ids, hidden }: EncodableChunk): string {
  return hidden?.length ? `${ids.join()} without ${hidden.join()}` : ids.join()
}
