/** The real window over the real loopback server, for tests and benchmarks: its bundle, a host in folders of its own, a page. */
import { spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser, BrowserContext, Page } from 'playwright'
import { openHost } from '../../host/seat/open-host.ts'
import { type RunningServer, startServer } from '../../host/server/server.ts'
import type { HostFacts } from '../../host/service/facts.ts'
import type { HostService } from '../../host/service/service.ts'
import type { SettingsPatch } from '../../model/contract/settings.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/**
 * Builds the window into a folder: dist/ may be in use.
 * @param minify false keeps the names of functions, for traces
 */
export function buildWindow(folder: string, minify = true): void {
  const words = ['vite', 'build', '--config', 'renderer/vite.config.ts', '--outDir', folder, '--emptyOutDir']
  const built = spawnSync('npx', [...words, ...(minify ? [] : ['--minify', 'false'])], { cwd: root })
  if (built.status !== 0) throw new Error(`the window does not build: ${String(built.stderr)}`)
}

export interface WindowHost {
  readonly service: HostService
  readonly server: RunningServer
  /** Where pictures go, and everything else of this host. */
  readonly facts: HostFacts
  close(): Promise<void>
}

/** A host as `attune serve` has it, in a folder of its own, with the embedded model. */
export async function startWindowHost(
  renderer: string,
  settings: SettingsPatch = {},
  more: Partial<HostFacts> = {},
): Promise<WindowHost> {
  const folder = await mkdtemp(join(tmpdir(), 'attune-window-host-'))
  const facts: HostFacts = {
    version: '0.0.0',
    shell: 'browser',
    dataFolder: join(folder, 'data'),
    cacheFolder: join(folder, 'cache'),
    picturesFolder: join(folder, 'pictures'),
    modelsFolder: join(folder, 'models'),
    embeddedModel: join(root, 'assets/models/storybook'),
    logFolder: join(folder, 'logs'),
    desktop: {
      trash: () => Promise.reject(new Error('no bin')),
      reveal: () => Promise.resolve(),
      openFolder: () => Promise.resolve(),
    },
    ...more,
  }
  const service = await openHost(facts)
  await service.call('settings.set', { patch: settings })
  const server = await startServer(service, { renderer })
  return {
    service,
    server,
    facts,
    close: async () => {
      await server.close()
      await service.close()
      await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
    },
  }
}

export interface OpenWindow {
  readonly page: Page
  readonly context: BrowserContext
  /** What the page complained of: uncaught errors, and errors of the console. */
  readonly complaints: string[]
}

/** Opens the window at its address with the key, and waits until its model is open. */
export async function openWindow(
  browser: Browser,
  { server }: Pick<WindowHost, 'server'>,
  before: (context: BrowserContext) => Promise<void> = () => Promise.resolve(),
): Promise<OpenWindow> {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    locale: 'en',
    reducedMotion: 'reduce',
  })
  await before(context)
  const page = await context.newPage()
  const complaints = listenForComplaints(page)
  await page.goto(server.launchUrl())
  await untilReady(page)
  return { page, context, complaints }
}

export function listenForComplaints(page: Page): string[] {
  const complaints: string[] = []
  page.on('pageerror', error => complaints.push(error.message))
  page.on('console', message => {
    // A 404 is how a page learns that an optional file of a model is not there.
    if (message.type() === 'error' && !/status of 404/.test(message.text())) complaints.push(message.text())
  })
  return complaints
}

/** Waits until the status bar says that all is ready. */
export async function untilReady(page: Page): Promise<void> {
  await page.waitForFunction(
    () => document.querySelector('footer')?.textContent?.includes('Ready'),
    undefined,
    { timeout: 120_000 },
  )
}

export async function setSteps(page: Page, steps: number): Promise<void> {
  const field = page.getByRole('spinbutton', { name: 'Steps' })
  await field.fill(String(steps))
  await field.press('Enter')
  await field.blur()
}

/** Waits until so many pictures lie in the film strip and nothing is drawn. */
export async function untilDrawn(page: Page, count: number): Promise<void> {
  await page.waitForFunction(
    expected =>
      document.querySelectorAll('[role=listbox] [role=option]').length === expected &&
      !document.querySelector('[role=progressbar]'),
    count,
    { timeout: 300_000 },
  )
}
