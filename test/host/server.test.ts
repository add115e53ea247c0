/** What the loopback server answers to its own window: real HTTP, files, index and engine. */
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { type IncomingMessage, request as httpRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { pagePolicy } from '../../host/server/headers.ts'
import { parseRange } from '../../host/service/byte-reply.ts'
import { encodeFrame } from '../../model/contract/frames.ts'
import { frameType, hostPaths } from '../../model/contract/host-api.ts'
import { writeTinyModel } from '../support/tiny-models.ts'
import { encoded, header, plain, request, type TestServer, testServer } from './server-support.ts'

let root: string
let story: string
let test: TestServer

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'attune-server-'))
  story = writeTinyModel('story', join(root, 'models', 'story'))
  await writeFile(join(root, 'secret.json'), '{"secret":1}')
  await writeFile(join(root, 'models', 'secret.json'), '{"secret":2}')
  await writeFile(join(story, 'notes.html'), '<script>alert(1)</script>')
  await writeFile(join(story, 'unet', 'empty.txt'), '')
  await symlink(join(root, 'secret.json'), join(story, 'unet', 'link.json'))
  await symlink(root, join(story, 'up'))
  await symlink('config.json', join(story, 'unet', 'inside.json'))
  test = await testServer({}, { modelsFolder: join(root, 'models') })
})
afterAll(async () => {
  await test.close()
  await rm(root, { recursive: true })
})

describe('the window', () => {
  it('comes with a policy that says what it should, directive by directive', async () => {
    const answer = await test.get('/')
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8')
    const policy = new Map(
      (answer.headers.get('content-security-policy') ?? '').split(';').map(directive => {
        const [name = '', ...sources] = directive.trim().split(/\s+/)
        return [name, sources] as const
      }),
    )
    // Directives of CSP level 3: a name that is misspelt would be ignored by browsers.
    const known =
      /^(default|script|worker|style|img|font|connect|manifest|object)-src$|^(base-uri|form-action|frame-ancestors)$/
    for (const name of policy.keys()) expect(name).toMatch(known)
    expect(Object.fromEntries(policy)).toEqual(pagePolicy)
    expect(policy.get('default-src')).toEqual(["'none'"])
    expect(policy.get('script-src')).toEqual(["'self'", "'wasm-unsafe-eval'"])
    expect(policy.get('worker-src')).toEqual(["'self'"])
    expect(policy.get('connect-src')).toEqual(["'self'"])
    for (const name of ['object-src', 'base-uri', 'form-action', 'frame-ancestors'])
      expect(policy.get(name)).toEqual(["'none'"])
    for (const header of ['cross-origin-opener-policy', 'cross-origin-resource-policy'])
      expect(answer.headers.get(header)).toBe('same-origin')
    expect(answer.headers.get('cross-origin-embedder-policy')).toBe('require-corp')
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
    expect(answer.headers.get('referrer-policy')).toBe('no-referrer')
    // The gate's page has the same.
    const gate = await fetch(`${test.server.origin}/`)
    expect(gate.headers.get('content-security-policy')).toBe(answer.headers.get('content-security-policy'))
  })

  it('fault H4: is its built files and nothing around them', async () => {
    const script = await test.get('/assets/main-abc.js')
    expect(script.headers.get('content-type')).toBe('text/javascript; charset=utf-8')
    expect(script.headers.get('cache-control')).toContain('immutable')
    const etag = (await test.get('/')).headers.get('etag') ?? ''
    expect((await test.get('/', { 'if-none-match': `W/"x", ${etag}` })).status).toBe(304)
    for (const path of [
      '/.secret.txt',
      '/%2esecret.txt',
      '/../service/package.json',
      '/..%2f..%2f..%2fetc%2fpasswd.txt',
      '/assets/..%2f..%2fdata%2fsettings.json',
      '/assets%2fmain-abc.js',
      '/assets/..\\..\\x.js',
      '/assets/%00main-abc.js',
      '/assets/main-abc.js%00',
      '/assets/',
      '/assets',
      '/%ff.js',
    ])
      expect([path, (await plain(test.server.port, path, { cookie: test.cookie })).status]).toEqual([
        path,
        404,
      ])
  })
})

