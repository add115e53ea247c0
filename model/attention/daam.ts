/**
 * DAAM's heat maps by DAAM's rule, so that figures can be compared with published ones. For daily use `maps.ts` is
 * the better measure: here heads and not layers count alike, the coarsest layers and the middle are left out, values
 * are sums over steps, and a word is the mean over its tokens and all its places.
 *
 * The rule: each (layer, head) map of the conditional half, summed over steps, is resized bicubically to a reference
 * grid and clamped at 0 (cubic interpolation undershoots); the mean of all of them is the global map of a token.
 *
 * Sources: Tang et al., "What the DAAM", arXiv 2210.04885; the behaviour of castorini/daam (daam/trace.py,
 * heatmap.py, utils.py), written anew. Checked against torch: test/fixtures/make/attention_maps.py.
 *
 * Where DAAM has no answer: it cannot read grids that are not square (it takes √L for both sides). We keep each
 * layer's own grid, and the reference grid is then the finest captured one, at which factor 1 stands.
 */
import { AttuneError, invariant } from '../contract/errors.ts'
import type { HeatMap } from '../image/heat.ts'
import type { CapturedAttention, CapturedToken } from './captured.ts'
import { finestGrid } from './maps.ts'
import { type Grid, resizeBicubic } from './resize.ts'

/** DAAM's reference grid of models for 512 and 1024 pixels. Stable Diffusion 2 for 768 pixels has 96. */
export const daamSide = 64

/** Spatial factors that DAAM merges; 8 is never recorded, and a factor between these (3, say) is silently left out. */
const mergedFactors = new Set([0, 1, 2, 4, 16, 32, 64])

/** Keeps the sum that normalising divides by above 0. */
const normalizeFloor = 1e-6

export interface DaamOptions {
  /** Side of the reference grid for square pictures; `daamSide` when absent. */
  readonly side?: number
  /**
   * Divides every position by the sum over the prompt's tokens, markers left out. All of the prompt's tokens must
   * have been captured; commas and the like are tokens too.
   */
  readonly normalize?: boolean
  /** What the heads of the capture are, as a recording says; a capture of one head a layer counts as 'mean' when absent. */
  readonly heads?: 'all' | 'mean'
  /** Only these factors, of 0, 1, 2, 4, 16, 32, 64. */
  readonly factors?: readonly number[]
}

/** DAAM's global heat map. */
export interface DaamMaps extends Grid {
  /** How many (layer, head) maps were merged. */
  readonly merged: number
  /** T of them. */
  readonly tokens: readonly CapturedToken[]
  /** [T, H, W]: sums over steps, not divided by them; with `normalize`, shares of the prompt's tokens. */
  readonly data: Float32Array
}

/** DAAM's heat map of one word or phrase. */
export interface DaamWordMap extends HeatMap {
  readonly word: string
  /** Columns whose maps were averaged. */
  readonly columns: readonly number[]
}

/**
 * The global map of every captured token.
 * @throws AttuneError `unsupported` for a capture that DAAM's rule has no answer for: heads already averaged, the
 *   negative prompt, a prompt of more than one chunk of 77; `bad-argument` when no layer is left, or when normalising
 *   lacks tokens
 */
export function daamMaps(captured: CapturedAttention, options: DaamOptions = {}): DaamMaps {
  checkCapture(captured, options)
  const tokens = captured.tokens.length
  // The mid block asks the text too, but DAAM looks at the ways down and up only.
  const layers = captured.layers.filter(({ path }) => /(^|\.)(down|up)_blocks\./.test(path))
  const square = layers.every(({ width, height }) => width === height)
  const side = options.side ?? daamSide
  const grid = square ? { width: side, height: side } : finestGrid(captured)
  const area = grid.width * grid.height
  const sums = new Float64Array(tokens * area)
  let merged = 0
  for (const layer of layers) {
    const length = layer.height * layer.width
    const factor = Math.floor(Math.sqrt(Math.floor(area / length)))
    if (!mergedFactors.has(factor) || !(options.factors?.includes(factor) ?? true)) continue
    invariant(layer.sums.length === layer.numHeads * length * tokens, `${layer.path} is whole`)
    merged += layer.numHeads
    const map = new Float32Array(length)
    for (let head = 0; head < layer.numHeads; head++) {
      for (let column = 0; column < tokens; column++) {
        for (let at = 0; at < length; at++) {
          map[at] = layer.sums[(head * length + at) * tokens + column] as number
        }
        // Clamped one by one, before the mean: this is why heads must not have been averaged.
        resizeBicubic(map, layer, grid).forEach((value, at) => {
          if (value > 0) sums[column * area + at] = (sums[column * area + at] as number) + value
        })
      }
    }
  }
  if (merged === 0) {
    throw new AttuneError(
      'bad-argument',
      `DAAM merges none of the captured layers at a reference grid of ${grid.width}×${grid.height}.`,
      'Capture the layers of the down and up blocks, or set the side of the reference grid.',
    )
  }
  for (let i = 0; i < sums.length; i++) sums[i] = (sums[i] as number) / merged
  if (options.normalize) normalize(sums, captured, area)
  return { ...grid, merged, tokens: captured.tokens, data: Float32Array.from(sums) }
}

