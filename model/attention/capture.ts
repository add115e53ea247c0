/**
 * Watching words while a picture is drawn: which tokens' columns the cross-attention layers add up, the graph inputs
 * and states that this needs, and what comes out of them as `CapturedAttention`.
 *
 * Axis letters: S tokens of the text that the network sees, T captured tokens, N heads, L = h·w positions, C samples.
 */
import { AttuneError, invariant } from '../contract/errors.ts'
import type { GraphBuilder } from '../graph/builder.ts'
import type { Tensor } from '../graph/ops.ts'
import type { AttentionGrid } from '../nn/transformer.ts'
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
  /** Also the tokens of image prompts, each as a word of its own behind those of the prompt. */
  readonly images?: boolean
}

/** What the text of the captured half is. */
export interface CaptureText {
  readonly prompt: string
  /** Its content tokens; `row` counts along S. */
  readonly places: readonly TokenPlace[]
}

/** The input that carries the chosen columns. */
export const captureTokensInput = 'attention.captureTokens'

/** At one grid, [L, T]: means over heads, summed over its layers and the steps so far. */
export interface LiveMaps {
  readonly height: number
  readonly width: number
  /** How many layers have this grid. */
  readonly layers: number
  readonly sums: Float32Array
}

/** A row of the token axis S, and how much of its attention counts. */
export interface RowShare {
  readonly row: number
  readonly share: number
}

/** What is captured beside the words that the caller wants to see. */
export interface CaptureExtra {
  /** Tokens that stand for no word of the prompt, such as those of an image. */
  readonly others?: readonly { readonly row: number; readonly position: number; readonly text: string }[]
  /** The rows whose attention is that of a token; itself when absent. An edit's words look through other words. */
  readonly rowsOf?: (row: number) => readonly RowShare[]
  /** Running maps at one grid, of several samples. */
  readonly running?: {
    readonly samples: readonly number[]
    /** Rows of S. */
    readonly rows: readonly number[]
    readonly grid: AttentionGrid
  }
}

/** The name of a grid's output, `attention.maps.HxW`. */
const mapsOutput = ({ height, width }: AttentionGrid): string => `attention.maps.${height}x${width}`
const isSame = (a: AttentionGrid, b: AttentionGrid): boolean => a.height === b.height && a.width === b.width

export class CapturePlan {
  /** What the caller wants to see. */
  readonly tokens: readonly CapturedToken[]
  readonly words: readonly CapturedWord[]
  readonly #prompt: string
  readonly #options: CaptureOptions
  readonly #extra: CaptureExtra
  /** The captured columns: rows of S, each once. */
  readonly #rows: readonly number[]
  /** Of each token, what its attention is put together from. */
  readonly #recipes: readonly (readonly { readonly column: number; readonly share: number }[])[]
  #samples: readonly number[] = [0]
  readonly #layers = new Map<string, { numHeads: number; height: number; width: number }>()
  readonly #grids = new Map<string, AttentionGrid & { layers: number; sum: Tensor }>()

