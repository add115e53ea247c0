/**
 * Does the window stay smooth while it draws? Opens the real window over the loopback server in a headless Chromium,
 * draws with the embedded model in the page's Worker and in the host's thread, and prints what held the page's main
 * thread: gaps between animation frames, long tasks as the browser reports them, and tasks by their processor time.
 *
 *   npx tsx test/bench/window-frames.ts [--seat page|host|both] [--pictures N] [--steps N] [--functions N]
 *
 * Gaps and long tasks are measured by the wall clock: other work on the machine, and the engine itself on a machine
 * with few cores, show in them. The processor time of a task (from Chromium's trace) is what the window's own work
 * costs, and is what the 50 ms are asked of. Functions are by samples of V8's profiler inside tasks above 16 ms.
 */
import { loadavg } from 'node:os'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Browser } from 'playwright'
import { findChromium, launchChromium, whyNoChromium } from '../e2e/browser.ts'
import { buildWindow, openWindow, setSteps, startWindowHost, untilDrawn } from '../support/window.ts'
import { hotFunctions, mainThreadTasks, type TraceEvent } from './trace.ts'

const { values } = parseArgs({
  options: {
    seat: { type: 'string', default: 'both' },
    pictures: { type: 'string', default: '2' },
    steps: { type: 'string', default: '8' },
    functions: { type: 'string', default: '12' },
    renderer: { type: 'string' },
  },
})

/** A task above this is a frame that is late, whatever the screen. */
const late = 50

const categories = [
  'toplevel',
  'devtools.timeline',
  'disabled-by-default-devtools.timeline',
  'disabled-by-default-v8.cpu_profiler',
  'v8.execute',
  'blink.user_timing',
]

interface Figures {
  readonly gaps: readonly number[]
  readonly longTasks: readonly number[]
  readonly trace: readonly TraceEvent[]
}

/** As text: what tsx makes of functions calls helpers that no page has. */
const watchFrames = `{
  performance.mark('frames-watched')
  const seen = (globalThis.seenFrames = { gaps: [], longTasks: [] })
  new PerformanceObserver(list => {
    for (const { duration } of list.getEntries()) seen.longTasks.push(Math.round(duration))
  }).observe({ entryTypes: ['longtask'] })
  let last = performance.now()
  requestAnimationFrame(function frame(now) {
    seen.gaps.push(now - last)
    last = now
    requestAnimationFrame(frame)
  })
}`

async function measure(browser: Browser, renderer: string, seat: 'page' | 'host'): Promise<Figures> {
  const host = await startWindowHost(renderer, { engineSeat: seat })
  try {
    const { page, context } = await openWindow(browser, host)
    await setSteps(page, Number(values.steps))
    // The first picture compiles and loads; a person waits for it anyway.
    await page.getByRole('button', { name: /^Generate/ }).click()
    await untilDrawn(page, 1)
    await browser.startTracing(page, { categories })
    await page.evaluate(watchFrames)
    for (let number = 0; number < Number(values.pictures); number++) {
      await page.getByRole('button', { name: /^Generate/ }).click()
      await untilDrawn(page, number + 2)
      // Encoding and saving begin a moment later.
      await page.waitForTimeout(1000)
    }
    const seen = (await page.evaluate('seenFrames')) as Omit<Figures, 'trace'>
    const trace = JSON.parse(String(await browser.stopTracing())) as { traceEvents: TraceEvent[] }
    await context.close()
    return { ...seen, trace: trace.traceEvents }
  } finally {
    await host.close()
  }
}

const list = (all: readonly number[]) =>
  all
    .toSorted((a, b) => b - a)
    .slice(0, 8)
    .map(each => Math.round(each))
    .join(' ') || 'none'

function print(seat: string, { gaps, longTasks, trace }: Figures): void {
  // What comes before is the profiler's own start.
  const begun = trace.find(({ name }) => name === 'frames-watched')?.ts ?? 0
  const tasks = mainThreadTasks(trace).filter(({ from }) => from > begun)
  const worst = tasks.toSorted((a, b) => b.cpu - a.cpu)
  console.log(`\nseat: ${seat}`)
  console.table({
    'frames seen': gaps.length,
    'gaps above 50 ms (wall)': list(gaps.filter(gap => gap > late)),
    'long tasks (wall)': list(longTasks),
    'tasks above 50 ms (processor)': list(worst.map(({ cpu }) => cpu).filter(cpu => cpu > late)),
    'longest task (processor), ms': Math.round(worst[0]?.cpu ?? 0),
  })
  console.table(
    worst.slice(0, 8).map(task => ({
      'wall ms': Math.round(task.wall),
      'processor ms': Math.round(task.cpu),
      parts: task.parts
        .slice(0, 3)
        .map(({ name, wall }) => `${name} ${wall.toFixed(0)}`)
        .join(' · '),
      functions: hotFunctions(trace, [task])
        .slice(0, 3)
        .map(hot => `${hot.function} ${hot['self ms'].toFixed(0)}`)
        .join(' · '),
    })),
  )
  console.table(
    hotFunctions(
      trace,
      tasks.filter(({ wall }) => wall > 16),
    ).slice(0, Number(values.functions)),
  )
}

const executable = findChromium()
if (!executable) {
  console.log(whyNoChromium)
  process.exit(1)
}
const folder = await mkdtemp(join(tmpdir(), 'attune-frames-'))
const renderer = values.renderer ?? join(folder, 'window')
if (values.renderer === undefined) buildWindow(renderer, false)
const browser = await launchChromium(executable)
try {
  console.log(
    `load of the machine: ${loadavg()
      .map(load => load.toFixed(1))
      .join(' ')}`,
  )
  for (const seat of ['page', 'host'] as const) {
    if (values.seat === 'both' || values.seat === seat) print(seat, await measure(browser, renderer, seat))
  }
} finally {
  await browser.close()
  await rm(folder, { recursive: true, force: true })
}