const ask = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
  plain(test.server.port, `/${hostPaths.model(story)}${path}`, { cookie: test.cookie, ...headers }, method)

describe('files of models', () => {
  it('come by range, as RFC 9110 has it', async () => {
    const path = 'unet/diffusion_pytorch_model.safetensors'
    const { size } = await stat(join(story, path))
    const whole = await ask(path)
    expect([whole.status, whole.body.length, whole.headers['accept-ranges']]).toEqual([200, size, 'bytes'])
    expect(whole.headers['content-type']).toBe('application/octet-stream')
    expect(whole.headers['content-security-policy']).toContain('sandbox')
    const part = async (range: string, more = {}) => ask(path, { range, ...more })
    const first = await part('bytes=0-0')
    expect([first.status, first.body.length, first.headers['content-range']]).toEqual([
      206,
      1,
      `bytes 0-0/${size}`,
    ])
    const middle = await part('bytes=8-107')
    expect(middle.body).toEqual(whole.body.subarray(8, 108))
    expect((await part(`bytes=${size - 5}-`)).body).toEqual(whole.body.subarray(size - 5))
    expect((await part('bytes=-7')).body).toEqual(whole.body.subarray(size - 7))
    expect((await part(`bytes=-${size + 99}`)).headers['content-range']).toBe(`bytes 0-${size - 1}/${size}`)
    expect((await part(`bytes=5-${size + 99}`)).headers['content-range']).toBe(`bytes 5-${size - 1}/${size}`)
    for (const range of [
      `bytes=${size}-`,
      'bytes=-0',
      `bytes=${size + 1}-${size + 2}`,
      'bytes=999999999999999-',
    ]) {
      const beyond = await part(range)
      expect([beyond.status, beyond.headers['content-range']]).toEqual([416, `bytes */${size}`])
    }
    // What is not understood is not there.
    for (const range of [
      'bytes=5-4',
      'bytes=a-b',
      'bytes=-',
      'bytes=0-1,3-4',
      'items=0-1',
      'bytes=0x1-2',
      'bytes=1e3-',
    ])
      expect([range, (await part(range)).status]).toEqual([range, 200])
    const { etag } = whole.headers
    expect((await part('bytes=0-3', { 'if-range': String(etag) })).status).toBe(206)
    expect((await part('bytes=0-3', { 'if-range': '"other"' })).status).toBe(200)
    const head = await ask(path, {}, 'HEAD')
    expect([head.status, head.body.length, head.headers['content-length']]).toEqual([200, 0, String(size)])
    expect((await ask('unet/empty.txt')).status).toBe(200)
    expect((await ask('unet/empty.txt', { range: 'bytes=0-0' })).status).toBe(416)
    expect(parseRange('bytes=1234567890123456-', 5)).toBeUndefined()
  })

  it('fault H4: are those of the library: no path, code, link or name leads elsewhere', async () => {
    expect((await ask('unet/inside.json')).status).toBe(200)
    const id = encodeURIComponent(story)
    for (const path of [
      '../secret.json',
      '..%2fsecret.json',
      '%2e%2e/secret.json',
      '%2e%2e%2fsecret.json',
      '%252e%252e%252fsecret.json',
      '..%5csecret.json',
      '..\\secret.json',
      'unet/../../secret.json',
      'unet%2fconfig.json',
      'unet//config.json',
      './unet/config.json',
      'unet/config.json%00',
      'unet/%00/config.json',
      'unet/config.json%00.txt',
      'unet/link.json',
      'up/secret.json',
      'unet/config.json/',
      'unet',
      '',
      'notes.html',
      'C:%5cWindows%5cwin.json',
      'unet/config.json.',
      'unet/config.json::$DATA',
      'unet/%ff.json',
      'con.json/x.json',
    ])
      expect([path, (await ask(path)).status]).toEqual([path, 404])
    for (const path of [
      `/host/models/${encodeURIComponent(root)}/secret.json`,
      `/host/models/${encodeURIComponent(join(root, 'models'))}/secret.json`,
      '/host/models/..%2f..%2fetc/x.json',
      '/host/models//etc/x.json',
      `/host/models/${id}`,
      '/host/models',
      '/host/models/storybook/model_index.json',
      `/host/models/${id}${'/a'.repeat(40)}.json`,
    ])
      expect([path, (await plain(test.server.port, path, { cookie: test.cookie })).status]).toEqual([
        path,
        404,
      ])
  })

  it('of Hugging Face’s cache are found through its links', async () => {
    const cache = join(root, 'hub', 'models--a--b')
    await mkdir(join(cache, 'blobs'), { recursive: true })
    const model = writeTinyModel('story', join(cache, 'snapshots', 'abc'))
    await writeFile(join(cache, 'blobs', 'digest'), '{"blob":true}')
    await symlink('../../blobs/digest', join(model, 'blob.json'))
    await symlink('../../../../secret.json', join(model, 'evil.json'))
    expect((await test.call('models.addFolder', { path: model })).status).toBe(200)
    const at = `/${hostPaths.model(model)}`
    expect(await (await test.get(`${at}blob.json`)).json()).toEqual({ blob: true })
    expect((await test.get(`${at}evil.json`)).status).toBe(404)
  })
})

