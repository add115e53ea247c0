/** The host behind the window, without a transport. */
import { spawnSync } from 'node:child_process'
import { mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { openDesktopHost } from '../../host/seat/open-host.ts'
import { type Desktop, removedFolder, restoreFromTrash, systemDesktop } from '../../host/service/desktop.ts'
import type { HostFacts } from '../../host/service/facts.ts'
import { pictureName } from '../../host/picture-name.ts'
import { fileInside, isInside, isPlainName, namesOfPath } from '../../host/service/places.ts'
import { HostService } from '../../host/service/service.ts'
import type { HostEvent, HostMethod, HostParams } from '../../model/contract/host-api.ts'
import { settingsPatchSchema } from '../../model/contract/settings.ts'
import { facts, lastingFolder } from './service-support.ts'

const services: HostService[] = []
const servers: Server[] = []

afterEach(async () => {
  for (const service of services.splice(0)) await service.close()
})
afterAll(() => {
  for (const server of servers) server.close()
})

async function open(more: Partial<HostFacts> = {}): Promise<{ service: HostService; place: HostFacts }> {
  const place = await facts(more)
  const service = await HostService.open(place)
  services.push(service)
  return { service, place }
}

const request = {
  prompt: 'a red car',
  negativePrompt: '',
  width: 1,
  height: 1,
  steps: 4,
  guidanceScale: 3,
  guidanceRescale: 0,
  seed: '7',
  rng: 'cpu',
  sampler: 'ddim',
  precision: 'f32',
  clipSkip: 1,
}
const header = (seed: string) => ({
  width: 1,
  height: 1,
  channels: 3,
  request: { ...request, seed },
  model: { name: 'storybook' },
})
const pixel = Uint8Array.of(1, 2, 3)

const pngOf = (side: number) =>
  sharp({ create: { width: side, height: side, channels: 3, background: '#345' } })
    .png()
    .toBuffer()

describe('settings', () => {
  it('change one by one: a patch leaves the others as they are', async () => {
    const { service, place } = await open()
    expect(settingsPatchSchema.parse({ theme: 'dark' })).toEqual({ theme: 'dark' })
    const events: HostEvent[] = []
    service.subscribe(event => events.push(event))
    await service.call('settings.set', { patch: { theme: 'dark', livePreview: false } })
    const values = await service.call('settings.set', { patch: { language: 'de' } })
    expect(values).toMatchObject({ theme: 'dark', livePreview: false, language: 'de', wordMaps: true })
    expect(events.map(({ type }) => type)).toEqual(['settings', 'settings'])
    expect(JSON.parse(await readFile(join(place.dataFolder, 'settings.json'), 'utf8'))).toMatchObject({
      theme: 'dark',
      language: 'de',
    })
    await expect(service.call('settings.set', { patch: { theme: 'pink' as 'dark' } })).rejects.toMatchObject({
      code: 'bad-argument',
    })
  })

  it('that were damaged are said at the start', async () => {
    const place = await facts()
    await mkdir(place.dataFolder, { recursive: true })
    await writeFile(join(place.dataFolder, 'settings.json'), '{broken')
    const service = await HostService.open(place)
    services.push(service)
    const { notices } = await service.call('app.info', {})
    expect(notices).toEqual([expect.stringContaining('The settings were damaged')])
  })
})

describe('a data folder', () => {
  it('has one host at a time; a socket that a crash left is no lock', async () => {
    const { service, place } = await open()
    await expect(HostService.open(place)).rejects.toMatchObject({
      code: 'unsupported',
      message: /running already/,
    })
    expect(await service.call('jobs.list', {})).toEqual({ jobs: [], paused: false })
    await service.close()
    services.push(await HostService.open(place))
    await services.pop()?.close()
    // What is in the way is the socket of a process that was killed.
    const program = `
      const { createServer } = require('node:net')
      const { lock } = process.env
      createServer().listen(lock, () => process.kill(process.pid, 'SIGKILL'))`
    const lock = join(place.dataFolder, 'host.sock')
    spawnSync(process.execPath, ['-e', program], { env: { ...process.env, lock } })
    expect((await stat(lock)).isSocket()).toBe(true)
    services.push(await HostService.open(place))
  })
})

describe('pictures', () => {
  it('are saved where the settings say, found, favoured, removed and brought back', async () => {
    const desktop = systemDesktop({ env: { HOME: '/nowhere' }, run: () => Promise.resolve(undefined) })
    const { service, place } = await open({ desktop })
    const { id, name } = await service.savePicture(header('1'), pixel)
    const other = await service.savePicture(header('1'), Uint8Array.of(9, 9, 9))
    expect([name, other.name]).toEqual([
      expect.stringMatching(/-1-a-red-car\.png$/),
      expect.stringMatching(/-2\.png$/),
    ])
    const page = await service.call('gallery.query', { text: 'red' })
    expect(page.total).toBe(2)
    expect(Object.keys(page.pictures[0] ?? {})).not.toContain('path')
    expect(await service.call('gallery.facet', { key: 'seed' })).toEqual([{ value: '1', count: 2 }])
    await service.call('gallery.favourite', { id, on: true })
    expect((await service.call('gallery.query', { favourite: true })).pictures).toMatchObject([{ id }])
    await service.call('gallery.remove', { ids: [id, other.id] })
    expect(await readdir(join(place.picturesFolder, removedFolder))).toHaveLength(2)
    expect((await service.call('gallery.query', { missing: false })).total).toBe(0)
    expect(await service.call('gallery.undoRemove', {})).toEqual({ restored: 2 })
    expect((await service.call('gallery.query', { favourite: true })).total).toBe(1)
    // An empty folder is not left behind.
    expect(await readdir(place.picturesFolder)).toHaveLength(2)
    const elsewhere = join(await lastingFolder(), 'new')
    await service.call('settings.set', { patch: { outputFolder: elsewhere } })
    await service.savePicture(header('3'), pixel)
    expect(await readdir(elsewhere)).toHaveLength(1)
    expect(await service.call('app.info', {})).toMatchObject({ outputFolder: elsewhere })
  })

  it('of other programs show their recipe; those that have gone say so', async () => {
    const { service } = await open()
    await expect(service.call('gallery.get', { id: 5 })).rejects.toMatchObject({
      remedy: 'Reload the gallery.',
    })
    expect(await service.readRecipe(new Uint8Array(await pngOf(3)))).toMatchObject({
      messages: [expect.stringContaining('no settings')],
    })
  })

  it('are opened from anywhere: where they are, or as a copy', async () => {
    const { service, place } = await open()
    const saved = await service.savePicture(header('1'), pixel)
    const inside = join(place.picturesFolder, saved.name)
    expect(await service.openPicture(inside)).toBe(saved.id)
    const outside = join(await lastingFolder(), 'other.png')
    await writeFile(outside, await readFile(inside))
    expect(await service.openPicture(outside)).toBe(saved.id)
    await writeFile(outside, await pngOf(5))
    const copy = await service.openPicture(outside)
    expect(await service.picturePath(copy)).toBe(join(place.picturesFolder, 'other.png'))
    await writeFile(outside, 'no picture')
    await expect(service.openPicture(outside)).rejects.toMatchObject({ code: 'bad-file' })
    await expect(service.openPicture('/dev/zero')).rejects.toMatchObject({ code: 'bad-file' })
  })
})

describe('models', () => {
  it('of folders that are added are listed; what cannot be drawn with says why', async () => {
    const folder = await lastingFolder()
    await writeFile(join(folder, 'old.ckpt'), 'PK')
    const { service } = await open({ embeddedModel: join(folder, 'none') })
    expect(await service.call('models.list', {})).toEqual({ models: [], nets: [] })
    const { models, cancelled } = await service.call('models.addFolder', { path: folder })
    expect(cancelled).toBe(false)
    expect(models).toMatchObject([
      { name: expect.stringContaining('old') as string, usable: false, embedded: false },
    ])
    expect(models[0]?.problems.length).toBeGreaterThan(0)
    await service.call('models.removeFolder', { path: folder })
    expect((await service.call('models.list', {})).models).toEqual([])
    await expect(service.call('models.addFolder', { path: join(folder, 'x') })).rejects.toMatchObject({
      code: 'bad-argument',
    })
    await expect(service.call('models.addFolder', {})).rejects.toMatchObject({ code: 'unsupported' })
    await expect(service.call('jobs.add', { requests: [{ prompt: 'x', seed: '1' }] })).rejects.toMatchObject({
      code: 'unsupported',
    })
  })

  it('are downloaded into the library, with their progress; only weights that cannot run', async () => {
    const server = createServer((_, response) => response.end(Buffer.alloc(5000, 1)))
    servers.push(server)
    await new Promise<void>(resolve => {
      server.listen(0, '127.0.0.1', resolve)
    })
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const { service, place } = await open({ network: { allowInsecure: true, allowPrivate: true } })
    const states: string[] = []
    const done = new Promise<void>(resolve => {
      service.subscribe(event => {
        if (event.type === 'download') states.push(event.download.state)
        if (event.type === 'models') resolve()
      })
    })
    const started = await service.call('downloads.start', { url: `${origin}/a/tiny.safetensors` })
    expect(started).toMatchObject({ name: 'tiny.safetensors', url: `${origin}/a/tiny.safetensors` })
    await done
    expect(states.at(-1)).toBe('done')
    expect((await stat(join(place.modelsFolder, 'tiny.safetensors'))).size).toBe(5000)
    expect((await service.call('downloads.list', {})).downloads).toMatchObject([
      { received: 5000, state: 'done' },
    ])
    for (const url of [`${origin}/model.ckpt`, `${origin}/`, `${origin}/..%2f..%2fx.sh`])
      await expect(service.call('downloads.start', { url })).rejects.toThrow()
  })
})

describe('questions', () => {
  it('are checked, whoever asks', async () => {
    const { service } = await open()
    const ask = (method: string, params: unknown) =>
      service.call(method as HostMethod, params as HostParams<HostMethod>)
    for (const [method, params] of [
      ['__proto__', {}],
      ['gallery.query', { text: 'x'.repeat(3000) }],
      ['gallery.query', { nope: 1 }],
      ['gallery.favourite', { id: 1.5, on: true }],
      ['gallery.remove', { ids: [] }],
      ['jobs.add', { requests: [{ prompt: 'x', seed: '-1' }] }],
      ['downloads.start', { url: 'not an address' }],
      ['log.write', { level: 'shout', message: 'x' }],
    ] as const)
      await expect(ask(method, params)).rejects.toMatchObject({ code: 'bad-argument' })
    expect(await ask('jobs.list', {})).toEqual({ jobs: [], paused: false })
    expect(await ask('gallery.rescan', {})).toEqual({})
    // A listener that throws keeps nobody else from hearing.
    const heard: string[] = []
    service.subscribe(() => {
      throw new Error('gone')
    })
    service.subscribe(({ type }) => heard.push(type))
    service.emit({ type: 'command', command: 'zoom' })
    expect(heard).toContain('command')
  })
})

describe('a desktop shell', () => {
  it('gets questions and bytes through one object', async () => {
    const root = await lastingFolder()
    const shown: string[] = []
    const host = await openDesktopHost({
      version: '1.0.0',
      folders: {
        data: join(root, 'd'),
        logs: join(root, 'l'),
        pictures: join(root, 'p'),
        assets: join(root, 'a'),
      },
      chooseFolder: () => Promise.resolve(undefined),
      reveal: path => Promise.resolve(void shown.push(path)),
      openFolder: path => Promise.resolve(void shown.push(path)),
      trash: () => Promise.resolve(),
    })
    const ask = (path: string, init?: RequestInit) => host.bytes(new Request(`app://attune/${path}`, init))
    const saved = await ask('host/pictures', {
      method: 'POST',
      headers: { 'x-attune': encodeURIComponent(JSON.stringify(header('1'))) },
      body: pixel,
    })
    const { id } = (await (saved as Response).json()) as { id: number }
    const picture = await ask(`host/pictures/${id}`)
    expect(picture?.headers.get('content-type')).toBe('image/png')
    expect((await sharp(Buffer.from((await picture?.arrayBuffer()) as ArrayBuffer)).metadata()).width).toBe(1)
    expect(await ask('index.html')).toBeUndefined()
    expect((await ask('host/pictures/1', { method: 'DELETE' }))?.status).toBe(405)
    expect((await ask('host/engine/x'))?.status ?? 404).toBe(404)
    expect((await ask('host/recipe', { method: 'POST', body: 'x' }))?.status).toBe(422)
    expect(await host.api.call('models.addFolder', {})).toMatchObject({ cancelled: true })
    await host.api.call('gallery.reveal', { id })
    await host.api.call('shell.openFolder', { which: 'logs' })
    expect(shown).toEqual([expect.stringContaining(join(root, 'p', 'Attune')), join(root, 'l')])
    await host.close()
  })
})

/** Programs that are not run: what they would have been, and how they end. */
const recording = (code: number | undefined) => {
  const ran: string[] = []
  const run = (command: string, args: readonly string[]) => {
    ran.push([command, ...args].join(' '))
    return Promise.resolve(code)
  }
  return { ran, run }
}

describe('the system’s desktop', () => {
  it('takes the system’s bin where there is one', async () => {
    const { ran, run } = recording(0)
    const desktop: Desktop = systemDesktop({ platform: 'linux', run, env: {} })
    expect(await desktop.trash('/tmp/-rf x.png')).toEqual({ kind: 'bin' })
    expect(ran).toEqual(['gio trash -- /tmp/-rf x.png'])
    await desktop.reveal('/tmp/a b/c.png')
    expect(ran.at(-1)).toBe('xdg-open /tmp/a b')
    const none = systemDesktop({ platform: 'linux', run: recording(undefined).run, env: {} })
    await expect(none.reveal('/tmp/x.png')).rejects.toMatchObject({ code: 'unsupported' })
  })

  it('brings files back by the notes of the bin, the newest first', async () => {
    const home = await lastingFolder()
    const bin = join(home, '.local', 'share', 'Trash')
    await mkdir(join(bin, 'files'), { recursive: true })
    await mkdir(join(bin, 'info'), { recursive: true })
    const path = join(home, 'My Pictures', 'a b.png')
    for (const [name, day] of [
      ['a b.png', '01'],
      ['a b.2.png', '02'],
      ['other.png', '03'],
    ] as const) {
      const from = name === 'other.png' ? '/x.png' : path.split('/').map(encodeURIComponent).join('/')
      await writeFile(join(bin, 'files', name), day)
      await writeFile(
        join(bin, 'info', `${name}.trashinfo`),
        `[Trash Info]\nPath=${from}\nDeletionDate=2026-11-${day}T10:00:00\n`,
      )
    }
    await restoreFromTrash(path, { HOME: home })
    expect(await readFile(path, 'utf8')).toBe('02')
    expect(await readdir(join(bin, 'info'))).toEqual(['a b.png.trashinfo', 'other.png.trashinfo'])
    await expect(restoreFromTrash(join(home, 'no.png'), { HOME: home })).rejects.toMatchObject({
      code: 'bad-file',
    })
  })

  it('keeps two files of one name, and restores over nothing', async () => {
    const folder = await lastingFolder()
    const path = join(folder, 'x.png')
    const desktop = systemDesktop({ platform: 'win32', run: recording(undefined).run, env: {} })
    await writeFile(path, '1')
    const first = await desktop.trash(path)
    await writeFile(path, '2')
    await utimes(path, 1, 1)
    const second = await desktop.trash(path)
    await desktop.restore?.(path, first)
    await expect(desktop.restore?.(path, second)).rejects.toMatchObject({ code: 'bad-file' })
    expect(await readFile(path, 'utf8')).toBe('1')
  })
})

describe('names', () => {
  it('of pictures sort by day, and are files on every system', () => {
    const day = new Date(2026, 0, 5)
    expect(pictureName({ prompt: 'Ein rotes Auto, 4k!', seed: '12' }, day)).toBe(
      '2026-01-05-12-ein-rotes-auto-4k.png',
    )
    expect(pictureName({ prompt: '../../etc/passwd\0', seed: '1' }, day)).toBe('2026-01-05-1-etc-passwd.png')
    expect(pictureName({ prompt: '', seed: '1' }, day)).toBe('2026-01-05-1.png')
    expect(pictureName({ prompt: '🚗'.repeat(99), seed: '1' }, day)).toBe('2026-01-05-1.png')
    expect(pictureName({ prompt: 'x'.repeat(500), seed: '1' }, day).length).toBeLessThan(80)
  })

  it('in addresses are decoded once', async () => {
    expect(namesOfPath('a/b%20c/%252e')).toEqual(['a', 'b c', '%2e'])
    expect(namesOfPath('%ff')).toBeUndefined()
    expect(namesOfPath('a/'.repeat(40))).toBeUndefined()
    for (const name of ['', '.', '..', 'a/b', 'a\\b', 'C:', 'x\0', 'x\n', 'x.', 'x ', 'a'.repeat(256)])
      expect([name, isPlainName(name)]).toEqual([name, false])
    for (const name of ['a', '...a', 'ä b.json', '-rf']) expect(isPlainName(name)).toBe(true)
    expect(isInside('/a/b', '/a/b/c')).toBe(true)
    expect(isInside('/a/b', '/a/bc')).toBe(false)
    expect(isInside('/a/b', '/a')).toBe(false)
    expect(isInside('/a/b', '/a/b/..c')).toBe(true)
    expect(await fileInside('/etc', ['passwd'])).toBe('/etc/passwd')
    expect(await fileInside('/etc', [])).toBeUndefined()
  })
})
