/**
 * The timeline in a real Chromium with the real engine over the loopback server: rows appear with what they are about,
 * handles write the prompt and the request, undo takes it back, and what they ask for changes the picture.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findChromium, whyNoChromium } from '../e2e/browser.ts'
import {
  drawAgain,
  drawWords,
  type LoopbackWindow,
  seriousProblems,
  startLoopbackWindow,
} from './loopback-window.ts'

const executable = findChromium()

describe.skipIf(!executable)(`the timeline (${executable ? 'in Chromium' : whyNoChromium})`, () => {
  let window: LoopbackWindow
  beforeAll(async () => {
    window = await startLoopbackWindow(executable as string)
  })
  afterAll(() => window?.close())

  test('a schedule: its row writes the prompt, with undo, by keyboard and by pointer', async () => {
    const { page, complaints, close } = await window.open()
    const timeline = page.getByRole('region', { name: 'Timeline' })
    expect(await timeline.count()).toBe(0)
    await drawWords(page, 'a [dog:cat:0.5] on grass', 1, 8)
    const handle = timeline.getByRole('slider', { name: 'When dog → cat changes' })
    // 4 of 8, and one more as A1111 has it.
    expect(await handle.getAttribute('aria-valuetext')).toBe('after step 5 of 8')
    await handle.focus()
    await page.keyboard.press('ArrowRight')
    const text = () => page.locator('.cm-content').textContent()
    expect(await text()).toBe('a [dog:cat:0.7] on grass')
    expect(await handle.getAttribute('aria-valuenow')).toBe('6')
    await page.keyboard.press('Home')
    expect(await text()).toBe('a [dog:cat:0.0] on grass')
    // All of it was one movement of the handle: one step of the history.
    await page.keyboard.press('Control+z')
    expect(await text()).toBe('a [dog:cat:0.5] on grass')
    const box = await handle.boundingBox()
    const [x, y] = [(box?.x ?? 0) + (box?.width ?? 0) / 2, (box?.y ?? 0) + (box?.height ?? 0) / 2]
    await page.mouse.move(x, y)
    await page.mouse.down()
    await page.mouse.move(x + 60, y, { steps: 6 })
    await page.mouse.up()
    expect(await text()).not.toBe('a [dog:cat:0.5] on grass')
    expect(Number(await handle.getAttribute('aria-valuenow'))).toBeGreaterThan(5)
    expect(await seriousProblems(page)).toEqual([])
    expect(complaints).toEqual([])
    await close()
  })

  test('the steps are replayed from the timeline; a curve of a weight changes the picture', async () => {
    const { page, complaints, close } = await window.open()
    await page.getByRole('button', { name: 'A new seed for every picture' }).click()
    await drawWords(page, 'a red car under a blue sky', 1, 6)
    await page.getByRole('button', { name: 'Keep the map of car in view' }).hover()
    await page.getByRole('button', { name: 'Move the weight of car over the steps' }).click()
    const timeline = page.getByRole('region', { name: 'Timeline' })
    const first = timeline.getByRole('slider', { name: 'Weight of car, point 1' })
    await first.focus()
    for (let press = 0; press < 20; press++) await page.keyboard.press('ArrowDown')
    expect(await first.getAttribute('aria-valuetext')).toBe('step 1 of 6, weight 0')
    // A point between, moved and taken away again.
    await timeline.getByRole('button', { name: 'Add a point to car' }).click()
    expect(await timeline.getByRole('slider', { name: /^Weight of car/ }).count()).toBe(3)
    const middle = timeline.getByRole('slider', { name: 'Weight of car, point 2' })
    await middle.focus()
    await page.keyboard.press('ArrowRight')
    expect(await middle.getAttribute('aria-valuenow')).toBe('4')
    await page.keyboard.press('Delete')
    expect(await timeline.getByRole('slider', { name: /^Weight of car/ }).count()).toBe(2)

    // The slider of the steps is in the timeline now, and replays what was seen.
    const replay = page.getByRole('slider', { name: 'Replay' })
    expect(await replay.count()).toBe(1)
    const pixels = () =>
      page.evaluate(() => {
        const canvas = document.querySelector<HTMLCanvasElement>('[data-focus=picture] canvas')
        return [...(canvas?.getContext('2d')?.getImageData(40, 40, 4, 4).data ?? [])].join()
      })
    const finished = await pixels()
    await replay.focus()
    await page.keyboard.press('Home')
    await expect.poll(pixels).not.toBe(finished)
    expect(await replay.getAttribute('aria-valuetext')).toBe('Step 1 / 6')
    await page.keyboard.press('End')
    await expect.poll(pixels).toBe(finished)

    await page.locator('.cm-content').focus()
    await drawAgain(page, 2)
    await page.getByRole('button', { name: 'Compare with the picture before' }).click()
    const note = page.getByRole('tabpanel').getByText(/of the picture changed visibly|No visible effect/)
    expect(await note.textContent()).toMatch(/^\d.* changed visibly/)
    // The request's history holds the curve.
    await page.locator('.cm-content').focus()
    await page.keyboard.press('Control+z')
    expect(complaints).toEqual([])
    await close()
  })

  test('two equal pictures are said to be equal', async () => {
    const { page, close } = await window.open()
    await page.getByRole('button', { name: 'A new seed for every picture' }).click()
    await drawWords(page, 'a blue boat', 1, 2)
    await drawAgain(page, 2)
    await page.getByRole('button', { name: 'Compare with the picture before' }).click()
    await page.getByRole('tabpanel').getByText('No visible effect: the two pictures are the same.').waitFor()
    await close()
  })

  test('words are changed while the picture is kept: windows of the edit are rows', async () => {
    const { page, complaints, close } = await window.open({ width: 1024, height: 640, scheme: 'light' })
    await drawWords(page, 'a red car under a blue sky', 1, 6)
    await page.getByRole('button', { name: 'Change words, keep the picture' }).click()
    const timeline = page.getByRole('region', { name: 'Timeline' })
    const end = timeline.getByRole('slider', { name: 'End of Edit · words' })
    expect(await end.getAttribute('aria-valuenow')).toBe('4')
    await end.focus()
    await page.keyboard.press('End')
    expect(await end.getAttribute('aria-valuetext')).toBe('at the end')
    await page.locator('.cm-content').click()
    await page.keyboard.press('Control+a')
    await page.keyboard.insertText('a red car under a green sky')
    await drawAgain(page, 2)
    expect(await seriousProblems(page)).toEqual([])
    await timeline.getByRole('button', { name: 'Remove Edit · words from the timeline' }).click()
    expect(await timeline.count()).toBe(0)
    expect(complaints).toEqual([])
    await close()
  })
})
