/**
 * What a drawing takes in beside its request: pictures that the host keeps, ControlNets of its library; how a queued job
 * finds them, and what its picture's record says.
 */
import { mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import sharp from 'sharp'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type HostSeat, startHostSeat } from '../../host/seat/host-seat.ts'
import { openHost } from '../../host/seat/open-host.ts'
import { engineInputsOf } from '../../host/seat/inputs.ts'
import { InputStore } from '../../host/service/inputs.ts'
import type { HostService } from '../../host/service/service.ts'
import { drawInputsSchema, recordedInputs } from '../../model/contract/inputs.ts'
import { readRecord } from '../../model/contract/record.ts'
import { type PngTextResult, readPngText } from '../../model/image/png-text.ts'
import { EngineClient } from '../../model/worker/client.ts'
import { expectedLatents, guidedCase, guidePicture, netBytes, netConfig } from '../support/controlnet.ts'
import { loadNpy, parityCase, relativeL2 } from '../support/parity.ts'
import { writeTinyModel } from '../support/tiny-models.ts'
import { type TestServer, testServer } from './server-support.ts'
import { facts, lastingFolder } from './service-support.ts'

const services: HostService[] = []
const servers: TestServer[] = []
const seats: HostSeat[] = []

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close()
  for (const service of services.splice(0)) await service.close()
  for (const seat of seats.splice(0)) await seat.end()
})

/** A picture of noise: no two pixels alike, so that one that moved is found. */
function noise(width: number, height: number, seed = 1): Buffer {
  let state = Math.imul(seed, 0x9e37_79b9) >>> 0
  const bytes = Uint8Array.from({ length: width * height * 3 }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state >>> 24
  })
  return Buffer.from(bytes)
}
const pngOf = (data: Buffer, width: number, height: number, channels: 1 | 3 | 4 = 3): Promise<Buffer> =>
  sharp(data, { raw: { width, height, channels } }).png().toBuffer()

describe('InputStore', () => {
  it('keeps a picture once, upright and without alpha, under the digest of what it keeps', async () => {
    const folder = await lastingFolder()
    const store = new InputStore(folder)
    const data = noise(6, 4)
    const png = await pngOf(data, 6, 4)
    const kept = await store.add(png)
    expect(kept).toMatchObject({ width: 6, height: 4, key: expect.stringMatching(/^[0-9a-f]{64}$/) })
    // The same picture in another file is the same.
    expect(await store.add(await sharp(png).webp({ lossless: true }).toBuffer())).toEqual(kept)
    expect(readdirSync(folder)).toEqual([`${kept.key}.png`])
    expect(Buffer.from((await store.read(kept.key, 'It')).data)).toEqual(data)
    // Turned by its camera, half transparent: white shows through.
    const turned = await sharp({ create: { width: 2, height: 1, channels: 4, background: '#ff000080' } })
      .withMetadata({ orientation: 6 })
      .png()
      .toBuffer()
    const upright = await store.add(turned)
    expect(upright).toMatchObject({ width: 1, height: 2 })
    const { data: flat, channels } = await store.read(upright.key, 'It')
    expect(channels).toBe(3)
    expect(Array.from(flat.subarray(0, 3))).toEqual([255, 127, 127])
  })

  it('makes larger pictures smaller, and refuses what is none without naming its own files', async () => {
    const folder = await lastingFolder()
    const store = new InputStore(folder)
    const wide = await sharp({ create: { width: 5000, height: 10, channels: 3, background: '#123456' } })
      .png()
      .toBuffer()
    expect(await store.add(wide)).toMatchObject({ width: 4096, height: 8 })
    const refused = store.add(Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'))
    await expect(refused).rejects.toMatchObject({ code: 'bad-file', message: /^The picture is svg/ })
    expect(readdirSync(folder)).toHaveLength(1)
    expect(await store.path('../../etc/passwd')).toBeUndefined()
    await expect(store.read('0'.repeat(64), 'The mask')).rejects.toMatchObject({
      code: 'bad-file',
      message: 'The mask is no longer kept.',
    })
  })

  it('lets the oldest go beyond its limit, but none that a job waits for', async () => {
    const folder = await lastingFolder()
    const keys: string[] = []
    const whole = new InputStore(folder)
    for (let seed = 1; seed <= 4; seed++) {
      const { key } = await whole.add(await pngOf(noise(20, 20, seed), 20, 20))
      utimesSync(join(folder, `${key}.png`), seed, seed)
      keys.push(key)
    }
    writeFileSync(join(folder, '.1.abc.tmp'), 'left by a crash')
    writeFileSync(join(folder, 'notes.txt'), 'of somebody else')
    const { length } = await readFile(join(folder, `${keys[0]}.png`))
    // Room for one beside the one that is waited for; noise does not compress, so all are of one size.
    await new InputStore(folder, 1.5 * length).prune(new Set([keys[0] as string]))
    const left = [`${keys[0]}.png`, `${keys[3]}.png`, 'notes.txt']
    expect(readdirSync(folder).toSorted()).toEqual(left.toSorted())
  })
})

const textOf = ({ entries }: PngTextResult): string =>
  entries.find(({ keyword }) => keyword === 'attune')?.text ?? ''

/** A library with a tiny model, a net that is a folder and one that is a file. */
async function library(): Promise<{ readonly models: string; readonly nets: readonly string[] }> {
  const models = join(await lastingFolder(), 'models')
  writeTinyModel('sd1', join(models, 'sd1'), { dtype: 'F32' })
  const folder = join(models, 'nets', 'edges')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'config.json'), JSON.stringify(netConfig('sd1-a')))
  writeFileSync(join(folder, 'diffusion_pytorch_model.safetensors'), netBytes('sd1-a'))
  const file = join(models, 'nets', 'depth.safetensors')
  writeFileSync(file, netBytes('sd1-b', 'original'))
  return { models, nets: [join(folder, 'diffusion_pytorch_model.safetensors'), file] }
}

