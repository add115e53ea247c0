import { mkdir, open, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Gallery, type GalleryEvent, type GalleryOptions } from '../../host/gallery/gallery.ts'
import { matchOf } from '../../host/gallery/query.ts'
import { makeRecord, writeRecord } from '../../model/contract/record.ts'
import { parseRequest, resolveRequest } from '../../model/contract/request.ts'
import { infotextOf } from '../../model/image/infotext.ts'
import { insertPngText } from '../../model/image/png-text.ts'
import { temporaryFolder } from '../cli/support.ts'

let blank: Uint8Array
const galleries: Gallery[] = []

beforeAll(async () => {
  const raw = { width: 64, height: 48, channels: 3 as const }
  blank = new Uint8Array(
    await sharp(new Uint8Array(64 * 48 * 3).fill(90), { raw })
      .png()
      .toBuffer(),
  )
})

afterEach(async () => {
  for (const gallery of galleries.splice(0)) await gallery.close()
})

/** A picture of ours. */
function picture(prompt: string, settings: { seed?: string; steps?: number; day?: number } = {}): Uint8Array {
  const request = resolveRequest(
    parseRequest({ prompt, seed: settings.seed ?? '1', steps: settings.steps }),
    { width: 64, height: 48, steps: 20, guidanceScale: 4, sampler: 'ddim', precision: 'f32', clipSkip: 1 },
    8,
  )
  const record = makeRecord({
    appVersion: '0.1.0',
    created: new Date(Date.UTC(2026, 0, settings.day ?? 1)),
    request,
    model: { name: 'storybook' },
  })
  return insertPngText(blank, [
    { keyword: 'parameters', text: infotextOf(record) },
    { keyword: 'attune', text: writeRecord(record) },
  ])
}

function foreign(text: string): Uint8Array {
  return insertPngText(blank, [{ keyword: 'parameters', text }])
}

interface Place {
  readonly root: string
  readonly pictures: string
  readonly options: GalleryOptions
  open(more?: Partial<GalleryOptions>): Promise<Gallery & { notices?: string[] }>
}

async function place(): Promise<Place> {
  const root = await temporaryFolder()
  const pictures = join(root, 'pictures')
  await mkdir(pictures)
  const options: GalleryOptions = {
    folders: [pictures],
    dataFolder: join(root, 'data'),
    cacheFolder: join(root, 'cache'),
    now: () => new Date(2026, 10, 25),
    checkEvery: 0,
    patience: 30_000,
  }
  return {
    root,
    pictures,
    options,
    async open(more = {}) {
      const { gallery, notices } = await Gallery.open({ ...options, ...more })
      galleries.push(gallery)
      return Object.assign(gallery, { notices })
    },
  }
}

const names = (page: { pictures: readonly { name: string }[] }) => page.pictures.map(({ name }) => name)

