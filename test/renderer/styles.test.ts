/** Styles live with the host: what a page kept in earlier versions goes there once, and what cannot be kept is said. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import {
  exportKept,
  followStyles,
  importKept,
  removeList,
  saveList,
  savePreset,
  useKept,
} from '../../renderer/features/presets/storage.ts'
import { connectMemoryHost } from '../../renderer/host/client.ts'
import { useUi } from '../../renderer/state/ui.ts'

const preset = (name: string, after = 'soft light') => ({
  name,
  before: '',
  after,
  negative: '',
  settings: {},
})
let page: Map<string, string>

beforeEach(() => {
  page = new Map()
  vi.stubGlobal('localStorage', {
    getItem: (key: string) => page.get(key) ?? null,
    setItem: (key: string, value: string) => void page.set(key, value),
    removeItem: (key: string) => void page.delete(key),
  })
  useKept.setState({ presets: [], lists: {} })
  useUi.setState({ messages: [] })
})
afterEach(() => vi.unstubAllGlobals())

const old = (presets: unknown) =>
  page.set(
    'attune.styles',
    JSON.stringify({ format: 'attune-styles', version: 1, presets, lists: { c: ['red'] } }),
  )

test('what the page kept moves to the host, which wins where both have a name', async () => {
  const host = connectMemoryHost()
  await host.call('styles.set', { patch: { presets: [preset('b', 'of the host')] } })
  old([preset('a'), preset('b', 'of the page')])
  await followStyles()
  const kept = await host.call('styles.get', {})
  expect(kept.presets.map(({ name, after }) => [name, after])).toEqual([
    ['a', 'soft light'],
    ['b', 'of the host'],
  ])
  expect(kept.lists).toEqual({ c: ['red'] })
  expect(useKept.getState()).toMatchObject(kept)
  expect(page.has('attune.styles')).toBe(false)
})

test('it stays with the page when the host refuses, and when it cannot be read', async () => {
  const host = connectMemoryHost()
  const refused = vi.spyOn(host, 'call')
  refused.mockImplementation(((method: string) =>
    method === 'styles.get'
      ? Promise.resolve({ presets: [], lists: {} })
      : Promise.reject(new Error('the disk is full'))) as never)
  old([preset('a')])
  await followStyles()
  expect(page.has('attune.styles')).toBe(true)
  // Usable until the window closes, and said.
  expect(useKept.getState().presets.map(({ name }) => name)).toEqual(['a'])
  expect(useUi.getState().messages.at(-1)).toMatchObject({ tone: 'problem', detail: 'the disk is full' })
  refused.mockRestore()
  page.set('attune.styles', '{"format":"attune-styles","version":2}')
  await followStyles()
  expect(page.get('attune.styles')).toContain('version')
})

test('changes one after the other all arrive; a list is renamed as one change', async () => {
  const host = connectMemoryHost()
  await followStyles()
  await Promise.all([
    savePreset(preset('x')),
    saveList('old', ['1']),
    savePreset(preset('w')),
    saveList('b', ['2']),
  ])
  await saveList('new', ['1', '3'], 'old')
  await removeList('b')
  expect(await host.call('styles.get', {})).toEqual({
    presets: [preset('w'), preset('x')],
    lists: { new: ['1', '3'] },
  })
  const file = exportKept()
  useKept.setState({ presets: [], lists: {} })
  expect(await importKept(file)).toEqual({ presets: 2, lists: 1, isKept: true })
  expect(await importKept('no json')).toBeUndefined()
})
