import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { openSettings, settingsDefinition } from '../../host/settings/settings.ts'
import { type SettingsDefinition, SettingsStore } from '../../host/settings/store.ts'
import { temporaryFolder } from '../cli/support.ts'

const now = () => new Date(Date.UTC(2026, 10, 25))
const place = async () => join(await temporaryFolder(), 'data', 'settings.json')
const broken = '.broken-2026-11-25T00-00-00-000Z'

async function withFile(content: string): Promise<string> {
  const path = await place()
  await mkdir(join(path, '..'), { recursive: true })
  await writeFile(path, content)
  return path
}

const json = async (path: string) => JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>

describe('settings', () => {
  it('begin with defaults, and keep what is set', async () => {
    const path = await place()
    const settings = await openSettings({ path, now })
    expect(settings.notices).toEqual([])
    expect(settings.get('theme')).toBe('system')
    expect(settings.get('logPrompts')).toBe(false)
    await settings.set('theme', 'dark')
    await settings.update({ galleryFolders: ['/pictures'], defaults: { steps: 12 } })
    const again = await openSettings({ path, now })
    expect(again.values).toMatchObject({
      theme: 'dark',
      galleryFolders: ['/pictures'],
      defaults: { steps: 12 },
    })
    expect(await json(path)).toMatchObject({ version: settingsDefinition.version })
    expect(await readdir(join(path, '..'))).toEqual(['settings.json'])
  })

  it('tell subscribers what has changed, at once', async () => {
    const settings = await openSettings({ path: await place(), now })
    const heard: unknown[] = []
    const end = settings.subscribe((values, changed) => heard.push([values.theme, changed]))
    const written = settings.set('theme', 'light')
    expect(heard).toEqual([['light', ['theme']]])
    await written
    await settings.set('theme', 'light')
    end()
    await settings.set('theme', 'dark')
    expect(heard).toHaveLength(1)
  })

  it('refuse wrong values, all or none', async () => {
    const settings = await openSettings({ path: await place(), now })
    const wrong = { theme: 'dark', livePreview: 'yes' } as never
    await expect(settings.update(wrong)).rejects.toMatchObject({ code: 'bad-argument' })
    expect(settings.get('theme')).toBe('system')
    await expect(settings.update({ __proto__x: 1 } as never)).rejects.toThrow('no setting')
    await expect(settings.update(JSON.parse('{"constructor":1}') as never)).rejects.toThrow('no setting')
    await expect(settings.update({ defaults: { steps: 0 } })).rejects.toThrow('defaults.steps')
  })

  it('keep keys that this version does not know, at every writing', async () => {
    const path = await withFile('{"version":1,"theme":"dark","fromTheFuture":{"a":[1]}}')
    const settings = await openSettings({ path, now })
    await settings.set('theme', 'light')
    expect(await json(path)).toEqual({ version: 1, theme: 'light', fromTheFuture: { a: [1] } })
  })

  it.each([
    ['empty', ''],
    ['truncated', '{"version":1,"theme":"da'],
    ['a list', '[1,2]'],
    ['not text', '\u0000\u0001\u0002'],
    ['null', 'null'],
  ])('S3: a file that is %s is kept aside, and defaults are used', async (_, content) => {
    const path = await withFile(content)
    const settings = await openSettings({ path, now })
    expect(settings.get('theme')).toBe('system')
    expect(settings.notices.join()).toContain(`settings.json${broken}`)
    expect(await readFile(`${path}${broken}`, 'utf8')).toBe(content)
    await settings.set('theme', 'dark')
    expect((await openSettings({ path, now })).get('theme')).toBe('dark')
  })

  it('S3: a value of a wrong type costs that value alone, and the file is kept', async () => {
    const content = '{"version":1,"theme":7,"language":"de","downloads":{"parallel":"many"},"mine":1}'
    const path = await withFile(content)
    const settings = await openSettings({ path, now })
    expect(settings.values).toMatchObject({ theme: 'system', language: 'de', downloads: { parallel: 2 } })
    expect(settings.notices.join()).toContain('theme, downloads')
    expect(await readFile(`${path}${broken}`, 'utf8')).toBe(content)
    await settings.set('language', 'en')
    expect(await json(path)).toEqual({ version: 1, language: 'en', mine: 1 })
  })

  it('S3: a newer version is used as far as it is understood, and never written', async () => {
    const content = '{"version":99,"theme":"dark","new":1}'
    const path = await withFile(content)
    const settings = await openSettings({ path, now })
    expect(settings.get('theme')).toBe('dark')
    expect(settings.isWritable).toBe(false)
    expect(settings.notices.join()).toContain('newer Attune')
    await settings.set('theme', 'light')
    expect(settings.get('theme')).toBe('light')
    expect(await readFile(path, 'utf8')).toBe(content)
  })

  it('S5: where nothing can be written, they hold in memory and that is said once', async () => {
    const root = await temporaryFolder()
    await writeFile(join(root, 'data'), 'a file where the folder should be')
    const settings = await openSettings({ path: join(root, 'data', 'settings.json'), now })
    await settings.set('theme', 'dark')
    await settings.set('theme', 'light')
    expect(settings.get('theme')).toBe('light')
    expect(settings.notices).toHaveLength(1)
  })

  it('many changes at once end as the last one', async () => {
    const path = await place()
    const settings = await openSettings({ path, now })
    await Promise.all(Array.from({ length: 30 }, (_, i) => settings.set('language', `x${i + 10}`)))
    expect(await json(path)).toMatchObject({ language: 'x39' })
  })
})

describe('migrations', () => {
  const shape = { side: z.int().default(512) }
  const definition: SettingsDefinition<typeof shape> = {
    shape,
    version: 3,
    migrations: [
      { from: 1, migrate: raw => ({ ...raw, width: raw['size'] }) },
      { from: 2, migrate: ({ width, ...raw }) => ({ ...raw, side: Number(width) * 2 }) },
    ],
  }

  it('run in their order, and leave the old file beside', async () => {
    const path = await withFile('{"size":32,"other":true}')
    const settings = await SettingsStore.open(definition, { path, now })
    expect(settings.get('side')).toBe(64)
    expect(await json(path)).toEqual({ version: 3, size: 32, other: true, side: 64 })
    expect(await readFile(`${path}.v1.bak`, 'utf8')).toBe('{"size":32,"other":true}')
  })

  it('T11: one that fails leaves the file as it is, and the app starts', async () => {
    const failing: typeof definition = {
      ...definition,
      migrations: [
        {
          from: 1,
          migrate: () => {
            throw new Error('half way')
          },
        },
      ],
    }
    const path = await withFile('{"version":1,"size":32}')
    const settings = await SettingsStore.open(failing, { path, now })
    expect(settings.get('side')).toBe(512)
    expect(settings.notices.join()).toContain('half way')
    await settings.set('side', 8)
    expect(await readFile(path, 'utf8')).toBe('{"version":1,"size":32}')
  })
})
