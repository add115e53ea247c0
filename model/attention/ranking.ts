/**
 * Rankings: which words a pixel listened to most, and which heads look at a word where a mask says it is. Picking
 * heads tells more about a concept than the mean of all of them (arXiv 2604.05906).
 */
import { AttuneError } from '../contract/errors.ts'
import type { HeatMap } from '../image/heat.ts'
import type { CapturedAttention } from './captured.ts'
import { type SourceChoice, type WordMap, wordMapsByHead } from './maps.ts'
import { resizeBilinear } from './resize.ts'
import { percent } from './report.ts'

export interface WordAtPixel {
  readonly word: string
  readonly index: number
  /** The share of the pixel's whole attention. */
  readonly probability: number
  /** Its share of what went to the words of this ranking, 0…1. */
  readonly share: number
}

export interface PixelRanking {
  readonly x: number
  readonly y: number
  /** What went to the ranked words together; the rest went to other words, markers and padding. */
  readonly total: number
  /** Largest first. */
  readonly words: readonly WordAtPixel[]
  readonly sentence: string
}

/**
 * The words that a pixel listened to, relative to the captured words. Between the positions of the maps the value is
 * linear.
 * @param maps of one picture, as `wordMaps` makes them
 * @param at a pixel: 0 ≤ x < width, 0 ≤ y < height of the picture
 * @throws AttuneError `bad-argument` for a pixel outside the picture, or no maps
 */
export function wordsAtPixel(
  maps: readonly WordMap[],
  picture: { readonly width: number; readonly height: number },
  at: { readonly x: number; readonly y: number },
): PixelRanking {
  const { x, y } = at
  if (!(x >= 0 && x < picture.width && y >= 0 && y < picture.height)) {
    throw new AttuneError(
      'bad-argument',
      `The pixel (${x}, ${y}) is outside the picture of ${picture.width}×${picture.height}.`,
      'Choose a pixel of the picture.',
    )
  }
  const [first] = maps
  if (!first)
    throw new AttuneError('bad-argument', 'There are no maps to rank.', 'Capture at least one word.')
  const values = maps.map(map =>
    valueAt(map, ((x + 0.5) / picture.width) * map.width, ((y + 0.5) / picture.height) * map.height),
  )
  const total = values.reduce((sum, value) => sum + value, 0)
  const words = maps
    .map(({ word, index }, i) => {
      const probability = values[i] as number
      return { word, index, probability, share: total > 0 ? probability / total : 0 }
    })
    .toSorted((a, b) => b.probability - a.probability)
  const top = words[0] as WordAtPixel
  const count = maps.length === 1 ? 'the one captured word' : `the ${maps.length} captured words`
  const sentence =
    total > 0
      ? `Of the attention that went to ${count} here, ${percent(top.share)} went to "${top.word}"; together they have ${percent(total)} of all attention here.`
      : `None of ${count} was looked at here.`
  return { x, y, total, words, sentence }
}

export interface RankedHead {
  readonly path: string
  readonly head: number
  /** The share of the word's attention of this head that lies inside the mask, 0…1. */
  readonly inside: number
  /** `inside` over the mask's share of the picture: 1 is what a head that looks everywhere alike has. */
  readonly lift: number
  /** The word's mean probability of this head: a head that hardly looks ranks high by chance. */
  readonly mean: number
}

export interface HeadRanking {
  readonly word: string
  readonly index: number
  /** The mask's share of the picture, 0…1. */
  readonly maskArea: number
  /** Largest lift first. */
  readonly heads: readonly RankedHead[]
  readonly sentence: string
}

/**
 * How well each head finds a word's place, against a mask of where it is.
 * @param index into `CapturedAttention.words`
 * @param mask [H, W], 0 outside to 1 inside, of any size: it covers the picture
 * @throws AttuneError `bad-argument` for an unknown word, a mask that is empty, full of other values, or everything
 */
export function rankHeads(
  captured: CapturedAttention,
  index: number,
  mask: HeatMap,
  choice: Omit<SourceChoice, 'words'> = {},
): HeadRanking {
  const maskArea = mask.data.reduce((sum, value) => sum + value, 0) / mask.data.length
  if (!mask.data.every(value => value >= 0 && value <= 1) || !(maskArea > 0 && maskArea < 1)) {
    throw new AttuneError(
      'bad-argument',
      'The mask tells no inside from an outside.',
      'Give a mask with values from 0 to 1 that covers a part of the picture.',
    )
  }
  const masks = new Map<string, Float64Array>()
  let word = ''
  const heads = wordMapsByHead(captured, { ...choice, words: [index] }).map(
    ({ path, head, maps, ...grid }): RankedHead => {
      const map = maps[0] as WordMap
      word = map.word
      const key = `${grid.width}x${grid.height}`
      const small = masks.get(key) ?? resizeBilinear(mask.data, mask, grid)
      masks.set(key, small)
      let [total, covered, area] = [0, 0, 0]
      map.data.forEach((value, at) => {
        total += value
        covered += value * (small[at] as number)
        area += small[at] as number
      })
      const inside = total > 0 ? covered / total : 0
      // Against the mask as this grid sees it, so that coarse heads are not judged by what they cannot see.
      const chance = area / map.data.length
      return { path, head, inside, lift: chance > 0 ? inside / chance : 0, mean: total / map.data.length }
    },
  )
  const ranked = heads.toSorted((a, b) => b.lift - a.lift)
  const best = ranked[0] as RankedHead
  const sentence = `Head ${best.head} of ${best.path} knows best where "${word}" is: ${percent(best.inside)} of what it looks at for the word is inside the mask, ${Number(best.lift.toPrecision(2))} times as much as by chance.`
  return { word, index, maskArea, heads: ranked, sentence }
}

/** The map at a place in its own units, position centres at one half; linear between, the border repeated. */
function valueAt({ data, width, height }: HeatMap, x: number, y: number): number {
  const [left, top] = [within(x - 0.5, width), within(y - 0.5, height)]
  const [x0, y0] = [Math.floor(left), Math.floor(top)]
  const [x1, y1] = [Math.min(width - 1, x0 + 1), Math.min(height - 1, y0 + 1)]
  const [s, t] = [left - x0, top - y0]
  const at = (column: number, row: number): number => data[row * width + column] as number
  return (1 - t) * ((1 - s) * at(x0, y0) + s * at(x1, y0)) + t * ((1 - s) * at(x0, y1) + s * at(x1, y1))
}

/** The nearest place that is among `size` positions. */
function within(value: number, size: number): number {
  return Math.min(size - 1, Math.max(0, value))
}
