/**
 * Word maps: where in the picture each word was looked at. A value is a probability: the share of a position's
 * attention that went to the word, a mean over evaluations, heads and layers. A word's share is the sum over its
 * tokens, since a softmax deals out one whole among all tokens.
 *
 * Axis letters: N heads, L = H·W positions of a layer's grid, T captured tokens, W' words asked for.
 */
import { AttuneError, invariant } from '../contract/errors.ts'
import type { HeatMap } from '../image/heat.ts'
import type { CapturedAttention, CapturedLayer, CapturedWord } from './captured.ts'
import { checkGrid, type Grid, resizeBilinear } from './resize.ts'

/** A map of probabilities, [height, width]; it can be coloured like any heat map. */
export interface WordMap extends HeatMap {
  readonly word: string
  /** Index into `CapturedAttention.words`: a word that stands twice in the prompt has two maps. */
  readonly index: number
}

export interface WordChoice {
  /** As typed (large and small letters alike, every place), or indices into `CapturedAttention.words`; all when absent. */
  readonly words?: readonly (string | number)[]
}

export interface SourceChoice extends WordChoice {
  /** Layers by weight path; all when absent. */
  readonly layers?: (path: string) => boolean
  /** Heads of a layer, counted from 0; all when absent. */
  readonly heads?: (path: string, head: number) => boolean
}

export interface WordMapOptions extends SourceChoice, Grid {
  /** What a layer counts in the mean, from 0 up; 1 when absent. */
  readonly layerWeights?: (path: string) => number
}

/** The maps of one layer, at the layer's own grid. */
export interface LayerWordMaps extends Grid {
  readonly path: string
  readonly maps: readonly WordMap[]
}

/** The maps of one head, at its layer's own grid. */
export interface HeadWordMaps extends LayerWordMaps {
  readonly head: number
}

/** The maps of all layers that share a grid. */
export interface GridWordMaps extends Grid {
  readonly paths: readonly string[]
  readonly maps: readonly WordMap[]
}

/**
 * One map per word at the size asked for. Layers of one grid are added before they are resized, which changes
 * nothing (resizing is linear) and costs one resize per grid and word.
 * @throws AttuneError `bad-argument` for words that were not captured, choices that leave nothing, bad sizes, weights
 */
export function wordMaps(captured: CapturedAttention, options: WordMapOptions): WordMap[] {
  checkGrid(options)
  const words = chooseWords(captured, options.words)
  const layers = chooseLayers(captured, options)
  const grids = new Map<string, { grid: Grid; data: Float64Array[] }>()
  let total = 0
  for (const { layer, heads } of layers) {
    const weight = options.layerWeights?.(layer.path) ?? 1
    if (!(weight >= 0 && weight < Infinity)) {
      throw new AttuneError(
        'bad-argument',
        `The layer ${layer.path} cannot have the weight ${weight}.`,
        'Give weights from 0 up.',
      )
    }
    total += weight
    if (weight === 0) continue
    const key = `${layer.height}x${layer.width}`
    const entry = grids.get(key) ?? {
      grid: layer,
      data: words.map(() => new Float64Array(layer.height * layer.width)),
    }
    grids.set(key, entry)
    words.forEach(({ word }, i) =>
      addWord(captured, layer, heads, word, weight, entry.data[i] as Float64Array),
    )
  }
  if (total === 0) {
    throw new AttuneError('bad-argument', 'All layers have the weight 0.', 'Give one layer a weight above 0.')
  }
  return words.map(({ word, index }, i) => {
    const sum = new Float64Array(options.width * options.height)
    for (const { grid, data } of grids.values()) {
      const resized = resizeBilinear(data[i] as Float64Array, grid, options)
      for (let at = 0; at < sum.length; at++) sum[at] = (sum[at] as number) + (resized[at] as number)
    }
    return asWordMap(word, index, options, sum, 1 / total)
  })
}

/** Each layer apart, in the network's order, at its own grid. */
export function wordMapsByLayer(captured: CapturedAttention, options: SourceChoice = {}): LayerWordMaps[] {
  const words = chooseWords(captured, options.words)
  return chooseLayers(captured, options).map(({ layer, heads }) => ({
    path: layer.path,
    width: layer.width,
    height: layer.height,
    maps: words.map(({ word, index }) => mapOfHeads(captured, layer, heads, word, index)),
  }))
}

/** Each head of each layer apart, at its layer's own grid. */
export function wordMapsByHead(captured: CapturedAttention, options: SourceChoice = {}): HeadWordMaps[] {
  const words = chooseWords(captured, options.words)
  return chooseLayers(captured, options).flatMap(({ layer, heads }) =>
    heads.map(head => ({
      path: layer.path,
      head,
      width: layer.width,
      height: layer.height,
      maps: words.map(({ word, index }) => mapOfHeads(captured, layer, [head], word, index)),
    })),
  )
}

