/**
 * The desktop shell's life: one instance, quitting while something is drawn, crashes, the queue's end. As shell.e2e.test.ts.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  canRun,
  type MainGlobals,
  onDouble,
  type PageGlobals,
  ready,
  runsIn,
  until,
  useShell,
} from '../support/electron/shell-test.ts'

const { launch, folder } = useShell()

const job = (state: string) => ({
  id: 'a',
  request: { prompt: 'a red car' },
  state,
  added: '2026-01-01T00:00:00Z',
})

describe.skipIf(!canRun)(`the shell in ${runsIn}`, () => {
  it('is one program: the second gives its pictures to the first', async () => {
    const userData = await folder()
    const picture = join(userData, 'a picture.png')
    await writeFile(picture, 'x')
    const early = join(userData, 'early.png')
    await writeFile(early, 'x')
    const first = await launch({ userData, args: [early] })
    const page = await ready(first)
    const events = () => page.evaluate(() => (globalThis as unknown as PageGlobals).events)
    await until(
      async () => (await events()).some(({ type }) => type === 'openPicture'),
      'the picture of the start',
    )
    await first.evaluate(({ BrowserWindow }) => BrowserWindow.getAllWindows()[0]?.minimize())
    const second = await launch({
      userData,
      args: [picture, '--no-such-flag', join(userData, 'nothing.png')],
    })
    expect(await second.exited).toBe(0)
    await until(
      async () => (await events()).filter(({ type }) => type === 'openPicture').length === 2,
      'the second picture',
    )
    expect(
      await first.evaluate(({ BrowserWindow }) => [
        (globalThis as unknown as MainGlobals).stubHost.opened,
        BrowserWindow.getAllWindows()[0]?.isMinimized(),
        BrowserWindow.getAllWindows().length,
      ]),
    ).toEqual([[early, picture], false, 1])
  })

  it('asks before it quits while something is drawn, and waits for what is being written', async () => {
    const userData = await folder()
    const shell = await launch({ userData })
    const page = await ready(shell)
    await shell.evaluate(({ dialog, BrowserWindow }, running) => {
      const { stubHost } = globalThis as unknown as MainGlobals
      stubHost.jobs = [running]
      stubHost.closeMilliseconds = 300
      const asked: string[] = []
      Object.assign(globalThis, { asked, answer: 0 })
      dialog.showMessageBox = (async (...values: unknown[]) => {
        asked.push((values.at(-1) as { message: string }).message)
        return { response: (globalThis as unknown as { answer: number }).answer, checkboxChecked: false }
      }) as unknown as typeof dialog.showMessageBox
      BrowserWindow.getAllWindows()[0]?.setBounds({ x: 50, y: 60, width: 1100, height: 700 })
      BrowserWindow.getAllWindows()[0]?.close()
    }, job('running'))
    const asked = () => shell.evaluate(() => (globalThis as unknown as { asked: string[] }).asked)
    await until(async () => (await asked()).length === 1, 'the question of the closing window')
    await shell.evaluate(({ app }) => app.quit())
    await until(async () => (await asked()).length === 2, 'the question of quitting')
    expect(await asked()).toEqual(['A picture is being drawn.', 'A picture is being drawn.'])
    // It stayed, and works.
    expect(
      await page.evaluate(() => (globalThis as unknown as PageGlobals).attuneHost.call('app.info')),
    ).toMatchObject({ ok: true })
    const began = performance.now()
    await shell.evaluate(({ app }) => {
      Object.assign(globalThis, { answer: 1 })
      process.on('exit', () => {
        const { stubHost } = globalThis as unknown as MainGlobals
        process.stdout.write(`closed ${stubHost.closed}\n`)
      })
      app.quit()
    })
    expect(await shell.exited).toBe(0)
    expect(performance.now() - began).toBeGreaterThan(290)
    expect(shell.output()).toContain('closed true')
    const state = JSON.parse(await readFile(join(userData, 'window.json'), 'utf8'))
    expect(state).toMatchObject({ version: 1, bounds: { x: 50, y: 60, width: 1100, height: 700 } })

    // The next start opens in that place; one that is off every screen is brought back.
    const again = await launch({ userData })
    await ready(again)
    const bounds = () => again.evaluate(({ BrowserWindow }) => BrowserWindow.getAllWindows()[0]?.getBounds())
    expect(await bounds()).toEqual({ x: 50, y: 60, width: 1100, height: 700 })
    await again.evaluate(({ app }) => app.quit())
    expect(await again.exited).toBe(0)
    await writeFile(
      join(userData, 'window.json'),
      JSON.stringify({ ...state, bounds: { ...state.bounds, x: 5000 } }),
    )
    const back = await launch({ userData })
    await ready(back)
    expect(await back.evaluate(({ BrowserWindow }) => BrowserWindow.getAllWindows()[0]?.getBounds().x)).toBe(
      410,
    )
  })

  it('G8, C4: reloads a page that crashed, with a message, and does not loop', async () => {
    const shell = await launch()
    await ready(shell)
    await shell.evaluate(({ dialog }) => {
      const asked: string[] = []
      Object.assign(globalThis, { asked })
      dialog.showMessageBox = (async (...values: unknown[]) => {
        asked.push((values.at(-1) as { message: string }).message)
        return { response: 0, checkboxChecked: false }
      }) as unknown as typeof dialog.showMessageBox
    })
    for (let crash = 1; crash <= 3; crash++) {
      await shell.evaluate(({ BrowserWindow }) =>
        BrowserWindow.getAllWindows()[0]?.webContents.forcefullyCrashRenderer(),
      )
      await until(async () => shell.output().split('the page is gone').length > crash, `crash ${crash}`)
      await until(
        () =>
          shell.evaluate(
            ({ BrowserWindow }) => BrowserWindow.getAllWindows()[0]?.webContents.isCrashed() === false,
          ),
        `the page after crash ${crash}`,
      )
      const page = await ready(shell)
      await until(
        () =>
          page.evaluate(() =>
            (globalThis as unknown as PageGlobals).events.some(({ text }) => text?.includes('opened again')),
          ),
        'the message',
      )
      // Only the third in a minute is asked about.
      expect(await shell.evaluate(() => (globalThis as unknown as { asked: string[] }).asked.length)).toBe(
        crash === 3 ? 1 : 0,
      )
    }
  })

  it('G7: remembers a graphics process that keeps crashing', async () => {
    const userData = await folder()
    const shell = await launch({ userData })
    const page = await ready(shell)
    await shell.evaluate(({ app }) => {
      for (let crash = 0; crash < 3; crash++) {
        app.emit('child-process-gone', {}, { type: 'GPU', reason: 'crashed', exitCode: 1 })
        app.emit('child-process-gone', {}, { type: 'Utility', reason: 'crashed', exitCode: 1 })
      }
    })
    const events = () =>
      page.evaluate(() =>
        (globalThis as unknown as PageGlobals).events.filter(({ type }) => type === 'notice'),
      )
    await until(async () => (await events()).length === 3, 'three messages')
    await shell.evaluate(({ app }) => app.quit())
    await shell.exited
    const next = await launch({ userData })
    const nextPage = await ready(next)
    await until(
      () =>
        nextPage.evaluate(() =>
          (globalThis as unknown as PageGlobals).events.some(({ text }) =>
            text?.includes('graphics card is not used'),
          ),
        ),
      'the message of the safe mode',
    )
    if (onDouble) {
      expect(
        await next.evaluate(
          ({ app }) => (app as unknown as { doubled: { hardware: boolean } }).doubled.hardware,
        ),
      ).toBe(false)
    }
  })

  it('says that the queue ended, if nobody looks', async () => {
    const shell = await launch()
    await ready(shell)
    if (!onDouble) return
    const notes = () =>
      shell.evaluate(({ double }) =>
        double.recorded.filter(({ what }) => what === 'notification').map(({ value }) => value),
      )
    const change = (jobs: unknown[], looking: boolean) =>
      shell.evaluate(
        async ({ BrowserWindow }, [jobs, looking]) => {
          const { stubHost } = globalThis as unknown as MainGlobals
          const [window] = BrowserWindow.getAllWindows()
          if (looking) window?.focus()
          else window?.blur()
          stubHost.jobs = jobs as unknown[]
          stubHost.emit({ type: 'jobs' })
          await new Promise(resolve => setTimeout(resolve, 100))
        },
        [jobs, looking] as const,
      )
    await change([job('running')], true)
    await change([job('done')], true)
    expect(await notes()).toEqual([])
    await change([job('running')], false)
    await change([job('done')], false)
    expect(await notes()).toEqual([{ title: 'Attune', body: '1 picture is drawn.' }])
    await change([job('done')], false)
    expect(await notes()).toHaveLength(1)
  })
})