describe('the host', () => {
  it('takes pictures in and gives them out, and only those', async () => {
    const server = await testServer()
    servers.push(server)
    const png = await pngOf(noise(5, 5), 5, 5)
    const answer = await server.post('/host/inputs', png)
    const kept = (await answer.json()) as { key: string; width: number; height: number }
    expect(kept).toMatchObject({ width: 5, height: 5 })
    const out = await server.get(`/host/inputs/${kept.key}`)
    expect(out.headers.get('content-type')).toBe('image/png')
    expect(
      Buffer.from(
        await sharp(await out.arrayBuffer())
          .raw()
          .toBuffer(),
      ),
    ).toEqual(noise(5, 5))
    for (const path of ['0'.repeat(64), `${kept.key}/more`, `..%2f${kept.key}`, kept.key.toUpperCase()])
      expect((await server.get(`/host/inputs/${path}`)).status).toBe(404)
    const refused = await server.post('/host/inputs', Buffer.from('no picture'))
    expect(refused.status).toBe(422)
    expect(await refused.json()).toMatchObject({ error: { code: 'bad-file' } })
    expect((await fetch(`${server.server.origin}/host/inputs/${kept.key}`)).status).toBe(401)
  })

  it('lists ControlNets by their own names, serves what an engine reads of them, and nothing beside', async () => {
    const { models, nets } = await library()
    writeFileSync(join(models, 'nets', 'secret.json'), '{}')
    const server = await testServer({}, { modelsFolder: models })
    servers.push(server)
    const { nets: listed } = await server.service.call('models.list', {})
    expect(listed.map(({ name, file, id }) => ({ name, file, id }))).toEqual([
      { name: 'depth', file: 'depth.safetensors', id: nets[1] },
      { name: 'edges', file: undefined, id: nets[0] },
    ])
    const of = (id: string, file: string) => server.get(`/host/models/${encodeURIComponent(id)}/${file}`)
    expect(await (await of(nets[0] as string, 'config.json')).json()).toEqual(netConfig('sd1-a'))
    const whole = Buffer.from(await (await of(nets[1] as string, 'depth.safetensors')).arrayBuffer())
    expect(whole.equals(netBytes('sd1-b', 'original'))).toBe(true)
    expect((await of(nets[1] as string, 'secret.json')).status).toBe(404)
    expect((await of(nets[1] as string, 'edges/config.json')).status).toBe(404)
  })

  it('refuses a job whose picture is not kept, and queues nothing of its call', async () => {
    const service = await openHost(await facts({ modelsFolder: (await library()).models }))
    services.push(service)
    const { models } = await service.call('models.list', {})
    const model = models.find(({ name }) => name === 'sd1')?.id as string
    const request = { prompt: 'a car', seed: '1' }
    const init = { key: 'a'.repeat(64), name: 'gone.png' }
    await expect(
      service.call('jobs.add', { requests: [request, { ...request, inputs: { init } }], model }),
    ).rejects.toMatchObject({ code: 'bad-file', message: /no longer kept/ })
    const mask = { key: 'a'.repeat(64) }
    await expect(
      service.call('jobs.add', { requests: [{ ...request, inputs: { mask } }], model }),
    ).rejects.toMatchObject({ code: 'bad-argument' })
    expect((await service.call('jobs.list', {})).jobs).toEqual([])
  })

  it('draws a queued picture from its source and mask after it was closed, and records them', async () => {
    // The smallest model: the queue draws on what this machine has, which may be a GPU made of software.
    const modelsFolder = join(await lastingFolder(), 'models')
    writeTinyModel('story', join(modelsFolder, 'story'), { dtype: 'F32' })
    const place = await facts({ modelsFolder })
    const before = await openHost(place)
    const { models } = await before.call('models.list', {})
    const model = models.find(({ name }) => name === 'story')?.id as string
    const [width, height] = [32, 32]
    const source = noise(width, height)
    const { key } = await before.inputs.add(await pngOf(source, width, height))
    const half = Uint8Array.from({ length: width * height }, (_, at) => (at % width < width / 2 ? 255 : 0))
    const { key: maskKey } = await before.inputs.add(await pngOf(Buffer.from(half), width, height, 1))
    const inputs = {
      init: { key, name: 'mine.png', fit: 'crop' as const },
      mask: { key: maskKey, feather: 0.1, content: 'fill' as const },
    }
    const request = {
      prompt: 'a red car',
      seed: '5',
      width,
      height,
      steps: 2,
      strength: 1,
      guidanceScale: 1,
    }
    await before.call('jobs.pause', {})
    await before.call('jobs.add', { requests: [{ ...request, inputs }], model })
    await before.close()

    const service = await openHost(place)
    services.push(service)
    const waiting = (await service.call('jobs.list', {})).jobs[0]
    expect(waiting).toMatchObject({ state: 'queued', inputs: { init: inputs.init } })
    await service.call('jobs.resume', {})
    await expect
      .poll(async () => (await service.call('jobs.list', {})).jobs[0]?.state, { timeout: 60_000 })
      .toMatch(/done|failed/)
    const ended = (await service.call('jobs.list', {})).jobs[0]
    expect({ state: ended?.state, problem: ended?.problem }).toEqual({ state: 'done', problem: undefined })
    const file = await readFile(await service.picturePath(ended?.picture as number))
    const drawn = await sharp(file).removeAlpha().raw().toBuffer()
    let [kept, changed] = [0, 0]
    for (let at = 0; at < width * height; at++) {
      const same = [0, 1, 2].every(part => drawn[at * 3 + part] === source[at * 3 + part])
      if (at % width >= width / 2 && same) kept++
      if (at % width < width / 2 && !same) changed++
    }
    // Every pixel outside of the mask is the source's own, to the bit; noise is drawn by no model.
    expect(kept).toBe((width * height) / 2)
    expect(changed).toBeGreaterThan((width * height) / 4)
    const text = textOf(await readPngText(new Uint8Array(file)))
    const record = readRecord(text)
    expect(record.request).toMatchObject({ strength: 1, steps: 2 })
    expect(record.inputs).toEqual([
      { role: 'init', name: 'mine.png', sha256: key, fit: 'crop' },
      { role: 'mask', name: 'mask', sha256: maskKey, feather: 0.1, content: 'fill' },
    ])
    expect(text).not.toContain(place.modelsFolder)
  })
})

