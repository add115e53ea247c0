/** Files of the window: nothing from outside of their folder, ranges as the standard has them. */
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { answerFile, innerPath, isInside, parseRange } from '../../electron/bundle-files.ts'

let base: string, folder: string
beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'attune-bundle-'))
  folder = join(base, 'bundle')
  await mkdir(join(folder, 'deep'), { recursive: true })
  await mkdir(join(base, 'bundle-beside'))
  await writeFile(join(folder, 'index.html'), '<p>page</p>')
  await writeFile(join(folder, 'deep', 'a b.js'), '0123456789')
  await writeFile(join(folder, 'empty.css'), '')
  await writeFile(join(base, 'secret.txt'), 'secret')
  await writeFile(join(base, 'bundle-beside', 'secret.txt'), 'secret')
  await symlink(join(base, 'secret.txt'), join(folder, 'link.txt'))
  await symlink(base, join(folder, 'up'))
})
afterAll(() => rm(base, { recursive: true, force: true }))

const ask = (path: string, init?: RequestInit) =>
  answerFile(folder, new Request(`app://attune${path}`, init), { 'x-header': 'yes' })

describe('a file of the window', () => {
  it('is given with its type and the headers', async () => {
    const answer = await ask('/')
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(answer.headers.get('x-header')).toBe('yes')
    expect(await answer.text()).toBe('<p>page</p>')
    expect(await (await ask('/deep/a%20b.js')).text()).toBe('0123456789')
    expect((await ask('/empty.css')).headers.get('content-length')).toBe('0')
  })

  it.each([
    '/../secret.txt',
    '/..%2fsecret.txt',
    '/..%2Fsecret.txt',
    '/deep/..%2f..%2fsecret.txt',
    '/%2e%2e/secret.txt',
    '/%2e%2e%2fsecret.txt',
    '/%252e%252e%252fsecret.txt',
    '/..%5csecret.txt',
    '/..\\secret.txt',
    '/....//secret.txt',
    '/.. /secret.txt',
    '/%2e%2e%20/secret.txt',
    '/C:/secret.txt',
    '/c%3a/secret.txt',
    '/secret.txt%00.html',
    '/%',
    '/%ff',
    '//secret.txt',
    '/link.txt',
    '/up/secret.txt',
    '/bundle-beside/secret.txt',
    '/../bundle-beside/secret.txt',
    '/deep',
    '/deep/',
    '/nowhere.js',
    `/${'a'.repeat(5000)}`,
    '/index.html::$DATA',
    '/CON',
  ])('is not %s', async path => {
    const answer = await ask(path)
    expect(answer.status).toBe(404)
    expect(await answer.text()).toBe('')
  })

  it('is read only', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
      expect((await ask('/', { method })).status).toBe(405)
    }
    const head = await ask('/deep/a%20b.js', { method: 'HEAD' })
    expect([head.headers.get('content-length'), await head.text()]).toEqual(['10', ''])
  })

  it('comes by range', async () => {
    const answer = await ask('/deep/a%20b.js', { headers: { range: 'bytes=2-4' } })
    expect(answer.status).toBe(206)
    expect(answer.headers.get('content-range')).toBe('bytes 2-4/10')
    expect(await answer.text()).toBe('234')
    const outside = await ask('/deep/a%20b.js', { headers: { range: 'bytes=10-' } })
    expect([outside.status, outside.headers.get('content-range')]).toEqual([416, 'bytes */10'])
  })
})

it.each([
  ['bytes=0-', { start: 0, end: 9 }],
  ['bytes=9-', { start: 9, end: 9 }],
  ['bytes=3-100', { start: 3, end: 9 }],
  ['bytes=-3', { start: 7, end: 9 }],
  ['bytes=-100', { start: 0, end: 9 }],
  ['bytes=-0', 'outside'],
  ['bytes=10-12', 'outside'],
  ['bytes=5-3', undefined],
  ['bytes=-', undefined],
  ['bytes=1-2,4-5', undefined],
  ['lines=1-2', undefined],
  ['bytes=99999999999999999-', undefined],
  [null, undefined],
])('range %s of ten bytes', (header, range) => expect(parseRange(header, 10)).toEqual(range))

it('inside is by parts', () => {
  expect(isInside('/a/b', '/a/b/c')).toBe(true)
  expect(isInside('/a/b', '/a/b')).toBe(false)
  expect(isInside('/a/b', '/a/bc')).toBe(false)
  expect(isInside('/a/b', '/a/b/../c')).toBe(false)
  expect(innerPath('/a//b')).toBe(join('a', 'b'))
})
