/** Who may ask the loopback server: each rule with the request that it is there for. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { networkInterfaces } from 'node:os'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Sessions } from '../../host/server/session.ts'
import { exchange, plain, raw, sessionOf, type TestServer, testServer, tokenOf } from './server-support.ts'

let test: TestServer
let port: number

beforeAll(async () => {
  test = await testServer({ headersTimeout: 600, requestTimeout: 1_200 })
  port = test.server.port
})
afterAll(() => test.close())

describe('fault H1: the address', () => {
  it('is of this machine only', async () => {
    const others = Object.values(networkInterfaces())
      .flatMap(list => list ?? [])
      .filter(({ internal, family }) => !internal && family === 'IPv4')
    for (const { address } of others) {
      const socket = connect({ port, host: address, timeout: 500 })
      const outcome = await Promise.race([
        once(socket, 'connect').then(() => 'open'),
        once(socket, 'timeout').then(() => 'closed'),
      ]).catch(() => 'closed')
      socket.destroy()
      expect(outcome).toBe('closed')
    }
    expect(test.server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/#token=[\w-]{43}$/)
  })

  it('fault H6: is refused where the port is taken', async () => {
    const { startServer } = await import('../../host/server/server.ts')
    await expect(startServer(test.service, { port, renderer: test.renderer })).rejects.toMatchObject({
      code: 'bad-argument',
      message: /EADDRINUSE/,
    })
  })

  it.each([
    ['evil.example', 403],
    ['evil.example:PORT', 403],
    ['127.0.0.1', 403],
    ['127.0.0.1:1', 403],
    ['localhost.:PORT', 403],
    ['LOCALHOST:PORT', 403],
    ['127.1:PORT', 403],
    ['0x7f.1:PORT', 403],
    ['2130706433:PORT', 403],
    ['0.0.0.0:PORT', 403],
    ['127.0.0.1.nip.io:PORT', 403],
    ['localhost:PORT@evil.example', 403],
    ['[::ffff:127.0.0.1]:PORT', 403],
    ['', 403],
    ['127.0.0.1:PORT', 200],
    ['localhost:PORT', 200],
    ['[::1]:PORT', 200],
  ])('Host "%s" is answered with %d', async (host, status) => {
    const name = host.replace('PORT', String(port))
    const { status: found } = await raw(port, `GET / HTTP/1.1\r\nHost: ${name}\r\n\r\n`)
    expect(found).toBe(status)
  })

  it('must be named once, and be a path', async () => {
    const own = `Host: 127.0.0.1:${port}\r\n`
    expect((await raw(port, 'GET / HTTP/1.1\r\n\r\n')).status).toBe(400)
    expect((await raw(port, 'GET / HTTP/1.0\r\n\r\n')).status).toBe(403)
    expect(
      (await raw(port, `GET / HTTP/1.1\r\n${own}Host: evil.example\r\n\r\n`)).status,
    ).toBeGreaterThanOrEqual(400)
    expect((await raw(port, `GET http://evil.example/ HTTP/1.1\r\n${own}\r\n`)).status).toBe(400)
    expect((await raw(port, `GET //evil.example/ HTTP/1.1\r\n${own}\r\n`)).status).toBe(400)
    expect((await raw(port, `OPTIONS * HTTP/1.1\r\n${own}\r\n`)).status).toBe(400)
  })
})

const ask = (headers: Record<string, string>) =>
  plain(port, '/host/pictures/1', { cookie: test.cookie, ...headers })

const write = (headers: Record<string, string>) =>
  fetch(`${test.server.origin}/host/call`, {
    method: 'POST',
    body: '{"method":"app.info","params":{}}',
    headers: { cookie: test.cookie, ...headers },
  }).then(({ status }) => status)

describe('fault H2: other pages', () => {
  it('are refused by their origin, whatever they call themselves', async () => {
    for (const origin of [
      'http://evil.example',
      'null',
      'file://',
      'https://127.0.0.1:PORT',
      'http://127.0.0.1',
      'http://localhost:PORT',
      'http://127.0.0.1:PORT.evil.example',
      'http://127.0.0.1:PORT, http://evil.example',
    ]) {
      expect((await ask({ origin: origin.replace('PORT', String(port)) })).status).toBe(403)
    }
    expect((await ask({ origin: `http://127.0.0.1:${port}` })).status).toBe(404)
  })

  it('are refused by where the browser says that they come from', async () => {
    for (const site of ['cross-site', 'same-site', 'none, cross-site', ''])
      expect((await ask({ 'sec-fetch-site': site })).status).toBe(403)
    for (const site of ['same-origin', 'none'])
      expect((await ask({ 'sec-fetch-site': site })).status).toBe(404)
  })

  it('learn nothing by asking first: there are no answers to preflights, and no CORS headers', async () => {
    const preflight = await plain(
      port,
      '/host/call',
      { origin: 'http://evil.example', 'access-control-request-method': 'POST' },
      'OPTIONS',
    )
    expect(preflight.status).toBe(403)
    const own = await plain(port, '/host/call', { 'access-control-request-method': 'POST' }, 'OPTIONS')
    expect(own.status).toBe(405)
    for (const answer of [preflight, own, await ask({}), await plain(port, '/', {})]) {
      expect(Object.keys(answer.headers).filter(name => name.startsWith('access-control-'))).toEqual([])
      expect(answer.headers).toMatchObject({
        'cross-origin-resource-policy': 'same-origin',
        'cross-origin-opener-policy': 'same-origin',
        'cross-origin-embedder-policy': 'require-corp',
        'x-content-type-options': 'nosniff',
      })
    }
  })

  it('cannot write: simple types and requests without our header are refused', async () => {
    expect(await write({ 'content-type': 'application/json' })).toBe(403)
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'text/plain;application/json',
    ])
      expect(await write({ 'content-type': type, 'x-attune': '1' })).toBe(415)
    expect(await write({ 'content-type': 'application/octet-stream', 'x-attune': '1' })).toBe(415)
    expect(await write({ 'content-type': 'application/json', 'x-attune': '1' })).toBe(200)
    const upgrade = await raw(
      port,
      `GET /host/events HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nOrigin: http://evil.example\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n`,
    )
    expect(upgrade.status).toBe(403)
  })
})

describe('sessions', () => {
  it('are got with the token of this run, and only with it', async () => {
    const answer = await exchange(test.server, tokenOf(test.server.url))
    expect(answer.status).toBe(200)
    expect(answer.headers.get('set-cookie')).toMatch(
      new RegExp(`^attune-${port}=[\\w-]{43}; HttpOnly; SameSite=Strict; Path=/$`),
    )
    for (const token of ['', 'x', tokenOf(test.server.url).slice(1), 'x'.repeat(300)]) {
      const refused = await exchange(test.server, token)
      expect(refused.status).toBe(403)
      expect(refused.headers.get('set-cookie')).toBeNull()
    }
    const odd = await fetch(`${test.server.origin}/session`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-attune': '1' },
      body: '{"token":{"$ne":""}}',
    })
    expect(odd.status).toBe(403)
  })

  it('of a launched browser begin once, and soon', async () => {
    const token = tokenOf(test.server.launchUrl())
    expect((await exchange(test.server, token)).status).toBe(200)
    expect((await exchange(test.server, token)).status).toBe(403)
    let now = 0
    const sessions = new Sessions(1, () => now)
    const late = sessions.launchToken()
    now = 121_000
    expect(sessions.exchange(late)).toBeUndefined()
    for (let i = 0; i < 70; i++) sessions.exchange(sessions.token)
    expect(sessions.knows('attune-1=x; other=y')).toBe(false)
  })

  it('fault H3: are needed for everything but the gate', async () => {
    for (const path of [
      '/index.html',
      '/assets/main-abc.js',
      '/host/events',
      '/host/pictures/1',
      '/host/models/storybook/model_index.json',
      '/nothing',
      '/host/thumbnails/1?key=a',
    ])
      expect([path, (await fetch(test.server.origin + path)).status]).toEqual([path, 401])
    const call = await fetch(`${test.server.origin}/host/call`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-attune': '1' },
      body: '{"method":"app.info"}',
    })
    expect(call.status).toBe(401)
    const gate = await (await fetch(`${test.server.origin}/`)).text()
    expect(gate).toContain('/gate.js')
    expect(gate).not.toContain(tokenOf(test.server.url))
    expect(await (await fetch(`${test.server.origin}/gate.js`)).text()).toContain('/session')
    expect(await (await test.get('/')).text()).toContain('The window')
    const wrong = test.cookie.replace(/=.*/, '=AAAA')
    expect((await fetch(`${test.server.origin}/index.html`, { headers: { cookie: wrong } })).status).toBe(401)
    // Another run on the same port knows nothing of it.
    expect(new Sessions(port).knows(test.cookie)).toBe(false)
    expect(await sessionOf(test.server)).not.toBe(test.cookie)
  })
})

