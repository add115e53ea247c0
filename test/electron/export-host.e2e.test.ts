/** Maps are exported under the shell: the page posts a recording over the scheme, the folder comes from the system's dialog. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { makeRecording, writeRecording } from '../../model/attention/recording.ts'
import { syntheticCapture, wideGrids } from '../support/attention.ts'
import { canRun, type PageGlobals, ready, runsIn, useShell } from '../support/electron/shell-test.ts'

const { launch, folder } = useShell('real')

describe.skipIf(!canRun)(`exporting maps in ${runsIn}`, () => {
  it('asks for a folder, shows what it will write, and writes it there', async () => {
    const userData = await folder()
    const shell = await launch({ userData, env: { XDG_RUNTIME_DIR: userData } })
    const page = await ready(shell)
    const wanted = join(userData, 'chosen maps')
    await shell.evaluate(({ dialog }, path) => {
      dialog.showOpenDialog = (() =>
        Promise.resolve({ canceled: false, filePaths: [path] })) as unknown as typeof dialog.showOpenDialog
    }, wanted)
    const asked = await page.evaluate(() =>
      (globalThis as unknown as PageGlobals).attuneHost.call('shell.chooseFolder', { title: 'Maps' }),
    )
    expect(asked).toMatchObject({ ok: true, value: { path: wanted } })

    const captured = syntheticCapture(wideGrids.slice(1), { width: 48, height: 32 })
    const recording = Buffer.from(writeRecording(makeRecording(captured))).toString('base64')
    const post = (header: object) =>
      page.evaluate(
        async ([base64, text]) => {
          const answer = await fetch('host/maps', {
            method: 'POST',
            headers: {
              'content-type': 'application/octet-stream',
              'x-attune': encodeURIComponent(text as string),
            },
            body: Uint8Array.from(atob(base64 as string), sign => sign.charCodeAt(0)),
          })
          const type = answer.headers.get('content-type') ?? ''
          return type.includes('json')
            ? ((await answer.json()) as unknown)
            : [type, (await answer.arrayBuffer()).byteLength]
        },
        [recording, JSON.stringify(header)],
      )
    const choice = { formats: ['png', 'npz'], words: [captured.words[0]?.text] }
    const preview = (await post({ ...choice, preview: true })) as {
      files: string[]
      picture: { type: string }
    }
    expect(preview.picture.type).toBe('image/png')
    expect(preview.files).toContain('maps.npz')
    expect(await post({ ...choice, folder: wanted })).toEqual({ folder: wanted, files: preview.files })
    expect((await readdir(wanted)).sort()).toEqual([...preview.files].sort())
    expect(await post(choice)).toEqual(['application/zip', expect.any(Number)])
    expect(await post({ ...choice, folder: wanted })).toMatchObject({ error: { code: 'bad-argument' } })
  })
})
