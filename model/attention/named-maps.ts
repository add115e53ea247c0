/**
 * From a capture to maps with names: one per word, or per word and layer, or per word, layer and head. The rule is
 * that of maps.ts (sum over the word's tokens; mean over steps, heads and layers); here are the choices that a person
 * makes by name, and the matrix of tokens against positions.
 */
import { AttuneError } from '../contract/errors.ts'
import { type HeatMap, resizeHeat } from '../image/heat.ts'
import type { CapturedAttention, CapturedLayer } from './captured.ts'
import { daamMaps, daamWordMap } from './daam.ts'
import { finestGrid, wordMaps, wordMapsByHead, wordMapsByLayer, type WordMap } from './maps.ts'
import type { StepMaps } from './recording.ts'

/** A map and what it shows. Values are mean probabilities, 0…1. */
export interface NamedMap extends HeatMap {
  /** Of the word, as typed. */
  readonly label: string
  /** Index into `CapturedAttention.words`. */
  readonly word: number
  /** The layer's weight path; absent for the mean over layers. */
  readonly layer?: string
  /** Absent for the mean over heads. */
  readonly head?: number
  /** The evaluation; absent for the mean over steps. */
  readonly step?: number
}

/**
 * The layers whose path is one of `names` or begins with one, in the order of the network; `all` is every layer.
 * @throws AttuneError `bad-argument` listing the layers that there are
 */
export function chooseLayers(captured: CapturedAttention, names: readonly string[]): CapturedLayer[] {
  if (names.includes('all')) return [...captured.layers]
  for (const name of names) {
    if (captured.layers.some(layer => matches(layer.path, name))) continue
    throw new AttuneError(
      'bad-argument',
      `No captured layer is, or lies in, "${name}".`,
      `Choose among: ${captured.layers.map(layer => layer.path).join(', ')}.`,
    )
  }
  return captured.layers.filter(layer => names.some(name => matches(layer.path, name)))
}

/** Whether a path is, or lies in, a named part of the network. */
function matches(path: string, name: string): boolean {
  return path === name || path.startsWith(`${name}.`)
}

/** Maps of words over all layers, at the finest captured grid. @param words indices into `CapturedAttention.words` */
export function mapsOfWords(captured: CapturedAttention, words: readonly number[]): NamedMap[] {
  const found = wordMaps(captured, { ...finestGrid(captured), words })
  return words.map(word => named(found, word))
}

/**
 * Maps of words over all layers by DAAM's rule; a word that stands twice has the same map twice.
 * @param heads what the capture's heads are
 * @throws AttuneError `unsupported`, `bad-argument` where DAAM has no answer
 */
export function daamMapsOfWords(
  captured: CapturedAttention,
  words: readonly number[],
  heads?: 'all' | 'mean',
): NamedMap[] {
  const all = daamMaps(captured, heads ? { heads } : {})
  return words.map(word => {
    const { text = '', columns = [] } = captured.words[word] ?? {}
    const ids = columns.map(column => captured.tokens[column]?.id ?? -1)
    const { width, height, data } = daamWordMap(all, ids)
    return { label: text, word, width, height, data }
  })
}

/** Maps of words in one layer, on the layer's own grid, mean over heads. */
export function mapsOfLayer(
  captured: CapturedAttention,
  { path }: CapturedLayer,
  words: readonly number[],
): NamedMap[] {
  const found = wordMapsByLayer(captured, { words, layers: other => other === path }).flatMap(one => one.maps)
  return words.map(word => ({ ...named(found, word), layer: path }))
}

/**
 * Maps of words in one head of one layer.
 * @throws AttuneError `bad-argument` for a head that the layer does not have
 */
export function mapsOfHead(
  captured: CapturedAttention,
  layer: CapturedLayer,
  head: number,
  words: readonly number[],
): NamedMap[] {
  const { path, numHeads } = layer
  if (head >= numHeads) {
    throw new AttuneError(
      'bad-argument',
      `${path} has no head ${head}.`,
      numHeads === 1
        ? 'This capture may hold only the mean over heads: leave --heads out.'
        : `Choose among 0 to ${numHeads - 1}.`,
    )
  }
  const found = wordMapsByHead(captured, {
    words,
    layers: other => other === path,
    heads: (_, other) => other === head,
  }).flatMap(one => one.maps)
  return words.map(word => ({ ...named(found, word), layer: path, head }))
}

function named(maps: readonly WordMap[], index: number): NamedMap {
  const map = maps.find(one => one.index === index)
  if (!map) throw new AttuneError('internal', `There is no captured word ${index}.`)
  const { width, height, data } = map
  return { label: map.word, word: index, width, height, data }
}

/**
 * A word's maps over the steps, in their order; empty where the word was not kept per step.
 * @param how `each`: what every evaluation looked at by itself; `running`: the mean up to it, over the kept ones
 */
export function mapsOverSteps(
  captured: CapturedAttention,
  perStep: StepMaps,
  word: number,
  how: 'each' | 'running' = 'each',
): NamedMap[] {
  const at = perStep.words.indexOf(word)
  if (at < 0) return []
  const { width, height } = perStep
  const size = width * height
  const sums = new Float64Array(size)
  return perStep.steps.map((step, index) => {
    const begin = (index * perStep.words.length + at) * size
    const own = perStep.data.subarray(begin, begin + size)
    for (let i = 0; i < size; i++) sums[i] = (sums[i] as number) + (own[i] as number)
    const data = how === 'each' ? own : Float32Array.from(sums, sum => sum / (index + 1))
    return { label: captured.words[word]?.text ?? '', word, step, width, height, data }
  })
}

/** A matrix of attention: rows are source tokens, columns are target positions. */
export interface AttentionMatrix {
  readonly rowLabels: readonly string[]
  readonly columns: number
  /** [rows, columns]: mean probabilities. */
  readonly data: Float32Array
  /** The grid that the columns run over, row by row. */
  readonly grid: { readonly width: number; readonly height: number }
}

/**
 * Source tokens × target positions: the figure of the papers. Rows are the tokens of the chosen words.
 * @param layer one layer at its own grid; absent for the mean over layers on the finest grid
 * @param patches side p of a p×p grid of patches, each the mean of its positions; absent: every position
 */
export function tokenMatrix(
  captured: CapturedAttention,
  words: readonly number[],
  options: { readonly layer?: CapturedLayer; readonly patches?: number } = {},
): AttentionMatrix {
  const layers = options.layer ? [options.layer] : captured.layers
  const columns = [...new Set(words.flatMap(word => captured.words[word]?.columns ?? []))]
  // Words of one token each, so that the rule for words is used as it is.
  const single: CapturedAttention = {
    ...captured,
    layers,
    words: columns.map(column => ({
      text: captured.tokens[column]?.text ?? '',
      span: [0, 0],
      columns: [column],
    })),
  }
  const grid = finestGrid(single)
  const patched = options.patches
    ? { width: Math.min(options.patches, grid.width), height: Math.min(options.patches, grid.height) }
    : grid
  const data = new Float32Array(columns.length * patched.width * patched.height)
  wordMaps(single, grid).forEach((map, row) => {
    const patches = resizeHeat(map, patched.width, patched.height)
    data.set(patches.data, row * patches.data.length)
  })
  return {
    rowLabels: columns.map(column => captured.tokens[column]?.text ?? ''),
    columns: patched.width * patched.height,
    data,
    grid: patched,
  }
}
