import { describe, expect, it } from 'vitest'
import { KeyValueCache } from '../../model/attention/key-value-cache.ts'
import { testBackend } from '../support/gpu.ts'
import {
  attendCases,
  cacheDifference,
  headSizes,
  latentDifference,
  random,
} from '../support/key-value-cases.ts'

describe.each(headSizes)('caches of $numHeads heads, $width columns in WGSL', sizes => {
  it.each(Object.entries(attendCases))(
    'answer as the plain call on the oracle does: %s',
    async (_, options) => {
      for (const given of [
        { ...sizes, batch: 1, capacity: 11 },
        { ...sizes, batch: 2, capacity: 17 },
      ]) {
        const backend = await testBackend('f32')
        expect(await cacheDifference(backend, options, given)).toBeLessThan(1e-5)
        expect(await latentDifference(backend, options, given)).toBeLessThan(1e-5)
      }
    },
  )
})

it('answers calls that come at once, and is let go of behind them', async () => {
  const weights = { keyWeight: random(1, 8, 6), valueWeight: random(2, 8, 6) }
  const cache = await KeyValueCache.project(random(3, 1, 4, 6), weights, {
    backend: await testBackend('f32'),
  })
  const queries = [1, 2, 3, 4].map(seed => random(seed, 1, 2, 8))
  const one = []
  for (const query of queries) one.push((await cache.attend(query)).output.data)
  const asked = Promise.all(queries.map(query => cache.attend(query)))
  await expect(asked.then(all => all.map(({ output }) => output.data))).resolves.toEqual(one)
  const last = cache.attend(queries[0] ?? random(1, 1, 2, 8))
  cache.dispose()
  expect((await last).output.data).toEqual(one[0])
})
