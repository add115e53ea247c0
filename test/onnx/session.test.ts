/** Sessions of one WebAssembly runtime take turns. The runtime is a double that looks at who is inside it. */
import { expect, test } from 'vitest'
import { type OnnxRuntime, OnnxSession } from '../../model/onnx/session.ts'

/** A runtime whose every call takes a while, and which counts how many calls are inside at once. */
function watchedRuntime(): { ort: OnnxRuntime; most: () => number; log: string[] } {
  let inside = 0
  let most = 0
  const log: string[] = []
  const call = async <T>(name: string, result: T): Promise<T> => {
    most = Math.max(most, ++inside)
    await new Promise(resolve => setTimeout(resolve, 3))
    inside--
    log.push(name)
    if (name === 'run broken') throw new Error('refused')
    return result
  }
  class Tensor {
    readonly dims = [1]
    getData = (): Promise<Float32Array> => call('getData', new Float32Array(1))
    dispose(): void {
      log.push('dispose')
    }
  }
  const InferenceSession = {
    create: (model: Uint8Array) =>
      call('create', {
        run: (_: unknown, [name]: string[]) => call(`run ${name}`, { [name ?? '']: new Tensor() }),
        release: () => call(`release ${model.length}`, undefined),
      }),
  }
  return {
    ort: { InferenceSession, Tensor, env: { wasm: {} } } as unknown as OnnxRuntime,
    most: () => most,
    log,
  }
}

test('creating, running and releasing never meet in one runtime, and a failure lets the next one in', async () => {
  const { ort, most, log } = watchedRuntime()
  const create = (length: number): Promise<OnnxSession> =>
    OnnxSession.create({ name: 'network', model: new Uint8Array(length), ort })
  const first = await create(1)
  const run = first.run({}, ['y'])
  const broken = first.run({}, ['broken'])
  const second = create(2)
  const released = first.release()
  await expect(broken).rejects.toThrow(/network failed: refused/)
  await Promise.all([run, second, released])
  await (await second).run({}, ['z'])
  expect(most()).toBe(1)
  expect(log).toEqual([
    'create',
    'run y',
    'getData',
    'dispose',
    'run broken',
    'create',
    'release 1',
    'run z',
    'getData',
    'dispose',
  ])
})

test('the native runtime is not held back', async () => {
  const { ort, most } = watchedRuntime()
  const session = await OnnxSession.create({
    name: 'network',
    model: new Uint8Array(1),
    ort,
    executionProviders: ['cpu'],
  })
  await Promise.all([session.run({}, ['a']), session.run({}, ['b'])])
  expect(most()).toBe(2)
})
