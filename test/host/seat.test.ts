/** The host's own seat: the real engine in a real thread, with the tiny models. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Job, JobHooks } from '../../host/jobs/runner.ts'
import { startHostSeat, type HostSeat } from '../../host/seat/host-seat.ts'
import { openHost } from '../../host/seat/open-host.ts'
import { SeatRunner, type SeatRunnerOptions } from '../../host/seat/runner.ts'
import type { HostEvent, HostJob } from '../../model/contract/host-api.ts'
import type { HostService } from '../../host/service/service.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import { parseRequest } from '../../model/contract/request.ts'
import { EngineClient } from '../../model/worker/client.ts'
import { writeTinyModel } from '../support/tiny-models.ts'
import { facts } from './service-support.ts'

const request = { prompt: 'a red car', seed: '7', width: 32, height: 32, steps: 2, guidanceScale: 1 } as const
let root: string
let story: string
const seats: HostSeat[] = []
const runners: SeatRunner[] = []
const services: HostService[] = []

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'attune-host-seat-'))
  story = writeTinyModel('story', join(root, 'models', 'story'))
})
afterEach(async () => {
  for (const service of services.splice(0)) await service.close()
  for (const runner of runners.splice(0)) await runner.close()
  for (const seat of seats.splice(0)) await seat.end()
})
afterAll(() => rmSync(root, { recursive: true }))

describe('the engine’s thread', () => {
  it('draws what a page’s Worker draws, opens only folders, and ends', async () => {
    const seat = startHostSeat()
    seats.push(seat)
    const client = await EngineClient.start(seat.port)
    expect(client.adapter ?? client.problem).toBeDefined()
    await expect(client.open('http://127.0.0.1:1/model/')).rejects.toMatchObject({ code: 'unsupported' })
    const model = { kind: 'url', url: pathToFileURL(story).href } as const
    // What a page says of onnxruntime's code is not heard.
    await client.open(model, { runtime: { wasmPaths: 'http://127.0.0.1:1/evil/' } })
    const seen: number[] = []
    const result = await client.generate(request, {}, { backend: 'wasm', onProgress: p => seen.push(p.step) })
    expect(seen).toEqual([1, 2])
    expect(result.picture.data.length).toBe(32 * 32 * 3)
    expect(result.adapter.backend).toBe('wasm')
    await client.close()
    await expect(client.explain({ text: 'a', dialect: 'plain' })).rejects.toMatchObject({ code: 'cancelled' })
  })

  it('tells when it ends by itself', async () => {
    const seat = startHostSeat({ entry: new URL('data:text/javascript,process.exit(3)') })
    seats.push(seat)
    await expect(EngineClient.start(seat.port)).rejects.toMatchObject({ code: 'internal', message: /ended/ })
  })
})

function runnerOf(path = story, options: SeatRunnerOptions = {}): SeatRunner {
  const context = {
    version: '9.9.9',
    now: () => new Date(0),
    findModel: () => Promise.resolve({ id: 'story', name: 'story', path, isEmbedded: false }),
    findNet: () => Promise.reject(new Error('no nets')),
    readInput: () => Promise.reject(new Error('no pictures')),
  }
  const runner = new SeatRunner(context, options)
  runners.push(runner)
  return runner
}

const jobOf = (more: object = {}): Job => ({
  id: 'job',
  request: parseRequest({ ...request, ...more }),
  inputs: {},
  state: 'running',
  added: '',
})

function hooksOf(more: Partial<JobHooks> = {}): JobHooks {
  return {
    onProgress: () => undefined,
    onNotice: () => undefined,
    signal: new AbortController().signal,
    checkpoint: () => Promise.resolve(),
    ...more,
  }
}

describe('SeatRunner', () => {
  it('waits at a checkpoint, goes on from it, and stops where it is asked to', async () => {
    const runner = runnerOf()
    const seen: number[] = []
    const gate = new AbortController()
    const held = once(gate.signal, 'abort').then(() => undefined)
    const template = { prompt: 'a {red|blue} car', negativePrompt: '' }
    const run = runner.run(
      { ...jobOf({ steps: 3 }), template },
      hooksOf({
        onProgress: ({ step }) => seen.push(step),
        checkpoint: () => (seen.length === 2 ? held : Promise.resolve()),
      }),
    )
    while (seen.length < 2) await new Promise(resolve => setTimeout(resolve, 10))
    await new Promise(resolve => setTimeout(resolve, 150))
    expect(seen).toEqual([1, 2])
    gate.abort()
    const { png, steps, width, height, denoiseMilliseconds } = await run
    expect({ steps, width, height, seen }).toEqual({ steps: 3, width: 32, height: 32, seen: [1, 2, 3] })
    expect(denoiseMilliseconds).toBeGreaterThan(0)
    const text = Buffer.from(png).toString('latin1')
    expect(text).toContain('"version":"9.9.9"')
    expect(text).toContain('a red car\nSteps: 3')
    // What the prompt was drawn from stands in the record, so that it can be taken up as it was written.
    expect(text).toContain('"template":{"prompt":"a {red|blue} car","negativePrompt":""}')

    const controller = new AbortController()
    const reason = new AttuneError('cancelled', 'The job was cancelled.')
    const stopped = runner.run(
      jobOf({ steps: 30 }),
      hooksOf({
        signal: controller.signal,
        onProgress: () => controller.abort(reason),
        checkpoint: () => Promise.reject(reason),
      }),
    )
    await expect(stopped).rejects.toBe(reason)
    expect((await runner.run(jobOf({ steps: 1 }), hooksOf())).steps).toBe(1)
  })

  it('ends a thread that does not hear a stop, and starts another', async () => {
    const runner = runnerOf(story, { stopWithin: 50 })
    const controller = new AbortController()
    const reason = new AttuneError('cancelled', 'The job was cancelled.')
    const run = runner.run(
      jobOf(),
      // It never goes on from its first step.
      hooksOf({
        signal: controller.signal,
        checkpoint: () => new Promise(() => undefined),
        onProgress: () => controller.abort(reason),
      }),
    )
    await expect(run).rejects.toThrow(/ended/)
    expect((await runner.run(jobOf({ steps: 1 }), hooksOf())).steps).toBe(1)
  })

  it('says what is wrong with a model, and draws the next job', async () => {
    const runner = runnerOf(join(root, 'models'))
    await expect(runner.run(jobOf(), hooksOf())).rejects.toMatchObject({ code: 'bad-model' })
    expect(await runner.describe()).toMatchObject({ backend: expect.stringMatching(/webgpu|wasm/) as string })
  })
})

describe('the queue with its engine', () => {
  it('draws jobs into the gallery with their records, and tells of it', async () => {
    const service = await openHost(await facts({ modelsFolder: join(root, 'models') }))
    services.push(service)
    const events: HostEvent[] = []
    service.subscribe(event => events.push(event))
    const { models } = await service.call('models.list', {})
    expect(models).toMatchObject([{ id: story, name: 'story', usable: true, embedded: false }])
    const { jobs } = await service.call('jobs.add', {
      requests: [request, { ...request, seed: '8' }],
      model: story,
    })
    expect(jobs).toMatchObject([{ model: story }, { model: story, state: 'queued' }])
    let done: HostJob[] = []
    while (done.length < 2) {
      await new Promise(resolve => setTimeout(resolve, 30))
      const all = (await service.call('jobs.list', {})).jobs
      expect(all.find(job => job.problem)).toBeUndefined()
      done = all.filter(job => job.state === 'done')
    }
    const id = done[0]?.picture as number
    const found = await service.call('gallery.get', { id })
    expect(found.picture).toMatchObject({ width: 32, height: 32, prompt: 'a red car', tool: 'attune' })
    expect(found.record).toMatchObject({ request: { seed: '7', steps: 2 }, model: { name: 'story' } })
    expect(found.infotext).toContain('Seed: 7')
    expect((await readFile(await service.picturePath(id))).length).toBe(found.picture.bytes)
    const types = new Set(events.map(({ type }) => type))
    expect([...types].sort()).toEqual(expect.arrayContaining(['gallery', 'job', 'jobs']))
    await expect(service.call('jobs.add', { requests: [request], model: 'none' })).rejects.toMatchObject({
      code: 'bad-model',
    })
  })
})
