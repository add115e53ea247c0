/**
 * Watching words while a picture is drawn: which tokens' columns the cross-attention layers add up, the graph inputs
 * and states that this needs, and what comes out of them as `CapturedAttention`.
 *
 * Axis letters: S tokens of the text that the network sees, T captured tokens, N heads, L = h·w positions, C samples.
 */
import { AttuneError, invariant } from '../contract/errors.ts'
import type { GraphBuilder } from '../graph/builder.ts'
import type { Tensor } from '../graph/ops.ts'
import type { TokenPlace } from '../text/chunks.ts'
import type { AttentionControls, CrossAttentionLayer } from '../unet/unet-2d-condition-model.ts'
import type { CapturedAttention, CapturedToken, CapturedWord } from './captured.ts'

export interface CaptureOptions {
  /** Words of the prompt as typed, large or small letters alike, every place where they stand; all words when absent. */
  readonly words?: readonly string[]
  /** Which half of classifier-free guidance; `cond` unless given. */
  readonly half?: 'cond' | 'uncond'
  /** Layers by weight path; all that ask the text when absent. */
  readonly layers?: (path: string) => boolean
  /** Also make the mean over layers and heads of each grid an output of every step, for maps while drawing. */
  readonly live?: boolean
}

/** What the text of the captured half is. */
export interface CaptureText {
  readonly prompt: string
  /** Its content tokens; `row` counts along S. */
  readonly places: readonly TokenPlace[]
}

/** The input that carries the chosen columns. */
export const captureTokensInput = 'attention.captureTokens'

/** The mean over layers and heads at one grid, [L, T], summed over the steps so far. */
export interface LiveMaps {
  readonly height: number
  readonly width: number
  /** How many layers have this grid. */
  readonly layers: number
  readonly sums: Float32Array
}

/** The name of a grid's output, `attention.maps.HxW`. */
const mapsOutput = (height: number, width: number): string => `attention.maps.${height}x${width}`

export class CapturePlan {
  readonly tokens: readonly CapturedToken[]
  readonly words: readonly CapturedWord[]
  readonly #prompt: string
  readonly #options: CaptureOptions
  readonly #layers = new Map<string, { numHeads: number; height: number; width: number }>()
  readonly #grids = new Map<string, { height: number; width: number; layers: number; sum: Tensor }>()

  /**
   * @throws AttuneError `bad-argument` when a word is not in the prompt, or the prompt has no word at all
   */
  constructor(text: CaptureText, options: CaptureOptions = {}) {
    const chosen = chooseWords(text, options.words)
    const words: CapturedWord[] = []
    const tokens: CapturedToken[] = []
    for (const places of chosen) {
      const [first] = places
      const last = places.at(-1)
      invariant(first && last, 'a word has tokens')
      const span = [first.token.start, last.token.end] as const
      const columns = places.map((_, i) => tokens.length + i)
      for (const { token, chunk, position, row } of places) {
        tokens.push({
          index: row,
          chunk,
          position,
          id: token.id,
          text: token.text,
          span: [token.start, token.end],
          word: words.length,
        })
      }
      words.push({ text: text.prompt.slice(...span), span, columns })
    }
    this.tokens = tokens
    this.words = words
    this.#prompt = text.prompt
    this.#options = options
  }

  /** The constant input of every run: the chosen columns, [1, T]. */
  get inputs(): Record<string, Float32Array> {
    return { [captureTokensInput]: Float32Array.from(this.tokens, token => token.index) }
  }

