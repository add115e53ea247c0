/** Which words a repair pushes, how strongly, and which attempt it keeps. */
import { describe, expect, it } from 'vitest'
import {
  bestAttempt,
  isContentWord,
  judge,
  judgeWords,
  nextPushes,
  pushesAsPaint,
} from '../../model/attention/repair.ts'
import { paintSchema } from '../../model/contract/controls.ts'
import { syntheticCapture } from '../support/attention.ts'

const peaks = (words: Record<string, number>) =>
  judgeWords(Object.entries(words).map(([word, peak]) => ({ word, peak })))

describe('the judgement', () => {
  it('is the least peak over the median of the others', () => {
    const { words, score, neglected } = peaks({ red: 0.4, car: 0.1, sky: 0.2 })
    expect(words.map(({ word }) => word)).toEqual(['red', 'car', 'sky'])
    expect(words.map(({ standing }) => standing)).toEqual([0.4 / 0.15, 0.1 / 0.3, 0.2 / 0.25].map(near))
    expect(score).toBeCloseTo(1 / 3)
    expect(neglected.map(({ word }) => word)).toEqual(['car'])
  })

  it('counts a word that stands twice by its least place', () => {
    const twice = judgeWords([
      { word: 'car', peak: 0.4 },
      { word: 'red', peak: 0.4 },
      { word: 'Car', peak: 0.1 },
    ])
    expect(twice.words).toHaveLength(2)
    expect(twice.neglected).toEqual([{ word: 'Car', standing: 0.25 }])
  })

  it('finds nothing wrong with one word, none, or no attention at all', () => {
    expect(peaks({ car: 0.1 })).toMatchObject({ score: 1, neglected: [] })
    expect(peaks({})).toMatchObject({ score: 1, neglected: [] })
    expect(peaks({ a: 0, b: 0 })).toMatchObject({ score: 1, neglected: [] })
  })

  it('is of words that name something', () => {
    expect(['a', 'The', 'of', ',', 'car', 'été', '7'].filter(isContentWord)).toEqual(['car', 'été', '7'])
    const { words } = judge(syntheticCapture())
    expect(words.map(({ word }) => word)).toEqual(['red', 'car', 'blue', 'lighthouse', 'grass'])
  })
})

const near = (value: number) => expect.closeTo(value, 10) as number

describe('pushes', () => {
  const bad = peaks({ red: 0.4, car: 0.1, sky: 0.3, hat: 0.05 })

  it('grow for what is still neglected, and stay for the rest', () => {
    const first = nextPushes(bad, new Map(), 32)
    expect([...(first ?? [])]).toEqual([
      ['hat', 1],
      ['car', 1],
    ])
    const second = nextPushes(peaks({ red: 0.4, car: 0.4, hat: 0.05 }), first ?? new Map(), 32)
    expect(second && Object.fromEntries(second)).toEqual({ hat: 2, car: 1 })
    expect(nextPushes(peaks({ red: 0.4, car: 0.4 }), second ?? new Map(), 32)).toBeUndefined()
  })

  it('take the least words where there is little room', () => {
    expect([...(nextPushes(bad, new Map(), 1) ?? [])]).toEqual([['hat', 1]])
    expect(nextPushes(bad, new Map(), 0)).toBeUndefined()
  })

  it('are painted words over the whole picture in the first half of the run', () => {
    const [paint] = pushesAsPaint(new Map([['car', 2]]), 10)
    expect(paintSchema.parse(paint)).toEqual(paint)
    expect(paint).toMatchObject({ phrase: 'car', strength: 2, window: { start: 0, end: 0.5 } })
    expect(pushesAsPaint(new Map([['car', 2]]), 1)[0]?.window.end).toBe(1)
  })

  it('are kept where the score is best, and first among equals', () => {
    expect(bestAttempt([0.2, 0.4, 0.4, 0.3])).toBe(1)
    expect(bestAttempt([0.5])).toBe(0)
  })
})
