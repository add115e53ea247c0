import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { createInterpreterBackend } from '../../model/graph/interpreter.ts'
import { testOnnxBackend } from '../backend/support.ts'
import { exampleNames, examples, farFromTorch } from '../support/attention-examples.ts'

const docs = readFileSync(new URL('../../docs/examples.md', import.meta.url), 'utf8')

describe.each(exampleNames)('examples/%s.ts', name => {
  const { run, report } = examples[name]

  it("equals torch's numbers on the oracle, and prints what docs/examples.md shows", async () => {
    const found = await run(createInterpreterBackend())
    const far = farFromTorch(name, found)
    expect(Object.keys(far)).not.toHaveLength(0)
    // Numbers are rounded to f32 between the calls; fixtures to 7 decimals.
    for (const [key, difference] of Object.entries(far)) expect(difference, key).toBeLessThan(2e-6)
    expect(docs).toContain(`node --import tsx examples/${name}.ts`)
    // Times are those of one machine.
    if (name !== '07-cache') expect(docs).toContain(report(found))
  })

  it("equals torch's numbers on wasm", async () => {
    const far = farFromTorch(name, await run(await testOnnxBackend('wasm')))
    for (const [key, difference] of Object.entries(far)) expect(difference, key).toBeLessThan(1e-5)
  })
})
