/**
 * What a person waits for and what a disk holds: the packed size of the desktop program without Electron's own files, by
 * part, and the time from the start of `attune serve` to a window that takes input.
 *
 *   npx tsx test/bench/start.ts [--runs N] [--no-pack]
 *
 * Packs the real window with `electron-builder --linux --dir` around a stub of Electron. Of each run: `serving`, from
 * the start of the process to its printed address; `shown`, from the opening of the page to its first frame that takes
 * input (the mark `attune-shown`); `total`, both. Cold: a browser with an empty profile, empty folders of the host. Warm:
 * both as the run before left them. The system's file cache is warm in all but the first run, and the browser's own
 * start is not counted. Other work on the machine shows in the figures: the load is printed beside them.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { chromium } from 'playwright'
import { findChromium, whyNoChromium } from '../e2e/browser.ts'
import { packForLinux, sizeOf } from '../support/electron/pack.ts'
import { buildWindow } from '../support/window.ts'

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '5' }, 'no-pack': { type: 'boolean', default: false } },
})
const root = fileURLToPath(new URL('../..', import.meta.url))
const rendererOfServe = join(root, 'dist/renderer')

interface Start {
  readonly serving: number
  readonly shown: number
  readonly total: number
}

/** @param home of the host's folders @param profile of the browser */
async function start(program: string, home: string, profile: string): Promise<Start> {
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: program,
    chromiumSandbox: false,
    args: ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--no-first-run'],
  })
  const page = await context.newPage()
  const began = performance.now()
  const child = spawn(process.execPath, [join(root, 'cli/attune.mjs'), 'serve', '--json', '--no-browser'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      HOME: home,
      XDG_DATA_HOME: join(home, 'data'),
      XDG_CACHE_HOME: join(home, 'cache'),
      XDG_CONFIG_HOME: join(home, 'config'),
      XDG_RUNTIME_DIR: home,
    },
  })
  try {
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    const serving = performance.now() - began
    await page.goto((JSON.parse(String(line)) as { url: string }).url)
    // As text: what tsx makes of functions calls helpers that no page has; and its policy forbids `eval` in the page.
    let shown: number | undefined
    while (shown === undefined) {
      const asked = page.evaluate(
        "(mark => mark && performance.timeOrigin + mark.startTime)(performance.getEntriesByName('attune-shown')[0])",
      )
      // The gate trades the key for a cookie and goes on to the window: a question in between has no answer.
      shown = (await asked.catch(() => undefined)) as number | undefined
    }
    const total = shown - performance.timeOrigin - began
    return { serving, shown: total - serving, total }
  } finally {
    child.kill('SIGINT')
    await once(child, 'exit')
    await context.close()
  }
}

const megabytes = (bytes: number): number => Number((bytes / 1e6).toFixed(1))

const median = (all: readonly number[]): number =>
  all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)] ?? Number.NaN

async function measureStarts(): Promise<void> {
  const program = findChromium()
  if (!program) {
    console.log(whyNoChromium)
    return
  }
  if (!existsSync(join(rendererOfServe, 'index.html'))) buildWindow(rendererOfServe)
  const folder = await mkdtemp(join(tmpdir(), 'attune-start-'))
  const rows: Record<string, Record<string, number>> = {}
  try {
    const lasting = join(folder, 'warm')
    for (const kind of ['cold', 'warm'] as const) {
      const starts: Start[] = []
      for (let run = 0; run < Number(values.runs); run++) {
        const place = kind === 'cold' ? join(folder, `cold-${run}`) : lasting
        await mkdir(join(place, 'home'), { recursive: true })
        // The first warm one makes what the others find.
        if (kind === 'warm' && run === 0) await start(program, join(place, 'home'), join(place, 'profile'))
        starts.push(await start(program, join(place, 'home'), join(place, 'profile')))
      }
      const of = (name: keyof Start) => Math.round(median(starts.map(each => each[name])))
      rows[`${kind}, median of ${starts.length}, ms`] = {
        serving: of('serving'),
        shown: of('shown'),
        total: of('total'),
        fastest: Math.round(Math.min(...starts.map(({ total }) => total))),
        slowest: Math.round(Math.max(...starts.map(({ total }) => total))),
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
  console.table(rows)
}

async function measureSize(): Promise<void> {
  // On the repository's drive, for hard links; `out/` is ignored by git and by every check.
  await mkdir(join(root, 'out'), { recursive: true })
  const folder = await mkdtemp(join(root, 'out', 'start-'))
  try {
    buildWindow(join(folder, 'window'))
    const resources = join(await packForLinux(folder, join(folder, 'window')), 'resources')
    const window = await sizeOf(join(folder, 'window'))
    const unpacked = join(resources, 'app.asar.unpacked')
    const modules = await sizeOf(join(unpacked, 'node_modules'))
    const runtime = await sizeOf(join(unpacked, 'dist'))
    const archive = await sizeOf(join(resources, 'app.asar'))
    const assets = await readdir(join(resources, 'assets'))
    const model = await sizeOf(join(resources, 'assets/models'))
    const other = (await sizeOf(join(resources, 'assets'))) - model
    const total = archive + modules + runtime + model + other
    console.table({
      'archive: main, preload, window, packages': { MB: megabytes(archive) },
      'beside it: native modules (sharp, SQLite)': { MB: megabytes(modules) },
      'beside it: onnxruntime’s WebAssembly': { MB: megabytes(runtime) },
      'the embedded model': { MB: megabytes(model) },
      [`other assets (${assets.filter(name => name !== 'models').join(', ') || 'none'})`]: {
        MB: megabytes(other),
      },
      'all, without Electron': { MB: megabytes(total) },
      '(the window’s bundle by itself)': { MB: megabytes(window) },
    })
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
}

console.log(
  `load of the machine: ${loadavg()
    .map(load => load.toFixed(1))
    .join(' ')}`,
)
if (!values['no-pack']) await measureSize()
await measureStarts()
