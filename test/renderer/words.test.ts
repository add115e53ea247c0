/** Weighing words is an edit of the text, in every dialect, and reading the text again finds what was asked. */
import { describe, expect, test } from 'vitest'
import type { PromptDialect } from '../../model/contract/prompt.ts'
import { readPrompt, rewritePrompt, steppedWeight, weighWord } from '../../renderer/engine/words.ts'
import { smallestChange } from '../../renderer/features/prompt/weighing.ts'
import { suggestionsFor } from '../../renderer/features/prompt/completion.ts'

function weighed(text: string, dialect: PromptDialect, word: string, weight: number): string | undefined {
  const found = readPrompt(text, dialect).words.find(each => each.text === word)
  return found && weighWord(text, dialect, found, weight)?.text
}

const weightsOf = (text: string, dialect: PromptDialect): Record<string, number> =>
  Object.fromEntries(
    readPrompt(text, dialect).words.map(({ text, weight }) => [text, Number(weight.toFixed(3))]),
  )

describe('a1111', () => {
  test.each([
    ['a red car', 'red', 1.2, 'a (red:1.2) car'],
    ['a (red:1.2) car', 'red', 1.35, 'a (red:1.35) car'],
    ['a (red:1.2) car', 'red', 1, 'a red car'],
    ['a ((red)) car', 'red', 0.8, 'a (red:0.8) car'],
    ['a [red] car', 'red', 1.1, 'a (red:1.1) car'],
    ['a (red car:1.2)', 'car', 1.3, 'a (red:1.2) (car:1.3)'],
    ['a (red old car:1.2)', 'old', 1, 'a (red:1.2) old (car:1.2)'],
    ['a \\(red\\) car', 'red', 1.2, 'a \\((red:1.2)\\) car'],
  ])('%s: %s at %f', (text, word, weight, expected) => {
    expect(weighed(text, 'a1111', word, weight)).toBe(expected)
  })

  test('inside of a group that cannot be parted the rest keeps its weight', () => {
    const text = weighed('((red big) car:1.2)', 'a1111', 'big', 0.9) ?? ''
    const before = weightsOf('((red big) car:1.2)', 'a1111')
    expect(weightsOf(text, 'a1111')).toMatchObject({ red: before['red'], car: before['car'] })
    expect(weightsOf(text, 'a1111')['big']).toBeCloseTo(0.9, 2)
  })

  test('words of a schedule are words, at both times', () => {
    const { words } = readPrompt('a [cat:dog:0.5] here', 'a1111')
    expect(words.map(({ text }) => text)).toEqual(['a', 'cat', 'dog', 'here'])
    expect(weighed('a [cat:dog:0.5] here', 'a1111', 'dog', 1.3)).toBe('a [cat:(dog:1.3):0.5] here')
  })
})

describe('comfy', () => {
  test.each([
    ['a red car', 'red', 1.2, 'a (red:1.2) car'],
    ['a (red:1.2) car', 'red', 1, 'a red car'],
    ['a (red car:1.2)', 'car', 0.5, 'a (red:1.2) (car:0.5)'],
  ])('%s: %s at %f', (text, word, weight, expected) => {
    expect(weighed(text, 'comfy', word, weight)).toBe(expected)
  })

  test('the inner number holds', () => {
    const text = weighed('((red big) car:1.2)', 'comfy', 'big', 0.9) ?? ''
    expect(weightsOf(text, 'comfy')['big']).toBeCloseTo(0.9, 3)
  })
})

describe('compel', () => {
  test.each([
    ['a red car', 'red', 1.2, 'a (red)1.2 car'],
    ['a (red)1.2 car', 'red', 1, 'a red car'],
    ['a red++ car', 'red', 0.9, 'a (red)0.9 car'],
    ['a (red car)1.2', 'car', 1.3, 'a (red)1.2 (car)1.3'],
  ])('%s: %s at %f', (text, word, weight, expected) => {
    expect(weighed(text, 'compel', word, weight)).toBe(expected)
  })
})

test('plain text has no weights', () => {
  expect(weighed('a (red:1.2) car', 'plain', 'red', 1.3)).toBeUndefined()
})

test('weighing up and down again gives the text back, for every word of many texts', () => {
  const texts = [
    'a red car',
    'the cat, the dog, the cat',
    'a (blue sky:1.2) over (green)',
    'ein Über-Hund läuft',
  ]
  for (const dialect of ['a1111', 'comfy'] as const) {
    for (const text of texts) {
      for (const word of readPrompt(text, dialect).words) {
        const up = weighWord(text, dialect, word, 1.45)
        expect(up, `${word.text} in ${text}`).toBeDefined()
        if (!up) continue
        const again = readPrompt(up.text, dialect).words.find(each => each.start === up.word.start)
        expect(again?.text).toBe(word.text)
        expect(again?.weight).toBeCloseTo(1.45, 2)
        // Every other word weighs what it did.
        const others = (source: string) =>
          readPrompt(source, dialect)
            .words.filter(each => !(each.text === word.text && each.occurrence === word.occurrence))
            .map(({ text, weight }) => `${text} ${weight.toFixed(2)}`)
        expect(others(up.text)).toEqual(others(text))
      }
    }
  }
})

test('steps go along a grid and stay within bounds', () => {
  expect(steppedWeight(1, 1)).toBe(1.05)
  expect(steppedWeight(1.1000001, 1)).toBe(1.15)
  expect(steppedWeight(1.98, 3)).toBe(2)
  expect(steppedWeight(0.02, -3)).toBe(0)
})

test('words that stand twice are told apart', () => {
  const { words } = readPrompt('cat and Cat', 'a1111')
  expect(words.map(({ occurrence }) => occurrence)).toEqual([0, 0, 1])
})

test('another way of writing keeps words and weights', () => {
  const { text, losses } = rewritePrompt('a (red:1.3) car', 'a1111', 'compel')
  expect(losses).toBe(0)
  expect(weightsOf(text, 'compel')).toEqual({ a: 1, red: 1.3, car: 1 })
  expect(rewritePrompt('a (red:1.3) car', 'a1111', 'plain').text).toBe('a red car')
})

test('the smallest change between two texts', () => {
  expect(smallestChange('a red car', 'a (red:1.2) car')).toEqual({ from: 2, to: 5, insert: '(red:1.2)' })
  expect(smallestChange('same', 'same')).toEqual({ from: 4, to: 4, insert: '' })
})

test('suggestions begin with what was typed, the shortest first', () => {
  const words = ['dog', 'dolphin', 'donut', 'cat']
  expect(suggestionsFor(words, 'do')).toEqual(['dog', 'donut', 'dolphin'])
  expect(suggestionsFor(words, 'dog')).toEqual([])
  expect(suggestionsFor(words, '')).toEqual([])
})
