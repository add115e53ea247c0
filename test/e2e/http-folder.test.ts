/** The folder over HTTP against a real server in Node: ranges, blocks, and servers that misbehave. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { openFileFolder } from '../../model/worker/file-folder.ts'
import { openHttpFolder } from '../../model/worker/http-folder.ts'
import { type PageServer, startPageServer } from '../support/page-server.ts'

const mebibyte = 2 ** 20
const bytes = Uint8Array.from({ length: 9 * mebibyte + 5 }, (_, i) => (i * 31 + (i >> 8)) & 255)
let folder: string
let server: PageServer
let intercept: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined

const open = () => openHttpFolder(`${server.origin}/models/m`)
const source = async (path: string) => {
  const found = await open().source(path)
  if (!found) throw new Error(`no ${path}`)
  return found
}
/** Requests for weights since `from`. */
const ranges = (from: number) => server.requests.slice(from).map(({ range }) => range)

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'attune-http-'))
  writeFileSync(join(folder, 'weights.safetensors'), bytes)
  writeFileSync(join(folder, 'empty.safetensors'), '')
  writeFileSync(join(folder, 'config.json'), '{"name":"ä"}')
  server = await startPageServer({
    models: { m: folder },
    intercept: (request, response) => intercept?.(request, response) ?? false,
  })
})
afterEach(() => {
  intercept = undefined
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true })
})

describe('openHttpFolder', () => {
  it('reads texts, and tells a missing file from a failing server', async () => {
    expect(await open().text('config.json')).toBe('{"name":"ä"}')
    expect(await open().text('missing.json')).toBeUndefined()
    expect(await open().source('missing.safetensors')).toBeUndefined()
    intercept = (_, response) => Boolean(response.writeHead(500).end())
    await expect(open().text('config.json')).rejects.toMatchObject({ code: 'bad-file', message: /500/ })
  })

  it("takes a single-page application's answer for what it is: no such file", async () => {
    intercept = (_, response) =>
      Boolean(response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html>'))
    expect(await open().text('model_index.json')).toBeUndefined()
    expect(await open().source('unet/model.safetensors')).toBeUndefined()
  })

  it('gives any range, and fetches a small file once', async () => {
    const file = await source('weights.safetensors')
    expect(file.byteLength).toBe(bytes.byteLength)
    const from = server.requests.length
    const samples = [
      [0, 8],
      [100, 1],
      [4 * mebibyte - 3, 7],
      [1, bytes.length - 1],
      [bytes.length - 5, 5],
    ] as const
    for (const [offset, length] of samples) {
      expect(Buffer.compare(await file.read(offset, length), bytes.subarray(offset, offset + length))).toBe(0)
      const into = new Uint8Array(length + 3)
      const given = await file.read(offset, length, into)
      expect(given.buffer).toBe(into.buffer)
      expect(Buffer.compare(given, bytes.subarray(offset, offset + length))).toBe(0)
    }
    expect(ranges(from)).toEqual(['bytes=0-4194303', 'bytes=4194304-8388607', 'bytes=8388608-9437188'])
    expect((await file.read(7, 0)).byteLength).toBe(0)
    await expect(file.read(bytes.length - 1, 2)).rejects.toMatchObject({
      code: 'bad-file',
      message: /outside/,
    })
  })

  it('forgets on trim, and goes on working', async () => {
    const opened = open()
    const file = await opened.source('weights.safetensors')
    await file?.read(0, 8)
    opened.trim()
    const from = server.requests.length
    await file?.read(0, 8)
    expect(ranges(from)).toHaveLength(1)
  })

  it('reads a large file past its blocks, and small pieces of it in small ones', async () => {
    const size = 200 * mebibyte
    intercept = (request, response) => {
      const [start = 0, end = 0] = (request.headers.range ?? '').slice(6).split('-').map(Number)
      response
        .writeHead(206, { 'content-range': `bytes ${start}-${end}/${size}` })
        .end(new Uint8Array(end - start + 1))
      return true
    }
    const file = await source('weights.safetensors')
    expect(file.byteLength).toBe(size)
    const from = server.requests.length
    await file.read(10, 20)
    await file.read(1000, 20)
    await file.read(mebibyte, mebibyte)
    expect(ranges(from)).toEqual(['bytes=0-65535', 'bytes=1048576-2097151'])
  })

  it('reads a small file whole from a server without ranges, and refuses a large one', async () => {
    intercept = (_, response) => Boolean(response.writeHead(200).end('0123456789'))
    const file = await source('weights.safetensors')
    expect(new TextDecoder().decode(await file.read(2, 3))).toBe('234')
    intercept = (_, response) => {
      response.on('error', () => undefined)
      response.writeHead(200, { 'content-length': 100 * mebibyte }).write('x')
      return true
    }
    await expect(source('weights.safetensors')).rejects.toMatchObject({
      code: 'unsupported',
      message: /range/,
    })
  })

  it('an empty file is an empty source', async () => {
    expect((await source('empty.safetensors')).byteLength).toBe(0)
  })

  it('never mixes two versions of a file, nor takes a short answer for a whole one', async () => {
    const file = await source('weights.safetensors')
    intercept = (_, response) => {
      response.writeHead(206, { 'content-range': 'bytes 0-4194303/4194400', etag: 'new' }).end()
      return true
    }
    await expect(file.read(0, 8)).rejects.toMatchObject({ code: 'bad-file', message: /changed/ })
    intercept = (_, response) => {
      response.writeHead(404).end()
      return true
    }
    await expect(file.read(0, 8)).rejects.toMatchObject({ code: 'bad-file', message: /refused/ })
    intercept = undefined
    // A failed block is asked for again.
    expect((await file.read(0, 8)).byteLength).toBe(8)
  })

  it('tries a broken connection once more, then says that the server is out of reach', async () => {
    let broken = 1
    intercept = request => broken-- > 0 && Boolean(request.socket.destroy())
    expect(await open().text('config.json')).toBe('{"name":"ä"}')
    broken = 9
    await expect(open().text('config.json')).rejects.toMatchObject({
      code: 'network',
      message: /could not be fetched/,
    })
  })

  it('does not leave its folder', async () => {
    await expect(open().text('../n/config.json')).rejects.toMatchObject({ code: 'bad-model' })
    expect(() => openHttpFolder('models/m')).toThrow(/not an address/)
  })
})

describe('openFileFolder', () => {
  it('reads chosen files', async () => {
    const files = openFileFolder('mine', [
      { path: './unet/a.bin', content: new Blob([bytes.subarray(0, 100)]) },
    ])
    const file = await files.source('unet/a.bin')
    expect([...((await file?.read(5, 3)) ?? [])]).toEqual([...bytes.subarray(5, 8)])
    expect(await files.text('nothing.json')).toBeUndefined()
    await expect(file?.read(99, 2)).rejects.toMatchObject({ code: 'bad-file' })
  })
})
