/** Wildcards: drawn by the seed, nested, weighed, escaped; hostile ones end and say so. */
import { expect, test } from 'vitest'
import {
  expandWildcards,
  hasWildcards,
  listNameOf,
  readList,
} from '../../renderer/features/queue/wildcards.ts'

const lists = {
  colour: ['red', 'blue', '{light|dark} green'],
  'a/b': ['x'],
  loop: ['again __loop__'],
  empty: [],
}
const draw = (text: string, seed = '7') => expandWildcards(text, seed, lists)

test('one seed draws one text, other seeds draw all options', () => {
  const template = 'a {red|green|blue} car, __colour__'
  expect(draw(template).text).toBe(draw(template).text)
  const cars = new Set(Array.from({ length: 60 }, (_, seed) => draw('{red|green|blue}', String(seed)).text))
  expect([...cars].sort()).toEqual(['blue', 'green', 'red'])
  expect(draw(template).isDrawn).toBe(true)
})

const salted = (salt: string) =>
  Array.from({ length: 40 }, (_, seed) => expandWildcards('{a|b|c|d}', String(seed), {}, salt).text).join('')

test('the texts of one request are drawn apart', () => {
  expect(salted('prompt')).not.toBe(salted('negative'))
})

test('nesting, empty options, weights', () => {
  const nested = new Set(Array.from({ length: 80 }, (_, seed) => draw('{a {b|c}|}', String(seed)).text))
  expect([...nested].sort()).toEqual(['', 'a b', 'a c'])
  const many = Array.from({ length: 400 }, (_, seed) => draw('{9::often|rarely}', String(seed)).text)
  expect(many.filter(text => text === 'often').length).toBeGreaterThan(320)
  expect(new Set(many)).toEqual(new Set(['often', 'rarely']))
})

test('what is no wildcard stays as it was typed', () => {
  for (const text of [
    '(word:1.2)',
    '{emphasis}',
    '[a|b]',
    'a_b __ c',
    String.raw`\(literal\)`,
    '{open | never',
    'a } b',
  ]) {
    expect(draw(text)).toEqual({ text, problems: [], isDrawn: false })
  }
  // The bar of an alternation inside an option is the prompt's own.
  expect(['[a|b]', 'c']).toContain(draw('{[a|b]|c}').text)
})

test('signs can be escaped', () => {
  expect(draw(String.raw`\{a|b\} \| \__colour__`).text).toBe('{a|b} | __colour__')
  expect(draw(String.raw`{a\|b|a\|b}`).text).toBe('a|b')
})

test('lists: their lines, unknown ones, ones without end', () => {
  expect(['red', 'blue', 'light green', 'dark green']).toContain(draw('__colour__').text)
  expect(draw('__a/b__').text).toBe('x')
  expect(draw('__nobody__')).toEqual({
    text: '__nobody__',
    problems: [{ kind: 'no-list', name: 'nobody' }],
    isDrawn: false,
  })
  expect(draw('__empty__').problems).toHaveLength(1)
  const endless = draw('__loop__')
  expect(endless.text).toBe('again __loop__')
  expect(endless.problems).toEqual([{ kind: 'endless', name: 'loop' }])
})

test('hostile templates end', () => {
  const deep = `${'{x|'.repeat(3000)}y${'}'.repeat(3000)}`
  expect(draw(deep).text.length).toBeLessThan(200_000)
  const bomb: Record<string, string[]> = {}
  for (let at = 0; at < 20; at++) bomb[`l${at}`] = [`__l${at + 1}__`.repeat(10)]
  bomb['l20'] = ['boom']
  const started = performance.now()
  const { text, problems } = expandWildcards('__l0__', '1', bomb)
  expect(performance.now() - started).toBeLessThan(5000)
  expect(text.length).toBeLessThanOrEqual(200_000)
  expect(problems).toContainEqual({ kind: 'too-long' })
})

test('whether there is anything to draw', () => {
  expect(hasWildcards('a {b|c}')).toBe(true)
  expect(hasWildcards('__anything__')).toBe(true)
  expect(hasWildcards('a plain (prompt:1.1)')).toBe(false)
})

test('files of lists', () => {
  expect(readList('\uFEFFred\r\n\n# comment\n  blue  \n')).toEqual(['red', 'blue'])
  expect(listNameOf('My Colours!.txt')).toBe('My-Colours')
  expect(listNameOf('__.txt')).toBe('list')
})
