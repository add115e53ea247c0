/**
 * Image to image and inpainting in a real Chromium with the real engine in the page's Worker and the embedded model:
 * sources from files and from drawn pictures, the brush by mouse and by keys, what stays of the source, undo, and what
 * axe-core says of the new states.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AxeBuilder } from '@axe-core/playwright'
import type { Browser, Page } from 'playwright'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findChromium, launchChromium, whyNoChromium } from '../e2e/browser.ts'
import { buildWindow } from './fake-host.ts'
import { openWindow, setSteps, waitForPictures } from './plain-window.ts'
import { type RendererServer, startRendererServer } from './renderer-server.ts'

const executable = findChromium()

/** RGBA of what the stage shows, at the picture's own size. */
const stagePixels = (page: Page): Promise<number[]> =>
  page.evaluate(() => {
    const canvas = document.querySelector<HTMLCanvasElement>('[data-focus=picture] canvas')
    const data = canvas?.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data
    return Array.from(data ?? [])
  })

const side = 256
/** Left half red, right half blue: nothing that the embedded model would draw by itself. */
const halves = (width = side, height = side): Promise<Buffer> =>
  sharp({ create: { width, height, channels: 3, background: '#c02020' } })
    .composite([
      {
        input: { create: { width: width / 2, height, channels: 3, background: '#2040c0' } },
        left: width / 2,
        top: 0,
      },
    ])
    .png()
    .toBuffer()

const card = (page: Page) => page.getByRole('region', { name: 'Source picture' })

async function chooseSource(page: Page, buffer: Buffer, name = 'halves.png'): Promise<void> {
  await page.locator('input[type=file]').first().setInputFiles({ name, mimeType: 'image/png', buffer })
  await card(page).waitFor()
}

async function setStrength(page: Page, percent: number): Promise<void> {
  const slider = card(page).getByRole('slider', { name: 'Change' })
  await slider.focus()
  await page.keyboard.press('Home')
  for (let at = 0; at < percent; at += 5) await page.keyboard.press('ArrowRight')
  expect(await slider.getAttribute('aria-valuetext')).toMatch(new RegExp(`^${percent} %`))
}

const byte = (pixels: readonly number[], x: number, y: number): readonly number[] =>
  pixels.slice((y * side + x) * 4, (y * side + x) * 4 + 3)

