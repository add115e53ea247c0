/**
 * The engine's seat in a page: a Worker of a real, headless Chromium draws what diffusers drew, over HTTP, with the
 * browser's own WebGPU (SwiftShader). Kernels and networks are tested in Node; here it is shown that nothing of them
 * needs Node.
 */
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { GenerateRequestInput } from '../../model/contract/request.ts'
import { type PageServer, startPageServer } from '../support/page-server.ts'
import { finalLatents, loadNpy, loadPixels, parityCase, psnr, relativeL2 } from '../support/parity.ts'
import { writeTinyModel } from '../support/tiny-models.ts'
import { callPage, findChromium, launchChromium, whyNoChromium } from './browser.ts'
import type { Outcome } from './page.ts'

const executable = findChromium()
// The embedded model's architecture at the smallest size.
const theCase = parityCase('story-ddim')

const request: GenerateRequestInput = {
  prompt: theCase.prompt,
  negativePrompt: theCase.negative,
  width: theCase.width,
  height: theCase.height,
  steps: theCase.steps,
  guidanceScale: theCase.guidance,
  guidanceRescale: theCase.guidanceRescale,
  seed: '0',
  sampler: theCase.sampler,
  precision: 'f32',
}

/** Chromium's software adapter is taken only when it is asked for. */
const gpu = { backend: 'webgpu' } as const

function value<T>(outcome: Outcome<T>): T {
  if ('value' in outcome) return outcome.value
  throw new Error(`${outcome.error.code}: ${outcome.error.message}`)
}

