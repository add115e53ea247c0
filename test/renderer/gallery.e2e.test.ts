/**
 * The gallery, queue, plot, models and settings in a real Chromium over a host in this process: 5,000 pictures, every
 * action by keyboard, dropped pictures, and what axe-core says of each screen in both themes at 1024×640.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { AxeBuilder } from '@axe-core/playwright'
import type { Browser, Page } from 'playwright'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { settingsSchema } from '../../model/contract/settings.ts'
import { findChromium, launchChromium, whyNoChromium } from '../e2e/browser.ts'
import { buildWindow, type FakeHost, startFakeHost } from './fake-host.ts'

const executable = findChromium()

async function openWindow(
  browser: Browser,
  host: FakeHost,
  scheme: 'dark' | 'light' = 'dark',
  size = { width: 1280, height: 800 },
) {
  const context = await browser.newContext({
    viewport: size,
    colorScheme: scheme,
    locale: 'en',
    reducedMotion: 'reduce',
  })
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('pageerror', error => complaints.push(error.message))
  await page.goto(host.origin)
  await page.getByRole('navigation', { name: 'Main' }).waitFor()
  return { page, complaints, close: () => context.close() }
}

const show = (page: Page, screen: string) =>
  page.getByRole('navigation', { name: 'Main' }).getByRole('button', { name: screen, exact: true }).click()

async function openGallery(page: Page): Promise<void> {
  await show(page, 'Gallery')
  await page.locator('#gallery-grid [role=option] img').first().waitFor()
}

const selectedCount = (page: Page) => page.locator('[role=option][aria-selected=true]').count()

/** A file dropped onto the window; its bytes are a picture of the host. */
const drop = (page: Page, name: string, type: string) =>
  page.evaluate(
    async ([name, type]) => {
      const data = new DataTransfer()
      const bytes = await (await fetch('host/pictures/4')).blob()
      data.items.add(new File([bytes], name ?? '', { type: type ?? '' }))
      // Onto the prompt, whose editor would take it for text.
      document
        .querySelector('.cm-content')
        ?.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }))
    },
    [name, type],
  )