  /**
   * @param text of the captured half; without it only `extra.running` is captured
   * @throws AttuneError `bad-argument` when a word is not in the prompt, or the prompt has no word at all
   */
  constructor(text: CaptureText | undefined, options: CaptureOptions = {}, extra: CaptureExtra = {}) {
    const words: CapturedWord[] = []
    const tokens: CapturedToken[] = []
    for (const places of text ? chooseWords(text, options.words) : []) {
      const [first] = places
      const last = places.at(-1)
      invariant(text && first && last, 'a word has tokens')
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
    const end = text?.prompt.length ?? 0
    for (const { row, position, text: name } of text ? (extra.others ?? []) : []) {
      words.push({ text: name, span: [end, end], columns: [tokens.length] })
      tokens.push({ index: row, chunk: 0, position, id: 0, text: name, word: words.length - 1 })
    }
    this.tokens = tokens
    this.words = words
    this.#prompt = text?.prompt ?? ''
    this.#options = options
    this.#extra = extra
    const shares = tokens.map(({ index }) => extra.rowsOf?.(index) ?? [{ row: index, share: 1 }])
    this.#rows = [...new Set([...shares.flat().map(({ row }) => row), ...(extra.running?.rows ?? [])])]
    this.#recipes = shares.map(list =>
      list.map(({ row, share }) => ({ column: this.#rows.indexOf(row), share })),
    )
  }

  /** The constant input of every run: the captured columns, [1, T]. */
  get inputs(): Record<string, Float32Array> {
    return { [captureTokensInput]: Float32Array.from(this.#rows) }
  }

  /** The input of a run that leaves all sums as they are. */
  get pausedInputs(): Record<string, Float32Array> {
    return { [captureTokensInput]: new Float32Array(this.#rows.length).fill(-1) }
  }

  /**
   * What a denoising graph records for this plan; for one graph only.
   * @param sample of the batch that is the captured half
   * @param others controls that the same layers carry
   */
  controls(sample: number, others: AttentionControls = {}): AttentionControls {
    let input: Tensor | undefined
    this.#layers.clear()
    this.#grids.clear()
    const { running } = this.#extra
    this.#samples = [...new Set([sample, ...(running?.samples ?? [])])]
    const wanted = (layer: CrossAttentionLayer, grid: AttentionGrid): boolean =>
      (this.tokens.length > 0 && (this.#options.layers?.(layer.path) ?? true)) ||
      (running !== undefined && isSame(grid, running.grid))
    return {
      ...others,
      cross: (layer, b, grid) => {
        const extras = others.cross?.(layer, b, grid) ?? {}
        if (!wanted(layer, grid)) return extras
        input ??= b.input(captureTokensInput, [1, this.#rows.length])
        this.#layers.set(layer.path, { numHeads: layer.numHeads, ...grid })
        return { ...extras, capture: { tokens: input, samples: this.#samples } }
      },
      captured: (layer, b, sums, grid) => {
        others.captured?.(layer, b, sums, grid)
        const isRunning = running !== undefined && isSame(grid, running.grid)
        if (this.#options.live || isRunning) this.#addToGrid(layer, b, sums, grid)
      },
      finish: b => {
        others.finish?.(b)
        for (const grid of this.#grids.values()) b.output(mapsOutput(grid), grid.sum)
      },
    }
  }

  /** The live maps among a run's outputs. */
  liveMaps(outputs: Readonly<Record<string, Float32Array>>): LiveMaps[] {
    return [...this.#grids.values()].flatMap(({ height, width, layers }) => {
      const all = outputs[mapsOutput({ height, width })]
      if (!all || !this.#options.live) return []
      return [{ height, width, layers, sums: this.#public(all, height * width) }]
    })
  }

  /**
   * The running maps that `extra.running` asked for, summed over the calls so far.
   * @returns of a sample, a row's map [L]
   */
  runningMaps(
    outputs: Readonly<Record<string, Float32Array>>,
  ): (sample: number, row: number) => Float32Array {
    const { running } = this.#extra
    const all = running && outputs[mapsOutput(running.grid)]
    invariant(running && all, 'running maps')
    const count = this.#rows.length
    const positions = running.grid.height * running.grid.width
    return (sample, row) => {
      const [c, column] = [this.#samples.indexOf(sample), this.#rows.indexOf(row)]
      invariant(c >= 0 && column >= 0, `row ${row} of sample ${sample} is captured`)
      return Float32Array.from(
        { length: positions },
        (_, l) => all[(c * positions + l) * count + column] as number,
      )
    }
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
    const wanted = [...this.#layers].filter(([path]) => this.#options.layers?.(path) ?? true)
    return {
      prompt: this.#prompt,
      width: picture.width,
      height: picture.height,
      steps,
      half: this.#options.half ?? 'cond',
      tokens: this.tokens,
      words: this.words,
      layers: wanted.map(([path, facts]) => {
        const sums = states[`${path}.captured`]
        invariant(sums, `${path} was captured`)
        return { path, ...facts, sums: this.#public(sums, facts.numHeads * facts.height * facts.width) }
      }),
    }
  }

  /** [C, rows, columns] of all that is captured → [rows, T] of the caller's tokens; the same array where it is that. */
  #public(all: Float32Array, rows: number): Float32Array {
    const columns = this.#rows.length
    const isPlain =
      this.#samples.length === 1 &&
      columns === this.tokens.length &&
      this.#recipes.every(
        (recipe, t) => recipe.length === 1 && recipe[0]?.column === t && recipe[0].share === 1,
      )
    if (isPlain) return all
    const tokens = this.tokens.length
    // The caller's sample is the first.
    const result = new Float32Array(rows * tokens)
    for (const [t, recipe] of this.#recipes.entries()) {
      for (const { column, share } of recipe) {
        for (let i = 0; i < rows; i++) {
          result[i * tokens + t] =
            (result[i * tokens + t] as number) + share * (all[i * columns + column] as number)
        }
      }
    }
    return result
  }

  #addToGrid(layer: CrossAttentionLayer, b: GraphBuilder, sums: Tensor, grid: AttentionGrid): void {
    const name = mapsOutput(grid)
    const known = this.#grids.get(name)
    // States are read after they were written: the mean is of the sums that include this step.
    const sum = b.headMean(`${layer.path}.maps`, sums, known?.sum)
    const { height, width } = grid
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
