/**
 * The Create screen in a real Chromium with the real engine: from the first run to a picture, weighing by keyboard, maps
 * under the pointer, stopping, all of it without a mouse; and what axe-core says of it.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AxeBuilder } from '@axe-core/playwright'
import type { Browser, Page } from 'playwright'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findChromium, launchChromium, whyNoChromium } from '../e2e/browser.ts'
import { openWindow, setSteps, waitForPictures } from './plain-window.ts'
import { type RendererServer, startRendererServer } from './renderer-server.ts'

const executable = findChromium()
const root = fileURLToPath(new URL('../..', import.meta.url))

const pictures = (page: Page) =>
  page.getByRole('listbox', { name: 'Pictures of this session' }).getByRole('option').count()

/** Whether anything of the overlay can be seen. */
const overlayShown = (page: Page) =>
  page.evaluate(() => {
    const canvas = document.querySelector<HTMLCanvasElement>('#stage-overlay')
    const data = canvas?.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data
    return data?.some((value, at) => at % 4 === 3 && value > 100) ?? false
  })

if (!executable) {
  test.skip(`the Create screen (${whyNoChromium})`, () => undefined)
} else {
  describe('the Create screen', () => {
    let server: RendererServer
    let browser: Browser
    let folder: string

    beforeAll(async () => {
      // In a folder of its own: dist/ may be in use.
      folder = mkdtempSync(join(tmpdir(), 'attune-window-'))
      const line = [
        'vite',
        'build',
        '--config',
        'renderer/vite.config.ts',
        '--outDir',
        folder,
        '--emptyOutDir',
      ]
      const built = spawnSync('npx', line, { cwd: root })
      expect(built.status, String(built.stderr)).toBe(0)
      server = await startRendererServer({ folder })
      browser = await launchChromium(executable)
    })
    afterAll(async () => {
      await browser?.close()
      await server?.close()
      if (folder) rmSync(folder, { recursive: true })
    })

    test('first run to picture, a word weighed, maps both ways, a stop', async () => {
      const { page, complaints, close } = await openWindow(browser, server.origin)
      const interactive = await page.evaluate(
        () => performance.getEntriesByName('attune-shown')[0]?.startTime ?? 0,
      )
      console.log(`time to interactive: ${Math.round(interactive)} ms`)
      // The sample lies there with one sentence, and a word of it glows.
      await page.getByText('Every word leaves a trace').waitFor()
      await expect.poll(() => overlayShown(page)).toBe(true)

      await page.evaluate(() => {
        const long: number[] = []
        Object.assign(globalThis, { longTasks: long })
        new PerformanceObserver(list => {
          for (const { duration } of list.getEntries()) long.push(Math.round(duration))
        }).observe({ entryTypes: ['longtask'] })
      })
      await setSteps(page, 4)
      await page.getByRole('button', { name: /^Generate/ }).click()
      await waitForPictures(page, 1)
      const long = await page.evaluate(() => (globalThis as unknown as { longTasks: number[] }).longTasks)
      console.log(`tasks over 50 ms while drawing: ${long.length ? long.join(', ') : 'none'}`)
      expect(await page.getByText('Every word leaves a trace').count()).toBe(0)

      // The word at the cursor, by keyboard.
      await page.locator('.cm-content').focus()
      await page.keyboard.press('Control+Home')
      for (let i = 0; i < 4; i++) await page.keyboard.press('ArrowRight')
      for (let i = 0; i < 4; i++) await page.keyboard.press('Control+ArrowUp')
      expect(await page.locator('.cm-content').textContent()).toContain('(red:1.2)')
      expect(await page.getByRole('slider', { name: 'Weight of red' }).getAttribute('aria-valuenow')).toBe(
        '1.2',
      )
      await page.keyboard.press('Control+Enter')
      await waitForPictures(page, 2)

      // Hover a word: where. Hover the picture: which words.
      expect(await overlayShown(page)).toBe(false)
      await page.getByRole('button', { name: 'Keep the map of car in view' }).hover()
      await expect.poll(() => overlayShown(page)).toBe(true)
      await page.getByRole('button', { name: 'Keep the map of car in view' }).click()
      const box = await page.locator('[data-focus=picture]').boundingBox()
      await page.mouse.move((box?.x ?? 0) + (box?.width ?? 0) / 2, (box?.y ?? 0) + (box?.height ?? 0) / 2)
      await expect.poll(() => page.locator('#pointer-chips').textContent()).toMatch(/\d+ %/)
      expect(await overlayShown(page)).toBe(true)

      // Undo goes over everything.
      await page.locator('.cm-content').focus()
      await page.keyboard.press('Control+z')
      expect(await page.locator('.cm-content').textContent()).not.toContain(':1.2')

      // A stop ends the run and leaves the picture before.
      await page.keyboard.press('Control+Enter')
      await page.getByRole('progressbar').waitFor()
      await page.keyboard.press('Escape')
      await page
        .getByText(/^Stopped after/)
        .first()
        .waitFor({ timeout: 120_000 })
      expect(await pictures(page)).toBe(2)

      expect(complaints).toEqual([])
      await close()
    })

    test('keyboard only: words, picture, pointer, palette, replay, copy of the request', async () => {
      const { page, complaints, close } = await openWindow(browser, server.origin)
      await setSteps(page, 4)
      await page.keyboard.press('p')
      await page.keyboard.press('Control+a')
      await page.keyboard.type('a blue elep')
      await page.keyboard.press('Tab')
      expect(await page.locator('.cm-content').textContent()).toBe('a blue elephant')
      await page.keyboard.press('Control+Enter')
      await waitForPictures(page, 1)
      // Out of the editor with Tab, then by letter.
      await page.keyboard.press('Tab')
      await page.keyboard.press('w')
      await expect
        .poll(() => page.evaluate(() => document.activeElement?.getAttribute('aria-label')))
        .toContain('map of a')
      await page.keyboard.press('b')
      await page.keyboard.press('Enter')
      await page.keyboard.press('ArrowDown')
      await expect.poll(() => page.locator('#pointer-chips').getAttribute('data-probing')).toBe('true')
      expect(await page.locator('#pointer-chips').textContent()).toMatch(/%/)
      await page.keyboard.press('Escape')
      const before = await page.getByRole('button', { name: /^Zoom: / }).textContent()
      await page.keyboard.press('+')
      await expect.poll(() => page.getByRole('button', { name: /^Zoom: / }).textContent()).not.toBe(before)
      await page.keyboard.press('Control+k')
      await page.keyboard.type('settings')
      await page.keyboard.press('Enter')
      await page.locator('#screen-settings').waitFor()
      await page.keyboard.press('Control+k')
      await page.keyboard.type('create')
      await page.keyboard.press('Enter')
      await page.locator('#screen-create').waitFor()
      expect(await pictures(page)).toBe(1)
      expect(complaints).toEqual([])
      await close()
    })

    test.each([
      ['dark', 1024, 640],
      ['light', 1024, 640],
      ['dark', 1440, 900],
      ['light', 1440, 900],
    ] as const)('nothing serious for axe-core: %s at %d×%d', async (scheme, width, height) => {
      const { page, close } = await openWindow(browser, server.origin, { width, height }, scheme)
      const { violations } = await new AxeBuilder({ page }).analyze()
      const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
      expect(serious.map(({ id, nodes }) => `${id}: ${nodes.map(node => node.html).join(' ')}`)).toEqual([])
      // Nothing is cut off at the side.
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width)
      await close()
    })

    test('a model that cannot be read is told, with a way on', async () => {
      const context = await browser.newContext({ locale: 'en' })
      const page = await context.newPage()
      await page.route('**/host/models/**', route => route.abort())
      await page.goto(server.origin)
      await page.getByRole('alert').getByText('The engine could not start').waitFor({ timeout: 60_000 })
      await page.unroute('**/host/models/**')
      await page.getByRole('button', { name: 'Try again' }).click()
      await page.waitForFunction(() => document.querySelector('footer')?.textContent?.includes('Ready'))
      expect(await page.getByRole('alert').count()).toBe(0)
      await context.close()
    })
  })
}
