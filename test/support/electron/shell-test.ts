/** What the tests of the shell share: the shell under the double or in a real Electron, and waiting for things. */
import { afterAll, afterEach, beforeAll } from 'vitest'
import type { Page } from 'playwright'
import { findChromium, whyNoChromium } from '../../e2e/browser.ts'
import { electronBinary, type LaunchOptions, openRig, type Rig, type RunningShell } from './launch.ts'
import { makeShellApp } from './shell-app.ts'

/** What the test page has. */
export interface PageGlobals {
  attuneHost: {
    call(
      method: string,
      params?: unknown,
    ): Promise<{ ok: boolean; value?: unknown; error?: { code: string; message: string } }>
  }
  events: { type: string; command?: string; text?: string; id?: number }[]
}

/** What stub-host.ts puts into the main process. */
export interface MainGlobals {
  stubHost: {
    calls: { method: string; params: unknown }[]
    opened: string[]
    jobs: unknown[]
    closed: boolean
    closeMilliseconds: number
    answers: Record<string, unknown>
    emit(event: unknown): void
  }
}

/** Whether there is anything to run the shell in, and what. */
export const canRun = electronBinary !== undefined || findChromium() !== undefined
export const runsIn = canRun ? (electronBinary ?? 'the double') : whyNoChromium
export const onDouble = electronBinary === undefined

/** Registers what starts before and ends after a file's tests. @returns how to start a shell in them */
export function useShell(host: 'stub' | 'real' | 'window' = 'stub'): {
  launch(options?: Partial<LaunchOptions>): Promise<RunningShell>
  folder(): Promise<string>
} {
  let rig: Rig
  let app: string
  const running: RunningShell[] = []
  beforeAll(async () => {
    if (!canRun) return
    rig = await openRig()
    app = await rig.folder()
    await makeShellApp(app, host)
  })
  afterAll(() => rig?.close())
  afterEach(async () => {
    await Promise.all(running.splice(0).map(shell => shell.kill()))
  })
  return {
    async launch(options = {}) {
      const shell = await rig.launch({ app, userData: await rig.folder(), ...options })
      running.push(shell)
      return shell
    },
    folder: () => rig.folder(),
  }
}

/** The window's page, when its script has run. */
export async function ready(shell: RunningShell): Promise<Page> {
  const page = await shell.page()
  await page.waitForFunction(() => document.querySelector('#state')?.textContent === 'ready')
  return page
}

/** Asks until the answer is yes. */
export async function until(ask: () => Promise<boolean>, what: string): Promise<void> {
  for (let attempt = 0; attempt < 600; attempt++) {
    if (await ask()) return
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  throw new Error(`not after half a minute: ${what}`)
}
