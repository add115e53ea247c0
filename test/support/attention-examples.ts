/** The programs of examples/ and torch's numbers for them (test/fixtures/make/attention_examples.py). */
import { readFileSync } from 'node:fs'
import * as paper from '../../examples/01-paper.ts'
import * as encoderDecoder from '../../examples/02-encoder-decoder.ts'
import * as t5States from '../../examples/03-t5-states.ts'
import * as flamingo from '../../examples/04-flamingo.ts'
import * as retro from '../../examples/05-retro.ts'
import * as mla from '../../examples/06-mla.ts'
import * as cache from '../../examples/07-cache.ts'
import * as longSource from '../../examples/08-long-source.ts'
import type { Numbers } from '../../examples/support.ts'
import { largestDifference } from './gpu.ts'

export const examples = {
  '01-paper': paper,
  '02-encoder-decoder': encoderDecoder,
  '03-t5-states': t5States,
  '04-flamingo': flamingo,
  '05-retro': retro,
  '06-mla': mla,
  '07-cache': cache,
  '08-long-source': longSource,
}

export type ExampleName = keyof typeof examples
export const exampleNames = Object.keys(examples) as ExampleName[]

const file = new URL('../fixtures/attention/examples.json', import.meta.url)
const stored = (
  JSON.parse(readFileSync(file, 'utf8')) as { examples: Record<string, Record<string, number[]>> }
).examples

/** The largest difference of each array from torch's, over the largest of its numbers. */
export function farFromTorch(name: ExampleName, found: Numbers): Record<string, number> {
  const expected = Object.entries(stored[name] ?? {})
  return Object.fromEntries(
    expected.map(([key, values]) => {
      const actual = found[key]
      const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
      const difference = typeof actual === 'object' ? largestDifference(actual, values).value : Infinity
      return [key, difference / largest]
    }),
  )
}
