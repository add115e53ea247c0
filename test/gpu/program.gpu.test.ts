/**
 * Promises of a compiled program: a run allocates nothing, repeats bit for bit, keeps its inputs, and fails by name when
 * the device is lost or a limit is passed.
 */
import { describe, expect, it, vi } from 'vitest'
import { openNodeAdapter } from '../../host/webgpu.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import { WebGpuBackend } from '../../model/gpu/backend.ts'
import { GraphBuilder } from '../../model/graph/builder.ts'
import type { Graph } from '../../model/graph/ops.ts'
import { findNonFiniteLayer } from '../../model/pipeline/finite.ts'
import { randomArray, randomWeight, testBackend } from '../support/gpu.ts'

/** linear → silu → linear + residual: two dispatches. */
function smallGraph(): Graph {
  const b = new GraphBuilder('small')
  const x = b.input('x', [1, 6, 8])
  const bias = b.input('bias', [1, 6, 8])
  const hidden = b.silu('act', b.linear('first', x, randomWeight('first.weight', [16, 8], 1), null))
  b.output(
    'y',
    b.add('sum', bias, b.linear('second', hidden, randomWeight('second.weight', [8, 16], 2), null)),
  )
  return b.build()
}

const inputs = () => ({ x: randomArray(48, 5), bias: randomArray(48, 6) })

describe('a compiled program', () => {
  it('allocates nothing on the GPU after it is compiled, and repeats bit for bit', async () => {
    const backend = await testBackend()
    const program = await backend.compile(smallGraph())
    const first = await program.run(inputs())
    const { device } = backend.gpu
    const made = [
      'createBuffer',
      'createBindGroup',
      'createComputePipelineAsync',
      'createShaderModule',
    ] as const
    const spies = made.map(name => vi.spyOn(device, name))
    for (let run = 0; run < 5; run++) {
      const again = await program.run(inputs())
      expect(again['y']).toEqual(first['y'])
    }
    expect(spies.map(spy => spy.mock.calls.length)).toEqual([0, 0, 0, 0])
    for (const spy of spies) spy.mockRestore()
    program.dispose()
  })

  it('does not grow the JavaScript heap by runs', async () => {
    const collect = globalThis.gc
    if (!collect) return // Needs --expose-gc, which the project's settings pass.
    const program = await (await testBackend()).compile(smallGraph())
    const given = inputs()
    for (let run = 0; run < 50; run++) await program.run(given)
    // What leaks does so in every window; compilation and other tests' leftovers come and go in one of them.
    const grown: number[] = []
    for (let window = 0; window < 4; window++) {
      collect()
      const before = process.memoryUsage().heapUsed
      for (let run = 0; run < 100; run++) await program.run({ x: given.x })
      collect()
      grown.push(process.memoryUsage().heapUsed - before)
    }
    // 100 runs: less than half a kibibyte a run stays behind.
    expect(Math.min(...grown)).toBeLessThan(50 * 1024)
    program.dispose()
  })

  it('keeps inputs that are left out, and refuses a run before all were given', async () => {
    const program = await (await testBackend()).compile(smallGraph())
    const { x, bias } = inputs()
    await expect(program.run({ x })).rejects.toThrow(/"bias" was never given/)
    const whole = await program.run({ x, bias })
    expect(await program.run({ x })).toEqual(whole)
    const other = await program.run({ bias: randomArray(48, 7) })
    expect(other['y']).not.toEqual(whole['y'])
    program.dispose()
  })

  it('fuses to two dispatches', async () => {
    const program = await (await testBackend()).compile(smallGraph())
    expect(program.kernels.map(({ kernel }) => kernel)).toEqual(['linear', 'linear'])
    program.dispose()
  })
})

describe('faults', () => {
  it('fault G3: fails by name after the device is lost, and gives no numbers', async () => {
    const backend = await WebGpuBackend.open(await openNodeAdapter(), { precision: 'f32' })
    const program = await backend.compile(smallGraph())
    await program.run(inputs())
    backend.gpu.device.destroy()
    await expect(program.run(inputs())).rejects.toBeInstanceOf(AttuneError)
  })

  it('fault G2: refuses an intermediate result that the GPU cannot bind, with numbers', async () => {
    const backend = await testBackend('f32', { maxStorageBufferBindingSize: 4096 })
    const b = new GraphBuilder('wide')
    const x = b.input('x', [1, 64, 8])
    b.output('y', b.linear('wide', x, randomWeight('wide.weight', [64, 8], 3), null))
    await expect(backend.compile(b.build())).rejects.toMatchObject({ code: 'out-of-memory' })
  })

  it('fault G6: names the layer where a NaN begins', async () => {
    const backend = await testBackend()
    const b = new GraphBuilder('broken')
    const x = b.input('x', [1, 4, 8])
    const fine = b.linear('fine', x, randomWeight('fine.weight', [8, 8], 1), null)
    const broken = b.linear(
      'broken.layer',
      fine,
      randomWeight('broken.weight', [8, 8], 2, { scale: NaN }),
      null,
    )
    b.output('y', b.silu('after', broken))
    const graph = b.build()
    expect(await findNonFiniteLayer(graph, backend, { x: randomArray(32, 1) })).toBe('broken.layer')
  })
})