const head = (more: string) => `Host: 127.0.0.1:${port}\r\nCookie: ${test.cookie}\r\n${more}\r\n`

describe('fault H5: sizes and times', () => {
  it('of addresses and headers are bounded', async () => {
    expect((await plain(port, `/${'a'.repeat(5000)}`)).status).toBe(414)
    expect((await raw(port, `GET / HTTP/1.1\r\n${head(`X-Long: ${'a'.repeat(40_000)}\r\n`)}`)).status).toBe(
      431,
    )
    const many = Array.from({ length: 3000 }, (_, i) => `X-${i}: abcdefgh\r\n`).join('')
    expect((await raw(port, `GET / HTTP/1.1\r\n${head(many)}`)).status).toBe(431)
  })

  it('of bodies are bounded by what they claim, and by what comes', async () => {
    const claimed = await raw(
      port,
      `POST /session HTTP/1.1\r\n${head('Content-Type: application/json\r\nX-Attune: 1\r\nContent-Length: 99999999999\r\n')}`,
    )
    expect(claimed.status).toBe(413)
    expect(claimed.text.toLowerCase()).toContain('connection: close')
    const chunk = `ffff\r\n${'a'.repeat(0xffff)}\r\n`
    const chunked = await raw(
      port,
      `POST /session HTTP/1.1\r\n${head('Content-Type: application/json\r\nX-Attune: 1\r\nTransfer-Encoding: chunked\r\n')}${chunk}${chunk}`,
    )
    expect(chunked.status).toBe(413)
    const pixels = await test.post('/host/pictures', new Uint8Array(100), {
      'x-attune': encodeURIComponent(
        JSON.stringify({ width: 1, height: 1, channels: 3, request: {}, model: { name: 'x' } }),
      ),
    })
    expect(pixels.status).toBe(413)
  })

  it('smuggling is refused: both lengths, bodies of GET, broken chunks', async () => {
    const both = 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\nX-Attune: 1\r\n'
    expect((await raw(port, `POST /host/call HTTP/1.1\r\n${head(both)}0\r\n\r\n`)).status).toBe(400)
    expect((await raw(port, `GET / HTTP/1.1\r\n${head('Content-Length: 5\r\n')}hello`)).status).toBe(400)
    expect(
      (await raw(port, `GET / HTTP/1.1\r\n${head('Transfer-Encoding: chunked\r\n')}0\r\n\r\n`)).status,
    ).toBe(400)
  })

  it('slow ones are cut off: headers, bodies, and silence', async () => {
    const began = performance.now()
    const slow = (text: string) => raw(port, text)
    const [headers, silent, body] = await Promise.all([
      slow(`GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nX-Slow: `),
      slow(''),
      slow(
        `POST /host/call HTTP/1.1\r\n${head('Content-Type: application/json\r\nX-Attune: 1\r\nContent-Length: 50\r\n')}{`,
      ),
    ])
    expect([headers.status, body.status]).toEqual([408, 408])
    expect([0, 408]).toContain(silent.status)
    expect(performance.now() - began).toBeLessThan(15_000)
  })

  it('unknown methods and addresses are refused by default', async () => {
    for (const method of ['PUT', 'DELETE', 'PATCH', 'TRACE'])
      expect((await plain(port, '/', { cookie: test.cookie }, method)).status).toBe(405)
    const wrong = await plain(port, '/host/call', { cookie: test.cookie })
    expect([wrong.status, wrong.headers['allow']]).toEqual([405, 'POST'])
    for (const path of [
      '/host/events',
      '/',
      '/host/pictures/1',
      '/host/models/x/y.json',
      '/assets/main-abc.js',
    ])
      expect([path, (await test.post(path, '')).status]).toEqual([path, 405])
    for (const path of [
      '/host',
      '/host/',
      '/host/nothing',
      '/favicon.ico',
      '/api/tags',
      '/admin',
      '/host/recipe/x',
      '/host/engine/x',
    ])
      expect([path, (await test.get(path)).status]).toEqual([path, path === '/host/recipe/x' ? 404 : 404])
  })
})
