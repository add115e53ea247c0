/** Faults of texts, sizes, metadata and doors that no other file covers. Numbers: docs/faults.md. */
import type * as Dns from 'node:dns'
import { connect } from 'node:net'
import { createServer } from 'node:http'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { openIndex } from '../../host/gallery/database.ts'
import { Store } from '../../host/gallery/store.ts'
import { readPictureFacts } from '../../host/gallery/picture-file.ts'
import { HostService } from '../../host/service/service.ts'
import { parsePrompt } from '../../model/prompt/parse.ts'
import { parseRequest, resolveRequest } from '../../model/contract/request.ts'
import { insertPngText } from '../../model/image/png-text.ts'
import { facts, lastingFolder } from '../host/service-support.ts'
import { exchange, header, testServer, tokenOf } from '../host/server-support.ts'

/** Every attempt to reach the network from this process. */
const reached = vi.hoisted(() => ({ hosts: [] as string[] }))
vi.mock('node:dns', async original => {
  const real = await original<typeof Dns>()
  return {
    ...real,
    lookup: (...all: Parameters<typeof real.lookup>) => {
      reached.hosts.push(String(all[0]))
      return real.lookup(...all)
    },
  }
})

const ends: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0)) await end()
})

async function open(): Promise<HostService> {
  const service = await HostService.open(await facts())
  ends.push(() => service.close())
  return service
}

