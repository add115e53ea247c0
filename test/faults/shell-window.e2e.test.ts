/** The same faults under the desktop shell: the product's own window, host and engine, on the double of Electron or on it. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page } from 'playwright'
import { describe, expect, it } from 'vitest'
import {
  canRun,
  onDouble,
  type PageGlobals,
  runsIn,
  until,
  useShell,
} from '../support/electron/shell-test.ts'
import type { RunningShell } from '../support/electron/launch.ts'
import { setSteps, untilDrawn, untilReady } from '../support/window.ts'
import { drawWithWebGpu, stepShown, useWebGpu } from './support.ts'

const { launch, folder } = useShell('window')

const ask = async (page: Page, method: string, params: unknown = {}): Promise<unknown> => {
  const answer = await page.evaluate(
    ([method, params]) => (globalThis as unknown as PageGlobals).attuneHost.call(method as string, params),
    [method, params],
  )
  if (!answer.ok) throw new Error(answer.error?.message)
  return answer.value
}
const generate = (page: Page) => page.getByRole('button', { name: /^Generate/ }).click()

async function start(): Promise<{ shell: RunningShell; page: Page; pictures: string }> {
  const userData = await folder()
  const shell = await launch({ userData, env: { XDG_RUNTIME_DIR: userData, LANG: 'en', LANGUAGE: 'en' } })
  const page = await shell.page()
  await ask(page, 'settings.set', { patch: { language: 'en', engineSeat: 'page' } })
  await untilReady(page)
  return { shell, page, pictures: join(userData, 'Pictures', 'Attune') }
}

describe.skipIf(!canRun)(`faults in the window of the shell in ${runsIn}`, () => {
  it('fault G8: the page crashes in mid-run: it comes back with the run as a paused job', async () => {
    const { shell, page, pictures } = await start()
    await setSteps(page, 2)
    await generate(page)
    await untilDrawn(page, 1)
    await expect.poll(async () => (await readdir(pictures)).length, { timeout: 30_000 }).toBe(1)
    await setSteps(page, 400)
    await generate(page)
    await stepShown(page, 1)
    await shell.evaluate(({ BrowserWindow }) =>
      BrowserWindow.getAllWindows()[0]?.webContents.forcefullyCrashRenderer(),
    )
    await until(async () => shell.output().includes('the page is gone'), 'the crash')
    await until(
      () =>
        shell.evaluate(
          ({ BrowserWindow }) => BrowserWindow.getAllWindows()[0]?.webContents.isCrashed() === false,
        ),
      'the page after it',
    )
    const again = await shell.page()
    await untilReady(again)
    await again.getByText('1 picture was being drawn when the window ended.').waitFor()
    expect(await ask(again, 'jobs.list')).toMatchObject({
      jobs: [{ state: 'paused', request: { steps: 400 }, problem: { code: 'cancelled' } }],
    })
    expect(await ask(again, 'gallery.query')).toMatchObject({ total: 1 })
  }, 900_000)

  it.runIf(onDouble)(
    'fault G3: the graphics device is lost in mid-run: told, and the next run draws',
    async () => {
      const { page, pictures } = await start()
      await drawWithWebGpu(page.context())
      await page.reload()
      await untilReady(page)
      await setSteps(page, 500)
      await useWebGpu(page)
      await generate(page)
      await stepShown(page, 1)
      const browser = page.context().browser()
      await (await browser?.newBrowserCDPSession())?.send('Browser.crashGpuProcess')
      const banner = page.getByRole('alert')
      await banner.getByText('The graphics device was lost').waitFor({ timeout: 120_000 })
      expect(await page.getByRole('spinbutton', { name: 'Steps' }).inputValue()).toBe('500')
      await expect(readdir(pictures)).rejects.toThrow()
      // With what the window itself takes here: a second compilation shows nothing that the other test does not.
      await page.evaluate('globalThis.testWebGpu = false')
      await setSteps(page, 2)
      await page.getByRole('button', { name: 'Draw again' }).click()
      await untilDrawn(page, 1)
      await expect.poll(async () => (await readdir(pictures)).length, { timeout: 30_000 }).toBe(1)
    },
    1_200_000,
  )
})
