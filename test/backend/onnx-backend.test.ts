/** What a program and its runtime promise beside the numbers; and the native runtime, where it is installed. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { hasNativeOnnxRuntime, installNativeCommand, openNodeOnnxRuntime } from '../../host/onnxruntime.ts'
import { emitOnnx } from '../../model/backend/onnx-emitter.ts'
import { OnnxBackend } from '../../model/backend/onnx-backend.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import { GraphBuilder } from '../../model/graph/builder.ts'
import { attentionCases, convCases, linearCases, otherCases } from './cases.ts'
import { distanceFromOracle, graphOf, testOnnxBackend, weight } from './support.ts'

afterAll(async () => (await testOnnxBackend('wasm')).dispose())

const sum = () => graphOf(b => b.add('sum', b.input('a', [1, 2]), b.input('b', [1, 2])))

describe('a program', () => {
  it('keeps the inputs that a run leaves out, in memory of its own', async () => {
    const program = await (await testOnnxBackend('wasm')).compile(sum())
    const a = Float32Array.of(1, 2)
    const first = await program.run({ a, b: Float32Array.of(10, 20) })
    a.fill(99)
    const second = await program.run({ b: Float32Array.of(30, 40) })
    expect([...(first['y'] ?? [])]).toEqual([11, 22])
    expect([...(second['y'] ?? [])]).toEqual([31, 42])
    expect(second['y']).not.toBe(first['y'])
    program.dispose()
  })

  it('refuses wrong names and sizes, missing inputs, and to run after its end', async () => {
    const program = await (await testOnnxBackend('wasm')).compile(sum())
    await expect(program.run({ a: Float32Array.of(1, 2) })).rejects.toThrow(/input "b" was never given/)
    await expect(program.run({ c: Float32Array.of(1) })).rejects.toThrow(/no input "c"/)
    await expect(program.run({ b: Float32Array.of(1) })).rejects.toThrow(/1 elements for \[1, 2\]/)
    program.dispose()
    const both = { a: Float32Array.of(1, 2), b: Float32Array.of(1, 2) }
    await expect(program.run(both)).rejects.toThrow(AttuneError)
  })

  it('counts', async () => {
    const graph = graphOf(b => b.linear('l', b.input('x', [3, 4]), weight('w', [8, 4], 1), null))
    const { stats } = await (await testOnnxBackend('wasm')).compile(graph)
    expect(stats.weightBytes).toBe(8 * 4 * 2)
    expect(stats.activationBytes).toBe((3 * 4 + 3 * 8) * 4)
    expect(stats.dispatches).toBeGreaterThan(0)
    expect(stats.compileMilliseconds).toBeGreaterThan(0)
  })
})

it('takes long attention in pieces, with the same result', async () => {
  const runtime = await openNodeOnnxRuntime('wasm')
  // Room for the logits of three queries.
  const backend = OnnxBackend.open({ ...runtime, attentionBytes: 3 * 4 * 2 * 2 * 8 })
  for (const name of ['everything', 'causal, fewer queries than keys', 'keys of one sample for two']) {
    const record = attentionCases.find(each => each[0] === name)?.[1]
    const result = await distanceFromOracle(backend, record?.() ?? sum())
    expect(result.difference, `${name}: ${result.where}`).toBeLessThan(2e-5)
  }
  await backend.dispose()
})

describe('the written model', () => {
  it('has no transposition inside a residual block', () => {
    const graph = graphOf(b => {
      const x = b.input('x', [1, 4, 4, 8])
      const norm = (path: string, t: typeof x) =>
        b.silu(path, b.groupNorm(path, t, weight(`${path}w`, [8], 1), weight(`${path}b`, [8], 2), 2, 1e-5))
      const conv = (path: string, t: typeof x) =>
        b.conv2d(path, t, weight(path, [8, 8, 3, 3], 3), null, { padding: 1 })
      let y = conv('c1', norm('n1', x))
      y = b.add('time', y, b.input('temb', [1, 8]))
      return b.add('sum', x, conv('c2', norm('n2', y)))
    })
    // One in, one out.
    expect(emitOnnx(graph).operators.get('Transpose')).toBe(2)
  })

  it('gives joined products to the slices that ask for them, without cutting', () => {
    const b = new GraphBuilder('joined')
    const parts = ['q', 'k', 'v'].map((name, index) => weight(name, [6, 4], index))
    const joined = b.linearJoined('qkv', b.input('x', [1, 5, 4]), parts, [null, null, null])
    const [q, k, v] = [0, 6, 12].map(start => b.slice('part', joined, start, 6))
    b.output('y', b.attention('a', q ?? joined, k ?? joined, v ?? joined, { numHeads: 2 }).y)
    const { operators } = emitOnnx(b.build())
    expect(operators.get('Gemm')).toBe(3)
    expect(operators.get('Slice')).toBeUndefined()
    expect(operators.get('Concat')).toBeUndefined()
  })

  it('holds a weight once, however often it is read', () => {
    const shared = weight('w', [4, 4], 1)
    const graph = graphOf(b =>
      b.linear('two', b.linear('one', b.input('x', [2, 4]), shared, null), shared, null),
    )
    expect(emitOnnx(graph).weights.byteLength).toBe(32)
  })
})

describe('the native runtime', () => {
  it('is not mistaken for the alias that Transformers.js is given', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'attune-native-'))
    try {
      const fake = (name: string): void => {
        mkdirSync(join(folder, 'node_modules/onnxruntime-node'), { recursive: true })
        const text = JSON.stringify({ name, version: '1.30.0', main: 'index.js' })
        writeFileSync(join(folder, 'node_modules/onnxruntime-node/package.json'), text)
      }
      const searchFrom = [folder]
      expect(hasNativeOnnxRuntime(searchFrom)).toBeUndefined()
      fake('onnxruntime-web')
      expect(hasNativeOnnxRuntime(searchFrom)).toBeUndefined()
      await expect(openNodeOnnxRuntime('cpu', { searchFrom })).rejects.toMatchObject({
        code: 'unsupported',
        remedy: expect.stringContaining(installNativeCommand),
      })
      fake('onnxruntime-node')
      expect(hasNativeOnnxRuntime(searchFrom)?.version).toBe('1.30.0')
      // Damaged: its entry is missing.
      await expect(openNodeOnnxRuntime('cpu', { searchFrom })).rejects.toMatchObject({ code: 'unsupported' })
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

const native = hasNativeOnnxRuntime()
const reason = native ? native.version : `skipped, not installed: ${installNativeCommand}`

describe.skipIf(!native)(`onnxruntime-node (${reason})`, () => {
  it.each([...linearCases, ...convCases, ...attentionCases, ...otherCases])('%s', async (_, graph) => {
    const result = await distanceFromOracle(await testOnnxBackend('cpu'), graph())
    expect(result.spread).toBeGreaterThan(0.05)
    // As for wasm; the kernels are others.
    expect(result.difference, result.where).toBeLessThan(2e-5)
  })
})