describe('metadata', () => {
  it('fault I8: paths and addresses in it are text: nothing is opened and nobody is asked', async () => {
    const service = await open()
    const png = await sharp({ create: { width: 8, height: 8, channels: 3, background: '#123' } })
      .png()
      .toBuffer()
    // Somebody who would notice.
    const asked: string[] = []
    const server = createServer((request, response) => {
      asked.push(request.url ?? '')
      response.end()
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    ends.push(() => new Promise(resolve => server.close(() => resolve())))
    const trap = `http://127.0.0.1:${(server.address() as AddressInfo).port}/trap`
    const secret = join(await lastingFolder(), 'secret.txt')
    await writeFile(secret, 'the content of a file')
    const graph = {
      3: {
        class_type: 'KSampler',
        inputs: { seed: 5, steps: 4, cfg: 2, sampler_name: 'euler', positive: ['6', 0], model: ['4', 0] },
      },
      4: { class_type: 'CheckpointLoaderSimple', inputs: { ckpt_name: `../../..${secret}` } },
      6: { class_type: 'CLIPTextEncode', inputs: { text: `file://${secret}` } },
    }
    const texts = [
      [
        {
          keyword: 'parameters',
          text: `${trap} file://${secret}\nSteps: 4, Seed: 1, Model: ../../..${secret}, VAE: ${trap}`,
        },
      ],
      [{ keyword: 'prompt', text: JSON.stringify(graph) }],
      [
        {
          keyword: 'invokeai_metadata',
          text: JSON.stringify({ positive_prompt: trap, model: { name: secret } }),
        },
      ],
    ]
    reached.hosts.length = 0
    for (const entries of texts) {
      const answer = await service.readRecipe(insertPngText(new Uint8Array(png), entries))
      expect(JSON.stringify(answer)).toMatch(/secret\.txt|trap/)
      expect(JSON.stringify(answer)).not.toContain('the content of a file')
    }
    await new Promise(resolve => setTimeout(resolve, 100))
    expect(asked).toEqual([])
    expect(reached.hosts).toEqual([])
  })

  it('fault I10: a picture that is there already is not copied and not overwritten', async () => {
    const service = await open()
    const first = await service.savePicture(header, Uint8Array.of(1, 2, 3, 4, 5, 6))
    const path = await service.picturePath(first.id)
    const bytes = await readFile(path)
    const elsewhere = join(await lastingFolder(), 'copy.png')
    await writeFile(elsewhere, bytes)
    expect(await service.openPicture(elsewhere)).toBe(first.id)
    expect(await service.openPicture(path)).toBe(first.id)
    expect((await service.call('gallery.query', {})).total).toBe(1)
    expect(await readFile(path)).toEqual(bytes)
  })
})

describe('prompts and sizes', () => {
  it.each([
    ['lone surrogates', '\ud800 a \udfff (b:1.2\ud83d)'],
    ['NUL', 'a\u0000b (c\u0000:1.1)'],
    ['joiners', '👩‍👩‍👧‍👦 (👨‍🚀:1.3) e\u0301'],
    ['right to left', 'مرحبا (שלום:1.2) \u202Eabc'],
    ['100,000 signs', `${'(red car:1.1), '.repeat(6_600)}x`],
  ])('fault S1, S2: %s', (_, text) => {
    for (const dialect of ['a1111', 'comfy', 'compel', 'plain'] as const) {
      const { parts } = parsePrompt(text, dialect)
      const weights = parts.flatMap(({ texts }) =>
        texts.flatMap(({ pieces }) => pieces.map(piece => ('weight' in piece ? piece.weight : 1))),
      )
      expect(weights.every(Number.isFinite)).toBe(true)
    }
  })

  it('fault S2: weights without a measure are no infinity', () => {
    for (const text of [
      '(a:1e999)',
      '(a:-1e999)',
      '(a:NaN)',
      '((((((a:1e300):1e300):1e300)))',
      '(a:1.2',
      'a:1.2)',
      '(:)',
    ]) {
      for (const dialect of ['a1111', 'comfy', 'compel'] as const) {
        const { parts } = parsePrompt(text, dialect)
        const all = parts.flatMap(({ texts }) => texts.flatMap(({ pieces }) => pieces))
        for (const piece of all)
          if ('weight' in piece) expect(piece.weight, `${dialect} ${text}`).toSatisfy(Number.isFinite)
      }
    }
  })

  it('fault S4: sizes and numbers out of range are refused before anything starts, by field', async () => {
    const defaults = { width: 256, height: 256, steps: 20, guidanceScale: 5, sampler: 'ddim' } as const
    for (const wrong of [
      { width: 8 },
      { width: 17 },
      { height: 16_384 * 4 },
      { steps: 0 },
      { steps: 1e6 },
      { width: Number.NaN },
    ]) {
      const refused = () =>
        resolveRequest(parseRequest({ prompt: 'a', seed: '1', ...wrong }), defaults as never, 16)
      expect(refused, JSON.stringify(wrong)).toThrow(
        expect.objectContaining({ code: 'bad-argument' }) as Error,
      )
    }
    // A batch is a list of requests: so many and no more.
    const service = await open()
    const requests = Array.from({ length: 1001 }, () => ({ prompt: 'a', seed: '1' }))
    await expect(service.call('jobs.add', { requests })).rejects.toMatchObject({ code: 'bad-argument' })
  })
})

describe('the loopback server', () => {
  it('fault H6: a port that another program has is refused by name; the key is sent to nobody', async () => {
    const heard: string[] = []
    const other = createServer((request, response) => {
      heard.push(`${request.method} ${request.url}`)
      response.end()
    })
    await new Promise<void>(resolve => other.listen(0, '127.0.0.1', resolve))
    ends.push(() => new Promise(resolve => other.close(() => resolve())))
    const { port } = other.address() as AddressInfo
    await expect(testServer({ port })).rejects.toMatchObject({
      code: 'bad-argument',
      message: expect.stringContaining(String(port)),
    })
    expect(heard).toEqual([])
  })

  it('fault H7: two windows change different settings: both hold, and each hears of the other', async () => {
    const test = await testServer()
    ends.push(() => test.close())
    const heard: unknown[] = []
    test.service.subscribe(event => heard.push(event))
    const answers = await Promise.all([
      test.call('settings.set', { patch: { theme: 'dark' } }),
      test.call('settings.set', { patch: { language: 'de' } }),
    ])
    expect(answers.map(({ status }) => status)).toEqual([200, 200])
    expect(await test.service.call('settings.get', {})).toMatchObject({ theme: 'dark', language: 'de' })
    expect(heard.at(-1)).toMatchObject({ type: 'settings', settings: { theme: 'dark', language: 'de' } })
  })

  it('fault H9: the key is in no log, no file and no answer, and pages send no referrer', async () => {
    const place = await facts()
    const logFolder = join(place.dataFolder, '..', 'logs')
    const test = await testServer({}, { ...place, logFolder })
    const token = tokenOf(test.server.url)
    await exchange(test.server, token)
    await test.call('log.write', { level: 'error', message: `failed at ${test.server.url}` })
    const answer = await test.get('/')
    expect(answer.headers.get('referrer-policy')).toBe('no-referrer')
    expect(await answer.text()).not.toContain(token)
    await test.close()
    for (const folder of [logFolder, place.dataFolder]) {
      for (const name of await readdir(folder)) {
        const text = await readFile(join(folder, name), 'latin1').catch(() => '')
        expect(text, name).not.toContain(token)
      }
    }
  })

  it('fault H5: a connection that sends nothing keeps nobody else waiting', async () => {
    const test = await testServer({ headersTimeout: 2000 })
    ends.push(() => test.close())
    const silent = Array.from({ length: 60 }, () => connect({ port: test.server.port, host: '127.0.0.1' }))
    for (const socket of silent) socket.on('error', () => undefined).write('GET / HTTP/1.1\r\nHost: ')
    try {
      const answer = await test.call('settings.get')
      expect(answer.status).toBe(200)
    } finally {
      for (const socket of silent) socket.destroy()
    }
  })
})

describe('offline and large', () => {
  it('fault D10: without a network the host starts, with a download from before held', async () => {
    const place = await facts()
    const staging = join(place.modelsFolder, 'a.safetensors.partial')
    const { mkdir } = await import('node:fs/promises')
    await mkdir(staging, { recursive: true })
    const plan = {
      name: 'a.safetensors',
      files: [{ url: 'https://models.invalid/a.safetensors', path: 'a.safetensors' }],
      isSingleFile: true,
    }
    await writeFile(join(staging, 'attune-download.json'), JSON.stringify(plan))
    reached.hosts.length = 0
    const service = await HostService.open(place)
    ends.push(() => service.close())
    expect((await service.call('downloads.list', {})).downloads).toMatchObject([
      { state: 'paused', name: 'a.safetensors' },
    ])
    expect((await service.call('models.list', {})).models).toEqual([])
    expect(reached.hosts).toEqual([])
    // Asked to go on, it says that the name is not known, and nothing else stops.
    const [download] = (await service.call('downloads.list', {})).downloads
    await service.call('settings.set', { patch: { downloads: { parallel: 1, retries: 0 } } })
    await service.call('downloads.retry', { id: download?.id ?? '' })
    await expect
      .poll(async () => (await service.call('downloads.list', {})).downloads[0], { timeout: 60_000 })
      .toMatchObject({ state: 'failed', problem: { code: 'network' } })
  })

  it('fault T10: the first page of 100,000 pictures, and a search among them, within two seconds', async () => {
    const folder = await lastingFolder()
    const service = await open()
    const { id } = await service.savePicture(header, Uint8Array.of(1, 2, 3, 4, 5, 6))
    const one = await readPictureFacts(await service.picturePath(id))
    const { database } = await openIndex(join(folder, 'gallery.sqlite'), () => new Date())
    const store = new Store(database)
    await store.transaction(() => {
      for (let at = 0; at < 100_000; at++) {
        const facts = { ...one, key: `${one.key}${at}`, created: one.created + at }
        store.put(join(folder, `${at}.png`), folder, facts as typeof one, at % 100 === 0)
      }
    })
    const { parseQuery } = await import('../../host/gallery/query.ts')
    for (const query of [
      {},
      { text: 'red car' },
      { favourite: true },
      { sort: 'name' as const, offset: 99_800 },
    ]) {
      const started = performance.now()
      const page = store.page(parseQuery({ ...query, limit: 200 }))
      const milliseconds = performance.now() - started
      expect(page.total).toBe(query.favourite ? 1000 : 100_000)
      expect(page.pictures).toHaveLength(200)
      expect(milliseconds, JSON.stringify(query)).toBeLessThan(2000)
    }
    database.close()
  }, 300_000)
})
