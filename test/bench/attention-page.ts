/**
 * `attune bench attention` in a headless Chromium: cross-attention with each control, as ratios to the plain form.
 *
 *   npx tsx test/bench/attention-page.ts [--rounds N] [--adapter swiftshader|default]
 */
import { loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { layers, layerShape } from '../../cli/bench/attention-forms.ts'
import { findChromium, launchChromium, whyNoChromium } from '../e2e/browser.ts'
import { startPageServer } from '../support/page-server.ts'
import type { AttentionPageFigures } from './attention-page-script.ts'

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '7' }, adapter: { type: 'string', default: 'swiftshader' } },
})

const executable = findChromium()
if (!executable) {
  console.error(whyNoChromium)
  process.exit(1)
}
const server = await startPageServer({ models: {}, page: 'test/bench/attention-page-script.ts' })
const browser = await launchChromium(executable, values.adapter === 'default' ? 'default' : 'swiftshader')
try {
  const page = await browser.newPage()
  page.setDefaultTimeout(600_000)
  await page.goto(server.origin)
  await page.waitForFunction('globalThis.benchAttention')
  const { adapter, rows } = await page.evaluate(
    rounds =>
      (
        globalThis as unknown as { benchAttention: (rounds: number) => Promise<AttentionPageFigures> }
      ).benchAttention(rounds),
    Number(values.rounds),
  )
  const { batch, length, heads, headDim, tokens } = layerShape
  console.log(
    `attention in Chromium: ${layers} layers of ${batch}x${length} positions, ${heads} heads of ${headDim}, ${tokens} tokens; ${adapter}; load ${loadavg()[0]?.toFixed(1)}`,
  )
  console.log(`${'form'.padEnd(36)}${'ms a layer'.padStart(12)}${'of plain'.padStart(10)}`)
  for (const { form, median, ofPlain } of rows) {
    console.log(
      `${form.padEnd(36)}${(median / layers).toFixed(2).padStart(12)}${ofPlain.toFixed(2).padStart(10)}`,
    )
  }
} finally {
  await browser.close()
  await server.close()
}
