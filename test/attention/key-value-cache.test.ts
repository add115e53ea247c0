import { describe, expect, it } from 'vitest'
import { crossAttention } from '../../model/attention/cross-attention.ts'
import { KeyValueCache } from '../../model/attention/key-value-cache.ts'
import { LatentKeyValueCache } from '../../model/attention/latent-key-value-cache.ts'
import { createInterpreterBackend } from '../../model/graph/interpreter.ts'
import type { Backend } from '../../model/graph/program.ts'
import { testOnnxBackend } from '../backend/support.ts'
import {
  attendCases,
  cacheDifference,
  headSizes,
  latentDifference,
  project,
  random,
  rows,
} from '../support/key-value-cases.ts'

const oracle = createInterpreterBackend()
const [keyWeight, valueWeight] = [random(1, 8, 6), random(2, 8, 6)]
const weights = { keyWeight, valueWeight }

/** The oracle, with the names of what it compiled and the inputs that its runs were given. */
function watched(): { backend: Backend; compiled: string[]; given: string[][] } {
  const [compiled, given]: [string[], string[][]] = [[], []]
  const backend: Backend = {
    ...oracle,
    async compile(graph) {
      compiled.push(graph.name)
      const program = await oracle.compile(graph)
      const run = program.run.bind(program)
      program.run = inputs => {
        given.push(Object.keys(inputs))
        return run(inputs)
      }
      return program
    },
  }
  return { backend, compiled, given }
}

describe.each(headSizes)('caches of $numHeads heads, $width columns', sizes => {
  it.each(Object.entries(attendCases))('answer as the plain call does: %s', async (_, options) => {
    for (const given of [
      { ...sizes, batch: 1, capacity: 11 },
      { ...sizes, batch: 2, capacity: 17 },
    ]) {
      expect(await cacheDifference(oracle, options, given)).toBeLessThan(1e-6)
      // Keys and values of the plain call were rounded to f32 before.
      expect(await latentDifference(oracle, options, given)).toBeLessThan(4e-6)
      const wasm = await testOnnxBackend('wasm')
      expect(await cacheDifference(wasm, options, given)).toBeLessThan(1e-5)
      expect(await latentDifference(wasm, options, given)).toBeLessThan(1e-5)
    }
  })
})