describe('questions', () => {
  it('are answered as JSON, with errors that say what to do', async () => {
    const info = (await (await test.call('app.info')).json()) as { result: Record<string, unknown> }
    expect(info.result).toMatchObject({ version: '9.9.9', shell: 'browser', platform: process.platform })
    // On a busy machine the answer does not wait for the engine's thread; a later one has it.
    let seat = info.result['hostSeat']
    while (!seat) seat = (await test.service.call('app.info', {})).hostSeat
    expect(seat).toMatchObject({ backend: expect.any(String) as string })
    const wrong = await test.call('gallery.favourite', { id: 5, on: true })
    expect(wrong.status).toBe(422)
    expect(await wrong.json()).toMatchObject({
      error: { code: 'bad-argument', remedy: 'Reload the gallery.' },
    })
    for (const [method, params] of [
      ['no.such', {}],
      ['constructor', {}],
      ['gallery.remove', { ids: ['../x'] }],
      ['gallery.query', { limit: 1e9 }],
      ['settings.set', { patch: { nope: 1 } }],
      ['shell.openFolder', { which: '/etc' }],
    ] as const) {
      expect((await (await test.call(method, params)).json()) as object).toMatchObject({
        error: { code: 'bad-argument' },
      })
    }
    const broken = await test.post('/host/call', '{', { 'content-type': 'application/json' })
    expect([broken.status, ((await broken.json()) as { error: object }).error]).toMatchObject([
      400,
      { code: 'bad-argument' },
    ])
    expect((await test.post('/host/call', 'null', { 'content-type': 'application/json' })).status).toBe(400)
  })

  it('have events besides', async () => {
    const controller = new AbortController()
    const stream = await fetch(`${test.server.origin}/host/events`, {
      headers: { cookie: test.cookie },
      signal: controller.signal,
    })
    expect(stream.headers.get('content-type')).toContain('text/event-stream')
    const reader = (stream.body as ReadableStream<Uint8Array>).getReader()
    let text = ''
    await test.call('settings.set', { patch: { theme: 'dark' } })
    while (!text.includes('"theme":"dark"')) text += Buffer.from((await reader.read()).value ?? []).toString()
    expect(text).toMatch(/data: \{"type":"settings"/)
    controller.abort()
  })
})

describe('pictures', () => {
  it('are kept with their record, shown, and read back', async () => {
    const pixels = Uint8Array.of(255, 0, 0, 0, 0, 255)
    const saved = await test.post(`/${hostPaths.savePicture}`, pixels, { 'x-attune': encoded(header) })
    expect(saved.status).toBe(200)
    const { id, name } = (await saved.json()) as { id: number; name: string }
    expect(name).toMatch(/^\d{4}-\d\d-\d\d-77-a-red-car\.png$/)
    const picture = await test.get(`/${hostPaths.picture(id)}`)
    expect(picture.headers.get('content-type')).toBe('image/png')
    const png = new Uint8Array(await picture.arrayBuffer())
    const { data } = await sharp(png).raw().toBuffer({ resolveWithObject: true })
    expect(new Uint8Array(data)).toEqual(pixels)
    const found = (await (await test.call('gallery.get', { id })).json()) as {
      result: { picture: { key: string }; record: object; infotext: string }
    }
    expect(found.result).toMatchObject({ record: { format: 'attune', request, app: { version: '9.9.9' } } })
    expect(found.result.infotext).toContain('a red car\nSteps: 4')
    const { key } = found.result.picture
    const thumbnail = await test.get(`/${hostPaths.thumbnail(id, key)}`)
    expect([thumbnail.headers.get('content-type'), thumbnail.headers.get('cache-control')]).toEqual([
      'image/webp',
      'private, max-age=31536000, immutable',
    ])
    expect((await test.get(`/host/thumbnails/${id}?key=old`)).headers.get('cache-control')).toContain(
      'no-cache',
    )
    const recipe = await test.post(`/${hostPaths.readRecipe}`, png, { 'content-type': 'image/png' })
    expect(await recipe.json()).toMatchObject({
      recipe: { tool: 'attune', toolName: 'Attune', seed: '77', prompt: 'a red car' },
      record: { request },
    })
    expect((await test.post(`/${hostPaths.readRecipe}`, 'no picture')).status).toBe(422)
  })

  it('with long records come as one frame', async () => {
    const long = { ...header, request: { ...request, prompt: 'ö'.repeat(100_000), seed: '78' } }
    const frame = encodeFrame({ header: long, data: new Uint8Array(6) })
    const saved = await test.post(`/${hostPaths.savePicture}`, frame, { 'content-type': frameType })
    expect(saved.status).toBe(200)
    for (const bad of [encodeFrame({ header: long }), new Uint8Array(20), encodeFrame(null)])
      expect(
        (await test.post(`/${hostPaths.savePicture}`, bad, { 'content-type': frameType })).status,
      ).toBeGreaterThanOrEqual(400)
  })

  it('that do not fit their header are refused', async () => {
    for (const [bad, body] of [
      ['{', 6],
      [encoded({ ...header, width: 3 }), 6],
      [encoded({ ...header, width: 0 }), 0],
      [encoded({ ...header, width: 16_384, height: 16_384 }), 6],
      [encoded({ ...header, request: { prompt: 'x' } }), 6],
      [encoded({ ...header, extra: 1 }), 6],
    ] as const) {
      const answer = await test.post(`/${hostPaths.savePicture}`, new Uint8Array(body), { 'x-attune': bad })
      expect([bad, answer.status]).toEqual([bad, 422])
    }
  })

  it('are pictures: a link to another file is not given out', async () => {
    await writeFile(join(test.place.picturesFolder, 'x.txt'), 'secret')
    await symlink(join(root, 'secret.json'), join(test.place.picturesFolder, 'evil.png'))
    await test.service.call('gallery.query', {})
    await new Promise(resolve => setTimeout(resolve, 300))
    const { pictures } = await test.service.call('gallery.query', { text: 'evil' })
    expect(pictures).toMatchObject([{ name: 'evil.png', width: 0 }])
    for (const { id } of pictures) expect((await test.get(`/${hostPaths.picture(id)}`)).status).toBe(404)
    for (const id of ['0', '-1', '1e1', '01', '99999', '1/x', '%31%00'])
      expect([id, (await test.get(`/host/pictures/${id}`)).status]).toEqual([id, 404])
  })
})

describe('the end', () => {
  it('ends open answers and lets the port go', async () => {
    const other = await testServer()
    const events = httpRequest(`${other.server.origin}/host/events`, { headers: { cookie: other.cookie } })
    events.end()
    const [response] = (await once(events, 'response')) as [IncomingMessage]
    response.resume()
    const began = performance.now()
    await Promise.all([other.close(), once(response, 'close')])
    expect(performance.now() - began).toBeLessThan(10_000)
    await expect(fetch(other.server.origin)).rejects.toThrow()
  })
})
