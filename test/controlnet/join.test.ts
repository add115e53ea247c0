/** A UNet and its nets as one graph say what they say one after another. */
import { expect, it } from 'vitest'
import { openNodeOnnxRuntime } from '../../host/onnxruntime.ts'
import { OnnxBackend } from '../../model/backend/onnx-backend.ts'
import { joinedInput, joinGraphs } from '../../model/controlnet/join.ts'
import type { Graph } from '../../model/graph/ops.ts'
import type { Program } from '../../model/graph/program.ts'
import { GuidedProgram } from '../../model/pipeline/guided-program.ts'
import { elementCount } from '../../model/tensor/shape.ts'
import { openTinyNet } from '../support/controlnet.ts'
import { formulaInput } from '../support/formula-weights.ts'
import { relativeL2 } from '../support/parity.ts'
import { openTinyModel } from '../support/run-case.ts'

const values = (graph: Graph, seed: number) =>
  Object.fromEntries(
    [...graph.inputs].map(([name, { shape }]) => [
      name,
      formulaInput(name, [elementCount(shape)], seed).map(value => value * 0.3),
    ]),
  )

const of = (value: number) => Float32Array.from([value])

it('one net or two', async () => {
  const backend = OnnxBackend.open(await openNodeOnnxRuntime('wasm', { threads: 1 }))
  const model = await openTinyModel('story')
  const net = await openTinyNet('story-a', model, 'story')
  const size = { batch: 2, height: 4, width: 8, textTokens: 77 }
  const unetGraph = model.unet.recordDenoise({ ...size, controlNetResiduals: true })
  const netGraph = net.recordDenoise(size)
  const unet = await backend.compile(unetGraph)
  const alone = await backend.compile(netGraph)
  const own = Object.fromEntries(
    Object.entries(values(unetGraph, 1)).filter(([name]) => !netGraph.outputs.has(name)),
  )
  const given = [values(netGraph, 2), values(netGraph, 3)]
  for (const count of [1, 2]) {
    const sums: Record<string, Float32Array> = {}
    for (const inputs of given.slice(0, count)) {
      for (const [name, residual] of Object.entries(await alone.run(inputs))) {
        const before = sums[name]
        sums[name] = before ? residual.map((value, i) => value + (before[i] as number)) : residual
      }
    }
    const expected = (await unet.run({ ...own, ...sums }))['modelOutput'] as Float32Array
    const nets = Array.from({ length: count }, (_, index) => ({ index, graph: netGraph }))
    const graph = joinGraphs(nets, unetGraph)
    expect([...graph.inputs.keys()].filter(name => name.includes('Residual'))).toEqual([])
    const joined = await backend.compile(graph)
    const inputs = given
      .slice(0, count)
      .flatMap((each, index) => Object.entries(each).map(([name, data]) => [joinedInput(index, name), data]))
    const found = await joined.run({ ...own, ...Object.fromEntries(inputs) })
    expect(relativeL2(found['modelOutput'] as Float32Array, expected)).toBeLessThan(1e-6)
  }
  await backend.dispose()
})

it('programs change places: inputs that are missing are given, states are carried over', async () => {
  const log: string[] = []
  const fake = (name: string, inputs: readonly string[]): Program => ({
    graph: {
      name,
      ops: [],
      inputs: new Map(inputs.map(each => [each, { id: 0, shape: [1], label: each }])),
      outputs: new Map(),
      states: new Map([['s', {} as never]]),
    },
    stats: {} as never,
    run(given) {
      log.push(
        `${name}(${Object.entries(given)
          .map(([key, [value]]) => `${key}${value}`)
          .join()})`,
      )
      return Promise.resolve({})
    },
    readStates: () => Promise.resolve({ s: Float32Array.from([name.length]) }),
    writeStates: ({ s }) => log.push(`${name} takes ${s?.[0]}`),
    clearStates: () => undefined,
    dispose: () => log.push(`${name} ends`),
  })
  let due = ''
  const program = new GuidedProgram(
    new Map([
      ['', fake('alone', ['x', 'k', 'zero'])],
      ['0', fake('joined', ['x', 'k', 'hint'])],
    ]),
    () => due,
  )
  await program.run({ x: of(1), k: of(5), zero: of(0) })
  await program.run({ x: of(2) })
  due = '0'
  await program.run({ x: of(3), hint: of(7) })
  await program.run({ x: of(4) })
  due = ''
  await program.run({ x: of(6) })
  expect(program.graph.name).toBe('alone')
  program.dispose()
  expect(log).toEqual([
    'alone(x1,k5,zero0)',
    'alone(x2)',
    'joined takes 5',
    'joined(x3,k5,hint7)',
    'joined(x4)',
    'alone takes 6',
    'alone(x6)',
    'alone ends',
    'joined ends',
  ])
})
