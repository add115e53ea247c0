/**
 * Guides in the real window over the real loopback server, drawn by the page's Worker and by the host's thread: cards,
 * live previews, what acts and what does not, records and what comes back from them. The networks are the small seeded
 * ones of test/controlnet, whose parity with diffusers is shown there and in test/host/inputs.test.ts.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AxeBuilder } from '@axe-core/playwright'
import type { Browser, Page } from 'playwright'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readRecord } from '../../model/contract/record.ts'
import { findPreprocessor, preprocess } from '../../model/image/preprocess/catalogue.ts'
import { readPngText } from '../../model/image/png-text.ts'
import { findChromium, launchChromium, whyNoChromium } from '../e2e/browser.ts'
import { netBytes, netConfig, safetensors } from '../support/controlnet.ts'
import { writeTinyModel } from '../support/tiny-models.ts'
import { buildWindow, openWindow, startWindowHost, type WindowHost } from '../support/window.ts'

const executable = findChromium()
const picture = fileURLToPath(new URL('../fixtures/controlnet/a.png', import.meta.url))

const tensor = (key: string, shape: readonly number[]) => ({
  key,
  shape: [...shape],
  data: new Float32Array(shape.reduce((a, b) => a * b)),
})

/** A model, a net for it, one for another model of no family, and one of another family by its header. */
function library(folder: string): { readonly model: string } {
  const model = writeTinyModel('story', join(folder, 'story'), { dtype: 'F32' })
  const net = (name: string, from: 'story-a' | 'sd2-a') => {
    const place = join(folder, 'nets', name)
    mkdirSync(place, { recursive: true })
    writeFileSync(join(place, 'config.json'), JSON.stringify(netConfig(from)))
    writeFileSync(join(place, 'diffusion_pytorch_model.safetensors'), netBytes(from))
  }
  net('edges', 'story-a')
  net('stranger', 'sd2-a')
  writeFileSync(
    join(folder, 'nets', 'canny-sd15.safetensors'),
    safetensors([
      tensor('controlnet_cond_embedding.conv_in.weight', [4, 3, 3, 3]),
      tensor('down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight', [4, 768]),
    ]),
  )
  return { model }
}

const card = (page: Page) => page.locator('[data-guide]').first()

async function drawn(page: Page, count: number): Promise<void> {
  await page.waitForFunction(
    expected =>
      document.querySelectorAll('[role=listbox] [role=option]').length === expected &&
      !document.querySelector('[role=progressbar]'),
    count,
    { timeout: 240_000 },
  )
}

const stagePixels = (page: Page): Promise<string> =>
  page.evaluate(
    () => document.querySelector<HTMLCanvasElement>('[data-focus=picture] canvas')?.toDataURL() ?? '',
  )

async function choose(page: Page, label: string, option: string): Promise<void> {
  await card(page).getByRole('combobox', { name: label }).click()
  await page.getByRole('option', { name: option, exact: false }).click()
}

