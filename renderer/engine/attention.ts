/**
 * What the window computes from a capture: word maps, facts of each word, who was listened to at a pixel. Thin names
 * over the engine's pure arithmetic, so that components import none of it.
 */
import type { CapturedAttention } from '../../model/attention/captured.ts'
import { finestGrid, type WordMap, wordMaps, wordMapsByHead } from '../../model/attention/maps.ts'
import { wordsAtPixel, type PixelRanking } from '../../model/attention/ranking.ts'
import { attentionReport, type AttentionReport } from '../../model/attention/report.ts'

export type { CapturedAttention } from '../../model/attention/captured.ts'
export type { WordMap, HeadWordMaps } from '../../model/attention/maps.ts'
export type { AttentionReport, WordReport } from '../../model/attention/report.ts'
export type { PixelRanking } from '../../model/attention/ranking.ts'

/** Maps of all words of a text, with where each stands in it. */
export interface MapSet {
  readonly prompt: string
  readonly words: readonly PlacedWord[]
  readonly maps: readonly WordMap[]
}

export interface PlacedWord {
  readonly text: string
  readonly span: readonly [start: number, end: number]
}

/** Maps of all words. A word at a time, with a pause for the window between two: a long prompt takes a while. */
export async function mapsOf(captured: CapturedAttention): Promise<MapSet> {
  const grid = finestGrid(captured)
  const maps: WordMap[] = []
  for (const index of captured.words.keys()) {
    maps.push(...wordMaps(captured, { ...grid, words: [index] }))
    await pause()
  }
  return { prompt: captured.prompt, words: captured.words.map(({ text, span }) => ({ text, span })), maps }
}

/** Lets frames and input go first. */
export const pause = (): Promise<void> =>
  new Promise(resolve => {
    setTimeout(resolve)
  })

/** The mean over layers as a capture of its own: what is computed from it need not add up the layers again. */
function meanOf(captured: CapturedAttention, { maps }: MapSet): CapturedAttention {
  const [{ width, height } = { width: 1, height: 1 }] = maps
  const count = maps.length
  const sums = new Float32Array(width * height * count)
  maps.forEach(({ data }, column) => data.forEach((value, at) => (sums[at * count + column] = value)))
  return {
    ...captured,
    steps: 1,
    words: captured.words.map((word, index) => ({ ...word, columns: [index] })),
    tokens: captured.words.map(({ text, span }, index) => ({
      index,
      chunk: 0,
      position: index,
      id: 0,
      text,
      span,
      word: index,
    })),
    layers: [{ path: 'mean', numHeads: 1, width, height, sums }],
  }
}

/** Live maps of one message as a set: [W, height, width] cut into words. */
export function mapsOfStep(
  prompt: string,
  step: { readonly words: readonly PlacedWord[]; width: number; height: number; data: Float32Array },
): MapSet {
  const { width, height, data } = step
  const size = width * height
  return {
    prompt,
    words: step.words.map(({ text, span }) => ({ text, span })),
    maps: step.words.map(({ text }, index) => ({
      word: text,
      index,
      width,
      height,
      data: data.subarray(index * size, (index + 1) * size),
    })),
  }
}

/**
 * Words that join others and have no place of their own: they are looked at little, and rightly so. English and German,
 * as the interface.
 */
const joining = new Set(
  (
    'a an the of on in at under over with and or near behind beside above below by to from is are his her its ' +
    'ein eine einen einem einer der die das den dem des auf in im am an unter über mit und oder bei vor hinter neben'
  ).split(' '),
)

export function isJoiningWord(text: string): boolean {
  return joining.has(text.toLowerCase())
}

/** Facts of the words that have a place; words of one phrase, such as "red apple", do not count as mixed. */
export function reportOf(captured: CapturedAttention, set: MapSet): AttentionReport | undefined {
  const words = captured.words.flatMap(({ text }, index) => (isJoiningWord(text) ? [] : [index]))
  if (words.length === 0) return undefined
  const together = words.flatMap((index, order) => {
    const next = words[order + 1]
    const [here, there] = [captured.words[index], next === undefined ? undefined : captured.words[next]]
    if (next === undefined || !here || !there) return []
    const between = captured.prompt.slice(here.span[1], there.span[0])
    return /^[\s():.\d+[\]-]*$/.test(between) ? [[index, next] as const] : []
  })
  return attentionReport(meanOf(captured, set), { words, together })
}

/** Undefined outside of the picture. */
export function rankingAt(
  set: MapSet,
  picture: { readonly width: number; readonly height: number },
  at: { readonly x: number; readonly y: number },
): PixelRanking | undefined {
  const inside = at.x >= 0 && at.y >= 0 && at.x < picture.width && at.y < picture.height
  return inside && set.maps.length > 0 ? wordsAtPixel(set.maps, picture, at) : undefined
}

/** Every head's map of a word, by layer in the order of the network. */
export function headsOf(captured: CapturedAttention, word: number) {
  const byLayer = new Map<string, { path: string; width: number; height: number; heads: WordMap[] }>()
  for (const { path, width, height, maps } of wordMapsByHead(captured, { words: [word] })) {
    const entry = byLayer.get(path) ?? { path, width, height, heads: [] }
    byLayer.set(path, entry)
    if (maps[0]) entry.heads.push(maps[0])
  }
  return [...byLayer.values()]
}
export type LayerHeads = ReturnType<typeof headsOf>[number]

/** The word of a set that is meant by a word elsewhere: the same text, and as many of it before. */
export function sameWord(words: readonly PlacedWord[], text: string, occurrence: number): number | undefined {
  const wanted = text.toLowerCase()
  let seen = 0
  for (const [index, word] of words.entries()) {
    if (word.text.toLowerCase() !== wanted) continue
    if (seen === occurrence) return index
    seen++
  }
  return undefined
}

/** How much two maps of one word differ, in [−1, 1] of the larger peak; undefined for maps of two sizes. */
export function mapDifference(before: WordMap, after: WordMap): Float32Array | undefined {
  if (before.width !== after.width || before.height !== after.height) return undefined
  const peak = Math.max(1e-9, ...before.data, ...after.data)
  return after.data.map((value, at) => (value - (before.data[at] as number)) / peak)
}
