/**
 * Seat and client without a browser: the messages cross a structured clone as they would cross to a Worker, and the
 * backend is the interpreter, which can be made to fail.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { openModelFolder } from '../../host/model-folder.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import { createInterpreterBackend } from '../../model/graph/interpreter.ts'
import type { CapturedAttention } from '../../model/attention/captured.ts'
import { wordMaps } from '../../model/attention/maps.ts'
import { EngineClient, type EnginePort } from '../../model/worker/client.ts'
import { type EngineMessage, type EngineProgress, transferList } from '../../model/worker/messages.ts'
import { EngineSeat, type SeatPlace } from '../../model/worker/seat.ts'
import { writeTinyModel } from '../support/tiny-models.ts'

const adapter = { name: 'interpreter', software: true, shaderF16: false, maxBufferBytes: 2 ** 27 }
const request = { prompt: 'a red car', seed: '7', width: 32, height: 32, steps: 3, guidanceScale: 1 } as const
const lost = new AttuneError('device-lost', 'The GPU was taken away.', 'Run again.')
let folder: string
const seats: EngineSeat[] = []

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'attune-seat-'))
  writeTinyModel('story', folder)
})
afterEach(async () => {
  for (const seat of seats.splice(0)) await seat.handle({ type: 'close', id: 0 })
})
afterAll(() => rmSync(folder, { recursive: true }))

/** A client and its seat, joined by a port that clones and gives away as a Worker's does. */
function joined(place: Partial<SeatPlace> = {}) {
  const listeners = new Map<string, (event: never) => void>()
  const facts = {
    opened: 0,
    disposed: 0,
    failure: undefined as AttuneError | undefined,
    broken: false,
    ended: false,
  }
  const say = (type: string, event: unknown) => listeners.get(type)?.(event as never)
  const post = (message: EngineMessage) => {
    const data: unknown = structuredClone(message, { transfer: transferList(message) })
    setTimeout(() => say('message', { data }))
  }
  const seat = new EngineSeat({
    describeAdapter: () => Promise.resolve(adapter),
    openBackend() {
      facts.opened++
      const backend = createInterpreterBackend()
      return Promise.resolve({
        ...backend,
        notice: 'Drawing on paper.',
        compile: graph =>
          facts.broken ? Promise.reject(new Error('no such thing')) : backend.compile(graph),
        dispose() {
          facts.disposed++
          return backend.dispose()
        },
        check() {
          if (facts.failure) throw facts.failure
        },
      })
    },
    openFolder: location =>
      openModelFolder(location.kind === 'url' ? new URL(location.url).pathname : location.name),
    prepareRuntime: () => Promise.resolve(),
    post,
    ...place,
  })
  seats.push(seat)
  const port: EnginePort = {
    postMessage(message) {
      const data: unknown = structuredClone(message)
      setTimeout(() => void seat.handle(data))
    },
    addEventListener: (type: string, listener: (event: never) => void) => void listeners.set(type, listener),
    terminate: () => void (facts.ended = true),
  }
  return { port, seat, facts, say, address: `file://${folder}` }
}

