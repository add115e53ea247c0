import { readdir } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { checkRedirect, isPrivateAddress } from '../../host/models/http.ts'
import { checkRelativePath, nameFromDisposition, nameFromUrl, safeFileName } from '../../host/models/names.ts'
import { transfer } from '../../host/models/transfer.ts'
import type { AttuneError } from '../../model/contract/errors.ts'
import { gets, payload, place, selfSigned, sendBody, sendWell, serve, sha256 } from './models-server.ts'

describe('answers that are refused', () => {
  it('D5: right size, wrong bytes: kept aside, never under its name', async () => {
    const server = await serve((request, response) =>
      sendBody(request, response, payload.with(123_456, (payload[123_456] as number) ^ 255)),
    )
    const { path, folder, options } = await place()
    await expect(transfer({ url: server.url, path, sha256 }, options)).rejects.toThrow(
      'checksum of model.safetensors differs',
    )
    expect(await readdir(folder)).toEqual(['model.safetensors.rejected'])
  })

  it.each([
    ['by its type', 'text/html; charset=utf-8', '<p>Please sign in</p>'],
    ['by its beginning', 'application/octet-stream', '\n<!DOCTYPE html><html>'],
    ['as a script that leads on', 'application/octet-stream', '<script>location="/"</script>'],
  ])('D6: a web page with status 200 is recognised %s', async (_, type, body) => {
    const server = await serve(
      (_request, response) => void response.writeHead(200, { 'content-type': type }).end(body),
    )
    const { path, folder, options } = await place()
    await expect(transfer({ url: server.url, path }, options)).rejects.toThrow('web page instead of')
    expect(await readdir(folder)).not.toContain('model.safetensors')
    expect(server.requests.length).toBe(1)
  })

  it('D6: a Git LFS pointer is no model (M9)', async () => {
    const server = await serve(
      (_, response) => void response.end('version https://git-lfs.github.com/spec/v1\noid …'),
    )
    const { path, options } = await place()
    await expect(transfer({ url: server.url, path }, options)).rejects.toThrow('Git LFS pointer')
  })

  it('D6: 500 and then the file', async () => {
    const server = await serve((request, response, n) =>
      n < 2 ? void response.writeHead(n ? 503 : 500).end('oops') : sendBody(request, response, payload),
    )
    const here = await place()
    await gets(server.url, here)
    expect(here.waits.length).toBe(2)
  })

  it('D6: 429 is waited for as long as the server asks', async () => {
    const server = await serve((request, response, n) =>
      n ? sendBody(request, response, payload) : void response.writeHead(429, { 'retry-after': '7' }).end(),
    )
    const here = await place()
    await gets(server.url, here)
    expect(here.waits).toEqual([7000])
    expect(here.notices.join()).toContain('in 7 s')
    const patient = await serve(
      (_, response) => void response.writeHead(429, { 'retry-after': '86400' }).end(),
    )
    const { path, options } = await place()
    await expect(transfer({ url: patient.url, path }, options)).rejects.toThrow('asks to wait')
    expect(patient.requests.length).toBe(1)
  })

  it.each([
    [401, 'accept the licence'],
    [403, 'accept the licence'],
    [404, 'Check the address'],
    [418, 'Check the address'],
  ])('D6: %d is not hammered', async (status, remedy) => {
    const server = await serve((_, response) => void response.writeHead(status).end('no'))
    const { path, options } = await place()
    const error = await transfer({ url: server.url, path }, options).catch((thrown: unknown) => thrown)
    expect((error as AttuneError).remedy).toContain(remedy)
    expect(server.requests.length).toBe(1)
  })

  it('D7: redirects are followed, but not for ever', async () => {
    const server = await serve((request, response, n) =>
      n < 3
        ? void response.writeHead(302, { location: `/next${n}` }).end()
        : sendBody(request, response, payload),
    )
    await gets(server.url, await place())
    const loop = await serve(
      (_, response) => void response.writeHead(307, { location: '/model.safetensors' }).end(),
    )
    const { path, options } = await place()
    await expect(transfer({ url: loop.url, path }, options)).rejects.toThrow('more than 5 times')
    expect(loop.requests.length).toBe(6)
  })

  it('D7: a redirect from https to http is refused', async () => {
    const certificate = selfSigned()
    const plain = await serve(sendWell)
    const secure = await serve(
      (_, response) => void response.writeHead(302, { location: plain.url }).end(),
      certificate,
    )
    const { path, options } = await place({ ca: certificate.cert })
    await expect(transfer({ url: secure.url, path }, options)).rejects.toThrow('unprotected address')
    expect(plain.requests).toEqual([])
    expect(() => checkRedirect(new URL('http://a/'), new URL('https://b/'))).not.toThrow()
  })

  it('D7: addresses of this machine and its network are refused, however they are written', async () => {
    const server = await serve(sendWell)
    const { path, options } = await place({ allowPrivate: false, retries: 0 })
    const { port } = new URL(server.url)
    const hosts = [
      '127.0.0.1',
      '127.1',
      '0x7f.1',
      '2130706433',
      '[::1]',
      '[::ffff:127.0.0.1]',
      'localhost',
      'localhost.',
      '169.254.169.254',
      '10.0.0.1',
    ]
    for (const host of hosts)
      await expect(transfer({ url: `http://${host}:${port}/x`, path }, options), host).rejects.toThrow(
        'this machine or its network',
      )
    expect(server.requests).toEqual([])
    for (const address of ['1.1.1.1', '8.8.8.8', '2606:4700::1111'])
      expect(isPrivateAddress(address), address).toBe(false)
    for (const address of [
      '172.31.0.1',
      '100.64.0.1',
      'fe80::1%eth0',
      'fd00::1',
      '64:ff9b::7f00:1',
      '2002:7f00:1::',
      'nonsense',
    ])
      expect(isPrivateAddress(address), address).toBe(true)
  })

  it('D7: plain http, other protocols and names in addresses are refused', async () => {
    const { path, options } = await place({ allowInsecure: false })
    await expect(transfer({ url: 'http://example.com/x', path }, options)).rejects.toThrow(
      'without protection',
    )
    for (const url of [
      'file:///etc/passwd',
      'ftp://example.com/x',
      'nonsense',
      'https://me:secret@example.com/x',
    ])
      await expect(transfer({ url, path }, options)).rejects.toMatchObject({ code: 'bad-argument' })
  })

  it('D7: a token goes to its host only', async () => {
    const certificate = selfSigned()
    const other = await serve(sendWell, certificate)
    const first = await serve(
      (_, response) => void response.writeHead(302, { location: other.url }).end(),
      certificate,
    )
    const here = await place({
      ca: certificate.cert,
      token: { host: new URL(first.url).host, value: 'secret' },
    })
    await gets(first.url, here)
    expect(first.requests[0]?.headers.authorization).toBe('Bearer secret')
    expect(other.requests[0]?.headers.authorization).toBeUndefined()
  })

  it('D8: a certificate that nobody vouches for is refused, with a word about the clock', async () => {
    const server = await serve(sendWell, selfSigned())
    const { path, options } = await place()
    const error = await transfer({ url: server.url, path }, options).catch((thrown: unknown) => thrown)
    expect((error as AttuneError).message).toContain('certificate of 127.0.0.1')
    expect((error as AttuneError).remedy).toContain('clock')
    expect(server.requests).toEqual([])
  })
})