if (!executable) {
  test.skip(`the engine in a page (${whyNoChromium})`, () => undefined)
} else {
  describe('the engine in a page', () => {
    let folder: string
    let server: PageServer
    let browser: Browser
    let page: Page
    const complaints: string[] = []
    const initialNoise = theCase.files.initialNoise ? [...loadNpy(theCase.files.initialNoise).data] : []
    let first: readonly number[] = []

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), 'attune-e2e-'))
      const story = writeTinyModel('story', join(folder, 'story'))
      // Complete but for one file.
      const broken = join(folder, 'broken')
      await cp(story, broken, { recursive: true })
      rmSync(join(broken, 'unet/diffusion_pytorch_model.safetensors'))
      // Weights of another component: every name in it is wrong.
      const mixed = join(folder, 'mixed')
      await cp(story, mixed, { recursive: true })
      copyFileSync(
        join(mixed, 'vae/diffusion_pytorch_model.safetensors'),
        join(mixed, 'unet/diffusion_pytorch_model.safetensors'),
      )
      server = await startPageServer({ models: { story, broken, mixed }, page: 'test/e2e/page.ts' })
      browser = await launchChromium(executable)
      page = await browser.newPage()
      page.on('pageerror', error => complaints.push(error.message))
      page.on('console', message => {
        // A 404 is how a page learns that an optional file is not there.
        if (message.type() === 'error' && !/status of 404/.test(message.text()))
          complaints.push(message.text())
      })
      await page.goto(server.origin)
      await page.waitForFunction('globalThis.attune')
    })

    afterAll(async () => {
      await browser?.close()
      await server?.close()
      if (folder) rmSync(folder, { recursive: true, force: true })
    })

    test('the Worker starts, isolated, and finds an adapter', async () => {
      const { isolated, adapter } = value(await callPage(page, 'start'))
      console.log(
        `adapter: ${adapter?.name}, software ${adapter?.software}, shader-f16 ${adapter?.shaderF16}`,
      )
      expect(isolated).toBe(true)
      expect(adapter?.name).toBeTruthy()
      expect(adapter?.maxBufferBytes).toBeGreaterThanOrEqual(2 ** 27)
    })

    test('drawing before a model is open is refused', async () => {
      expect(await callPage(page, 'draw', { request })).toMatchObject({
        error: { code: 'bad-argument', message: 'No model is open.' },
      })
    })

    test('a folder that lacks a file is refused by the name of the file', async () => {
      const outcome = await callPage(page, 'open', `${server.origin}/models/broken`)
      expect(outcome).toMatchObject({ error: { code: 'bad-model' } })
      expect(JSON.stringify(outcome)).toContain('unet has no weights (diffusion_pytorch_model.safetensors)')
      const wrong = await callPage(page, 'open', `${server.origin}/models/mixed`)
      expect(wrong).toMatchObject({ error: { code: 'bad-model' } })
      expect(JSON.stringify(wrong)).toContain('conv_in')
    })

    test('the tiny model opens by its headers alone', async () => {
      const before = server.requests.length
      const model = value(await callPage(page, 'open', `${server.origin}/models/story`))
      expect(model).toMatchObject({ task: 'text-to-image', latentChannels: 16, sizeFactor: 16 })
      const weights = server.requests.slice(before).filter(({ path }) => path.endsWith('.safetensors'))
      expect(weights.every(({ range }) => range?.startsWith('bytes='))).toBe(true)
    })

    test('it draws what diffusers drew', async () => {
      const result = value(await callPage(page, 'draw', { request, ...gpu, initialNoise }))
      const milliseconds = Object.entries(result.timings).map(
        ([stage, time]) => `${stage} ${Math.round(time)}`,
      )
      const distance = relativeL2(result.latents, finalLatents(theCase).data)
      console.log(
        `${result.adapter.name}: ${milliseconds.join(', ')} ms; relative L2 ${distance.toExponential(2)}`,
      )
      expect(result.adapter.backend).toBe('webgpu')
      expect(result.steps).toEqual(Array.from({ length: theCase.steps }, (_, step) => step + 1))
      expect(distance).toBeLessThanOrEqual(1e-3)
      const pixels = await loadPixels(theCase.files.png as string)
      expect(psnr(result.picture.data, pixels.data)).toBeGreaterThanOrEqual(50)
      first = result.latents
    })

    test('fault G12: a stop ends the run after the step that it is in; the next run gives the same bits', async () => {
      const stopped = await callPage(page, 'draw', { request, ...gpu, initialNoise, stopAfter: 2 })
      expect(stopped).toMatchObject({ error: { code: 'cancelled' } })
      const { steps } = stopped as { steps: readonly number[] }
      // The message travels while the next step runs.
      expect(steps.length).toBeGreaterThanOrEqual(2)
      expect(steps.length).toBeLessThan(theCase.steps)
      const again = value(await callPage(page, 'draw', { request, ...gpu, initialNoise }, true))
      expect(again.latents).toEqual(first)
    })

    test('fault G3: a GPU that goes away ends the run by name; the next run finds another', async () => {
      const endless = callPage(page, 'draw', { request: { ...request, steps: 1000 }, ...gpu })
      await page.waitForFunction('globalThis.attune.seen() > 0')
      await (await browser.newBrowserCDPSession()).send('Browser.crashGpuProcess')
      expect(await endless).toMatchObject({ error: { code: 'device-lost' } })
      const again = value(await callPage(page, 'draw', { request, ...gpu, initialNoise }))
      expect(again.latents).toEqual(first)
    })

    test('a request that cannot be used is refused by the field, and leaves the engine usable', async () => {
      const wrong = await callPage(page, 'draw', { request: { ...request, width: 120 } })
      expect(wrong).toMatchObject({ error: { code: 'bad-argument' } })
      const short = await callPage(page, 'draw', { request, ...gpu, initialNoise: [1, 2, 3] })
      expect(JSON.stringify(short)).toContain('The initial noise has 3 numbers')
      const one = value(await callPage(page, 'draw', { request: { ...request, steps: 1 }, ...gpu }))
      expect(one.steps).toEqual([1])
    })

    test('left to itself it takes WebAssembly on a machine without a GPU, and draws the same', async () => {
      const result = value(await callPage(page, 'draw', { request, initialNoise }))
      const distance = relativeL2(result.latents, finalLatents(theCase).data)
      console.log(
        `${result.adapter.name}: total ${Math.round(result.timings['total'] ?? 0)} ms; ${distance.toExponential(2)}`,
      )
      expect(result.adapter.backend).toBe('wasm')
      expect(distance).toBeLessThanOrEqual(1e-3)
    })

    test('a script that is not there is told, not waited for', async () => {
      const fresh = await browser.newPage()
      await fresh.goto(server.origin)
      await fresh.waitForFunction('globalThis.attune')
      const outcome = await callPage(fresh, 'start', '/nowhere.js')
      expect(outcome).toMatchObject({ error: { code: 'internal' } })
      await fresh.close()
    })

    test('the engine closes, and the page never complained', async () => {
      await callPage(page, 'close')
      expect(complaints).toEqual([])
    })
  })
}