if (!executable) {
  test.skip(`guides (${whyNoChromium})`, () => undefined)
} else {
  describe('guides', () => {
    let browser: Browser
    let renderer: string
    let models: string
    let model: string
    let host: WindowHost | undefined

    beforeAll(async () => {
      // A GPU made of software compiles the joined graphs for minutes; without it the host's thread takes WebAssembly.
      process.env['VK_ICD_FILENAMES'] = '/nonexistent'
      process.env['VK_DRIVER_FILES'] = '/nonexistent'
      renderer = mkdtempSync(join(tmpdir(), 'attune-guides-window-'))
      buildWindow(renderer)
      models = mkdtempSync(join(tmpdir(), 'attune-guides-models-'))
      ;({ model } = library(models))
      browser = await launchChromium(executable)
    })
    afterAll(async () => {
      await host?.close()
      await browser?.close()
      for (const folder of [renderer, models]) if (folder) rmSync(folder, { recursive: true, force: true })
    })

    test.each(['page', 'host'] as const)('cards that draw, in the seat of the %s', async seat => {
      host = await startWindowHost(renderer, { engineSeat: seat, model }, { modelsFolder: models })
      const { page, context, complaints } = await openWindow(browser, host)
      await page.locator('.cm-content').click()
      await page.keyboard.press('Control+a')
      await page.keyboard.insertText('a red car')
      for (const [name, value] of [
        ['Width', '128'],
        ['Height', '64'],
        ['Steps', '2'],
      ] as const) {
        const field = page.getByRole('spinbutton', { name, exact: true })
        await field.fill(value)
        await field.press('Enter')
        await field.blur()
      }
      await page.getByRole('button', { name: 'A new seed for every picture' }).click()
      await page.keyboard.press('Control+Enter')
      await drawn(page, 1)
      const plain = await stagePixels(page)

      await page.getByRole('button', { name: 'Guide', exact: true }).click()
      await card(page).getByText('acts once it has a network and a picture').waitFor()
      expect(await card(page).getByRole('combobox', { name: 'Network' }).textContent()).toMatch(
        /edges|stranger/,
      )
      await choose(page, 'Network', 'edges')
      await card(page).locator('input[type=file]').setInputFiles(picture)
      await choose(page, 'Made by', 'canny')
      await card(page).locator('[data-hint=shown]').waitFor()
      // The preview is what the engine will be given: the same code at the same size.
      const { data, info } = await sharp(picture).removeAlpha().raw().toBuffer({ resolveWithObject: true })
      const pixels = {
        width: info.width,
        height: info.height,
        channels: 3 as const,
        data: new Uint8Array(data),
      }
      const hint = preprocess(
        findPreprocessor('canny') as NonNullable<ReturnType<typeof findPreprocessor>>,
        pixels,
        {
          target: { width: 128, height: 64, mode: 'crop' },
        },
      )
      const shownHint = () =>
        card(page)
          .locator('[data-hint] canvas')
          .evaluate(canvas => {
            const { width, height } = canvas as HTMLCanvasElement
            const context = (canvas as HTMLCanvasElement).getContext('2d')
            const rgba = context?.getImageData(0, 0, width, height).data ?? []
            return { width, height, red: Array.from(rgba).filter((_, at) => at % 4 === 0) }
          })
      const red = Array.from({ length: 128 * 64 }, (_, at) => hint.data[at * hint.channels])
      await expect.poll(shownHint).toEqual({ width: 128, height: 64, red })
      expect(await card(page).getAttribute('data-acts')).toBe('true')

      await page.keyboard.press('Control+Enter')
      await drawn(page, 2)
      const guided = await stagePixels(page)
      expect(guided).not.toBe(plain)

      // Switched off it changes nothing, to the bit.
      await card(page).getByRole('checkbox', { name: 'Guide 1 acts' }).click()
      await page.keyboard.press('Control+Enter')
      await drawn(page, 3)
      expect(await stagePixels(page)).toBe(plain)
      await card(page).getByRole('checkbox', { name: 'Guide 1 acts' }).click()

      // Two handles, by keyboard; neither passes the other.
      const [from, to] = ['When: From', 'When: To'].map(name => card(page).getByRole('slider', { name }))
      await to?.focus()
      for (let press = 0; press < 4; press++) await page.keyboard.press('ArrowLeft')
      expect(await to?.getAttribute('aria-valuetext')).toBe('80 %')
      await from?.focus()
      for (let press = 0; press < 40; press++) await page.keyboard.press('ArrowRight')
      expect(await from?.getAttribute('aria-valuetext')).toBe('75 %')

      // What the guided picture's record says, and what comes back from it.
      await expect
        .poll(async () => (await (host as WindowHost).service.call('gallery.query', {})).pictures.length)
        .toBe(3)
      const { pictures } = await host.service.call('gallery.query', { sort: 'oldest' })
      const records = await Promise.all(
        pictures.map(async ({ id }) => {
          const file = new Uint8Array(await readFile(await (host as WindowHost).service.picturePath(id)))
          const { entries } = await readPngText(file)
          return { id, record: readRecord(entries.find(({ keyword }) => keyword === 'attune')?.text ?? '') }
        }),
      )
      const found = records.find(({ record }) => record.request.guides)
      expect(found?.record).toMatchObject({
        request: {
          guides: [{ model: 'edges', image: 'canny@a.png', weight: 1, start: 0, end: 1, resize: 'crop' }],
        },
        inputs: [
          { role: 'control', name: 'canny@a.png', file: 'a.png', preprocessor: { name: 'canny' } },
          { role: 'control-net', name: 'edges' },
        ],
      })
      await card(page).getByRole('button', { name: 'Remove Guide 1' }).click()
      expect(await card(page).count()).toBe(0)
      host.service.emit({ type: 'openPicture', id: found?.id as number })
      await page.getByRole('button', { name: 'Everything' }).click()
      await card(page).locator('[data-hint=shown]').waitFor()
      expect(await card(page).textContent()).toMatch(/edges.*a\.png.*canny/)

      // A net of another family says why it does not act; one that only the engine can tell is refused by name.
      await choose(page, 'Network', 'canny-sd15')
      await card(page).getByText('canny-sd15 guides models of Stable Diffusion 1.x').waitFor()
      expect(await card(page).getAttribute('data-acts')).toBe('false')
      await choose(page, 'Network', 'stranger')
      await page.keyboard.press('Control+Enter')
      await page.getByRole('alert').getByText('stranger').first().waitFor({ timeout: 60_000 })
      await choose(page, 'Network', 'edges')

      const { violations } = await new AxeBuilder({ page }).analyze()
      const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
      expect(serious.map(({ id, nodes }) => `${id}: ${nodes.map(node => node.html).join(' ')}`)).toEqual([])
      expect(complaints).toEqual([])
      await context.close()
      await host.close()
      host = undefined
    })

    test('the queue draws from a source with a guide, and its record says so', async () => {
      host = await startWindowHost(renderer, { engineSeat: 'page', model }, { modelsFolder: models })
      const { page, context, complaints } = await openWindow(browser, host)
      await page.locator('.cm-content').click()
      await page.keyboard.press('Control+a')
      await page.keyboard.insertText('a red car')
      const field = page.getByRole('spinbutton', { name: 'Steps' })
      await field.fill('2')
      await field.press('Enter')
      await field.blur()
      await page.locator('input[type=file]').first().setInputFiles(picture)
      await page.getByRole('region', { name: 'Source picture' }).waitFor()
      await page.getByRole('button', { name: 'Guide', exact: true }).click()
      await choose(page, 'Network', 'edges')
      await card(page).locator('input[type=file]').setInputFiles(picture)
      await card(page).locator('[data-hint=shown]').waitFor()
      await page.keyboard.press('Control+Shift+Enter')
      const job = async () => (await (host as WindowHost).service.call('jobs.list', {})).jobs[0]
      await expect.poll(async () => (await job())?.state, { timeout: 200_000 }).toMatch(/done|failed/)
      expect((await job())?.problem).toBeUndefined()
      const file = new Uint8Array(
        await readFile(await host.service.picturePath((await job())?.picture as number)),
      )
      const { entries } = await readPngText(file)
      const record = readRecord(entries.find(({ keyword }) => keyword === 'attune')?.text ?? '')
      expect(record).toMatchObject({
        request: { strength: 0.6, guides: [{ model: 'edges', image: 'a.png' }] },
        inputs: [
          { role: 'init', name: 'a.png', fit: 'crop' },
          { role: 'control', name: 'a.png', file: 'a.png' },
          { role: 'control-net', name: 'edges' },
        ],
      })
      expect(complaints).toEqual([])
      await context.close()
      await host.close()
      host = undefined
    })
  })
}