  /**
   * What a denoising graph records for this plan; for one graph only.
   * @param sample of the batch that is the captured half
   * @param others controls that the same layers carry
   */
  controls(sample: number, others: AttentionControls = {}): AttentionControls {
    let tokens: Tensor | undefined
    this.#layers.clear()
    this.#grids.clear()
    const wanted = (layer: CrossAttentionLayer): boolean => this.#options.layers?.(layer.path) ?? true
    return {
      ...others,
      cross: (layer, b, grid) => {
        const extras = others.cross?.(layer, b, grid) ?? {}
        if (!wanted(layer)) return extras
        tokens ??= b.input(captureTokensInput, [1, this.tokens.length])
        this.#layers.set(layer.path, { numHeads: layer.numHeads, ...grid })
        return { ...extras, capture: { tokens, samples: [sample] } }
      },
      captured: (layer, b, sums, grid) => {
        others.captured?.(layer, b, sums, grid)
        if (this.#options.live) this.#addToGrid(layer, b, sums, grid)
      },
      finish: b => {
        others.finish?.(b)
        for (const { height, width, sum } of this.#grids.values()) b.output(mapsOutput(height, width), sum)
      },
    }
  }

  /** The live maps among a run's outputs. */
  liveMaps(outputs: Readonly<Record<string, Float32Array>>): LiveMaps[] {
    return [...this.#grids.values()].flatMap(({ height, width, layers }) => {
      const sums = outputs[mapsOutput(height, width)]
      return sums ? [{ height, width, layers, sums }] : []
    })
  }

  /**
   * What the states of the graph hold after a run.
   * @param steps evaluations of the network since the states were cleared
   */
  read(
    states: Readonly<Record<string, Float32Array>>,
    picture: { readonly width: number; readonly height: number },
    steps: number,
  ): CapturedAttention {
    return {
      prompt: this.#prompt,
      width: picture.width,
      height: picture.height,
      steps,
      half: this.#options.half ?? 'cond',
      tokens: this.tokens,
      words: this.words,
      layers: [...this.#layers].map(([path, facts]) => {
        const sums = states[`${path}.captured`]
        invariant(sums, `${path} was captured`)
        return { path, ...facts, sums }
      }),
    }
  }

  #addToGrid(
    layer: CrossAttentionLayer,
    b: GraphBuilder,
    sums: Tensor,
    { height, width }: { height: number; width: number },
  ): void {
    const name = mapsOutput(height, width)
    const known = this.#grids.get(name)
    // States are read after they were written: the mean is of the sums that include this step.
    const sum = b.headMean(`${layer.path}.maps`, sums, known?.sum)
    this.#grids.set(name, { height, width, layers: (known?.layers ?? 0) + 1, sum })
  }
}

/** The places of each chosen word, in the order of the prompt. */
function chooseWords(text: CaptureText, names: readonly string[] | undefined): TokenPlace[][] {
  const byWord = new Map<number, TokenPlace[]>()
  for (const place of text.places) {
    byWord.set(place.token.word, [...(byWord.get(place.token.word) ?? []), place])
  }
  const all = [...byWord.values()]
  const textOf = (places: readonly TokenPlace[]): string =>
    text.prompt.slice(places[0]?.token.start ?? 0, places.at(-1)?.token.end ?? 0)
  if (!names) {
    // Commas and other signs are no words that anybody looks for.
    const words = all.filter(places => /[\p{L}\p{N}]/u.test(textOf(places)))
    if (words.length > 0) return words
    throw new AttuneError(
      'bad-argument',
      'The prompt has no word whose attention could be shown.',
      'Write a prompt with at least one word.',
    )
  }
  const wanted = names.map(name => ({ name, folded: name.trim().toLowerCase(), found: false }))
  const chosen = all.filter(places => {
    const folded = textOf(places).toLowerCase()
    const hits = wanted.filter(each => each.folded === folded)
    for (const hit of hits) hit.found = true
    return hits.length > 0
  })
  const missing = wanted.filter(each => !each.found)
  if (missing.length > 0) {
    const list = missing.map(each => `"${each.name}"`).join(', ')
    const known = all.map(textOf).filter(word => /[\p{L}\p{N}]/u.test(word))
    throw new AttuneError(
      'bad-argument',
      `${missing.length === 1 ? 'The word' : 'The words'} ${list} ${missing.length === 1 ? 'is' : 'are'} not in the prompt.`,
      known.length > 0 ? `Choose among: ${[...new Set(known)].join(', ')}.` : 'Write a prompt first.',
    )
  }
  return chosen
}