describe('guides in a seat', () => {
  let models: string
  beforeAll(async () => {
    ;({ models } = await library())
  })

  async function opened(): Promise<EngineClient> {
    const seat = startHostSeat()
    seats.push(seat)
    const client = await EngineClient.start(seat.port)
    await client.open({ kind: 'url', url: pathToFileURL(join(models, 'sd1')).href })
    return client
  }
  const place = (name: string, file?: string) => ({
    kind: 'url' as const,
    url: pathToFileURL(join(models, 'nets', ...(file === undefined ? [name] : []))).href,
    name,
    ...(file !== undefined && { file }),
  })

  it.each(['sd1-window', 'sd1-two'])('%s: the latents are those of diffusers', async id => {
    const client = await opened()
    const { guides, prompt, negative, width, height, sampler, steps, guidance } = guidedCase(id)
    const names = { 'sd1-a': place('edges'), 'sd1-b': place('depth', 'depth.safetensors') } as const
    const used = [...new Set(guides.map(({ model }) => model))] as ('sd1-a' | 'sd1-b')[]
    const result = await client.generate(
      {
        prompt,
        negativePrompt: negative,
        width,
        height,
        sampler,
        steps,
        guidanceScale: guidance,
        seed: '0',
        precision: 'f32',
        guides: [...guides],
      },
      {
        initialNoise: Float32Array.from(loadNpy(parityCase('sd1-ddim').files.initialNoise as string).data),
        guides: {
          nets: used.map(name => ({ name, location: names[name] })),
          pictures: await Promise.all(
            guides.map(async ({ image }) => ({ name: image, pixels: await guidePicture(image) })),
          ),
        },
      },
      { backend: 'wasm' },
    )
    expect(relativeL2(result.latents.data, expectedLatents(id))).toBeLessThan(1e-3)
    expect(result.used.guides).toMatchObject(guides)
  })

  it('gives a queued job’s guides their networks and pictures, by the library’s places', async () => {
    const place = await facts({ modelsFolder: models })
    const service = await openHost(place)
    services.push(service)
    const { nets } = await service.call('models.list', {})
    const hint = await guidePicture('a.png')
    const { key } = await service.inputs.add(await pngOf(Buffer.from(hint.data), hint.width, hint.height))
    const preprocessor = { name: 'canny', options: { low: 50 } }
    const inputs = drawInputsSchema.parse({
      nets: Object.fromEntries(nets.map(({ name, id }) => [name, id])),
      images: { 'a.png': { key, name: 'photo.png', preprocessor } },
    })
    const given = await engineInputsOf(inputs, {
      findNet: id => service.netPlace(id),
      readInput: (each, what) => service.inputs.read(each, what),
    })
    const at = (path: string) => pathToFileURL(join(models, 'nets', path)).href
    expect(given.guides?.nets).toEqual([
      { name: 'depth', location: { kind: 'url', url: at(''), name: 'depth', file: 'depth.safetensors' } },
      { name: 'edges', location: { kind: 'url', url: at('edges'), name: 'edges' } },
    ])
    const [picture] = given.guides?.pictures ?? []
    expect(picture).toMatchObject({ name: 'a.png', preprocessor, pixels: { width: hint.width, channels: 3 } })
    expect(Buffer.from(picture?.pixels.data ?? []).equals(hint.data)).toBe(true)
    expect(recordedInputs(inputs)).toEqual([
      { role: 'control', name: 'a.png', sha256: key, file: 'photo.png', preprocessor },
      { role: 'control-net', name: 'depth' },
      { role: 'control-net', name: 'edges' },
    ])
  })

  it('refuses by name what was not given, what there is not, and nets of another family', async () => {
    const client = await opened()
    const request = {
      prompt: 'a car',
      seed: '1',
      width: 64,
      height: 32,
      steps: 1,
      guides: [{ model: 'edges', image: 'a.png' }],
    }
    const pixels = await guidePicture('a.png')
    const draw = (guides: Parameters<EngineClient['generate']>[1]) => client.generate(request, guides)
    await expect(draw({})).rejects.toMatchObject({ code: 'bad-argument', message: /ControlNet "edges"/ })
    const nets = [{ name: 'edges', location: place('edges') }]
    await expect(draw({ guides: { nets, pictures: [] } })).rejects.toMatchObject({
      message: /the picture "a\.png", which was not given/,
    })
    const wrong = { name: 'a.png', pixels, preprocessor: { name: 'openpose_full', options: {} } }
    await expect(draw({ guides: { nets, pictures: [wrong] } })).rejects.toMatchObject({
      code: 'bad-argument',
      message: /openpose_full is a network that Attune does not run/,
    })
    const missing = [{ name: 'edges', location: place('nowhere', 'none.safetensors') }]
    await expect(
      draw({ guides: { nets: missing, pictures: [{ name: 'a.png', pixels }] } }),
    ).rejects.toMatchObject({ code: 'bad-model', message: /The ControlNet nowhere is no longer there|edges/ })
    const other = join(models, 'nets', 'other')
    mkdirSync(other, { recursive: true })
    writeFileSync(join(other, 'config.json'), JSON.stringify(netConfig('sd2-a')))
    writeFileSync(join(other, 'diffusion_pytorch_model.safetensors'), netBytes('sd2-a'))
    const alien = [{ name: 'edges', location: place('other') }]
    await expect(
      draw({ guides: { nets: alien, pictures: [{ name: 'a.png', pixels }] } }),
    ).rejects.toMatchObject({ code: 'bad-model', message: /edges/ })
  })
})