/** The layers of each grid together, finest grid first: what the network sees in the small and in the large. */
export function wordMapsByResolution(
  captured: CapturedAttention,
  options: Omit<WordMapOptions, 'width' | 'height'> = {},
): GridWordMaps[] {
  const grids = new Map<string, { grid: Grid; paths: string[] }>()
  for (const { layer } of chooseLayers(captured, options)) {
    const key = `${layer.height}x${layer.width}`
    const entry = grids.get(key) ?? { grid: layer, paths: [] }
    grids.set(key, entry)
    entry.paths.push(layer.path)
  }
  return [...grids.values()]
    .toSorted((a, b) => b.grid.width * b.grid.height - a.grid.width * a.grid.height)
    .map(({ grid: { width, height }, paths }) => ({
      width,
      height,
      paths,
      maps: wordMaps(captured, { ...options, width, height, layers: path => paths.includes(path) }),
    }))
}

/** The finest grid among the captured layers: the size at which maps lose nothing and invent nothing. */
export function finestGrid(captured: CapturedAttention): Grid {
  const [first, ...others] = captured.layers
  invariant(first, 'a capture has layers')
  const finest = others.reduce((a, b) => (b.width * b.height > a.width * a.height ? b : a), first)
  return { width: finest.width, height: finest.height }
}

/**
 * The captured words that are meant, in the prompt's order.
 * @throws AttuneError `bad-argument` when one was not captured, or none is left
 */
export function chooseWords(
  captured: CapturedAttention,
  wanted?: readonly (string | number)[],
): { readonly word: CapturedWord; readonly index: number }[] {
  const all = captured.words.map((word, index) => ({ word, index }))
  const missing = wanted?.filter(name => !all.some(({ word, index }) => meets(name, word, index))) ?? []
  const chosen = wanted ? all.filter(({ word, index }) => wanted.some(name => meets(name, word, index))) : all
  if (missing.length === 0 && chosen.length > 0) return chosen
  const list = missing.map(name => (typeof name === 'number' ? `number ${name}` : `"${name}"`)).join(', ')
  const known = [...new Set(captured.words.map(word => word.text))].join(', ')
  throw new AttuneError(
    'bad-argument',
    list ? `No attention was captured for the words: ${list}.` : 'No word was chosen.',
    known ? `Choose among: ${known}.` : 'Capture at least one word of the prompt.',
  )
}

interface ChosenLayer {
  readonly layer: CapturedLayer
  readonly heads: readonly number[]
}

/** Layers with at least one head left, and those heads. */
function chooseLayers(captured: CapturedAttention, { layers, heads }: SourceChoice): ChosenLayer[] {
  invariant(captured.steps > 0, 'a capture has steps')
  const chosen = captured.layers
    .filter(layer => layers?.(layer.path) ?? true)
    .map(layer => {
      const size = layer.numHeads * layer.height * layer.width * captured.tokens.length
      invariant(layer.sums.length === size, `${layer.path} has ${layer.sums.length} sums, not ${size}`)
      const all = Array.from({ length: layer.numHeads }, (_, head) => head)
      return { layer, heads: all.filter(head => heads?.(layer.path, head) ?? true) }
    })
    .filter(each => each.heads.length > 0)
  if (chosen.length > 0) return chosen
  throw new AttuneError(
    'bad-argument',
    'No captured layer or head is left to make maps of.',
    'Choose at least one layer and one of its heads.',
  )
}

/** Adds weight × (mean over heads and steps of the sum over the word's tokens) to `into`, [L]. */
function addWord(
  captured: CapturedAttention,
  layer: CapturedLayer,
  heads: readonly number[],
  word: CapturedWord,
  weight: number,
  into: Float64Array,
): void {
  const tokens = captured.tokens.length
  const scale = weight / (captured.steps * heads.length)
  for (const head of heads) {
    for (let at = 0; at < into.length; at++) {
      const row = (head * into.length + at) * tokens
      let sum = 0
      for (const column of word.columns) sum += layer.sums[row + column] as number
      into[at] = (into[at] as number) + scale * sum
    }
  }
}

function mapOfHeads(
  captured: CapturedAttention,
  layer: CapturedLayer,
  heads: readonly number[],
  word: CapturedWord,
  index: number,
): WordMap {
  const sum = new Float64Array(layer.height * layer.width)
  addWord(captured, layer, heads, word, 1, sum)
  return asWordMap(word, index, layer, sum, 1)
}

function asWordMap(word: CapturedWord, index: number, grid: Grid, sum: Float64Array, scale: number): WordMap {
  return {
    word: word.text,
    index,
    width: grid.width,
    height: grid.height,
    data: Float32Array.from(sum, value => value * scale),
  }
}

/** Whether a name or an index means this word. */
function meets(name: string | number, word: CapturedWord, index: number): boolean {
  return typeof name === 'number' ? name === index : name.trim().toLowerCase() === word.text.toLowerCase()
}