describe('EngineClient and EngineSeat', () => {
  it('draws; a loop over the steps gives the same bits, and ends the run when it is left', async () => {
    const { port, address, facts } = joined()
    const client = await EngineClient.start(port)
    expect(client.adapter).toEqual(adapter)
    expect(client.problem).toBeUndefined()
    expect(await client.open(address)).toMatchObject({ task: 'text-to-image', sizeFactor: 16 })
    const seen: number[] = []
    const notices: string[] = []
    const result = await client.generate(
      request,
      {},
      {
        onProgress: ({ step }) => seen.push(step),
        onNotice: text => notices.push(text),
      },
    )
    expect(notices).toEqual(['Drawing on paper.'])
    expect(seen).toEqual([1, 2, 3])
    expect(result.picture.data.length).toBe(32 * 32 * 3)
    expect(result.used).toMatchObject({ ...request, sampler: 'ddim' })
    const steps = client.steps(request)
    let next = await steps.next()
    while (!next.done) next = await steps.next()
    expect(next.value.latents.data).toEqual(result.latents.data)
    for await (const { step } of client.steps(request)) if (step === 1) break
    expect((await client.generate({ ...request, steps: 1 })).latents.shape).toEqual([1, 16, 2, 2])
    expect(facts.opened).toBe(1)
    await client.close()
    expect(facts).toMatchObject({ disposed: 1, ended: true })
    await expect(client.generate(request)).rejects.toMatchObject({ message: 'The engine was closed.' })
  })

  it("stops with the signal's own reason, and takes one request at a time", async () => {
    const { port, address, facts } = joined()
    const client = await EngineClient.start(port)
    await client.open(address)
    const controller = new AbortController()
    const reason = new AttuneError('cancelled', 'The window was closed.')
    const run = client.generate(
      request,
      {},
      { signal: controller.signal, onProgress: () => controller.abort(reason) },
    )
    await expect(client.generate(request)).rejects.toMatchObject({ code: 'bad-argument', message: /busy/ })
    await expect(run).rejects.toBe(reason)
    await expect(client.generate(request, {}, { signal: controller.signal })).rejects.toBe(reason)
    // A clean stop leaves weights and pipelines as they are.
    expect(facts.disposed).toBe(0)
  })

  it('fault G3: tells of a lost device by its own name, and opens another for the next run', async () => {
    const { port, address, facts } = joined()
    const client = await EngineClient.start(port)
    await client.open(address)
    facts.broken = true
    facts.failure = lost
    await expect(client.generate(request)).rejects.toMatchObject({
      code: 'device-lost',
      remedy: 'Run again.',
    })
    expect(facts).toMatchObject({ opened: 1, disposed: 1 })
    facts.broken = false
    facts.failure = undefined
    await client.generate({ ...request, steps: 1 })
    expect(facts.opened).toBe(2)
    // Lost while nothing ran: nobody needs to know.
    facts.failure = lost
    setTimeout(() => (facts.failure = undefined), 500)
    await client.generate({ ...request, steps: 1 })
    expect(facts.opened).toBe(3)
    // Another precision is another set of weights.
    await client.generate({ ...request, steps: 1, precision: 'f32' })
    expect(facts).toMatchObject({ opened: 4, disposed: 3 })
  })

  it('keeps the model that it has when another cannot be opened', async () => {
    const { port, address } = joined()
    const client = await EngineClient.start(port)
    await expect(client.generate(request)).rejects.toMatchObject({ message: 'No model is open.' })
    await client.open(address)
    await expect(client.open(`file://${folder}/unet`)).rejects.toMatchObject({ code: 'bad-model' })
    await client.generate({ ...request, steps: 1 })
    await expect(client.generate({ ...request, steps: 0 })).rejects.toMatchObject({
      code: 'bad-argument',
      message: /steps/,
    })
    const grey = { width: 8, height: 8, channels: 1, data: new Uint8Array(64) } as const
    await expect(client.generate(request, { init: grey })).rejects.toMatchObject({ message: /not RGB/ })
  })

  it('shows words while it draws, and goes on from a kept step with the same bits', async () => {
    const { port, address } = joined()
    const client = await EngineClient.start(port)
    await client.open(address)
    const shown: EngineProgress['maps'][] = []
    const watch = {
      capture: { words: ['red', 'car'], live: true },
      keep: 'all' as const,
      measureEffects: true,
    }
    const paint = {
      phrase: 'red',
      strength: 3,
      mask: { kind: 'rect', x: 0, y: 0, width: 0.5, height: 1 },
    } as const
    const painted = { ...request, controls: { paint: [paint] } }
    const whole = await client.generate(painted, {}, { watch, onProgress: ({ maps }) => shown.push(maps) })
    expect(shown.map(maps => maps?.words.map(({ text }) => text))).toEqual(
      [1, 2, 3].map(() => ['red', 'car']),
    )
    const last = shown.at(-1)
    expect(last).toMatchObject({ width: 2, height: 2 })
    expect(last?.data.length).toBe(8)
    const captured = whole.attention as CapturedAttention
    const merged = wordMaps(captured, { width: 2, height: 2 })
    for (const [i, map] of merged.entries()) {
      for (const [at, value] of map.data.entries()) expect(last?.data[i * 4 + at]).toBeCloseTo(value, 5)
    }
    expect(whole.effects).toMatchObject([{ control: 'paint', step: 1 }])
    expect(whole.kept).toEqual([0, 1, 2])
    const rest = await client.generate(painted, {}, { watch: { resume: 2 } })
    expect(rest.latents.data).toEqual(whole.latents.data)
    await expect(client.generate(painted, {}, { watch: { resume: 7 } })).rejects.toMatchObject({
      message: /Step 8 of the last picture was not kept/,
    })
    await client.open(address)
    await expect(client.generate(painted, {}, { watch: { resume: 2 } })).rejects.toThrow(/not kept/)
  })

  it('explains prompts, also while it draws', async () => {
    const { port, address } = joined()
    const client = await EngineClient.start(port)
    const question = { text: 'a (red:1.3) car', dialect: 'a1111' } as const
    await expect(client.explain(question)).rejects.toThrow(/No model is open/)
    await client.open(address)
    const run = client.generate(request)
    const { parts } = await client.explain(question)
    expect(parts[0]?.states[0]?.texts[0]?.words.map(({ text, weight }) => [text, weight])).toEqual([
      ['a', 1],
      ['red', 1.3],
      ['car', 1],
    ])
    await run
  })

  it('fault G1: says why a seat cannot draw', async () => {
    const missing = new AttuneError('unsupported', 'This browser has no WebGPU.', 'Update the browser.')
    const client = await EngineClient.start(joined({ describeAdapter: () => Promise.reject(missing) }).port)
    expect(client.problem?.toRecord()).toEqual(missing.toRecord())
    expect(client.adapter).toBeUndefined()
  })

  it('refuses messages that it does not understand, on both sides', async () => {
    const posted: EngineMessage[] = []
    const { seat } = joined({ post: message => void posted.push(message) })
    await seat.handle({ type: 'format-disk', id: 3 })
    await seat.handle({ type: 'open', id: 4, model: { kind: 'url', url: 'not an address' } })
    await seat.handle('hello')
    expect(posted).toMatchObject([
      { type: 'error', id: 3, error: { code: 'internal' } },
      { type: 'error', id: 4, error: { message: /model.url: must be an absolute address/ } },
      { type: 'error', error: { code: 'internal' } },
    ])
    const { port, say, address } = joined()
    const client = await EngineClient.start(port)
    const opening = client.open(address)
    say('message', { data: { type: 'opened', id: 2, model: 'mine' } })
    await expect(opening).rejects.toMatchObject({ code: 'internal', message: /does not understand/ })
    await expect(client.generate(request)).rejects.toMatchObject({ code: 'internal' })
  })

  it('fails everything when the script of the Worker fails', async () => {
    const { port, say } = joined({ describeAdapter: () => new Promise(() => undefined) })
    const starting = EngineClient.start(port)
    say('error', { message: 'SyntaxError' })
    await expect(starting).rejects.toMatchObject({ code: 'internal', message: /SyntaxError/ })
  })
})
