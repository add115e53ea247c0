/**
 * Repair of neglected words without gradients: how a picture's words stand beside each other, how good an attempt is,
 * and which words the next one is to push.
 *
 * Attend-and-Excite (Chefer et al., arXiv 2301.13826) calls a picture as good as its worst subject: its loss is the
 * largest of 1 − (peak of the subject's attention). It moves the latents down the gradient of that loss in the first
 * half of the steps. Here nothing is differentiated: the same measure judges whole attempts, and a constant bias on the
 * logits of a neglected word, over the whole picture and the first half of the run, takes the gradient's place.
 *
 * Attention is where the network looked for a word, not what it drew. A bias raises a word's attention by itself; that
 * it ends half-way leaves the second half of the run to show whether the word holds its place. Still: look at the picture.
 */
import type { PaintControl } from '../contract/controls.ts'
import type { CapturedAttention } from './captured.ts'
import { attentionReport, neglectShare, type WordReport } from './report.ts'

/** English words that name nothing to be seen: rightly looked at little. Other languages' count as content. */
const functionWords = new Set(
  `a an the this that these those some any no its it his her their and or but nor of in on at by to from into onto
  with without over under above below behind beside between near for as is are was were be being been has have having
  very there where while which who whose`.split(/\s+/),
)

/** Words below this share of the others' median peak are pushed: as the report's `neglected`. */
export const repairShare = neglectShare

/** How much stronger a word becomes with every attempt: its odds before the softmax grow e-fold. */
export const repairStep = 1

export interface WordStanding {
  /** As typed; of a word that stands twice, its least place. */
  readonly word: string
  /** Its peak over the median peak of the other content words. */
  readonly standing: number
}

export interface Judgement {
  /** Content words, in the prompt's order, each once. */
  readonly words: readonly WordStanding[]
  /** The least standing; 1 where there is nothing to compare. The larger the better. */
  readonly score: number
  /** Below `repairShare`, the least first. */
  readonly neglected: readonly WordStanding[]
}

/** A word that is pushed, and how strongly. */
export type Pushes = ReadonlyMap<string, number>

/** True for words that name something to be seen. */
export function isContentWord(word: string): boolean {
  return /[\p{L}\p{N}]/u.test(word) && !functionWords.has(word.toLowerCase())
}

/**
 * Judges one attempt by what was captured of it; all of the prompt's words should have been.
 * @throws AttuneError `non-finite` for attention that is no numbers
 */
export function judge(captured: CapturedAttention): Judgement {
  const content = captured.words.flatMap(({ text }, index) => (isContentWord(text) ? [index] : []))
  // A report is of some words; without any there is nothing to judge.
  if (content.length < 2) return { words: [], score: 1, neglected: [] }
  return judgeWords(attentionReport(captured, { words: content }).words)
}

/** The judgement of words whose peaks are known. */
export function judgeWords(reports: readonly Pick<WordReport, 'word' | 'peak'>[]): Judgement {
  const least = new Map<string, WordStanding>()
  for (const [index, { word, peak }] of reports.entries()) {
    const others = reports.filter((_, other) => other !== index).map(each => each.peak)
    const middle = median(others)
    const standing = others.length === 0 || middle === 0 ? 1 : peak / middle
    const key = word.toLowerCase()
    const known = least.get(key)
    if (!known || standing < known.standing) least.set(key, { word, standing })
  }
  const words = [...least.values()]
  return {
    words,
    score: Math.min(1, ...words.map(({ standing }) => standing)),
    neglected: words
      .filter(({ standing }) => standing < repairShare)
      .toSorted((a, b) => a.standing - b.standing),
  }
}

/**
 * What the next attempt pushes: the neglected words one step more than before, the others as they were.
 * @param most words that can be pushed at once
 * @returns undefined where no word is neglected, or none can be pushed any more
 */
export function nextPushes(judgement: Judgement, before: Pushes, most: number): Pushes | undefined {
  const next = new Map(before)
  for (const { word } of judgement.neglected) {
    const strength = next.get(word)
    if (strength !== undefined || next.size < most) next.set(word, (strength ?? 0) + repairStep)
  }
  const changed = [...next].some(([word, strength]) => before.get(word) !== strength)
  return changed ? next : undefined
}

/**
 * Pushed words as painted ones.
 * @param calls evaluations of the network in the run
 */
export function pushesAsPaint(pushes: Pushes, calls: number): PaintControl[] {
  // Half of very few evaluations is none.
  const window = { start: 0, end: calls < 2 ? 1 : 0.5 }
  return [...pushes].map(([phrase, strength]) => ({
    phrase,
    mask: { kind: 'rect', x: 0, y: 0, width: 1, height: 1 },
    strength,
    law: 'constant',
    feather: 0,
    window,
  }))
}

/** The index of the attempt to keep: the best score; of equal ones the earliest, which was meddled with least. */
export function bestAttempt(scores: readonly number[]): number {
  let best = 0
  for (const [index, score] of scores.entries()) if (score > (scores[best] as number)) best = index
  return best
}

/** A standing as people read it: `31 %`. */
export function formatStanding(standing: number): string {
  return `${Math.round(standing * 100)} %`
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? 0
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2
}
