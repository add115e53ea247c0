/** Settings: what the search finds, which paths are whole, and how defaults come into a request. */
import { expect, test } from 'vitest'
import { settingsSchema } from '../../model/contract/settings.ts'
import { isWholePath } from '../../renderer/features/settings/folder-fields.tsx'
import { settingItems } from '../../renderer/features/settings/items.tsx'
import { withDefaults } from '../../renderer/features/settings/request-defaults.ts'
import { fitsSearch } from '../../renderer/features/settings/settings-screen.tsx'
import { emptyDraft } from '../../renderer/state/request.ts'
import { strings } from '../../renderer/strings/index.ts'

const values = settingsSchema.parse({})

test('every setting has a sentence, and none is reset at its default', () => {
  const items = settingItems(values, strings())
  expect(new Set(items.map(({ id }) => id)).size).toBe(items.length)
  for (const { label, hint, reset } of items) {
    expect(label.length && hint.length).toBeGreaterThan(0)
    expect(reset).toBeUndefined()
  }
})

test('what differs from its default can be put back, alone', () => {
  const items = settingItems(
    { ...values, theme: 'light', defaults: { steps: 30, sampler: 'ddim' } },
    strings(),
  )
  expect(items.filter(({ reset }) => reset).map(({ id, reset }) => [id, reset])).toEqual([
    ['theme', { theme: 'system' }],
    ['defaults.steps', { defaults: { sampler: 'ddim' } }],
    ['defaults.sampler', { defaults: { steps: 30 } }],
  ])
})

test('the search takes every word, of names and sentences', () => {
  const found = (search: string) =>
    settingItems(values, strings())
      .filter(item => fitsSearch(item, '', search))
      .map(({ id }) => id)
  expect(found('theme')).toContain('theme')
  expect(found('half memory')).toEqual(['precision'])
  expect(found('')).toHaveLength(settingItems(values, strings()).length)
})

test('whole paths of every system', () => {
  for (const path of ['/a', '~/a', 'C:\\a', 'D:/a', '\\\\server\\a'])
    expect(isWholePath(path), path).toBe(true)
  for (const path of ['a/b', './a', 'C:', '~user']) expect(isWholePath(path), path).toBe(false)
})

test('defaults fill what is open, and move only what still has the old one', () => {
  const begun = withDefaults(emptyDraft, { steps: 30, negativePrompt: 'text' })
  expect(begun).toMatchObject({ steps: 30, negativePrompt: 'text', sampler: undefined })
  const own = { ...begun, steps: 12 }
  const now = { steps: 40, guidanceScale: 5 }
  expect(withDefaults(own, now, { steps: 30, negativePrompt: 'text' })).toMatchObject({
    steps: 12,
    guidanceScale: 5,
    negativePrompt: '',
  })
})
