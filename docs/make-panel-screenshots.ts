/**
 * Takes docs/screenshots/*.png of what lies around the picture and needs the product's own host: the export of maps, the
 * timeline, regions, models. With the real engine over the loopback server.
 *
 *   npx tsx docs/make-panel-screenshots.ts [name …]
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright'
import { findChromium, whyNoChromium } from '../test/e2e/browser.ts'
import { drawWords, startLoopbackWindow } from '../test/renderer/loopback-window.ts'

type Theme = 'dark' | 'light'
interface Shot {
  readonly name: string
  readonly small?: boolean
  readonly themes?: readonly Theme[]
  readonly locale?: string
  readonly act: (page: Page) => Promise<unknown>
}

const prompt = 'a red car on the grass under a blue sky'
const pause = (page: Page) => page.waitForTimeout(500)

const openExport = async (page: Page) => {
  await drawWords(page, prompt, 1, 12)
  await page.getByRole('button', { name: /map of car/ }).click()
  await page.getByRole('button', { name: 'Export maps…' }).click()
  await page.getByRole('img', { name: /^Preview/ }).waitFor()
  await pause(page)
}

const openTimeline = async (page: Page) => {
  await drawWords(page, prompt, 1, 12)
  await page.getByRole('button', { name: /map of car/ }).hover()
  await page.getByRole('button', { name: 'Move the weight of car over the steps' }).click()
  const timeline = page.getByRole('region', { name: 'Timeline' })
  await timeline.getByRole('button', { name: 'Add a point to car' }).click()
  await timeline.getByRole('slider', { name: 'Weight of car, point 2' }).focus()
  for (let press = 0; press < 10; press++) await page.keyboard.press('ArrowUp')
  await page.locator('.cm-content').click()
  await page.keyboard.press('Control+a')
  await page.keyboard.insertText('a red car on [the grass:a road:0.4] under a [blue|pink] sky')
  await page.getByRole('slider', { name: 'Replay' }).focus()
  for (let press = 0; press < 5; press++) await page.keyboard.press('ArrowLeft')
  await pause(page)
}

const paintRegions = async (page: Page) => {
  await drawWords(page, prompt, 1, 12)
  await page.getByRole('tab', { name: /Places/ }).click()
  await page.getByRole('button', { name: 'Paint a region' }).click()
  await page.locator('[data-brush]').waitFor()
  const box = await page.locator('[data-brush]').boundingBox()
  const { x, y, width, height } = box ?? { x: 0, y: 0, width: 1, height: 1 }
  await page.mouse.move(x + width * 0.2, y + height * 0.2)
  await page.mouse.down()
  await page.mouse.move(x + width * 0.5, y + height * 0.15, { steps: 10 })
  await page.mouse.move(x + width * 0.8, y + height * 0.25, { steps: 10 })
  await page.mouse.up()
  await page.keyboard.press('Escape')
  await page.getByRole('region', { name: 'Region 1' }).getByRole('textbox').fill('a yellow sun')
  await page.getByRole('button', { name: 'Draw a rectangle' }).focus()
  await page.keyboard.press('Enter')
  await page.getByRole('region', { name: 'Region 2' }).getByRole('textbox').fill('a white house')
  await page
    .getByRole('region', { name: 'Region 2' })
    .getByRole('button', { name: /word’s map/ })
    .click()
  await page.getByRole('combobox', { name: 'Word' }).click()
  await page.getByRole('option', { name: 'car' }).click()
  await pause(page)
}

const shots: readonly Shot[] = [
  { name: 'export', act: openExport },
  { name: 'export-small', small: true, themes: ['light'], act: openExport },
  { name: 'timeline', act: openTimeline },
  { name: 'timeline-small', small: true, themes: ['light'], act: openTimeline },
  { name: 'regions-painted', act: paintRegions },
  { name: 'regions-small', small: true, themes: ['dark'], act: paintRegions },
]

const folder = process.env['ATTUNE_SHOTS'] ?? fileURLToPath(new URL('screenshots/', import.meta.url))
const executable = findChromium()
if (!executable) throw new Error(whyNoChromium)
mkdirSync(folder, { recursive: true })
const wanted = process.argv.slice(2)
const window = await startLoopbackWindow(executable)
for (const shot of shots) {
  if (wanted.length > 0 && !wanted.includes(shot.name)) continue
  for (const scheme of shot.themes ?? (['dark', 'light'] as const)) {
    const size = shot.small ? { width: 1024, height: 640 } : { width: 1440, height: 900 }
    const { page, complaints, close } = await window.open({
      ...size,
      scheme,
      ...(shot.locale !== undefined && { locale: shot.locale }),
    })
    try {
      await shot.act(page)
      await page.screenshot({ path: join(folder, `${shot.name}-${scheme}.png`) })
      console.log(`${shot.name}-${scheme}.png`)
    } catch (error) {
      console.error(`${shot.name}-${scheme}: ${error instanceof Error ? error.message : String(error)}`)
      process.exitCode = 1
    }
    for (const complaint of complaints) console.error(`${shot.name}-${scheme}: ${complaint}`)
    await close()
  }
}
await window.close()
