/** What the engine's seat passes on of spot, meter and schedule: messages that the other side understands. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openModelFolder } from '../../host/model-folder.ts'
import { openNodeOnnxRuntime } from '../../host/onnxruntime.ts'
import { OnnxBackend } from '../../model/backend/onnx-backend.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import { type EngineMessage, parseEngineMessage } from '../../model/worker/messages.ts'
import { EngineSeat } from '../../model/worker/seat.ts'
import { writeTinyModel } from '../support/tiny-models.ts'

let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'attune-tiny-'))
  writeTinyModel('sd1', folder, { dtype: 'F32' })
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

it('a spot, a meter, weights and the schedule come with the picture', async () => {
  const posted: EngineMessage[] = []
  const seat = new EngineSeat({
    describeAdapter: () => Promise.reject(new AttuneError('unsupported', 'No adapter.')),
    openBackend: async () => {
      const backend = OnnxBackend.open(await openNodeOnnxRuntime('wasm'))
      return Object.assign(backend, { check: () => undefined, notice: undefined })
    },
    openFolder: () => openModelFolder(folder),
    prepareRuntime: () => Promise.resolve(),
    // As it travels: whatever the schemas do not know is gone.
    post: message => void posted.push(parseEngineMessage(structuredClone(message))),
  })
  await seat.handle({ type: 'open', id: 1, model: { kind: 'url', url: 'file:///model/' } })
  const whole = { kind: 'rect', x: 0, y: 0, width: 1, height: 1 }
  const request = {
    prompt: 'a (red:1.5) car',
    seed: '7',
    width: 32,
    height: 32,
    steps: 3,
    precision: 'f32',
    controls: { regions: { regions: [{ prompt: 'grass', mask: whole }] } },
  }
  const watch = { capture: { words: ['car', 'red'] }, spot: { x: 0.5, y: 0 }, meterAt: 'middle' }
  await seat.handle({ type: 'generate', id: 2, request, inputs: {}, watch })
  const done = posted.at(-1)
  if (done?.type !== 'done') throw new Error(JSON.stringify(done))
  const { spot, meter, schedule, tokenWeights, attention } = done.result
  expect(schedule?.timesteps).toHaveLength(3)
  expect(schedule?.sigmas).toHaveLength(3)
  expect(tokenWeights).toHaveLength(attention?.tokens.length ?? 0)
  expect(tokenWeights).toEqual(expect.arrayContaining([1, 1.5]))
  expect(spot).toMatchObject({ point: { x: 0.5, y: 0 } })
  expect(spot?.data).toHaveLength((spot?.width ?? 0) * (spot?.height ?? 0))
  expect(meter).toMatchObject({ step: 2, sources: [{ kind: 'own' }, { kind: 'region', region: 0 }] })
  expect(meter?.layers[0]?.sizes[0]).toBeInstanceOf(Float32Array)

  await seat.handle({ type: 'generate', id: 3, request, inputs: {}, watch: { spot: { x: 2, y: 0 } } })
  expect(posted.at(-1)).toMatchObject({ type: 'error' })
  await seat.handle({ type: 'generate', id: 4, request, inputs: {}, watch: { meterAt: 3 } })
  expect(posted.at(-1)).toMatchObject({ type: 'error', error: { code: 'bad-argument' } })
  await seat.handle({ type: 'close', id: 5 })
}, 60_000)
