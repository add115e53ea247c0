/**
 * Faults that a person meets in the window, over the loopback server: the real window in Chromium, the real host, the
 * real engine with the embedded model. Numbers are those of docs/faults.md.
 */
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, BrowserContext, Page } from 'playwright'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { insertPngText } from '../../model/image/png-text.ts'
import { findChromium, launchChromium, whyNoChromium } from '../e2e/browser.ts'
import {
  buildWindow,
  listenForComplaints,
  openWindow,
  setSteps,
  startWindowHost,
  untilDrawn,
  untilReady,
  type WindowHost,
} from '../support/window.ts'
import { drawWithWebGpu, stepShown, useWebGpu } from './support.ts'

const executable = findChromium()

const generate = (page: Page) => page.getByRole('button', { name: /^Generate/ }).click()

if (!executable) {
  test.skip(`faults in the window (${whyNoChromium})`, () => undefined)
} else {
  describe('faults in the window', () => {
    let folder: string
    let renderer: string
    let browser: Browser
    const hosts: WindowHost[] = []
    const contexts: BrowserContext[] = []

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'attune-faults-'))
      renderer = join(folder, 'window')
      buildWindow(renderer)
      browser = await launchChromium(executable)
    })
    afterAll(async () => {
      await Promise.all(contexts.map(context => context.close().catch(() => undefined)))
      await Promise.all(hosts.map(host => host.close()))
      await browser?.close()
      if (folder) await rm(folder, { recursive: true, force: true })
    })

    async function host(
      ...more: Parameters<typeof startWindowHost> extends [string, ...infer R] ? R : never
    ) {
      const started = await startWindowHost(renderer, ...more)
      hosts.push(started)
      return started
    }

    async function open(on: WindowHost, before?: (context: BrowserContext) => Promise<void>, by = browser) {
      const window = await openWindow(by, on, before)
      contexts.push(window.context)
      return window
    }

    test('fault G3: the graphics device is lost in mid-run: told, nothing lost, the next run draws', async () => {
      const place = await host()
      const { page } = await open(place, drawWithWebGpu)
      await setSteps(page, 2)
      await generate(page)
      await untilDrawn(page, 1)
      await expect
        .poll(async () => (await readdir(place.facts.picturesFolder)).length, { timeout: 30_000 })
        .toBe(1)

      await setSteps(page, 500)
      await useWebGpu(page)
      await generate(page)
      // Compiling the shaders takes a processor minutes; a step means that the device draws.
      await stepShown(page, 1)
      await (await browser.newBrowserCDPSession()).send('Browser.crashGpuProcess')
      const banner = page.getByRole('alert')
      await banner.getByText('The graphics device was lost').waitFor({ timeout: 120_000 })
      await banner.getByText('Your words and settings are still here.').waitFor()
      // Nothing is lost: the words, the steps, the picture before. Nothing of the broken run was kept.
      expect(await page.getByRole('spinbutton', { name: 'Steps' }).inputValue()).toBe('500')
      expect(await page.locator('.cm-content').innerText()).not.toBe('')
      expect(await page.getByRole('option').count()).toBe(1)
      expect(await readdir(place.facts.picturesFolder)).toHaveLength(1)

      // The next run asks for a new device, and gets one.
      await setSteps(page, 1)
      await page.getByRole('button', { name: 'Draw again' }).click()
      await untilDrawn(page, 2)
      expect(await page.getByRole('alert').count()).toBe(0)
      await expect
        .poll(async () => (await readdir(place.facts.picturesFolder)).length, { timeout: 30_000 })
        .toBe(2)
    }, 1_200_000)

    test('fault G8: the page is killed in mid-run: its picture waits in the queue, finished ones are there', async () => {
      const place = await host()
      const { page, context } = await open(place)
      await setSteps(page, 3)
      await generate(page)
      await untilDrawn(page, 1)
      await expect
        .poll(async () => (await readdir(place.facts.picturesFolder)).length, { timeout: 30_000 })
        .toBe(1)
      await setSteps(page, 400)
      await generate(page)
      await stepShown(page, 1)
      const gone = page.waitForEvent('crash')
      // Never answers: the page that would is gone.
      void (await context.newCDPSession(page)).send('Page.crash').catch(() => undefined)
      await gone
      await page.close()

      const again = await context.newPage()
      const complaints = listenForComplaints(again)
      await again.goto(place.server.origin)
      await untilReady(again)
      await again.getByText('1 picture was being drawn when the window ended.').waitFor()
      const { jobs } = await place.service.call('jobs.list', {})
      expect(jobs).toMatchObject([
        { state: 'paused', request: { steps: 400 }, problem: { code: 'cancelled' } },
      ])
      // It draws when it is told to, with the same seed. (400 steps would take the test too long.)
      const { pictures } = await place.service.call('gallery.query', {})
      expect(pictures).toHaveLength(1)
      // A second start does not bring it back again.
      await again.reload()
      await untilReady(again)
      expect((await place.service.call('jobs.list', {})).jobs).toHaveLength(1)
      expect(complaints).toEqual([])
    })

    test('fault H8: a window that leaves while the queue draws: the picture is finished and kept', async () => {
      const place = await host()
      const { page, context } = await open(place)
      const { jobs } = await place.service.call('jobs.add', {
        requests: [{ prompt: 'a red car', seed: '5', steps: 12 }],
      })
      await expect
        .poll(async () => (await place.service.call('jobs.list', {})).jobs[0]?.progress?.step ?? 0, {
          timeout: 120_000,
        })
        .toBeGreaterThan(0)
      await page.close()
      await context.close()
      await expect
        .poll(async () => (await place.service.call('jobs.list', {})).jobs[0]?.state, { timeout: 120_000 })
        .toBe('done')
      const { pictures } = await place.service.call('gallery.query', {})
      expect(pictures.map(({ id }) => id)).toEqual([
        (await place.service.call('jobs.list', {})).jobs.find(({ id }) => id === jobs[0]?.id)?.picture,
      ])
    })

    test('fault T1: a full disk keeps the picture in the window until there is room', async () => {
      const place = await host()
      const { page } = await open(place)
      let isFull = true
      await page.route('**/host/pictures', route =>
        isFull
          ? route.fulfill({
              status: 507,
              json: {
                error: {
                  code: 'disk-full',
                  message: 'a.png cannot be written: the disk is full.',
                  remedy: 'Free some space and try again.',
                },
              },
            })
          : route.continue(),
      )
      await setSteps(page, 2)
      for (const count of [1, 2]) {
        await generate(page)
        await untilDrawn(page, count)
      }
      const strip = page.getByRole('alert')
      await strip.getByText('The disk is full: 2 pictures wait to be saved.').waitFor()
      await strip.getByText('Free some space and try again.').waitFor()
      await strip.getByRole('button', { name: 'Try again' }).click()
      // Still no room: nothing is given up.
      await strip.getByText('The disk is full: 2 pictures wait to be saved.').waitFor()
      isFull = false
      await strip.getByRole('button', { name: 'Try again' }).click()
      await strip.waitFor({ state: 'detached' })
      await expect
        .poll(async () => (await readdir(place.facts.picturesFolder)).length, { timeout: 30_000 })
        .toBe(2)
    })

    test('fault D10: the host out of reach: told, pictures wait and are saved when it is back', async () => {
      const place = await host()
      const { page, context } = await open(place)
      await setSteps(page, 2)
      // Its files still come, as for a model that is in memory; it answers nothing.
      const silent = ['**/host/call', '**/host/pictures']
      for (const address of silent) await page.route(address, route => route.abort())
      await generate(page)
      await untilDrawn(page, 1)
      await page.getByRole('alert').getByText('The host does not answer.').waitFor()
      await expect(readdir(place.facts.picturesFolder)).rejects.toThrow()
      for (const address of silent) await page.unroute(address)
      await page.getByRole('alert').waitFor({ state: 'detached', timeout: 30_000 })
      await expect
        .poll(async () => (await readdir(place.facts.picturesFolder)).length, { timeout: 30_000 })
        .toBe(1)

      // Nothing at all: a run that needs the model's files says so, and can be begun again.
      await context.setOffline(true)
      await generate(page)
      await page.getByRole('alert').getByText('could not be fetched').waitFor({ timeout: 60_000 })
      await context.setOffline(false)
      await page.getByRole('button', { name: 'Draw again' }).click()
      await untilDrawn(page, 2)
      await expect
        .poll(async () => (await readdir(place.facts.picturesFolder)).length, { timeout: 30_000 })
        .toBe(2)
    })

    test('fault G1: without WebGPU the window opens, says why, and draws on the processor', async () => {
      const without = await launchChromium(executable, 'none')
      try {
        const place = await host({ engineSeat: 'page' })
        const { page } = await open(place, undefined, without)
        const strip = page.getByRole('status', { name: 'No graphics adapter.' })
        await strip.getByText(/no WebGPU|finds no GPU/).waitFor()
        expect(await page.locator('footer').innerText()).toContain('processor')
        await setSteps(page, 2)
        await generate(page)
        await untilDrawn(page, 1)
        await strip.getByRole('button', { name: 'Dismiss' }).click()
        await strip.waitFor({ state: 'detached' })
      } finally {
        await without.close()
      }
    })

    test('fault I5, I8: hostile texts of a picture are shown as text, and nothing is asked for', async () => {
      const pictures = join(folder, 'hostile')
      await mkdir(pictures)
      const png = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#246' } })
        .png()
        .toBuffer()
      const hostile =
        '<img src=http://attune.invalid/x onerror="globalThis.hacked=1"><script>globalThis.hacked=2</script>' +
        ' javascript:alert(1) \u001b[31m ../../../etc/passwd file:///etc/passwd http://169.254.169.254/latest'
      const text = `${hostile}\nSteps: 20, Sampler: Euler a, Seed: 1, Model: <b onclick=alert(1)>x</b>, Note: ${hostile.replaceAll(',', ' ')}`
      await writeFile(
        join(pictures, 'a.png'),
        insertPngText(new Uint8Array(png), [{ keyword: 'parameters', text }]),
      )
      const place = await host({}, { picturesFolder: pictures })
      const { page, complaints } = await open(place)
      const asked: string[] = []
      page.on('request', request => asked.push(request.url()))
      await page.keyboard.press('Control+k')
      await page.keyboard.type('gallery')
      await page.keyboard.press('Enter')
      const tile = page.getByRole('gridcell').or(page.getByRole('option')).first()
      await tile.waitFor()
      await tile.dblclick()
      await page.getByRole('complementary', { name: 'Recipe' }).getByText('<img src=http').first().waitFor()
      await page.getByRole('button', { name: 'Everything' }).first().click()
      await page.waitForTimeout(500)
      expect(await page.evaluate('globalThis.hacked')).toBeUndefined()
      const own = new URL(place.server.origin).origin
      expect(
        asked.filter(url => !url.startsWith(own) && !url.startsWith('blob:') && !url.startsWith('data:')),
      ).toEqual([])
      expect(complaints).toEqual([])
    })
  })
}
