/** Axes of a plot: values as typed, refusals that name what is wrong, and the requests of every combination. */
import { expect, test } from 'vitest'
import {
  type Axis,
  combinationsOf,
  numbersOf,
  readAxis,
  replaced,
} from '../../renderer/features/plot/axes.ts'
import { joined, withPreset } from '../../renderer/features/presets/apply.ts'
import { presetSchema } from '../../renderer/features/presets/storage.ts'
import { emptyDraft } from '../../renderer/state/request.ts'

const draft = { ...emptyDraft, prompt: 'a red car under a blue sky, a car', seed: '9' }
const read = (axis: Axis) => readAxis(axis, draft, () => '77')
const values = (axis: Axis) => {
  const found = read(axis)
  return 'values' in found ? found.values : []
}
const labels = (axis: Axis) => {
  const found = read(axis)
  return 'values' in found ? found.values.map(({ label }) => label) : found.problem
}

test('numbers and ranges', () => {
  expect(numbersOf('8, 12 ,20, 12')).toEqual({ numbers: [8, 12, 20] })
  expect(numbersOf('0.5..1.5+0.25')).toEqual({ numbers: [0.5, 0.75, 1, 1.25, 1.5] })
  expect(numbersOf('0..1+0.1')).toMatchObject({ numbers: { length: 11 } })
  for (const bad of ['8, many', '5..1', '0..1000000', '1..2+0']) expect(numbersOf(bad)).toHaveProperty('bad')
})

test('each kind refuses what is no value of it', () => {
  expect(labels({ kind: 'steps', values: '8, 12.5' })).toEqual({ kind: 'bad-value', value: '12.5' })
  expect(labels({ kind: 'guidance', values: '101' })).toEqual({ kind: 'bad-value', value: '101' })
  expect(labels({ kind: 'sampler', values: 'ddim, magic' })).toEqual({ kind: 'bad-value', value: 'magic' })
  expect(labels({ kind: 'seed', values: '1..3, random*2, 18446744073709551615' })).toEqual([
    '1',
    '2',
    '3',
    '77',
    '18446744073709551615',
  ])
  expect(labels({ kind: 'seed', values: '18446744073709551616' })).toEqual({
    kind: 'bad-value',
    value: '18446744073709551616',
  })
  expect(labels({ kind: 'replace', values: 'green, red' })).toEqual({ kind: 'not-in-prompt', value: 'green' })
  expect(labels({ kind: 'weight', word: 'boat', values: '1' })).toEqual({
    kind: 'not-in-prompt',
    value: 'boat',
  })
  expect(labels({ kind: 'steps', values: ' ' })).toEqual({ kind: 'empty' })
})

test('words are replaced whole', () => {
  expect(replaced('a car, a carpet, Car', 'car', '$& boat')).toBe('a $& boat, a carpet, $& boat')
  expect(replaced('(red:1.2) ++', '++', '--')).toBe('(red:1.2) --')
})

test('a weight is written everywhere the word stands', () => {
  const found = read({ kind: 'weight', word: 'car', values: '1.4' })
  const value = 'values' in found ? found.values[0] : undefined
  expect(value?.apply(draft).prompt).toBe('a red (car:1.4) under a blue sky, a (car:1.4)')
})

test('every combination, and one alone', () => {
  const all = combinationsOf(draft, [
    values({ kind: 'seed', values: '1, 2' }),
    values({ kind: 'steps', values: '4, 8, 12' }),
    values({ kind: 'replace', values: 'red, green' }),
  ])
  expect(all).toHaveLength(12)
  expect(all.at(-1)).toMatchObject({ x: 1, y: 2, z: 1, draft: { seed: '2', steps: 12 } })
  expect(all.at(-1)?.draft.prompt).toContain('a green car')
  expect(combinationsOf(draft, [[], [], []])).toEqual([{ x: 0, y: 0, z: 0, draft }])
})

test('styles add their words once and set what they hold', () => {
  const style = presetSchema.parse({
    name: 'Soft',
    after: 'soft light',
    negative: 'text',
    settings: { steps: 30 },
  })
  const once = { ...draft, ...withPreset(draft, style) }
  expect(once).toMatchObject({ prompt: `${draft.prompt}, soft light`, negativePrompt: 'text', steps: 30 })
  expect(withPreset(once, style)).toMatchObject({ prompt: once.prompt, negativePrompt: 'text' })
  expect(joined('a,', 'b')).toBe('a, b')
  expect(joined('', 'b')).toBe('b')
})