describe('the gallery', () => {
  it('finds pictures by words and by any setting, whoever made them', async () => {
    const { pictures, open: openGallery } = await place()
    await mkdir(join(pictures, 'deep', 'er'), { recursive: true })
    await writeFile(join(pictures, 'a.png'), picture('a red car under a blue sky', { steps: 12, day: 3 }))
    await writeFile(
      join(pictures, 'deep', 'b.png'),
      picture('ein grünes Schloß', { seed: '18446744073709551615', day: 2 }),
    )
    await writeFile(
      join(pictures, 'deep', 'er', 'c.png'),
      foreign(
        'a red castle\nNegative prompt: fog\nSteps: 33, Sampler: Restart, CFG scale: 9, Seed: 5, Size: 64x48, Model: dreamy, Hires upscale: 2, Version: v1.9',
      ),
    )
    await writeFile(join(pictures, 'no.txt'), 'not a picture')
    await writeFile(join(pictures, '.a.png.123.tmp.png'), 'half a picture')
    const gallery = await openGallery()

    const all = await gallery.query({ sort: 'name' })
    expect(names(all)).toEqual(['a.png', 'b.png', 'c.png'])
    expect(all.total).toBe(3)
    expect(all.pictures[0]).toMatchObject({
      width: 64,
      height: 48,
      tool: 'attune',
      prompt: 'a red car under a blue sky',
      created: Date.UTC(2026, 0, 3),
      missing: false,
      favourite: false,
    })
    const found = async (query: Parameters<Gallery['query']>[0]) =>
      names(await gallery.query({ sort: 'name', ...query }))
    expect(await found({ text: 'red' })).toEqual(['a.png', 'c.png'])
    expect(await found({ text: 'red sk' })).toEqual(['a.png'])
    expect(await found({ text: 'sk ' })).toEqual([])
    // Without its accents too.
    expect(await found({ text: 'grunes' })).toEqual(['b.png'])
    expect(await found({ text: 'fog' })).toEqual(['c.png'])
    expect(await found({ text: 'dreamy' })).toEqual(['c.png'])
    expect(await found({ text: '"red" OR NOT (' })).toEqual([])
    expect(await found({ settings: [{ key: 'steps', atLeast: 20 }] })).toEqual(['b.png', 'c.png'])
    expect(await found({ settings: [{ key: 'steps', atLeast: 13, atMost: 20 }] })).toEqual(['b.png'])
    expect(await found({ settings: [{ key: 'seed', is: ['18446744073709551615'] }] })).toEqual(['b.png'])
    expect(await found({ settings: [{ key: 'sampler', is: ['restart', 'DDIM'] }] })).toEqual([
      'a.png',
      'b.png',
      'c.png',
    ])
    expect(await found({ settings: [{ key: 'Hires upscale', is: ['2'] }] })).toEqual(['c.png'])
    expect(await found({ tools: ['a1111'] })).toEqual(['c.png'])
    expect(await found({ from: Date.UTC(2026, 0, 3), to: Date.UTC(2026, 0, 3) })).toEqual(['a.png'])
    expect(names(await gallery.query({ sort: 'newest', tools: ['attune'] }))).toEqual(['a.png', 'b.png'])
    expect(names(await gallery.query({ sort: 'name', offset: 1, limit: 1 }))).toEqual(['b.png'])

    expect(await gallery.facet('sampler')).toEqual([
      { value: 'ddim', count: 2 },
      { value: 'Restart', count: 1 },
    ])
    expect((await gallery.settingKeys()).map(({ value }) => value)).toContain('Hires upscale')
    const third = all.pictures[2]
    const whole = await gallery.get(third?.id ?? 0)
    expect(whole?.recipe).toMatchObject({ samplerName: 'Restart', unknown: { 'Hires upscale': '2' } })
    await expect(gallery.query({ limit: 0 })).rejects.toMatchObject({ code: 'bad-argument' })
  })

  it('T5: notices files that are added, changed, removed and put back outside', async () => {
    const { pictures, open: openGallery } = await place()
    const first = join(pictures, 'first.png')
    await writeFile(first, picture('one'))
    const gallery = await openGallery()
    expect((await gallery.query()).total).toBe(1)
    await writeFile(join(pictures, 'second.png'), picture('two', { day: 5 }))
    expect(names(await gallery.query())).toEqual(['second.png', 'first.png'])
    // Written into, which the folder's time does not show.
    const id = (await gallery.query({ text: 'one' })).pictures[0]?.id
    const file = await open(first, 'r+')
    await file.truncate(0)
    await file.writeFile(picture('three'))
    await file.close()
    const changed = await gallery.query({ text: 'one' })
    expect(changed.pictures.map(({ prompt }) => prompt)).toEqual([])
    expect((await gallery.query({ text: 'three' })).pictures[0]?.id).toBe(id)

    await rename(first, join(pictures, '..', 'away.png'))
    const gone = (await gallery.query({ text: 'three' })).pictures[0]
    expect(gone).toMatchObject({ missing: true, prompt: 'three' })
    expect((await gallery.query({ missing: false })).total).toBe(1)
    await rename(join(pictures, '..', 'away.png'), first)
    expect((await gallery.query({ text: 'three' })).pictures[0]?.missing).toBe(false)
  })

  it('T5: a drive that is not there makes its pictures missing, not forgotten', async () => {
    const { pictures, open: openGallery } = await place()
    await writeFile(join(pictures, 'a.png'), picture('one'))
    const gallery = await openGallery()
    await gallery.scan()
    await rename(pictures, `${pictures}-away`)
    const notices: string[] = []
    gallery.subscribe(event => event.type === 'notice' && notices.push(event.text))
    expect((await gallery.query()).pictures[0]).toMatchObject({ missing: true })
    expect(notices.join()).toContain('cannot be read')
    await rename(`${pictures}-away`, pictures)
    expect((await gallery.query()).pictures[0]).toMatchObject({ missing: false })
  })

  it('reads again only what has changed', async () => {
    const { pictures, open: openGallery } = await place()
    for (let i = 0; i < 30; i++) await writeFile(join(pictures, `${i}.png`), picture(`picture ${i}`))
    const gallery = await openGallery()
    expect(await gallery.scan()).toMatchObject({ added: 30, changed: 0 })
    expect(await gallery.scan()).toMatchObject({ added: 0, changed: 0, missing: 0 })
    await utimes(join(pictures, '7.png'), new Date(), new Date(2020, 1))
    expect(await gallery.scan()).toMatchObject({ added: 0, changed: 1 })
    await gallery.close()
    expect(await (await openGallery()).scan()).toMatchObject({ added: 0, changed: 0 })
  })

  it.each([
    ['deleted', async (path: string) => rm(path)],
    ['not a database', async (path: string) => writeFile(path, 'nonsense'.repeat(1000))],
    ['empty', async (path: string) => writeFile(path, '')],
    ['cut off', async (path: string) => (await readFile(path)).length > 8192 && truncateTo(path, 8192)],
    ['of a newer version', async (path: string) => patch(path, 60, Uint8Array.of(0, 0, 0, 99))],
  ])('T4: an index that is %s is built anew, and favourites stay', async (what, damage) => {
    const { pictures, options, open: openGallery } = await place()
    for (let i = 0; i < 20; i++)
      await writeFile(join(pictures, `${i}.png`), picture(`picture ${i}`, { seed: `${i}` }))
    const first = await openGallery()
    const target = (await first.query({ text: 'picture 7' })).pictures[0]
    await first.setFavourite(target?.id ?? 0, true)
    await first.close()
    const index = join(options.dataFolder, 'gallery.sqlite')
    await damage(index)

    const gallery = await openGallery()
    const page = await gallery.query({ favourite: true })
    expect(names(page)).toEqual(['7.png'])
    expect((await gallery.query()).total).toBe(20)
    const aside = (await readdir(options.dataFolder)).filter(name => name.includes('.broken-'))
    expect(aside.length).toBe(what === 'deleted' || what === 'empty' ? 0 : 1)
  })

  it('T4: damage that shows only while it is used is met by building anew', async () => {
    const { pictures, options, open: openGallery } = await place()
    for (let i = 0; i < 300; i++)
      await writeFile(
        join(pictures, `${i}.png`),
        picture(`picture number ${i} of a long series`, { seed: `${i}` }),
      )
    const first = await openGallery()
    await first.scan()
    await first.close()
    const index = join(options.dataFolder, 'gallery.sqlite')
    const whole = await readFile(index)
    // Pages of tables and of the full text turn to noise; the header and the schema stay.
    for (let at = 4096 * 12; at < whole.length; at++) whole[at] = (at * 131) & 255
    await writeFile(index, whole)
    const gallery = await openGallery()
    const notices: string[] = []
    gallery.subscribe((event: GalleryEvent) => event.type === 'notice' && notices.push(event.text))
    const page = await gallery.query({ text: 'series', limit: 10 })
    expect(page.total).toBe(300)
    expect([...notices, ...(gallery.notices ?? [])].join()).toContain('nothing is lost')
  })

  it('I1: damaged pictures are listed as unreadable, and the rest is fine', async () => {
    const { pictures, open: openGallery } = await place()
    const good = picture('good')
    await writeFile(join(pictures, 'good.png'), good)
    await writeFile(join(pictures, 'empty.png'), '')
    await writeFile(join(pictures, 'html.png'), '<html><img onerror=alert(1)></html>')
    await writeFile(join(pictures, 'cut.png'), good.subarray(0, good.length - 30))
    await writeFile(join(pictures, 'head.png'), good.subarray(0, 20))
    const huge = Uint8Array.from(good)
    new DataView(huge.buffer).setUint32(16, 100_000)
    new DataView(huge.buffer).setUint32(20, 100_000)
    await writeFile(join(pictures, 'huge.png'), huge)
    const gallery = await openGallery()
    const page = await gallery.query({ sort: 'name' })
    expect(names(page)).toEqual(['cut.png', 'empty.png', 'good.png', 'head.png', 'html.png', 'huge.png'])
    const [cut, empty, fine, head, html, large] = page.pictures
    expect(cut?.prompt).toBe('good')
    for (const broken of [empty, head, html]) {
      expect(broken).toMatchObject({ width: 0, problem: 'This is not a PNG picture.' })
      await expect(gallery.thumbnail(broken?.id ?? 0)).rejects.toMatchObject({ code: 'bad-file' })
    }
    // I2: refused by its header.
    await expect(gallery.thumbnail(large?.id ?? 0)).rejects.toMatchObject({ code: 'bad-file' })
    expect(await gallery.thumbnail(fine?.id ?? 0)).toContain('.webp')
  })

  it('T6: makes thumbnails of 320 pixels, keeps them, and makes damaged ones again', async () => {
    const { pictures, open: openGallery } = await place()
    const raw = { width: 1000, height: 500, channels: 3 as const }
    const large = await sharp(new Uint8Array(1000 * 500 * 3).fill(50), { raw })
      .png()
      .toBuffer()
    await writeFile(join(pictures, 'large.png'), large)
    const gallery = await openGallery()
    const id = (await gallery.query()).pictures[0]?.id ?? 0
    const [path, same] = await Promise.all([gallery.thumbnail(id), gallery.thumbnail(id)])
    expect(same).toBe(path)
    expect(await sharp(path).metadata()).toMatchObject({ format: 'webp', width: 320, height: 160 })
    const whole = await readFile(path)
    await writeFile(path, whole.subarray(0, whole.length - 10))
    await gallery.thumbnail(id)
    expect(await readFile(path)).toEqual(whole)
    // Renamed, it keeps its thumbnail.
    await rename(join(pictures, 'large.png'), join(pictures, 'renamed.png'))
    const renamed = (await gallery.query({ missing: false })).pictures[0]
    expect(await gallery.thumbnail(renamed?.id ?? 0)).toBe(path)
  })

  it('favourites survive renaming, and a damaged list is kept aside', async () => {
    const { pictures, options, open: openGallery } = await place()
    await writeFile(join(pictures, 'a.png'), picture('one'))
    const gallery = await openGallery()
    await gallery.setFavourite((await gallery.query()).pictures[0]?.id ?? 0, true)
    await rename(join(pictures, 'a.png'), join(pictures, 'b.png'))
    expect((await gallery.query({ missing: false })).pictures[0]).toMatchObject({
      name: 'b.png',
      favourite: true,
    })
    expect(await gallery.findSame(join(pictures, 'b.png'))).toHaveLength(2)
    await gallery.close()
    await writeFile(join(options.dataFolder, 'favourites.json'), '{"version":1,"favour')
    const second = await openGallery()
    expect(second.notices?.join()).toContain('favourites was damaged')
    expect((await readdir(options.dataFolder)).some(name => name.startsWith('favourites.json.broken-'))).toBe(
      true,
    )
  })

  it('T7: deletes to the bin and brings back; a crash between leaves nothing half', async () => {
    const { root, pictures, open: openGallery } = await place()
    const bin = join(root, 'bin')
    await mkdir(bin)
    const hooks = {
      trash: async (path: string) => {
        const to = join(bin, String(Math.random()))
        await rename(path, to)
        return to
      },
      restore: async (path: string, receipt: unknown) => rename(String(receipt), path),
    }
    for (const name of ['a', 'b', 'c']) await writeFile(join(pictures, `${name}.png`), picture(name))
    const gallery = await openGallery(hooks)
    const [a, b] = (await gallery.query({ sort: 'name' })).pictures
    await gallery.remove([a?.id ?? 0, b?.id ?? 0])
    expect(names(await gallery.query())).toEqual(['c.png'])
    expect(gallery.canUndo).toBe(true)
    await gallery.undoRemove()
    expect(names(await gallery.query({ sort: 'name' }))).toEqual(['a.png', 'b.png', 'c.png'])
    expect(gallery.canUndo).toBe(false)

    // The bin refuses: nothing has changed, and the message says what to do.
    const strict = await openGallery({ trash: () => Promise.reject(new Error('EBUSY')) })
    const c = (await strict.query({ text: 'c' })).pictures[0]
    await expect(strict.remove([c?.id ?? 0])).rejects.toThrow('could not be moved to the bin')
    expect((await strict.query({ text: 'c' })).pictures[0]?.missing).toBe(false)
    await strict.close()

    // A crash after the file went, before its row did.
    const crashing = await openGallery({
      trash: async path => {
        await rm(path)
        throw Object.assign(new Error('crash'), { crash: true })
      },
    })
    const row = (await crashing.query({ text: 'c' })).pictures[0]
    await crashing.remove([row?.id ?? 0]).catch(() => undefined)
    expect((await crashing.query({ text: 'c' })).pictures[0]).toMatchObject({ missing: true })
    const plain = await openGallery()
    await expect(plain.remove([1])).rejects.toMatchObject({ code: 'unsupported' })
  })

  it('a new picture is listed without a scan; folders that are left out go from the list only', async () => {
    const { root, pictures, open: openGallery } = await place()
    const gallery = await openGallery()
    await gallery.scan()
    await writeFile(join(pictures, 'new.png'), picture('fresh'))
    expect(await gallery.add(join(pictures, 'new.png'))).toMatchObject({ prompt: 'fresh' })
    expect(await gallery.add(join(root, 'elsewhere.png'))).toBeUndefined()
    const other = join(root, 'other')
    await mkdir(other)
    await gallery.setFolders([other])
    expect((await gallery.query()).total).toBe(0)
    expect(await readdir(pictures)).toEqual(['new.png'])
    await gallery.setFolders([pictures, other])
    expect((await gallery.query()).total).toBe(1)
  })

  it('gives the whole recipe while the file is there, and the index stays small', async () => {
    const { pictures, options, open: openGallery } = await place()
    const graph = JSON.stringify({ nodes: 'x'.repeat(200_000) })
    const text = 'a\nSteps: 1, Sampler: Euler, Seed: 1, Size: 8x8, CFG scale: 1'
    const texts = [
      { keyword: 'parameters', text },
      { keyword: 'workflow', text: graph },
    ]
    for (let i = 0; i < 5; i++) await writeFile(join(pictures, `${i}.png`), insertPngText(blank, texts))
    const gallery = await openGallery()
    const id = (await gallery.query({ sort: 'name' })).pictures[0]?.id ?? 0
    expect((await gallery.get(id))?.recipe?.unknown).toEqual({ workflow: graph })
    await rm(join(pictures, '0.png'))
    expect((await gallery.get(id))?.recipe).toMatchObject({ prompt: 'a', steps: 1, unknown: {} })
    await gallery.close()
    expect((await stat(join(options.dataFolder, 'gallery.sqlite'))).size).toBeLessThan(300_000)
  })

  it('questions asked while the index is built anew are answered', async () => {
    const { pictures, options, open: openGallery } = await place()
    for (let i = 0; i < 60; i++) await writeFile(join(pictures, `${i}.png`), picture(`picture ${i}`))
    const first = await openGallery()
    await first.scan()
    await first.close()
    const index = join(options.dataFolder, 'gallery.sqlite')
    const whole = await readFile(index)
    for (let at = 4096 * 12; at < whole.length; at++) whole[at] = (at * 131) & 255
    await writeFile(index, whole)
    const gallery = await openGallery()
    const pages = await Promise.all([
      gallery.query({ text: 'picture' }),
      gallery.query(),
      gallery.facet('steps'),
      gallery.query({ sort: 'name' }),
    ])
    expect(pages[0].total).toBe(60)
    expect((await gallery.query()).total).toBe(60)
  })

  it('answers with what it knows while a large folder is read', async () => {
    const { pictures, open: openGallery } = await place()
    for (let i = 0; i < 200; i++) await writeFile(join(pictures, `${i}.png`), picture(`${i}`))
    const gallery = await openGallery({ patience: 0 })
    const early = await gallery.query()
    expect(early.indexing).toBe(true)
    const result = await gallery.scan()
    expect(result.added).toBe(200)
    expect((await gallery.query()).total).toBe(200)
  })

  it('quotes every word that it hands to the full text', () => {
    expect(matchOf('a "b" OR c*')).toBe('"a" AND "b" AND "OR" AND "c"')
    expect(matchOf('NEAR(x y)')).toBe('"NEAR" AND "x" AND "y"')
    expect(matchOf('猫 と')).toBe('"猫" AND "と"*')
    expect(matchOf(' -- ')).toBeUndefined()
  })
})

async function truncateTo(path: string, length: number): Promise<void> {
  const file = await open(path, 'r+')
  await file.truncate(length)
  await file.close()
}

async function patch(path: string, at: number, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'r+')
  await file.write(bytes, 0, bytes.length, at)
  await file.close()
}
