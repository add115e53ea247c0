/**
 * One evaluation of the embedded model's UNet in a headless Chromium: our kernels, onnxruntime-web's own WebGPU provider
 * on the same adapter, and wasm, interleaved round by round, as ratios to ours.
 *
 *   npx tsx test/bench/unet-page.ts [--model FOLDER] [--rounds N] [--adapter swiftshader|default]
 */
import { loadavg } from 'node:os'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { findChromium, launchChromium, whyNoChromium } from '../e2e/browser.ts'
import { startPageServer } from '../support/page-server.ts'
import type { UNetPageFigures } from './unet-page-script.ts'

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'assets/models/storybook' },
    rounds: { type: 'string', default: '5' },
    adapter: { type: 'string', default: 'swiftshader' },
  },
})

const median = (list: readonly number[]): number => list.toSorted((a, b) => a - b)[list.length >> 1] ?? NaN

const executable = findChromium()
if (!executable) {
  console.error(whyNoChromium)
  process.exit(1)
}
const server = await startPageServer({
  models: { model: resolve(values.model) },
  page: 'test/bench/unet-page-script.ts',
})
const browser = await launchChromium(executable, values.adapter === 'default' ? 'default' : 'swiftshader')
try {
  const page = await browser.newPage()
  page.setDefaultTimeout(600_000)
  await page.goto(server.origin)
  await page.waitForFunction('globalThis.benchUNet')
  const figures = await page.evaluate(
    ([model, rounds]) =>
      (
        globalThis as unknown as { benchUNet: (model: string, rounds: number) => Promise<UNetPageFigures> }
      ).benchUNet(model as string, Number(rounds)),
    [`${server.origin}/models/model`, values.rounds],
  )
  const ours = median(figures.rows[0]?.times ?? [])
  console.log(
    `unet in Chromium: one evaluation, ${figures.gigaflop.toFixed(2)} GFLOP, batch 2, ${values.rounds} interleaved rounds, ${figures.adapter}; load ${loadavg()[0]?.toFixed(1)}`,
  )
  console.log(
    `${'executor'.padEnd(26)}${['median ms', 'best ms', 'GFLOPS', 'time / ours', 'first ms', 'off by'].map(name => name.padStart(13)).join('')}`,
  )
  for (const { name, compile, times } of figures.rows) {
    const middle = median(times)
    const cells = [
      middle.toFixed(0),
      Math.min(...times).toFixed(0),
      (figures.gigaflop / (middle / 1000)).toFixed(1),
      (middle / ours).toFixed(2),
      compile.toFixed(0),
      (figures.distance[name] ?? NaN).toExponential(1),
    ]
    console.log(name.padEnd(26) + cells.map(cell => cell.padStart(13)).join(''))
  }
} finally {
  await browser.close()
  await server.close()
}
