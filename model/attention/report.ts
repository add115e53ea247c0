/**
 * A report on the words of one picture: how strongly, how widely and where each was looked at, which words share
 * their place, and in plain sentences what stands out. Plain data: it can be written as JSON as it is.
 *
 * A word's place is where its map is above half its peak. Attention is where the network looked for what to draw,
 * not what it drew: flags are hints for a person, with thresholds that are named here and can be set.
 */
import { AttuneError } from '../contract/errors.ts'
import { rangeOf } from '../image/heat.ts'
import type { CapturedAttention } from './captured.ts'
import { finestGrid, type SourceChoice, type WordMap, wordMaps } from './maps.ts'

/** The share of its peak above which a position belongs to a word's place: the half-maximum by which peaks are usually measured. */
export const placeShare = 0.5

/**
 * A word is neglected when its peak is below this share of the median peak of the other words. Half: a word that is
 * looked at as the others are, but by a network that splits its attention in two, is not neglected yet. (Chefer et
 * al., "Attend-and-Excite", arXiv 2301.13826, also judge by the peak; a bound in probabilities would depend on how
 * long the prompt is.) Words such as "of" are often neglected, and rightly so.
 */
export const neglectShare = 0.5

/** A word leaks into another when at least this share of its place, more than not, lies in the other's. */
export const leakShare = 0.5

/**
 * … and when that share is this many times what chance gives, the other's share of the picture: any word lies in the
 * place of one that is everywhere.
 */
export const leakLift = 1.5

export interface ReportOptions extends SourceChoice {
  /** Pairs of indices into `CapturedAttention.words` that belong together ("red" and "apple"): no leaks. */
  readonly together?: readonly (readonly [number, number])[]
  readonly neglectShare?: number
  readonly leakShare?: number
  readonly leakLift?: number
}

/** How the map of one word lies to that of another. */
export interface WordOverlap {
  readonly word: string
  readonly index: number
  /** Of the two maps, 0…1. Maps are nowhere negative, so flat ones are alike: 1 is nothing by itself. */
  readonly cosine: number
  /** Intersection over area: the share of this word's place that lies in the other's, 0…1. */
  readonly ioa: number
}

export interface WordReport {
  readonly word: string
  /** Index into `CapturedAttention.words`. */
  readonly index: number
  /** The largest probability, and where it is, in pixels of the picture. */
  readonly peak: number
  readonly peakAt: { readonly x: number; readonly y: number }
  /** The mean probability. */
  readonly mean: number
  /** The share of the picture above half the peak, 0…1. */
  readonly coveredArea: number
  /** Of the map as a distribution over positions: 0 all in one position, 1 the same everywhere. */
  readonly entropy: number
  /** Centre of mass in pixels of the picture. */
  readonly centre: { readonly x: number; readonly y: number }
  /** One per other word, most alike first. */
  readonly overlaps: readonly WordOverlap[]
  readonly neglected: boolean
  /** Indices of the words in whose place this one lies. */
  readonly leaksInto: readonly number[]
  readonly sentence: string
}

export interface AttentionReport {
  readonly prompt: string
  /** Of the picture, in pixels. */
  readonly width: number
  readonly height: number
  /** Of the maps that were measured: the finest captured grid. */
  readonly grid: { readonly width: number; readonly height: number }
  /** In the prompt's order. */
  readonly words: readonly WordReport[]
  readonly thresholds: {
    readonly neglectShare: number
    readonly leakShare: number
    readonly leakLift: number
  }
  readonly sentence: string
}

/**
 * @throws AttuneError `bad-argument` for choices that leave nothing, `non-finite` when a map holds no numbers
 */
export function attentionReport(captured: CapturedAttention, options: ReportOptions = {}): AttentionReport {
  const grid = finestGrid(captured)
  const maps = wordMaps(captured, { ...options, ...grid })
  const thresholds = {
    neglectShare: options.neglectShare ?? neglectShare,
    leakShare: options.leakShare ?? leakShare,
    leakLift: options.leakLift ?? leakLift,
  }
  const facts = maps.map(map => measureWord(map, captured))
  const neglected = facts.map(({ peak }, i) => {
    const others = facts.filter((_, j) => j !== i).map(each => each.peak)
    // A word on its own has nothing to be neglected for.
    return others.length > 0 && peak < thresholds.neglectShare * median(others)
  })
  const words = maps.map((map, i): WordReport => {
    const fact = facts[i] as WordFacts
    const overlaps = maps
      .filter(other => other !== map)
      .map(other => ({ word: other.word, index: other.index, ...overlapOf(map, other) }))
      .toSorted((a, b) => b.ioa - a.ioa || b.cosine - a.cosine)
    const leaksInto = maps.flatMap((other, j) => {
      const overlap = overlaps.find(each => each.index === other.index)
      // The place of a neglected word is noise.
      if (!overlap || neglected[i] || neglected[j]) return []
      if (options.together?.some(pair => pair.includes(map.index) && pair.includes(other.index))) return []
      const chance = (facts[j] as WordFacts).coveredArea
      const leaks = overlap.ioa >= thresholds.leakShare && overlap.ioa >= thresholds.leakLift * chance
      return leaks ? [other.index] : []
    })
    const flags = { neglected: neglected[i] === true, leaksInto }
    const into = maps.filter(other => leaksInto.includes(other.index)).map(other => `"${other.word}"`)
    const sentence = wordSentence(map.word, fact, flags.neglected, into, captured)
    return { word: map.word, index: map.index, ...fact, overlaps, ...flags, sentence }
  })
  const { prompt, width, height } = captured
  return { prompt, width, height, grid, words, thresholds, sentence: reportSentence(words) }
}

