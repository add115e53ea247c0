import { expect, it } from 'vitest'
import { exampleNames, examples, farFromTorch } from '../support/attention-examples.ts'
import { testBackend } from '../support/gpu.ts'

it.each(exampleNames)("examples/%s.ts equals torch's numbers in WGSL", async name => {
  const far = farFromTorch(name, await examples[name].run(await testBackend('f32')))
  // Sums of f32, and WGSL's exp.
  for (const [key, difference] of Object.entries(far)) expect(difference, key).toBeLessThan(1e-5)
})
