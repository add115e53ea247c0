/**
 * Regions in a real Chromium with the real engine over the loopback server: painted with pointer and keyboard, taken
 * from a word's map, and drawn: what is inside the mask changes more than what is outside.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Page } from 'playwright'
import { findChromium, whyNoChromium } from '../e2e/browser.ts'
import {
  drawAgain,
  drawWords,
  type LoopbackWindow,
  seriousProblems,
  startLoopbackWindow,
} from './loopback-window.ts'

const executable = findChromium()

/** Of the shown picture: the mean colour of the left and of the right half. */
const halves = (page: Page) =>
  page.evaluate(() => {
    const canvas = document.querySelector<HTMLCanvasElement>('[data-focus=picture] canvas')
    const { width = 0, height = 0 } = canvas ?? {}
    const data = canvas?.getContext('2d')?.getImageData(0, 0, width, height).data ?? []
    const sums = [
      [0, 0, 0],
      [0, 0, 0],
    ]
    for (let at = 0; at < width * height; at++)
      for (let part = 0; part < 3; part++)
        (sums[at % width < width / 2 ? 0 : 1] as number[])[part]! +=
          (data[at * 4 + part] ?? 0) / ((width * height) / 2)
    return sums
  })

const redness = ([red = 0, green = 0, blue = 0]: readonly number[] = []): number => red - (green + blue) / 2

const distance = (a: readonly number[] = [], b: readonly number[] = []): number =>
  Math.hypot(...a.map((value, at) => value - (b[at] ?? 0)))

describe.skipIf(!executable)(`regions (${executable ? 'in Chromium' : whyNoChromium})`, () => {
  let window: LoopbackWindow
  beforeAll(async () => {
    window = await startLoopbackWindow(executable as string)
  })
  afterAll(() => window?.close())

  test('a painted region acts where it is painted', async () => {
    const { page, complaints, close } = await window.open()
    await page.getByRole('button', { name: 'A new seed for every picture' }).click()
    await drawWords(page, 'a green field', 1, 8)
    const before = await halves(page)
    await page.getByRole('tab', { name: /Places/ }).click()
    await page.getByRole('button', { name: 'Paint a region' }).click()
    const region = page.getByRole('region', { name: 'Region 1' })
    await region.getByText('Nothing is painted yet').waitFor()
    const box = await page.locator('[data-brush]').boundingBox()
    if (!box) throw new Error('no brush')
    // The left third, up and down.
    await page.mouse.move(box.x + box.width * 0.12, box.y + box.height * 0.1)
    await page.mouse.down()
    for (const [x, y] of [
      [0.12, 0.9],
      [0.24, 0.9],
      [0.24, 0.1],
      [0.34, 0.1],
      [0.34, 0.9],
    ] as const)
      await page.mouse.move(box.x + box.width * x, box.y + box.height * y, { steps: 8 })
    await page.mouse.up()
    expect(await region.getByText('Nothing is painted yet').count()).toBe(0)
    await page.keyboard.press('Escape')
    await region.getByRole('textbox').fill('a red sky')
    await page.getByRole('slider', { name: 'The prompt inside of regions' }).focus()
    await page.keyboard.press('Home')
    expect(await seriousProblems(page)).toEqual([])
    // A region has a window of the run, and with it a row of the timeline.
    await page
      .getByRole('region', { name: 'Timeline' })
      .getByRole('slider', { name: 'End of Regions' })
      .waitFor()
    await drawAgain(page, 2)
    const after = await halves(page)
    const [left, right] = [distance(before[0], after[0]), distance(before[1], after[1])]
    const reddened = redness(after[0]) - redness(before[0]) - (redness(after[1]) - redness(before[1]))
    console.log(
      `mean colour moved by ${left.toFixed(1)} inside and ${right.toFixed(1)} outside; inside it is redder by ${reddened.toFixed(1)} more`,
    )
    // In 0…255. The region asks for red inside; outside, the rest of the picture follows through self-attention.
    expect(left).toBeGreaterThan(right)
    expect(reddened).toBeGreaterThan(15)
    await page.getByRole('tab', { name: /Words/ }).click()
    await page.getByText(/^regions: .* %$/).waitFor()
    expect(complaints).toEqual([])
    await close()
  })

  test('by keyboard, and from a word’s map with a threshold; undo takes each back', async () => {
    const { page, complaints, close } = await window.open({ width: 1024, height: 640, scheme: 'light' })
    await drawWords(page, 'a red car under a blue sky', 1, 4)
    await page.getByRole('tab', { name: /Places/ }).click()
    const paint = page.getByRole('button', { name: 'Paint a region' })
    await paint.focus()
    await page.keyboard.press('Enter')
    const region = page.getByRole('region', { name: 'Region 1' })
    await page.locator('[data-brush]:focus').waitFor()
    await page.keyboard.press('ArrowLeft')
    await page.keyboard.press('Space')
    await expect.poll(() => region.getByText('Nothing is painted yet').count()).toBe(0)
    await page.keyboard.press('Enter')
    // The words are next.
    await expect
      .poll(() => region.getByRole('textbox').evaluate(field => field === document.activeElement))
      .toBe(true)
    await page.keyboard.type('a yellow sun')

    await region.getByRole('button', { name: 'Take Region 1 from a word’s map' }).click()
    const panel = page.getByRole('dialog', { name: 'Take Region 1 from a word’s map' })
    await panel.getByRole('combobox', { name: 'Word' }).click()
    await page.getByRole('option', { name: 'sky' }).click()
    const covered = async () =>
      Number(/Covers ([\d.]+) %/.exec((await panel.getByRole('status').textContent()) ?? '')?.[1])
    await expect.poll(covered).toBeGreaterThan(0)
    const half = await covered()
    await panel.getByRole('slider', { name: 'Threshold' }).focus()
    await page.keyboard.press('Home')
    const most = await covered()
    await page.keyboard.press('End')
    const least = await covered()
    expect(most).toBeGreaterThan(half)
    expect(least).toBeLessThan(half)
    expect(await seriousProblems(page)).toEqual([])
    await page.keyboard.press('Escape')
    await page.getByRole('radio', { name: 'Isolate' }).click()
    await page.getByText('A place does not see the words of other regions.').waitFor()
    await drawAgain(page, 2)

    await region.getByRole('button', { name: 'Remove Region 1' }).click()
    expect(await region.count()).toBe(0)
    await page.getByRole('button', { name: 'Undo' }).click()
    await region.waitFor()
    expect(await region.getByRole('textbox').inputValue()).toBe('a yellow sun')
    expect(complaints).toEqual([])
    await close()
  })
})
