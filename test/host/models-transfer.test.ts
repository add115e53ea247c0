import { open, readdir, stat, truncate, writeFile } from 'node:fs/promises'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { transfer } from '../../host/models/transfer.ts'
import {
  etag,
  gets,
  payload,
  place,
  sendAndBreak,
  sendBody,
  sendWell,
  serve,
  sha256,
} from './models-server.ts'

describe('a download', () => {
  it('comes whole, under its name only when it is, and asks for plain bytes', async () => {
    const server = await serve(sendWell)
    const here = await place()
    const seen: number[] = []
    await gets(server.url, { ...here, options: { ...here.options, onProgress: bytes => seen.push(bytes) } })
    expect(seen.at(-1)).toBe(payload.length)
    expect(server.requests[0]?.headers['accept-encoding']).toBe('identity')
    // Once more: known by its digest, without asking anybody.
    await gets(server.url, here)
    expect(server.requests.length).toBe(1)
  })

  it('without a published checksum says that nobody vouches for it', async () => {
    const server = await serve(sendWell)
    const { path, options } = await place()
    expect(await transfer({ url: server.url, path }, options)).toMatchObject({ sha256, isVerified: false })
    await expect(transfer({ url: server.url, path }, options)).rejects.toThrow('is there already')
  })

  it('D1: connections that break are resumed by range with If-Range', async () => {
    const server = await serve((request, response, n) =>
      n < 7 ? sendAndBreak(request, response, 41_234) : sendBody(request, response, payload),
    )
    const here = await place()
    await gets(server.url, here)
    expect(server.requests.length).toBe(8)
    const last = server.requests.at(-1)?.headers
    expect(Number(/\d+/.exec(last?.range ?? '')?.[0])).toBeGreaterThan(200_000)
    expect(last?.['if-range']).toBe(etag)
    expect(here.notices.join()).toMatch(/Resuming model.safetensors at \d+ %/)
  })

  it('D1: a server that falls silent is left and asked again', async () => {
    const server = await serve((request, response, n) => {
      if (n > 0) return sendBody(request, response, payload)
      response.writeHead(200, { etag, 'content-length': payload.length }).write(payload.subarray(0, 1000))
    })
    await gets(server.url, await place({ stallTimeout: 60 }))
    expect(server.requests[1]?.headers.range).toBe('bytes=1000-')
  })

  it('D1: a slow drip is slow, not dead', async () => {
    const server = await serve((_, response) => {
      response.writeHead(200, { etag, 'content-length': payload.length })
      let at = 0
      const timer = setInterval(() => {
        response.write(payload.subarray(at, (at += 20_000)))
        if (at >= payload.length) {
          clearInterval(timer)
          response.end()
        }
      }, 10)
    })
    await gets(server.url, await place({ stallTimeout: 2_000 }))
    expect(server.requests.length).toBe(1)
  })

  it('D1: no answer at all ends after some tries', async () => {
    const server = await serve(() => undefined)
    const { path, options, waits } = await place({ headerTimeout: 40 })
    await expect(transfer({ url: server.url, path }, options)).rejects.toThrow('it does not answer')
    expect(server.requests.length).toBe(3)
    expect(waits[1]).toBeGreaterThan((waits[0] ?? 0) * 1.1)
  })

  it('D1: a connection reset before the headers is tried again', async () => {
    const server = await serve((request, response, n) =>
      n < 2 ? void request.socket.resetAndDestroy() : sendBody(request, response, payload),
    )
    await gets(server.url, await place())
    expect(server.requests.length).toBe(3)
  })

  it('D2: a server that ignores Range begins anew, and says why', async () => {
    const server = await serve((request, response, n) => {
      if (n === 0) return sendAndBreak(request, response, 100_000)
      response.writeHead(200, { etag, 'content-length': payload.length }).end(payload)
    })
    const here = await place()
    await gets(server.url, here)
    expect(here.notices.join()).toContain('cannot resume')
  })

  it.each([
    ['from another offset', 'bytes 5-299999/300000'],
    ['missing', undefined],
    ['not a range', 'bytes everything'],
  ])('D2: a Content-Range that is %s is not appended', async (_, range) => {
    const server = await serve((request, response, n) => {
      if (n === 0) return sendAndBreak(request, response, 100_000)
      if (n === 1)
        return void response
          .writeHead(206, { etag, ...(range !== undefined && { 'content-range': range }) })
          .end('x'.repeat(50))
      sendBody(request, response, payload)
    })
    const here = await place()
    await gets(server.url, here)
    expect(here.notices.join()).toContain('another part')
    expect(server.requests[2]?.headers.range).toBeUndefined()
  })

  it('D2: 416 for a file that has become shorter begins anew', async () => {
    const server = await serve((request, response, n) => {
      if (n === 0) return sendAndBreak(request, response, 100_000)
      if (n === 1) return void response.writeHead(416, { 'content-range': 'bytes */50' }).end()
      sendBody(request, response, payload)
    })
    await gets(server.url, await place())
  })

  it('D2: 416 for a part that is whole already is the end', async () => {
    const server = await serve((request, response, n) => {
      if (n > 0) return void response.writeHead(416, { 'content-range': `bytes */${payload.length}` }).end()
      // No length, and the connection breaks after the last byte.
      response.writeHead(200, { etag }).write(payload, () => setTimeout(() => response.destroy(), 20))
    })
    await gets(server.url, await place())
    expect(server.requests.length).toBe(2)
  })

  it('D3: a file that changed between two parts begins anew', async () => {
    const other = payload.map(byte => byte ^ 1)
    const server = await serve((request, response, n) => {
      if (n > 0) return sendBody(request, response, payload)
      response.writeHead(200, { etag: '"v0"', 'content-length': other.length })
      response.write(other.subarray(0, 100_000), () => response.destroy())
    })
    const here = await place()
    await gets(server.url, here)
    expect(here.notices.join()).toContain('has changed on the server')
  })

  it('D3: also where the server ignores If-Range', async () => {
    const server = await serve((request, response, n) => {
      if (n === 0) return sendAndBreak(request, response, 100_000)
      if (n > 1) return sendBody(request, response, payload, '"v2"')
      const from = Number(/\d+/.exec(request.headers.range ?? '')?.[0])
      const headers = { etag: '"v2"', 'content-range': `bytes ${from}-299999/300000` }
      response.writeHead(206, headers).end(payload.subarray(from).map(byte => byte ^ 1))
    })
    const here = await place()
    await gets(server.url, here)
    expect(here.notices.join()).toContain('has changed on the server')
  })

  it('D3: a weak ETag does not join parts of a file that nobody vouches for', async () => {
    const server = await serve((request, response, n) => {
      response.writeHead(200, { etag: 'W/"x"', 'content-length': payload.length })
      if (n === 0) response.write(payload.subarray(0, 9_000), () => response.destroy())
      else response.end(payload)
    })
    const { path, options } = await place()
    await transfer({ url: server.url, path }, options)
    expect(server.requests[1]?.headers.range).toBeUndefined()
  })

  it('D4: a length that is not the published one is refused before the body', async () => {
    const server = await serve((request, response) => sendBody(request, response, payload.subarray(0, 1000)))
    const { path, folder, options } = await place()
    const wanted = transfer({ url: server.url, path, size: payload.length, sha256 }, options)
    await expect(wanted).rejects.toThrow('has 1000 bytes, but should have 300000')
    expect(server.requests.length).toBe(1)
    expect(await readdir(folder)).toEqual([])
  })

  it('D4: a body that always ends early fails with how far it came, and keeps the part', async () => {
    const server = await serve((_, response) => {
      response.writeHead(200, { etag, 'content-length': payload.length })
      response.write(payload.subarray(0, 150_000), () => response.destroy())
    })
    const { path, folder, options } = await place()
    await expect(transfer({ url: server.url, path, sha256 }, options)).rejects.toThrow('50 %')
    expect((await readdir(folder)).sort()).toEqual(['model.safetensors.part', 'model.safetensors.part.json'])
  })

  it('D4: a body without end is stopped at the limit', async () => {
    const server = await serve((_, response) => {
      response.writeHead(200, { etag })
      const more = () => !response.destroyed && response.write(payload, more)
      more()
    })
    const { path, folder, options } = await place({ maxBytes: 2_000_000 })
    await expect(transfer({ url: server.url, path }, options)).rejects.toThrow(
      'sends more of model.safetensors',
    )
    expect((await stat(`${path}.part`)).size).toBe(0)
    expect(await readdir(folder)).not.toContain('model.safetensors')
  })

  it('D4: more bytes than the published size are refused', async () => {
    const server = await serve((_, response) => void response.writeHead(200, { etag }).end(payload))
    const { path, options } = await place()
    await expect(transfer({ url: server.url, path, size: 1000 }, options)).rejects.toThrow(
      'the 1000 bytes that it should have',
    )
  })

  it('D4: a file larger than is ever taken is refused by its header', async () => {
    const server = await serve(
      (_, response) => void response.writeHead(200, { 'content-length': 9e15 }).write('x'),
    )
    const { path, options } = await place()
    await expect(transfer({ url: server.url, path }, options)).rejects.toThrow('more than the')
  })

  it('D4: a compressed answer is refused', async () => {
    const packed = gzipSync(payload)
    const server = await serve((_, response) =>
      response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': packed.length }).end(packed),
    )
    const { path, options } = await place()
    await expect(transfer({ url: server.url, path, sha256 }, options)).rejects.toThrow('compressed (gzip)')
  })

  it('D4: chunks without a length are taken when the digest is right', async () => {
    const server = await serve((_, response) => {
      response.writeHead(200, { etag }).write(payload.subarray(0, 1234))
      response.end(payload.subarray(1234))
    })
    await gets(server.url, await place(), { size: payload.length })
  })

  it('T2: too little space is said before the body comes', async () => {
    const server = await serve(sendWell)
    const { path, options } = await place({ freeBytes: () => Promise.resolve(1e6) })
    await expect(transfer({ url: server.url, path }, options)).rejects.toThrow(
      /has 1 MB free, but .* needs 538 MB/,
    )
  })

  it('T2: a disk that fills up while writing keeps the part, and resumes', async () => {
    const server = await serve(sendWell)
    let room = 120_000
    const here = await place({
      openForWriting: async path => {
        const file = await open(path, 'r+').catch(() => open(path, 'w+'))
        return {
          write: (async (bytes: Uint8Array, offset: number, length: number, position: number) => {
            if ((room -= length) < 0) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
            return file.write(bytes, offset, length, position)
          }) as typeof file.write,
          truncate: length => file.truncate(length),
          datasync: () => file.datasync(),
          close: () => file.close(),
        }
      },
    })
    await expect(transfer({ url: server.url, path: here.path, sha256 }, here.options)).rejects.toThrow(
      'The disk is full',
    )
    expect(server.requests.length).toBe(1)
    room = Number.POSITIVE_INFINITY
    await gets(server.url, here)
    expect(server.requests[1]?.headers.range).toMatch(/^bytes=[1-9]\d+-$/)
  })

  it('stops when it is cancelled, at any time, and goes on later', async () => {
    const server = await serve((request, response, n) => {
      if (n > 0) return sendBody(request, response, payload)
      response.writeHead(200, { etag, 'content-length': payload.length }).write(payload.subarray(0, 100_000))
    })
    const here = await place()
    const abort = new AbortController()
    const options = { ...here.options, signal: abort.signal, onProgress: () => abort.abort() }
    await expect(transfer({ url: server.url, path: here.path, sha256 }, options)).rejects.toMatchObject({
      code: 'cancelled',
    })
    await expect(
      transfer({ url: server.url, path: here.path }, { ...here.options, signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({ code: 'cancelled' })
    await gets(server.url, here)
    expect(server.requests[1]?.headers.range).toMatch(/^bytes=[1-9]\d+-$/)
  })

  it('T3: after a power cut, only flushed bytes count', async () => {
    const server = await serve((request, response, n) =>
      n === 0 ? sendAndBreak(request, response, 150_000) : sendBody(request, response, payload),
    )
    const here = await place({ retries: 0 })
    await expect(transfer({ url: server.url, path: here.path, sha256 }, here.options)).rejects.toThrow()
    // The file has grown by blocks that were never written.
    const { size } = await stat(`${here.path}.part`)
    await truncate(`${here.path}.part`, size + 50_000)
    await gets(server.url, here)
    expect(server.requests[1]?.headers.range).toBe(`bytes=${size}-`)
  })

  it('a part of another address is not gone on with', async () => {
    const server = await serve(sendWell)
    const here = await place()
    await writeFile(
      `${here.path}.part`,
      payload.subarray(0, 5000).map(byte => byte ^ 1),
    )
    await writeFile(
      `${here.path}.part.json`,
      JSON.stringify({ version: 1, url: 'https://elsewhere/x', etag, flushed: 5000 }),
    )
    await gets(server.url, here)
    expect(server.requests[0]?.headers.range).toBeUndefined()
  })
})