async function seriousViolations(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page }).analyze()
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(' | ')}`)
}

if (!executable) {
  test.skip(`the gallery and its neighbours (${whyNoChromium})`, () => undefined)
} else {
  describe('the gallery and its neighbours', () => {
    let host: FakeHost
    let browser: Browser
    let folder: string

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), 'attune-window-'))
      await buildWindow(folder)
      host = await startFakeHost(folder)
      browser = await launchChromium(executable)
    })
    afterAll(async () => {
      await browser?.close()
      await host?.close()
      if (folder) rmSync(folder, { recursive: true })
    })
    beforeEach(() => {
      host.fill(300)
      host.calls.length = 0
      host.failures.clear()
      host.jobs = []
      host.paused = false
      host.settings = settingsSchema.parse({})
    })

    test('5,000 pictures scroll, and only those in view exist', async () => {
      host.fill(5000)
      const { page, complaints, close } = await openWindow(browser, host)
      // The engine opens beside it; what scrolls is measured when it is done.
      await page.waitForFunction(() => document.querySelector('footer')?.textContent?.includes('Ready'))
      await openGallery(page)
      await page.getByText('5,000 pictures').waitFor()
      const session = await page.context().newCDPSession(page)
      await session.send('Performance.setTimeDomain', { timeDomain: 'threadTicks' })
      await session.send('Performance.enable')
      const cost = async () => {
        const { metrics } = await session.send('Performance.getMetrics')
        const of = (name: string) => metrics.find(each => each.name === name)?.value ?? 0
        return 1000 * (of('ScriptDuration') + of('LayoutDuration') + of('RecalcStyleDuration'))
      }
      const frames = 180
      const scroll = (by: number) =>
        page.evaluate(
          async ([by, frames]) => {
            const grid = document.getElementById('gallery-grid')
            const times: number[] = []
            let last = performance.now()
            for (let at = 0; at < (frames ?? 0); at++) {
              await new Promise(resolve => requestAnimationFrame(resolve))
              times.push(performance.now() - last)
              last = performance.now()
              if (grid) grid.scrollTop += by ?? 0
            }
            const sorted = times.toSorted((a, b) => a - b)
            return {
              perSecond: (1000 * times.length) / times.reduce((sum, each) => sum + each, 0),
              median: sorted[sorted.length >> 1] ?? 0,
              tiles: document.querySelectorAll('[role=option]').length,
            }
          },
          [by, frames],
        )
      // What this machine gives a page that does nothing.
      const idle = await scroll(0)
      const before = await cost()
      let moving = await scroll(60)
      const perFrame = ((await cost()) - before) / frames
      // Other programs take their share of a shared processor: the best of a few is the page's own.
      for (let more = 0; more < 3 && moving.perSecond < 55; more++) {
        const again = await scroll(more % 2 ? 60 : -60)
        if (again.perSecond > moving.perSecond) moving = again
      }
      console.log(
        `5,000 pictures, 60 px a frame: ${moving.perSecond.toFixed(1)} frames/s (median ${moving.median.toFixed(1)} ms; ` +
          `standing still ${idle.perSecond.toFixed(1)} frames/s), ${perFrame.toFixed(2)} ms of script, style and layout a frame`,
      )
      expect(moving.tiles).toBeLessThan(120)
      // A frame of 50 a second has 20 ms; a loaded machine may not paint them, but the page's own part must fit.
      expect(perFrame).toBeLessThan(10)
      if ((loadavg()[0] ?? 0) < availableParallelism()) expect(moving.perSecond).toBeGreaterThanOrEqual(50)
      expect(complaints).toEqual([])
      await close()
    })

    test('search, choose, favour, compare, delete and undo by keyboard', async () => {
      const { page, complaints, close } = await openWindow(browser, host)
      await openGallery(page)
      await page.keyboard.press('/')
      await page.keyboard.type('castle steps>8')
      await page.getByText(/^\d+ pictures$/).waitFor()
      await expect
        .poll(() => host.calls.findLast(({ method }) => method === 'gallery.query')?.params)
        .toMatchObject({
          text: 'castle',
          settings: [{ key: 'steps' }],
        })
      await page.keyboard.press('Escape')
      await page.getByText('300 pictures').waitFor()
      await page.locator('#gallery-grid').focus()
      await page.keyboard.press('ArrowRight')
      await page.keyboard.press('Shift+ArrowRight')
      await expect.poll(() => selectedCount(page)).toBe(2)
      await page.keyboard.press('f')
      await expect
        .poll(() => host.calls.filter(({ method }) => method === 'gallery.favourite').length)
        .toBeGreaterThan(0)
      await page.keyboard.press('c')
      await page.getByRole('region', { name: 'Differences' }).getByText('Prompt').waitFor()
      await page.getByRole('radio', { name: 'Wipe' }).click()
      await page.getByRole('slider', { name: 'Border between the two pictures' }).press('ArrowRight')
      await page.keyboard.press('Escape')
      await page.locator('#gallery-grid').waitFor()
      await page.keyboard.press('Delete')
      await page.getByText('2 pictures moved to the bin.').waitFor()
      await page.getByText('298 pictures').waitFor()
      await page.getByRole('button', { name: 'Undo', exact: true }).last().click()
      await page.getByText('300 pictures').waitFor()
      expect(complaints).toEqual([])
      await close()
    })

    test('a picture large, its recipe into Create, its text onto the clipboard', async () => {
      const { page, complaints, close } = await openWindow(browser, host)
      await openGallery(page)
      await page.keyboard.press('End')
      await page.keyboard.press('Home')
      await page.keyboard.press('Enter')
      await page.getByText('1 of 300').waitFor()
      await page.keyboard.press('ArrowRight')
      await page.getByText('2 of 300').waitFor()
      const panel = page.getByRole('complementary', { name: 'Recipe' })
      await panel.getByText('Made with Attune').waitFor()
      await page.getByRole('button', { name: 'Copy as A1111 text' }).click()
      await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toContain('Steps:')
      const { recipe } = host.entries.get(2) ?? {}
      await panel.getByRole('button', { name: 'Everything' }).click()
      await expect.poll(() => page.locator('.cm-content').innerText()).toBe(recipe?.prompt)
      expect(await page.getByRole('spinbutton', { name: 'Steps' }).inputValue()).toBe(String(recipe?.steps))
      expect(await page.getByRole('textbox', { name: 'Seed' }).inputValue()).toBe(recipe?.seed)
      expect(complaints).toEqual([])
      await close()
    })

    test('a dropped picture shows its recipe; one without says so; other files hear what can be dropped', async () => {
      const { page, complaints, close } = await openWindow(browser, host)
      const entry = host.entries.get(4)
      host.reading = {
        messages: ['A note.'],
        recipe: { ...entry?.recipe, unknown: { Eta: 31337, Version: 'v1' } },
      }
      await drop(page, 'stranger.png', 'image/png')
      const card = page.getByRole('dialog')
      await card.getByText(`Made with ${entry?.recipe.toolName}`).waitFor()
      await card.getByText('Further settings').click()
      await card.getByText('31337').waitFor()
      await card.getByRole('button', { name: 'Prompt', exact: true }).click()
      await expect.poll(() => page.locator('.cm-content').innerText()).toBe(entry?.recipe.prompt)

      host.reading = { messages: [] }
      await drop(page, 'photo.png', 'image/png')
      await card.getByText('No recipe inside').waitFor()
      await page.keyboard.press('Escape')
      await card.waitFor({ state: 'hidden' })

      await drop(page, 'recipe.json', 'application/json')
      await page.getByText('recipe.json is no picture.').waitFor()
      expect(complaints).toEqual([])
      await close()
    })

    test('the queue: added, moved by keyboard, paused, cancelled, cleared', async () => {
      const { page, complaints, close } = await openWindow(browser, host)
      await page.locator('.cm-content').fill('a {red|blue} car')
      await page.getByRole('spinbutton', { name: 'Pictures' }).fill('3')
      await page.getByRole('spinbutton', { name: 'Pictures' }).press('Enter')
      await page.keyboard.press('Control+Shift+Enter')
      await page.getByText('3 pictures added to the queue.').waitFor()
      // What is asked for has been drawn from the template.
      expect(host.jobs.map(({ request }) => /^a (red|blue) car$/.test(request.prompt))).toEqual([
        true,
        true,
        true,
      ])
      await page.getByRole('button', { name: /^Queue: 3/ }).click()
      const drawer = page.getByRole('complementary', { name: 'Queue' })
      const first = host.jobs[0]?.id
      await drawer.locator('li [role=group]').first().press('Alt+ArrowDown')
      await expect.poll(() => host.jobs.map(({ id }) => id).indexOf(first ?? '')).toBe(1)
      await drawer.getByRole('button', { name: 'Pause', exact: true }).click()
      await expect.poll(() => host.paused).toBe(true)
      await drawer.getByRole('button', { name: 'Cancel this picture' }).first().click()
      await expect.poll(() => host.jobs.filter(({ state }) => state === 'cancelled').length).toBe(1)
      await drawer.getByRole('button', { name: 'Clear finished' }).click()
      await expect.poll(() => host.jobs.length).toBe(2)
      await page.keyboard.press('Escape')
      await drawer.waitFor({ state: 'hidden' })
      expect(complaints).toEqual([])
      await close()
    })

    test('a plot makes its jobs and shows their pictures with labels', async () => {
      const { page, complaints, close } = await openWindow(browser, host)
      await page.locator('.cm-content').fill('a red car')
      await show(page, 'Plot')
      await page.getByRole('button', { name: 'Draw 12 pictures' }).click()
      await page.getByRole('columnheader', { name: 'Seed 4' }).waitFor()
      expect(new Set(host.jobs.map(({ request }) => `${request.seed} ${request.guidanceScale}`)).size).toBe(
        12,
      )
      host.jobs = host.jobs.map((job, at) => ({ ...job, state: 'done', picture: at + 1 }))
      host.emit({ type: 'jobs' })
      await page.getByText('12 of 12 drawn').waitFor()
      const [sheet] = await Promise.all([
        page.waitForEvent('download'),
        page.getByRole('button', { name: 'Save as one picture' }).click(),
      ])
      expect(sheet.suggestedFilename()).toBe('attune-plot.png')
      expect(complaints).toEqual([])
      await close()
    })

    test('settings change, are found and are put back', async () => {
      const { page, complaints, close } = await openWindow(browser, host)
      await show(page, 'Settings')
      await page.getByRole('textbox', { name: 'Search settings' }).fill('theme')
      await page.getByRole('radio', { name: 'Light' }).click()
      await expect.poll(() => page.evaluate(() => document.documentElement.dataset['theme'])).toBe('light')
      await page.getByRole('button', { name: 'Put Theme back to its default' }).click()
      await expect.poll(() => host.settings.theme).toBe('system')
      await page.getByRole('textbox', { name: 'Search settings' }).fill('nothing like it')
      await page.getByText('No setting of that name.').waitFor()
      expect(complaints).toEqual([])
      await close()
    })

    for (const scheme of ['dark', 'light'] as const) {
      test(`no serious violation on any screen, ${scheme}, 1024×640`, async () => {
        const { page, close } = await openWindow(browser, host, scheme, { width: 1024, height: 640 })
        const found: Record<string, string[]> = {}
        await openGallery(page)
        found['gallery'] = await seriousViolations(page)
        await page.keyboard.press('Home')
        await page.keyboard.press('ArrowRight')
        await page.keyboard.press('Enter')
        await page
          .getByRole('complementary', { name: 'Recipe' })
          .getByText(/^Made with/)
          .waitFor()
        found['viewer'] = await seriousViolations(page)
        await page.keyboard.press('c')
        await page.getByRole('region', { name: 'Differences' }).waitFor()
        found['compare'] = await seriousViolations(page)
        for (const screen of ['Plot', 'Models', 'Settings']) {
          await show(page, screen)
          await page.waitForTimeout(500)
          found[screen] = await seriousViolations(page)
        }
        await page.getByRole('button', { name: /^Queue/ }).click()
        found['queue'] = await seriousViolations(page)
        for (const [screen, problems] of Object.entries(found)) expect(problems, screen).toEqual([])
        await close()
      })
    }
  })
}