describe('names of strangers (D9)', () => {
  it.each([
    ['../../evil.js', 'evil.js'],
    ['..\\..\\evil.js', 'evil.js'],
    ['/etc/passwd', 'passwd'],
    ['C:\\x.bin', 'x.bin'],
    ['CON', '_CON'],
    ['aux.safetensors', '_aux.safetensors'],
    ['a\u202egpj.exe', 'agpj.exe'],
    ['a:b<c>|?*.bin', 'abc.bin'],
    ['.hidden. ', 'hidden'],
    ['..', undefined],
    ['\0', undefined],
    ['', undefined],
  ])('%j becomes %j', (given, wanted) => {
    expect(safeFileName(given)).toBe(wanted)
  })

  it('are short, and keep their ending', () => {
    const name = safeFileName(`${'x'.repeat(5000)}.safetensors`)
    expect(name?.length).toBe(120)
    expect(name?.endsWith('.safetensors')).toBe(true)
  })

  it('come from addresses and headers', () => {
    expect(nameFromUrl('https://h/a/b%2F..%2Fc.safetensors?x=1')).toBe('c.safetensors')
    expect(nameFromUrl('https://h/%ff.bin')).toBe('%ff.bin')
    expect(nameFromDisposition('attachment; filename="../x.js"')).toBe('x.js')
    expect(nameFromDisposition("attachment; filename=x; filename*=UTF-8''caf%C3%A9.bin")).toBe('café.bin')
    expect(nameFromDisposition('inline')).toBeUndefined()
  })

  it('in lists of files are refused, not repaired', () => {
    expect(checkRelativePath('unet/config.json')).toBe('unet/config.json')
    for (const path of [
      '../x',
      'a/../b',
      '/x',
      'a//b',
      'a\\b',
      'C:/x',
      'nul',
      'a/.hidden',
      `${'a/'.repeat(20)}b`,
    ])
      expect(() => checkRelativePath(path), path).toThrow('no safe name')
  })
})