export type WordFacts = Pick<WordReport, 'peak' | 'peakAt' | 'mean' | 'coveredArea' | 'entropy' | 'centre'>

/**
 * The measures of one map.
 * @param picture its size in pixels
 * @throws AttuneError `non-finite`
 */
export function measureWord(
  map: WordMap,
  picture: { readonly width: number; readonly height: number },
): WordFacts {
  const { data, width, height } = map
  let [total, sumX, sumY, peakIndex, covered] = [0, 0, 0, 0, 0]
  data.forEach((value, at) => {
    total += value
    sumX += value * ((at % width) + 0.5)
    sumY += value * (Math.floor(at / width) + 0.5)
    if (value > (data[peakIndex] as number)) peakIndex = at
  })
  if (!Number.isFinite(total)) {
    throw new AttuneError(
      'non-finite',
      `The attention of "${map.word}" holds values that are no numbers.`,
      'Draw the picture again; if it happens again, please report it.',
    )
  }
  const peak = data[peakIndex] as number
  let entropy = 0
  for (const value of data) {
    if (value > placeShare * peak) covered++
    if (value > 0) entropy -= (value / total) * Math.log(value / total)
  }
  // One position is all there is, and nothing is nowhere in particular: both count as even.
  const even = data.length === 1 || total === 0
  const [scaleX, scaleY] = [picture.width / width, picture.height / height]
  return {
    peak,
    peakAt: { x: ((peakIndex % width) + 0.5) * scaleX, y: (Math.floor(peakIndex / width) + 0.5) * scaleY },
    mean: total / data.length,
    coveredArea: covered / data.length,
    entropy: even ? 1 : Math.min(1, Math.max(0, entropy / Math.log(data.length))),
    centre: {
      x: total > 0 ? (sumX / total) * scaleX : picture.width / 2,
      y: total > 0 ? (sumY / total) * scaleY : picture.height / 2,
    },
  }
}

/**
 * How `map` lies to `other`, which has the same size. A map of zeros has nothing in common with any.
 * @throws AttuneError `bad-argument` for maps of two sizes
 */
export function overlapOf(map: WordMap, other: WordMap): { readonly cosine: number; readonly ioa: number } {
  if (map.width !== other.width || map.height !== other.height) {
    throw new AttuneError(
      'bad-argument',
      `A map of ${map.width}×${map.height} cannot be laid over one of ${other.width}×${other.height}.`,
      'Make both maps at one size.',
    )
  }
  const [a, b] = [placeShare * rangeOf(map.data).high, placeShare * rangeOf(other.data).high]
  let [dot, squares, otherSquares, area, shared] = [0, 0, 0, 0, 0]
  map.data.forEach((value, at) => {
    const opposite = other.data[at] as number
    dot += value * opposite
    squares += value * value
    otherSquares += opposite * opposite
    if (value > a) area++
    if (value > a && opposite > b) shared++
  })
  const lengths = Math.sqrt(squares * otherSquares)
  return { cosine: lengths > 0 ? Math.min(1, dot / lengths) : 0, ioa: area > 0 ? shared / area : 0 }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? 0
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2
}

/** Which third of `size` a value is in: 0, 1 or 2. */
function third(value: number, size: number): number {
  return Math.min(2, Math.floor((3 * value) / size))
}

/** "at the upper left", "in the middle": which ninth of the picture. */
function region({ x, y }: WordReport['peakAt'], picture: { width: number; height: number }): string {
  const down = ['upper', '', 'lower'][third(y, picture.height)] ?? ''
  const across = ['left', '', 'right'][third(x, picture.width)] ?? ''
  if (!down && !across) return 'in the middle'
  if (!down) return `on the ${across}`
  return across ? `at the ${down} ${across}` : `in the ${down} middle`
}

function wordSentence(
  word: string,
  { peak, peakAt, coveredArea }: WordFacts,
  neglected: boolean,
  leaksInto: readonly string[],
  picture: { readonly width: number; readonly height: number },
): string {
  if (peak === 0) return `"${word}" was not looked at.`
  const where = `"${word}" is looked at most ${region(peakAt, picture)}, with up to ${percent(peak)} of the attention there; its place is ${percent(coveredArea)} of the picture.`
  if (neglected) return `${where} That is little beside the other words: it may be missing.`
  return leaksInto.length > 0
    ? `${where} Much of that is also the place of ${leaksInto.join(' and ')}.`
    : where
}

function reportSentence(words: readonly WordReport[]): string {
  const neglected = words.filter(word => word.neglected).map(({ word }) => `"${word}"`)
  const leaks = words.flatMap(({ word, leaksInto }) =>
    leaksInto.map(index => `"${word}" into "${words.find(other => other.index === index)?.word}"`),
  )
  const parts = [
    ...(neglected.length > 0 ? [`Little looked at: ${neglected.join(', ')}.`] : []),
    ...(leaks.length > 0 ? [`Leaking: ${leaks.join(', ')}.`] : []),
  ]
  return parts.length > 0
    ? parts.join(' ')
    : 'Nothing stands out: no word is little looked at, none leaks into another.'
}

/** A share as people read it: two digits, never a 0 that is not one. */
export function percent(share: number): string {
  const value = 100 * share
  if (value > 0 && value < 0.01) return 'less than 0.01 %'
  return `${Number(value.toPrecision(2))} %`
}
