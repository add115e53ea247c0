/**
 * Exporting maps from the window, with the real engine over the loopback server: a word is pinned, PNG and NumPy
 * files come as a zip and into a folder, and what came is opened and compared with what the window drew.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readRecording } from '../../model/attention/recording.ts'
import { memorySource } from '../../model/contract/bytes.ts'
import { readNpy } from '../../model/tensor/npy.ts'
import { findChromium, whyNoChromium } from '../e2e/browser.ts'
import { drawWords, type LoopbackWindow, seriousProblems, startLoopbackWindow } from './loopback-window.ts'
import { readStoredZip } from './stored-zip.ts'

const executable = findChromium()
const prompt = 'a red car under a blue sky'

describe.skipIf(!executable)(`exporting maps (${executable ? 'in Chromium' : whyNoChromium})`, () => {
  let window: LoopbackWindow
  beforeAll(async () => {
    window = await startLoopbackWindow(executable as string)
  })
  afterAll(() => window?.close())

  test('pin a word, export PNG and npz: the files hold its map', async () => {
    const { page, complaints, close } = await window.open()
    await drawWords(page, prompt, 1)
    await page.getByRole('button', { name: 'Keep the map of car in view' }).click()
    await page.getByRole('button', { name: 'Export maps…' }).click()
    const dialog = page.getByRole('dialog', { name: 'Export maps' })

    // The pinned word is chosen, no other.
    expect(await dialog.getByRole('button', { name: 'car' }).getAttribute('aria-pressed')).toBe('true')
    expect(await dialog.getByRole('button', { name: 'sky' }).getAttribute('aria-pressed')).toBe('false')
    const only = async (...wanted: string[]) => {
      for (const box of await dialog.getByRole('group').getByRole('checkbox').all()) {
        const name = (await box.locator('xpath=..').innerText()).split('\n')[0] ?? ''
        if (await box.isEnabled()) await box.setChecked(wanted.includes(name))
      }
    }
    await only('PNG, in colours', 'NumPy .npz', 'Recording', 'Animation')
    const names = dialog.getByRole('list', { name: /files/ }).getByRole('listitem')
    await expect
      .poll(() => names.allInnerTexts())
      .toEqual(['car.png', 'maps.npz', 'car.webp', 'recording.safetensors', 'manifest.json'])
    await dialog.getByRole('img', { name: 'Preview: car.png' }).waitFor()
    expect(await seriousProblems(page)).toEqual([])

    const [download] = await Promise.all([
      page.waitForEvent('download'),
      dialog.getByRole('button', { name: 'Download zip' }).click(),
    ])
    expect(download.suggestedFilename()).toMatch(/^attune-maps-\d+\.zip$/)
    const zip = readStoredZip(await readFile(await download.path()))
    expect([...zip.keys()].sort()).toEqual((await names.allInnerTexts()).sort())

    // The picture is the size of the drawn one; the animation has a frame a step.
    const png = await sharp(zip.get('car.png')).metadata()
    expect([png.format, png.width, png.height]).toEqual(['png', 256, 256])
    expect((await sharp(zip.get('car.webp'), { animated: true }).metadata()).pages).toBe(4)

    // The numbers are those of the recording: its mean over steps, heads and layers, computed here by hand.
    const array = readNpy(readStoredZip(zip.get('maps.npz') as Uint8Array).get('car.npy') as Uint8Array)
    const recording = await readRecording(memorySource('zip', zip.get('recording.safetensors') as Uint8Array))
    expect(recording.captured.prompt).toBe(prompt)
    expect(recording.run).toMatchObject({
      model: { name: 'Storybook' },
      app: { name: 'Attune', version: '9.9.9' },
    })
    const { layers, words, steps, tokens } = recording.captured
    const columns = words.find(({ text }) => text === 'car')?.columns ?? []
    const finest = Math.max(...layers.map(({ height }) => height))
    expect(array.shape).toEqual([finest, finest])
    let total = 0
    for (const { sums, numHeads, height, width } of layers) {
      let sum = 0
      for (let at = 0; at < sums.length; at += tokens.length)
        for (const column of columns) sum += sums[at + column] as number
      total += sum / (numHeads * height * width * steps * layers.length)
    }
    const values = array.data as Float32Array
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    // A bilinear resize by whole factors keeps the mean to the last bits of f32.
    expect(mean).toBeCloseTo(total, 6)
    // Step maps are of single steps: their mean is the map of all.
    const { perStep } = recording
    expect(perStep?.steps).toEqual([0, 1, 2, 3])

    expect(complaints).toEqual([])
    await close()
  })

  test('into a folder that is typed, with completion; a second time only when asked', async () => {
    const { page, close } = await window.open()
    await drawWords(page, prompt, 1)
    await page.keyboard.press('Tab')
    await page.keyboard.press('Control+e')
    const dialog = page.getByRole('dialog', { name: 'Export maps' })
    const field = dialog.getByRole('combobox', { name: 'Folder' })
    await field.fill(join(window.root, 'pict'))
    await page.getByRole('option', { name: join(window.root, 'pictures/') }).waitFor()
    await field.press('ArrowDown')
    await field.press('Enter')
    expect(await field.inputValue()).toBe(join(window.root, 'pictures/'))
    await field.fill(join(window.root, 'pictures', 'maps'))
    const save = dialog.getByRole('button', { name: 'Save in folder' })
    await save.click()
    await page.getByText(/files saved in/).waitFor()
    const listed = await dialog.getByRole('list', { name: /files/ }).getByRole('listitem').allInnerTexts()
    expect((await readdir(join(window.root, 'pictures', 'maps'))).sort()).toEqual(listed.sort())
    const { colormap, maps } = JSON.parse(
      await readFile(join(window.root, 'pictures', 'maps', 'manifest.json'), 'utf8'),
    ) as { colormap: string; maps: { word: string }[] }
    expect(colormap).toBe('viridis')
    expect(maps.map(({ word }) => word)).toEqual(['a', 'red', 'car', 'under', 'a', 'blue', 'sky'])
    await save.click()
    await dialog
      .getByRole('alert')
      .getByText(/is there already/)
      .waitFor()
    await dialog.getByRole('checkbox', { name: 'Replace files of the same names' }).check()
    await save.click()
    await expect.poll(() => dialog.getByRole('alert').count()).toBe(0)
    await close()
  })

  test('the sample has no maps to export, and says so', async () => {
    const { page, close } = await window.open({ width: 1024, height: 640, scheme: 'light' })
    await page.keyboard.press('Control+k')
    await page.keyboard.type('export maps')
    await page.keyboard.press('Enter')
    await page.getByRole('dialog', { name: 'Export maps' }).getByText('This is the sample').waitFor()
    expect(await seriousProblems(page)).toEqual([])
    await page.keyboard.press('Escape')
    await expect.poll(() => page.getByRole('dialog').count()).toBe(0)
    await close()
  })
})
