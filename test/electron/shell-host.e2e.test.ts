/** The shell with the product's own host: questions over messages, the embedded model's bytes over the scheme. */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { canRun, type PageGlobals, ready, runsIn, useShell } from '../support/electron/shell-test.ts'

const { launch, folder } = useShell('real')

describe.skipIf(!canRun)(`the shell with its host in ${runsIn}`, () => {
  it('answers, gives out weights by range, and closes everything', async () => {
    const userData = await folder()
    const shell = await launch({ userData, env: { XDG_RUNTIME_DIR: userData } })
    const page = await ready(shell)
    const ask = (method: string, params?: unknown) =>
      page.evaluate(
        ([method, params]) =>
          (globalThis as unknown as PageGlobals).attuneHost.call(method as string, params),
        [method, params],
      )
    expect(await ask('app.info')).toMatchObject({
      ok: true,
      value: { shell: 'electron', outputFolder: join(userData, 'Pictures/Attune') },
    })
    expect(await ask('models.list')).toMatchObject({
      ok: true,
      value: { models: [{ id: 'storybook', embedded: true, usable: true }] },
    })
    expect(await ask('settings.set', { patch: { theme: 'dark' } })).toMatchObject({
      ok: true,
      value: { theme: 'dark' },
    })
    expect(await shell.evaluate(({ nativeTheme }) => nativeTheme.themeSource)).toBe('dark')
    expect(await ask('gallery.get', { id: 99 })).toMatchObject({ ok: false })
    const weights = await page.evaluate(async () => {
      const address = 'host/models/storybook/unet/diffusion_pytorch_model.safetensors'
      const answer = await fetch(address, { headers: { range: 'bytes=0-7' } })
      const outside = await fetch('host/models/storybook/..%2f..%2f..%2fpackage.json')
      const index = await (await fetch('host/models/storybook/model_index.json')).json()
      return [answer.status, (await answer.arrayBuffer()).byteLength, outside.status, typeof index]
    })
    expect(weights).toEqual([206, 8, 404, 'object'])
    await shell.evaluate(({ app }) => app.quit())
    expect(await shell.exited).toBe(0)
    expect((await stat(join(userData, 'settings.json'))).size).toBeGreaterThan(10)
  })
})