/**
 * The mean over the tokens of every place where the word or phrase stands. As in DAAM a place is a run of tokens and
 * may begin inside a word: `fish` is found in `cat·fish`, but `cat` is not, since its token would end a word.
 * @param word text, or the token ids of the run when the tokenizer is at hand: text is matched against the tokens'
 *   own texts, which differs only where the tokenizer would cut the word alone in another way
 * @throws AttuneError `bad-argument` when the run stands nowhere among the captured tokens
 */
export function daamWordMap(maps: DaamMaps, word: string | readonly number[]): DaamWordMap {
  const columns =
    typeof word === 'string' ? columnsOfText(maps.tokens, word) : columnsOfIds(maps.tokens, word)
  if (columns.length === 0) {
    const name = typeof word === 'string' ? `"${word}"` : `of the tokens ${word.join(', ')}`
    throw new AttuneError(
      'bad-argument',
      `The word ${name} is not among the captured ones.`,
      `Choose among: ${maps.tokens.map(token => token.text).join(', ')}.`,
    )
  }
  const area = maps.width * maps.height
  const data = Float32Array.from({ length: area }, (_, at) => {
    let sum = 0
    for (const column of columns) sum += maps.data[column * area + at] as number
    return sum / columns.length
  })
  const text =
    typeof word === 'string' ? word : word.map((_, i) => maps.tokens[columns[i] ?? 0]?.text ?? '').join('')
  return { word: text, columns, width: maps.width, height: maps.height, data }
}

function checkCapture(captured: CapturedAttention, { heads, side }: DaamOptions): void {
  const averaged =
    heads === 'mean' || (heads === undefined && captured.layers.every(layer => layer.numHeads === 1))
  if (averaged) refuse('the heads of this capture were averaged', 'Capture or record all heads.')
  if (captured.half !== 'cond')
    refuse('it reads the prompt, not the negative prompt', "Capture the half 'cond'.")
  if (captured.tokens.some(token => token.chunk > 0)) {
    refuse('the prompt is longer than one chunk of 77 tokens', 'Use a shorter prompt, or wordMaps.')
  }
  if (side !== undefined && !(Number.isInteger(side) && side > 0)) {
    throw new AttuneError('bad-argument', `The reference grid cannot have the side ${side}.`, 'Use 64 or 96.')
  }
}

function refuse(what: string, remedy: string): never {
  throw new AttuneError('unsupported', `DAAM's rule cannot be followed: ${what}.`, remedy)
}

/** Divides [T, area] in place by the sum over the prompt's own tokens. */
function normalize(sums: Float64Array, captured: CapturedAttention, area: number): void {
  const own = captured.tokens.flatMap((token, column) => (token.word === undefined ? [] : [column]))
  const places = own.map(column => captured.tokens[column]?.position ?? 0).toSorted((a, b) => a - b)
  // A gap shows; tokens missing at the very end cannot be seen from here.
  if (places.length === 0 || places.some((position, i) => position !== i + 1)) {
    throw new AttuneError(
      'bad-argument',
      "Normalised maps are shares of all the prompt's tokens, and some were not captured.",
      'Capture every token of the prompt, or leave the maps as they are.',
    )
  }
  for (let at = 0; at < area; at++) {
    let total = normalizeFloor
    for (const column of own) total += sums[column * area + at] as number
    for (let i = at; i < sums.length; i += area) sums[i] = (sums[i] as number) / total
  }
}

function columnsOfIds(tokens: readonly CapturedToken[], ids: readonly number[]): number[] {
  if (ids.length === 0) return []
  return tokens.flatMap((_, start) => {
    const meets = ids.every((id, i) => tokens[start + i]?.id === id && follows(tokens, start, i))
    return meets ? ids.map((_, i) => start + i) : []
  })
}

function columnsOfText(tokens: readonly CapturedToken[], text: string): number[] {
  // The way in which CLIP's tokenizer splits words: letters, single digits, other signs.
  const segments = text.toLowerCase().match(/\p{L}+|\p{N}|[^\s\p{L}\p{N}]+/gu) ?? []
  if (segments.length === 0) return []
  return tokens.flatMap((_, start) => {
    let length = 0
    for (const segment of segments) {
      let seen = ''
      while (seen.length < segment.length) {
        const token = tokens[start + length]
        if (token?.word === undefined || !follows(tokens, start, length)) return []
        seen += token.text.toLowerCase()
        length++
      }
      // The run must end where a word of the prompt ends.
      const [last, next] = [tokens[start + length - 1], tokens[start + length]]
      if (seen !== segment || (next !== undefined && next.word === last?.word)) return []
    }
    return Array.from({ length }, (_, i) => start + i)
  })
}

/** Whether column start + i is the token i places after that of column start: captured tokens may have gaps. */
function follows(tokens: readonly CapturedToken[], start: number, i: number): boolean {
  return tokens[start + i]?.index === (tokens[start]?.index ?? 0) + i
}