describe('KeyValueCache', () => {
  it('compiles once, and hands keys and values over once', async () => {
    const { backend, compiled, given } = watched()
    const states = random(3, 1, 5, 6)
    const cache = await KeyValueCache.project(states, weights, { backend, numHeads: 2, capacity: 12 })
    for (let i = 0; i < 3; i++) await cache.attend(random(i, 1, 2, 8))
    expect(compiled).toEqual(['project', 'attend keys and values'])
    expect(given.slice(1).map(names => names.includes('key'))).toEqual([true, false, false])

    await cache.replace(random(4, 1, 5, 6))
    await cache.attend(random(5, 1, 2, 8))
    expect(compiled).toHaveLength(2)
    expect(given.at(-1)).toContain('key')

    // Tokens one by one within the capacity: one projection for them, and nothing else.
    for (let i = 0; i < 3; i++) {
      await cache.append(random(6 + i, 1, 1, 6))
      await cache.attend(random(i, 1, 2, 8))
    }
    expect(compiled).toEqual(['project', 'attend keys and values', 'project'])
    expect([cache.length, cache.capacity, cache.byteLength]).toEqual([8, 12, 8 * 2 * 8 * 4])
    cache.dispose()
  })

  it('grows by doubling, and a causal query is the end of its source', async () => {
    const states = random(7, 1, 9, 6)
    const query = random(8, 1, 9, 8)
    const [key, value] = [project(states, keyWeight), project(states, valueWeight)]
    const whole = await crossAttention(query, key, value, { backend: oracle, numHeads: 2, causal: true })
    const cache = await KeyValueCache.project(rows(states, 0, 1), weights, { backend: oracle, numHeads: 2 })
    const capacities = [cache.capacity]
    for (let l = 1; l < 9; l++) {
      await cache.append(rows(states, l, 1))
      capacities.push(cache.capacity)
      const { output } = await cache.attend(rows(query, l, 1), { causal: true })
      for (const [i, x] of output.data.entries()) expect(x).toBeCloseTo(whole.output.data[l * 8 + i] ?? 0, 6)
    }
    expect(capacities).toEqual([1, 2, 4, 4, 8, 8, 8, 8, 16])
    const last = await cache.attend(rows(query, 6, 3), { causal: true })
    for (const [i, x] of last.output.data.entries()) expect(x).toBeCloseTo(whole.output.data[48 + i] ?? 0, 6)
    await expect(cache.attend(random(9, 1, 12, 8), { causal: true })).rejects.toThrow(
      /position 0 .* without any key/,
    )
    cache.dispose()
  })

  it('keeps nothing of a source that was replaced, not even what is no number', async () => {
    const cache = await KeyValueCache.project(random(10, 1, 6, 6), weights, { backend: oracle })
    await cache.replace({ data: new Float32Array(36).fill(NaN), shape: [1, 6, 6] })
    const states = random(11, 1, 2, 6)
    await cache.replace(states)
    const query = random(12, 1, 3, 8)
    const { output, weights: p } = await cache.attend(query, { returnWeights: true })
    expect(p?.shape).toEqual([1, 1, 3, 2])
    const own = await KeyValueCache.project(states, weights, { backend: oracle })
    expect(output.data).toEqual((await own.attend(query)).output.data)
  })

  it('answers calls that come at once one after another, with one program', async () => {
    const { backend, compiled } = watched()
    const cache = await KeyValueCache.project(random(13, 1, 4, 6), weights, { backend })
    const queries = [1, 2, 3, 4].map(seed => random(seed, 1, 2, 8))
    const together = await Promise.all(queries.map(query => cache.attend(query)))
    expect(compiled).toHaveLength(2)
    const one = []
    for (const query of queries) one.push((await cache.attend(query)).output.data)
    expect(together.map(({ output }) => output.data)).toEqual(one)
  })

  it('lets go of the programs that were asked longest ago', async () => {
    const { backend, compiled } = watched()
    const cache = await KeyValueCache.project(random(14, 1, 4, 6), weights, { backend })
    const ask = (length: number) => cache.attend(random(length, 1, length, 8))
    for (let length = 1; length <= 9; length++) await ask(length)
    expect(compiled).toHaveLength(10)
    await ask(2)
    expect(compiled).toHaveLength(10)
    await ask(1)
    expect(compiled).toHaveLength(11)
  })

  it('refuses what does not fit, and goes on', async () => {
    const states = random(15, 2, 4, 6)
    const make = (changed: object) =>
      KeyValueCache.project(states, { ...weights, ...changed }, { backend: oracle })
    await expect(make({ valueWeight: random(1, 8, 5) })).rejects.toThrow(/valueWeight \[8, 5\] .* \[8, 6\]/)
    await expect(make({ keyBias: random(1, 6) })).rejects.toThrow(/keyBias \[6\] for 8 columns/)
    await expect(KeyValueCache.project(random(1, 1, 4, 5), weights, { backend: oracle })).rejects.toThrow(
      /of 6 columns/,
    )
    await expect(KeyValueCache.project(states, weights, { backend: oracle, numHeads: 3 })).rejects.toThrow(
      /3 heads/,
    )
    await expect(KeyValueCache.project(states, weights, { backend: oracle, capacity: 1.5 })).rejects.toThrow(
      /capacity of 1.5/,
    )
    const cache = await make({})
    await expect(cache.attend(random(1, 3, 2, 8))).rejects.toThrow(/\[3, 2, 8\] .* 2 x 4 tokens of 8 columns/)
    await expect(cache.append(random(1, 1, 2, 6))).rejects.toThrow(/cache of 2 samples/)
    expect((await cache.attend(random(1, 2, 2, 8))).output.shape).toEqual([2, 2, 8])
    cache.dispose()
    await expect(cache.attend(random(1, 2, 2, 8))).rejects.toThrow(/disposed/)
  })
})

describe('LatentKeyValueCache', () => {
  it('counts its bytes and those it saves', async () => {
    const given = {
      downWeight: random(1, 4, 6),
      keyUpWeight: random(2, 8, 4),
      valueUpWeight: random(3, 8, 4),
    }
    const cache = await LatentKeyValueCache.project(random(4, 2, 5, 6), given, {
      backend: oracle,
      numHeads: 2,
    })
    expect(cache.byteLength).toBe(4 * 2 * 5 * 4)
    expect(cache.expandedByteLength).toBe(4 * 2 * 5 * 16)
    cache.dispose()
    const bad = { ...given, keyUpWeight: random(2, 8, 3) }
    await expect(LatentKeyValueCache.project(random(4, 2, 5, 6), bad, { backend: oracle })).rejects.toThrow(
      /keyUpWeight \[8, 3\]/,
    )
  })
})
