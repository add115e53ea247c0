/** The window as people have it in a browser: the built page, the loopback server, the product's own host and engine. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AxeBuilder } from '@axe-core/playwright'
import type { Browser, Page } from 'playwright'
import { openHost } from '../../host/seat/open-host.ts'
import { startServer } from '../../host/server/server.ts'
import type { HostFacts } from '../../host/service/facts.ts'
import { launchChromium } from '../e2e/browser.ts'
import { buildWindow } from './fake-host.ts'

const embeddedModel = fileURLToPath(new URL('../../assets/models/storybook', import.meta.url))

export interface LoopbackWindow {
  /** Everything that the host keeps lies below it. */
  readonly root: string
  readonly browser: Browser
  /** A page in a context of its own, ready to draw. Downloads are accepted. */
  open(options?: {
    readonly width?: number
    readonly height?: number
    readonly scheme?: 'dark' | 'light'
    readonly locale?: string
  }): Promise<{ readonly page: Page; readonly complaints: string[]; close(): Promise<void> }>
  close(): Promise<void>
}

/** @param executable of Chromium */
export async function startLoopbackWindow(
  executable: string,
  more: Partial<HostFacts> = {},
): Promise<LoopbackWindow> {
  const root = await mkdtemp(join(tmpdir(), 'attune-window-'))
  const renderer = await buildWindow(join(root, 'window'))
  const service = await openHost({
    version: '9.9.9',
    shell: 'browser',
    dataFolder: join(root, 'data'),
    cacheFolder: join(root, 'cache'),
    picturesFolder: join(root, 'pictures'),
    modelsFolder: join(root, 'models'),
    embeddedModel,
    desktop: {
      trash: () => Promise.reject(new Error('no bin')),
      reveal: () => Promise.resolve(),
      openFolder: () => Promise.resolve(),
    },
    ...more,
  })
  const server = await startServer(service, { renderer })
  const browser = await launchChromium(executable)
  return {
    root,
    browser,
    async open({ width = 1280, height = 800, scheme = 'dark', locale = 'en' } = {}) {
      const context = await browser.newContext({
        viewport: { width, height },
        colorScheme: scheme,
        locale,
        reducedMotion: 'reduce',
        acceptDownloads: true,
      })
      const page = await context.newPage()
      const complaints: string[] = []
      page.on('pageerror', error => complaints.push(error.message))
      page.on('console', message => {
        if (message.type() === 'error' && !/status of 404/.test(message.text()))
          complaints.push(message.text())
      })
      await page.goto(server.launchUrl())
      await page.waitForFunction(
        () => /Ready|Bereit/.test(document.querySelector('footer')?.textContent ?? ''),
        undefined,
        { timeout: 120_000 },
      )
      return { page, complaints, close: () => context.close() }
    },
    async close() {
      await browser.close()
      await server.close()
      await service.close()
      await rm(root, { recursive: true, force: true })
    },
  }
}

/** Draws a prompt in few steps and waits for the picture. @param count pictures that there are then */
export async function drawWords(page: Page, prompt: string, count: number, steps = 4): Promise<void> {
  const field = page.getByRole('spinbutton', { name: 'Steps' })
  await field.fill(String(steps))
  await field.press('Enter')
  const editor = page.locator('.cm-content')
  await editor.click()
  await page.keyboard.press('Control+a')
  await page.keyboard.insertText(prompt)
  await drawAgain(page, count)
}

/** Draws what the request says. */
export async function drawAgain(page: Page, count: number): Promise<void> {
  await page.keyboard.press('Control+Enter')
  await page.waitForFunction(
    expected =>
      document.querySelectorAll('[role=listbox][aria-orientation=horizontal] [role=option]').length ===
        expected && !document.querySelector('main [role=progressbar]'),
    count,
    { timeout: 300_000 },
  )
}

/** What axe-core calls serious or critical, with the elements. */
export async function seriousProblems(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page }).analyze()
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(node => node.html).join(' ')}`)
}
