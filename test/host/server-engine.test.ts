/** Bytes with an engine behind them: recordings that are exported, and pages that draw in the host. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { EngineChannels } from '../../host/server/engine-channel.ts'
import { makeRecording, writeRecording } from '../../model/attention/recording.ts'
import { encodeFrame } from '../../model/contract/frames.ts'
import { hostPaths } from '../../model/contract/host-api.ts'
import { EngineClient } from '../../model/worker/client.ts'
import { openHostPort } from '../../renderer/engine/host-port.ts'
import { syntheticCapture, wideGrids } from '../support/attention.ts'
import { writeTinyModel } from '../support/tiny-models.ts'
import { encoded, header, request, type TestServer, testServer } from './server-support.ts'

let root: string
let story: string
let test: TestServer

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'attune-server-'))
  story = writeTinyModel('story', join(root, 'models', 'story'))
  test = await testServer({}, { modelsFolder: join(root, 'models') })
})
afterAll(async () => {
  await test.close()
  await rm(root, { recursive: true })
})

describe('recordings', () => {
  it('are exported as a zip, over a picture of the gallery', async () => {
    const captured = syntheticCapture(wideGrids.slice(1), { width: 48, height: 32 })
    const recording = writeRecording(makeRecording(captured))
    const big = { ...header, width: 48, height: 32, request: { ...request, width: 48, height: 32 } }
    const saved = await test.post(`/${hostPaths.savePicture}`, new Uint8Array(48 * 32 * 3), {
      'x-attune': encoded(big),
    })
    const { id } = (await saved.json()) as { id: number }
    const choice = { formats: ['npy', 'overlay', 'json'], words: [captured.words[0]?.text], picture: id }
    const zip = await test.post(`/${hostPaths.exportMaps}`, recording, { 'x-attune': encoded(choice) })
    expect([zip.status, zip.headers.get('content-type')]).toEqual([200, 'application/zip'])
    const text = Buffer.from(await zip.arrayBuffer()).toString('latin1')
    expect(text.startsWith('PK\u0003\u0004')).toBe(true)
    for (const name of ['.npy', '.overlay.png', 'report.json', 'manifest.json']) expect(text).toContain(name)
    for (const bad of [
      { formats: ['exe'] },
      { formats: [] },
      { formats: ['png'], words: ['nothing'] },
      { formats: ['overlay'] },
      { formats: ['overlay'], picture: 999_999 },
      { formats: ['png'], colormap: '../x' },
    ]) {
      const answer = await test.post(`/${hostPaths.exportMaps}`, recording, { 'x-attune': encoded(bad) })
      expect([bad, answer.status]).toEqual([bad, 422])
    }
    const noise = await test.post(`/${hostPaths.exportMaps}`, new Uint8Array(64), {
      'x-attune': encoded({ formats: ['png'] }),
    })
    expect(noise.status).toBe(422)
  })
})

/** `fetch` of a page: relative addresses, its cookie, its base for models. */
const pageFetch: typeof fetch = (address, init) =>
  fetch(new URL(address as string, `${test.server.origin}/`), {
    ...init,
    headers: { ...(init?.headers as Record<string, string>), cookie: test.cookie },
  })
const address = (path: string) =>
  ({ kind: 'url', url: new URL(path, `${test.server.origin}/`).href }) as const

describe('the host’s engine for a page', () => {
  it('draws over the channel what it draws in a Worker, and leaves with the page', async () => {
    const client = await EngineClient.start(openHostPort(undefined, pageFetch))
    await expect(client.open(address('host/models/none/'))).rejects.toMatchObject({ code: 'bad-model' })
    for (const place of ['file:///etc/', 'http://evil.example/', `file://${story}`])
      await expect(client.open(place)).rejects.toMatchObject({ code: 'unsupported' })
    const opened = await client.open(address(hostPaths.model(story)), {
      runtime: { wasmPaths: 'http://127.0.0.1:1/evil/' },
    })
    expect(opened).toMatchObject({ task: 'text-to-image', sizeFactor: 16 })
    const steps: number[] = []
    const small = {
      prompt: 'a red car',
      seed: '7',
      width: 32,
      height: 32,
      steps: 2,
      guidanceScale: 1,
    } as const
    const init = { width: 4, height: 4, channels: 3, data: new Uint8Array(48).fill(9) } as const
    const result = await client.generate(
      { ...small, strength: 1 },
      { init },
      { backend: 'wasm', watch: { capture: { live: true } }, onProgress: ({ step }) => steps.push(step) },
    )
    expect(steps).toEqual([1, 2])
    expect(result.picture.data).toBeInstanceOf(Uint8Array)
    expect(result.picture.data.length).toBe(32 * 32 * 3)
    expect(result.attention?.layers[0]?.sums).toBeInstanceOf(Float32Array)
    const controller = new AbortController()
    const stopped = client.generate(
      { ...small, steps: 30 },
      {},
      { backend: 'wasm', signal: controller.signal, onProgress: () => controller.abort() },
    )
    await expect(stopped).rejects.toMatchObject({ code: 'cancelled' })
    await client.close()
  })

  it('fault H3: is refused to strangers, and says so through the port', async () => {
    const client = EngineClient.start(openHostPort(`${test.server.origin}/host/engine`))
    await expect(client).rejects.toMatchObject({ message: /token of this run/ })
    expect((await test.post(`/host/engine/${'0'.repeat(36)}`, encodeFrame({}))).status).toBe(404)
    expect((await test.get('/host/engine')).status).toBe(405)
  })

  it('serves a few pages at a time, and ends their threads with them', async () => {
    const channels = new EngineChannels(test.service)
    const open = [channels.open(), channels.open(), channels.open()]
    expect(() => channels.open()).toThrow(/3 windows/)
    await channels.close()
    expect(channels.count).toBe(0)
    expect(open.every(({ status }) => status === 200)).toBe(true)
  })
})
