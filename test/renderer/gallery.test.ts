/** The gallery's pure parts: the search's language, keys in the grid, recipes taken into Create, differences. */
import { expect, test } from 'vitest'
import type { HostPicture, HostRecipe } from '../../model/contract/host-api.ts'
import { differencesOf, factsOf, unknownFacts } from '../../renderer/features/gallery/recipe-facts.ts'
import { reuseOf, templateOf } from '../../renderer/features/gallery/reuse.ts'
import { followed, useGallery } from '../../renderer/features/gallery/gallery-state.ts'
import { isFiltered, noFilter, queryOf, readSearch } from '../../renderer/features/gallery/search.ts'
import { placeAfterKey } from '../../renderer/features/gallery/selection.ts'
import { strings } from '../../renderer/strings/index.ts'

const recipe: HostRecipe = {
  tool: 'a1111',
  toolName: 'AUTOMATIC1111',
  prompt: 'a (red:1.2) car',
  negativePrompt: 'text',
  width: 512,
  height: 640,
  steps: 20,
  guidanceScale: 7,
  seed: '18446744073709551615',
  sampler: 'euler_a',
  samplerName: 'Euler a',
  unknown: { Version: 'v1.9', nested: { a: 1 } },
  notes: [],
}

test('settings are taken out of a search, words stay', () => {
  const found = readSearch('red car seed:42 steps>=20 cfg:3..6 model:"my model" "clip skip":2')
  expect(found.text).toBe('red car')
  expect(found.settings).toEqual([
    { key: 'seed', is: ['42'] },
    { key: 'steps', atLeast: 20 },
    { key: 'guidance', atLeast: 3, atMost: 6 },
    { key: 'model', is: ['my model'] },
    { key: 'clip skip', atLeast: 2, atMost: 2 },
  ])
})

test('a search that is none stays text', () => {
  expect(readSearch('12:30 at noon').settings).toEqual([])
  expect(readSearch('steps>many')).toEqual({ text: 'steps>many', settings: [] })
  expect(readSearch('x'.repeat(2000)).text).toHaveLength(2000)
  expect(readSearch('a:1 '.repeat(50)).settings).toHaveLength(24)
})

test('chips and periods become conditions', () => {
  expect(isFiltered(noFilter)).toBe(false)
  const now = new Date(2026, 10, 25, 15)
  const query = queryOf(
    { ...noFilter, favourite: true, period: 'today', chosen: { sampler: ['ddim'], model: [] } },
    now,
  )
  expect(query).toEqual({
    sort: 'newest',
    favourite: true,
    from: new Date(2026, 10, 25).getTime(),
    settings: [{ key: 'sampler', is: ['ddim'] }],
  })
})

const go = (key: string, active: number) => placeAfterKey(key, active, 4, 3, 10)

test('arrow keys go through a grid with a short last row', () => {
  expect(go('ArrowRight', 0)).toBe(1)
  expect(go('ArrowLeft', 0)).toBe(0)
  expect(go('ArrowDown', 1)).toBe(5)
  expect(go('ArrowDown', 7)).toBe(9)
  expect(go('ArrowDown', 9)).toBe(9)
  expect(go('ArrowUp', 2)).toBe(2)
  expect(go('PageDown', 0)).toBe(9)
  expect(go('End', 3)).toBe(9)
  expect(go('a', 3)).toBeUndefined()
})

test('a recipe is taken whole, or its prompt, or its seed', () => {
  const all = reuseOf({ recipe }, 'all')
  expect(all.patch).toMatchObject({
    prompt: 'a (red:1.2) car',
    dialect: 'a1111',
    width: 512,
    steps: 20,
    sampler: 'euler_a',
    // 64 bits, whole.
    seed: '18446744073709551615',
    seedLocked: true,
  })
  expect(all.left).toEqual([])
  expect(Object.keys(reuseOf({ recipe }, 'seed').patch).sort()).toEqual(['seed', 'seedLocked'])
  expect(reuseOf({ recipe }, 'prompt').patch.steps).toBeUndefined()
})

test('what Create cannot take is said, never guessed', () => {
  const { sampler: _sampler, ...rest } = recipe
  const strange = { ...rest, samplerName: 'DPM adaptive', steps: 5000, seed: 'minus one', strength: 0.5 }
  const { patch, left } = reuseOf({ recipe: strange }, 'all')
  expect(patch.sampler).toBeUndefined()
  expect(patch.steps).toBeUndefined()
  expect(patch.seed).toBeUndefined()
  expect(left).toEqual(['DPM adaptive', 'strength 0.5', 'steps 5000'])
})

test('our record wins over what is read from the text, and keeps its template', () => {
  const record = {
    request: { prompt: 'a blue car', seed: '5', dialect: 'compel', template: { prompt: 'a {blue|red} car' } },
  }
  expect(reuseOf({ recipe, record }, 'all').patch).toMatchObject({
    // As it was written; the seed draws the same words from it.
    prompt: 'a {blue|red} car',
    seed: '5',
    dialect: 'compel',
  })
  expect(templateOf(record)).toEqual({ prompt: 'a {blue|red} car', negativePrompt: '' })
  expect(templateOf({})).toBeUndefined()
  expect(reuseOf({ record: { request: { prompt: 7, controls: 'no' } } }, 'all').left).toContain('controls')
})

test('facts, unknown keys and differences', () => {
  expect(factsOf(recipe, strings()).map(({ key, value }) => `${key} ${value}`)).toContain('size 512 × 640')
  expect(unknownFacts(recipe).map(({ key }) => key)).toEqual(['Version', 'nested'])
  const other = { ...recipe, prompt: 'a boat', steps: 30 }
  expect(differencesOf(recipe, other, strings()).map(({ label }) => label)).toEqual(['Prompt', 'Steps'])
  expect(differencesOf(recipe, recipe, strings())).toEqual([])
})

const picture = (id: number) => ({ id }) as HostPicture

test('what is open stays open when new pictures come before it', () => {
  const state = { ...useGallery.getState(), pages: new Map([[0, [5, 4, 3].map(picture)]]), total: 3 }
  expect(followed({ ...state, open: 1 }, 0, [6, 5, 4, 3].map(picture))).toEqual({
    open: 2,
    active: 2,
    anchor: 2,
  })
  expect(followed({ ...state, active: 2 }, 0, [6, 5, 4, 3].map(picture))).toEqual({ active: 3, anchor: 3 })
  // It has gone, or nothing moved.
  expect(followed({ ...state, open: 1 }, 0, [5, 3].map(picture))).toEqual({})
  expect(followed({ ...state, open: 1 }, 0, [5, 4, 3].map(picture))).toEqual({})
})
