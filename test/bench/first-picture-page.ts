/**
 * From the address to the first picture in a headless Chromium, as a table of stages.
 *
 *   npx tsx test/bench/first-picture-page.ts [--model FOLDER] [--prompt TEXT] [--runs N] [--steps N]
 *     [--precision f32|f16] [--adapter swiftshader|default] [--backend auto|webgpu|wasm] [--threads N]
 *
 * Each run starts a browser with an empty profile: its own caches of scripts and shaders are cold, the system's file
 * cache is warm from the second run on. The clock starts with the navigation. The second picture of a run draws with
 * what the first has loaded and compiled. Figures are of the machine as it is: other work on it shows.
 */
import { loadavg } from 'node:os'
import { basename, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { GenerateRequestInput } from '../../model/contract/request.ts'
import { backendChoices } from '../../model/worker/messages.ts'
import { callPage, findChromium, launchChromium, whyNoChromium } from '../e2e/browser.ts'
import type { Outcome, PageResult } from '../e2e/page.ts'
import { type PageServer, startPageServer } from '../support/page-server.ts'

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'assets/models/storybook' },
    prompt: { type: 'string', default: 'a red car under a blue sky' },
    runs: { type: 'string', default: '3' },
    steps: { type: 'string' },
    precision: { type: 'string', default: 'f16' },
    adapter: { type: 'string', default: 'swiftshader' },
    backend: { type: 'string', default: 'auto' },
    threads: { type: 'string', default: '1' },
  },
})

const backend = backendChoices.find(choice => choice === values.backend) ?? 'auto'

interface Figures {
  readonly adapter: string
  /** Milliseconds by stage, in order. */
  readonly rows: readonly (readonly [stage: string, milliseconds: number])[]
  readonly requests: number
  readonly steps: number
}

function unwrap<T>(outcome: Outcome<T>): T {
  if ('value' in outcome) return outcome.value
  throw new Error(`${outcome.error.code}: ${outcome.error.message}`)
}

async function measure(
  executable: string,
  server: PageServer,
  request: GenerateRequestInput,
): Promise<Figures> {
  const browser = await launchChromium(executable, values.adapter === 'default' ? 'default' : 'swiftshader')
  try {
    const page = await browser.newPage()
    const before = server.requests.length
    await page.goto(server.origin)
    await page.waitForFunction('globalThis.attune')
    const now = (): Promise<number> => page.evaluate('performance.now()')
    const script = await now()
    unwrap(await callPage(page, 'start'))
    const worker = await now()
    unwrap(await callPage(page, 'open', `${server.origin}/models/model`, { threads: Number(values.threads) }))
    const open = await now()
    const first = unwrap(await callPage(page, 'draw', { request, backend }))
    const requests = server.requests.length - before
    const second = unwrap(await callPage(page, 'draw', { request, backend }))
    return {
      adapter: first.adapter.name,
      requests,
      steps: first.steps.length,
      rows: [
        ['page and its script', script],
        ['Worker, adapter', worker - script],
        ['open the model', open - worker],
        ...stages(first),
        ['FIRST PICTURE', first.sinceLoad],
        ['a step (median)', first.timings['stepMedian'] ?? 0],
        ['second picture', second.timings['total'] ?? 0],
      ],
    }
  } finally {
    await browser.close()
  }
}

const stageNames = {
  device: 'device',
  text: 'text encoder, prompt',
  compile: 'weights, pipelines',
  denoise: 'denoise',
  decode: 'decode',
} as const

function stages({ timings }: PageResult): [string, number][] {
  return Object.entries(stageNames).map(([key, name]) => [name, timings[key] ?? 0])
}

const executable = findChromium()
if (!executable) {
  console.error(whyNoChromium)
  process.exit(1)
}
const server = await startPageServer({ models: { model: resolve(values.model) }, page: 'test/e2e/page.ts' })
try {
  const request: GenerateRequestInput = {
    prompt: values.prompt,
    seed: '1',
    precision: values.precision === 'f32' ? 'f32' : 'f16',
    ...(values.steps !== undefined && { steps: Number(values.steps) }),
  }
  const runs: Figures[] = []
  for (let run = 0; run < Number(values.runs); run++) runs.push(await measure(executable, server, request))
  const [one] = runs
  if (one) {
    const load = loadavg()[0]?.toFixed(1)
    console.log(
      `${basename(values.model)}, ${one.steps} steps, ${values.precision}, on ${one.adapter}; load ${load}`,
    )
    console.log(
      `${one.requests} requests up to the first picture; bundled before in ${Math.round(server.bundleMilliseconds)} ms`,
    )
    console.log(`${'milliseconds'.padEnd(24)}${runs.map((_, run) => `run ${run + 1}`.padStart(9)).join('')}`)
    for (const [row, [stage]] of one.rows.entries()) {
      const cells = runs.map(({ rows }) =>
        Math.round(rows[row]?.[1] ?? NaN)
          .toString()
          .padStart(9),
      )
      console.log(stage.padEnd(24) + cells.join(''))
    }
  }
} finally {
  await server.close()
}
