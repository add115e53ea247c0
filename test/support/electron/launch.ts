/**
 * Starts a shell for a test: under the double on Chromium, or, when ATTUNE_ELECTRON names a binary, in real Electron.
 * Tests see the same few functions either way.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { _electron, type Browser, chromium, type Page } from 'playwright'
import { type SharedChromium, startChromium } from './chromium.ts'

/** A real Electron, where there is one. */
export const electronBinary = process.env['ATTUNE_ELECTRON']

const here = fileURLToPath(new URL('.', import.meta.url))
const root = fileURLToPath(new URL('../../..', import.meta.url))

export interface Rig {
  /** Starts the program in a folder with a package.json. */
  launch(options: LaunchOptions): Promise<RunningShell>
  /** A new folder that is removed with the rig. */
  folder(): Promise<string>
  close(): Promise<void>
}

export interface LaunchOptions {
  readonly app: string
  /** Of the package.json; `dist/main/main.mjs` when absent. */
  readonly main?: string
  readonly userData: string
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

export interface RunningShell {
  readonly kind: 'double' | 'electron'
  /** Runs a function in the main process with the module `electron`; by its source, so it sees nothing else. */
  evaluate<Result, Argument = undefined>(
    run: (electron: typeof Electron & { double: DoubleFacts }, argument: Argument) => Result,
    argument?: Argument,
  ): Promise<Awaited<Result>>
  /** The first window's page, loaded; after a crash the new one. */
  page(): Promise<Page>
  /** What it printed. */
  output(): string
  readonly exited: Promise<number>
  /** Ends it without asking. */
  kill(): Promise<void>
}

/** What the double tells besides Electron; undefined in real Electron. */
export interface DoubleFacts {
  readonly recorded: { what: string; value: unknown }[]
}

/** Bundles the double. @returns its path */
export async function bundleDouble(folder: string): Promise<string> {
  const outfile = join(folder, 'double.cjs')
  await build({
    entryPoints: [join(here, 'double/index.ts')],
    outfile,
    bundle: true,
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    logLevel: 'error',
    // By its path, since the bundle lies in a temporary folder.
    plugins: [
      {
        name: 'playwright-outside',
        setup(build) {
          build.onResolve({ filter: /^playwright$/ }, () => ({
            path: join(root, 'node_modules/playwright/index.js'),
            external: true,
          }))
        },
      },
    ],
  })
  return outfile
}

/** What a test file needs once. */
export async function openRig(): Promise<Rig> {
  const base = await mkdtemp(join(tmpdir(), 'attune-electron-'))
  const running = new Set<RunningShell>()
  let shared: Promise<{ chromium: SharedChromium; browser: Browser; double: string }> | undefined
  const start = async () => {
    const [started, double] = await Promise.all([startChromium(), bundleDouble(base)])
    return { chromium: started, browser: await chromium.connectOverCDP(started.endpoint), double }
  }
  let folders = 0
  return {
    async folder() {
      const path = join(base, String(++folders))
      await mkdir(path, { recursive: true })
      return path
    },
    async launch(options) {
      await writePackage(options)
      let shell: RunningShell
      if (electronBinary) shell = await launchReal(electronBinary, options)
      else {
        shared ??= start()
        const { chromium, browser, double } = await shared
        shell = await launchDouble(options, chromium.endpoint, browser, double)
      }
      running.add(shell)
      return shell
    },
    async close() {
      await Promise.all([...running].map(shell => shell.kill()))
      const open = await shared?.catch(() => undefined)
      await open?.browser.close().catch(() => undefined)
      await open?.chromium.close()
      await rm(base, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
    },
  }
}

async function writePackage({ app, main = 'dist/main/main.mjs' }: LaunchOptions): Promise<void> {
  const text = JSON.stringify({ name: 'attune', version: '0.1.0', type: 'module', main })
  await writeFile(join(app, 'package.json'), text)
}

async function launchReal(executablePath: string, options: LaunchOptions): Promise<RunningShell> {
  const electron = await _electron.launch({
    executablePath,
    args: ['--no-sandbox', `--user-data-dir=${options.userData}`, options.app, ...(options.args ?? [])],
    env: { ...(process.env as Record<string, string>), ...options.env },
  })
  const child = electron.process()
  const { output, exited, kill } = watch(child)
  return {
    kind: 'electron',
    evaluate: (run, argument) => electron.evaluate(run as never, argument) as never,
    page: async () => {
      const page = await electron.firstWindow()
      await page.waitForLoadState()
      return page
    },
    output,
    exited,
    kill,
  }
}

async function launchDouble(
  options: LaunchOptions,
  endpoint: string,
  browser: Browser,
  double: string,
): Promise<RunningShell> {
  const { app, main = 'dist/main/main.mjs', userData, args = [], env } = options
  const child = spawn(
    process.execPath,
    ['--require', join(here, 'hooks.cjs'), join(app, main), `--user-data-dir=${userData}`, ...args],
    {
      cwd: app,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: {
        ...process.env,
        ATTUNE_DOUBLE: double,
        ATTUNE_DOUBLE_APP: app,
        ATTUNE_DOUBLE_CDP: endpoint,
        HOME: userData,
        NODE_OPTIONS: '',
        ...env,
      },
    },
  )
  const { output, exited, kill } = watch(child)
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  let last = 0
  let port = 0
  const ready = new Promise<void>(resolve => {
    child.on(
      'message',
      (message: { id?: number; value?: unknown; error?: string; ready?: { port: number } }) => {
        if (message.ready) {
          port = message.ready.port
          resolve()
          return
        }
        const call = waiting.get(message.id ?? -1)
        waiting.delete(message.id ?? -1)
        if (message.error === undefined) call?.resolve(message.value)
        else call?.reject(new Error(message.error))
      },
    )
  })
  void exited.then(code => {
    for (const { reject } of waiting.values()) reject(new Error(`the shell ended with ${code}: ${output()}`))
  })
  await Promise.race([ready, exited])
  return {
    kind: 'double',
    evaluate: (run, argument) =>
      new Promise((resolve, reject) => {
        const id = ++last
        waiting.set(id, { resolve: value => resolve(value as never), reject })
        child.send({ id, source: run.toString(), argument })
      }),
    page: async () => {
      for (let attempt = 0; attempt < 200; attempt++) {
        const pages = browser.contexts().flatMap(context => context.pages())
        for (const page of pages.reverse()) {
          if (!page.url().includes(`.localhost:${port}/`) || page.isClosed()) continue
          // One that crashed stays in the list until the double has closed it.
          if ((await page.evaluate(() => 1).catch(() => 0)) === 0) continue
          await page.waitForLoadState()
          return page
        }
        await new Promise(resolve => setTimeout(resolve, 50))
      }
      throw new Error(`no window after ten seconds: ${output()}`)
    },
    output,
    exited,
    kill,
  }
}

function watch(child: ChildProcess): Pick<RunningShell, 'output' | 'exited' | 'kill'> {
  let text = ''
  const keep = (part: Buffer) => {
    text = (text + part.toString()).slice(-20_000)
  }
  child.stdout?.on('data', keep)
  child.stderr?.on('data', keep)
  const exited = new Promise<number>(resolve => {
    child.once('exit', (code, signal) => resolve(code ?? (signal ? 128 : 1)))
  })
  return {
    output: () => text,
    exited,
    async kill() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
      await exited
    },
  }
}