if (!executable) {
  test.skip(`sources and masks (${whyNoChromium})`, () => undefined)
} else {
  describe('sources and masks', () => {
    let server: RendererServer
    let browser: Browser
    let folder: string

    beforeAll(async () => {
      folder = await buildWindow(mkdtempSync(join(tmpdir(), 'attune-inputs-')))
      server = await startRendererServer({ folder })
      browser = await launchChromium(executable)
    })
    afterAll(async () => {
      await browser?.close()
      await server?.close()
      if (folder) rmSync(folder, { recursive: true })
    })

    test('a source decides the picture as much as is asked for', async () => {
      const { page, complaints, close } = await openWindow(browser, server.origin)
      await setSteps(page, 5)
      await chooseSource(page, await halves())
      await expect.poll(() => card(page).textContent()).toMatch(/256 × 256 · halves\.png/)
      await setStrength(page, 20)
      expect(await card(page).textContent()).toContain('1 of 5 steps')
      await page.keyboard.press('Control+Enter')
      await waitForPictures(page, 1)
      const near = await stagePixels(page)
      // One step of five: left stays red, right blue.
      const [left, right] = [byte(near, 64, 128), byte(near, 192, 128)]
      expect(left[0]).toBeGreaterThan((left[2] as number) + 40)
      expect(right[2]).toBeGreaterThan((right[0] as number) + 40)

      // Compared with its source, though there is no picture before.
      await page.keyboard.press('c')
      await page
        .getByRole('slider', { name: 'Border between before and after' })
        .waitFor({ state: 'attached' })
      await page.keyboard.press('c')

      // "Put back" brings the source with it; removing it is one step of the history.
      await card(page).getByRole('button', { name: 'Remove the source picture' }).click()
      expect(await card(page).count()).toBe(0)
      await page.keyboard.press('Control+z')
      await card(page).waitFor()
      await card(page).getByRole('button', { name: 'Remove the source picture' }).click()
      await page.getByRole('button', { name: 'Put back what this picture was drawn from' }).click()
      await card(page).waitFor()

      // The drawn picture itself, by its key.
      await page.locator('[data-focus=picture]').focus()
      await page.keyboard.press('i')
      await expect.poll(() => card(page).textContent()).toContain('drawn picture.png')
      expect(complaints).toEqual([])
      await close()
    })

    test('a wide source is cropped, padded or stretched, or gives the drawing its shape', async () => {
      const { page, complaints, close } = await openWindow(browser, server.origin)
      await chooseSource(page, await halves(512, 256))
      // Nothing was chosen before: the drawing takes the source's shape, with as many pixels as the model draws.
      await expect
        .poll(async () => {
          const [width, height] = ['Width', 'Height'].map(name =>
            page.getByRole('spinbutton', { name, exact: true }).inputValue(),
          )
          return Number(await width) / Number(await height)
        })
        .toBeGreaterThan(1.7)
      expect(await page.getByRole('radio', { name: 'Pad' }).count()).toBe(0)
      await page.getByRole('radio', { name: 'Square' }).click()
      await page.getByRole('radio', { name: 'Pad' }).waitFor()
      await page.getByRole('radio', { name: 'Pad' }).click()
      await page.keyboard.press('m')
      await page.locator('[data-brush]').waitFor()
      // Padded: the source lies in the middle, its border's colour above and below.
      const shownAt = (y: number) =>
        page.evaluate(at => {
          const canvas = document.querySelector<HTMLCanvasElement>('[data-brush]')?.parentElement
            ?.firstElementChild as HTMLCanvasElement
          const { width, height } = canvas
          return Array.from(
            canvas.getContext('2d')?.getImageData(width / 4, Math.floor(at * (height - 1)), 1, 1).data ?? [],
          )
        }, y)
      await expect.poll(() => shownAt(0.5)).toEqual([0xc0, 0x20, 0x20, 255])
      expect(await shownAt(0)).not.toEqual([0xc0, 0x20, 0x20, 255])
      await page.getByRole('button', { name: 'Done' }).click()
      await page.getByRole('button', { name: 'Take its shape' }).click()
      await expect.poll(() => page.getByRole('radio', { name: 'Pad' }).count()).toBe(0)
      expect(complaints).toEqual([])
      await close()
    })

    test('what is painted is drawn anew, and the rest keeps every pixel', async () => {
      const { page, complaints, close } = await openWindow(browser, server.origin)
      await setSteps(page, 4)
      await chooseSource(page, await halves())
      await setStrength(page, 100)
      await card(page).getByRole('button', { name: 'Paint what changes' }).click()
      const brush = page.locator('[data-brush]')
      await brush.waitFor()
      const box = await brush.boundingBox()
      const at = (x: number, y: number) =>
        page.mouse.move((box?.x ?? 0) + x * (box?.width ?? 0), (box?.y ?? 0) + y * (box?.height ?? 0), {
          steps: 4,
        })
      await at(0.2, 0.3)
      await page.mouse.down()
      await at(0.3, 0.3)
      await page.mouse.up()
      const share = async () =>
        Number(/(\d+(?:\.\d+)?)\s% is drawn anew/.exec((await card(page).textContent()) ?? '')?.[1])
      const once = await share()
      expect(once).toBeGreaterThan(1)
      // Keys: larger, a spot without a mouse, erased again with X, undone.
      await page.keyboard.press(']')
      await page.keyboard.press(']')
      await brush.focus()
      await page.keyboard.press('ArrowDown')
      await page.keyboard.press('Space')
      const twice = await share()
      expect(twice).toBeGreaterThan(once)
      await page.keyboard.press('x')
      expect(await page.getByRole('button', { name: 'Erase' }).getAttribute('aria-pressed')).toBe('true')
      await page.keyboard.press('Space')
      expect(await share()).toBeLessThan(twice)
      await page.getByRole('button', { name: 'Undo the last stroke' }).click()
      expect(await share()).toBe(twice)
      await page.keyboard.press('Control+z')
      expect(await share()).toBe(once)
      await page.getByRole('button', { name: 'Invert the mask' }).click()
      expect(await share()).toBeGreaterThan(50)
      await page.getByRole('button', { name: 'Undo the last stroke' }).click()
      await page.keyboard.press('x')
      await page.keyboard.press('Escape')
      await expect.poll(() => brush.count()).toBe(0)

      await page.keyboard.press('Control+Enter')
      await waitForPictures(page, 1)
      const drawn = await stagePixels(page)
      const source = await sharp(await halves())
        .ensureAlpha()
        .raw()
        .toBuffer()
      let changed = 0
      for (let y = 0; y < side; y++) {
        for (let x = 0; x < side; x++) {
          const same = [0, 1, 2].every(
            part => drawn[(y * side + x) * 4 + part] === source[(y * side + x) * 4 + part],
          )
          if (same) continue
          changed++
          // The brush of 8 % went from 20 to 30 % at 30 %: nothing beyond its reach may have moved.
          const [dx, dy] = [Math.max(0, 0.2 - x / side, x / side - 0.3), Math.abs(0.3 - y / side)]
          expect(Math.hypot(dx, dy), `${x}, ${y}`).toBeLessThan(0.1)
        }
      }
      expect(changed).toBeGreaterThan(side * side * 0.01)
      expect(complaints).toEqual([])
      await close()
    })

    test('a word’s map becomes the mask, with a threshold', async () => {
      const { page, complaints, close } = await openWindow(browser, server.origin)
      await setSteps(page, 4)
      await page.keyboard.press('Control+Enter')
      await waitForPictures(page, 1)
      await page.getByRole('button', { name: 'Keep the map of car in view' }).hover()
      await page.getByRole('button', { name: 'Draw “car” anew: mask from its map' }).click()
      const threshold = page.getByRole('slider', { name: 'Where “car” is' })
      await threshold.waitFor()
      const share = async () =>
        Number(/(\d+(?:\.\d+)?)\s% is drawn anew/.exec((await card(page).textContent()) ?? '')?.[1])
      const half = await share()
      expect(half).toBeGreaterThan(0.5)
      expect(half).toBeLessThan(60)
      await threshold.focus()
      for (let press = 0; press < 6; press++) await page.keyboard.press('ArrowLeft')
      expect(await share()).toBeGreaterThan(half)
      // A stroke makes the mask the person's own.
      await page.locator('[data-brush]').focus()
      await page.keyboard.press('Space')
      expect(await threshold.count()).toBe(0)
      expect(complaints).toEqual([])
      await close()
    })

    test('what is no picture is refused by name, and a dropped one can be begun from', async () => {
      const { page, close } = await openWindow(browser, server.origin)
      await page
        .locator('input[type=file]')
        .first()
        .setInputFiles({ name: 'a.png', mimeType: 'image/png', buffer: Buffer.from('no picture') })
      await page.getByRole('alert').getByText('not a picture that can be read').waitFor()
      expect(await card(page).count()).toBe(0)
      // Dropped on the place that takes a source.
      const bytes = [...(await halves())]
      const transfer = await page.evaluateHandle(data => {
        const moved = new DataTransfer()
        moved.items.add(new File([new Uint8Array(data)], 'dropped.png', { type: 'image/png' }))
        return moved
      }, bytes)
      await page
        .getByRole('button', { name: 'Choose a picture, or drop one here' })
        .dispatchEvent('drop', { dataTransfer: transfer })
      await expect.poll(() => card(page).textContent()).toContain('dropped.png')
      await close()
    })

    test.each([
      ['dark', 1024, 640],
      ['light', 1024, 640],
      ['dark', 1440, 900],
      ['light', 1440, 900],
    ] as const)('nothing serious for axe-core: %s at %d×%d', async (scheme, width, height) => {
      const { page, close } = await openWindow(browser, server.origin, { width, height }, scheme)
      await page.locator('[data-focus=picture]').focus()
      await page.keyboard.press('m')
      const brush = page.locator('[data-brush]')
      await brush.waitFor()
      await brush.focus()
      await page.keyboard.press('Space')
      await page.getByRole('button', { name: 'Guide', exact: true }).click()
      await page.getByText('No ControlNet yet').waitFor()
      const { violations } = await new AxeBuilder({ page }).analyze()
      const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
      expect(serious.map(({ id, nodes }) => `${id}: ${nodes.map(node => node.html).join(' ')}`)).toEqual([])
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width)
      await close()
    })
  })
}
