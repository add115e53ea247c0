/**
 * The contract suite (contract/main.cjs) on the double and on a real Electron: what the shell relies on is so in both.
 * What the real one is too old for is listed by name, and held against Electron's own types instead.
 */
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findChromium, whyNoChromium } from '../e2e/browser.ts'
import { bundleDouble } from '../support/electron/launch.ts'
import { findOldElectron, type OldElectron, runOldElectron } from '../support/electron/old-electron.ts'

const suite = fileURLToPath(new URL('contract', import.meta.url))
const hooks = fileURLToPath(new URL('../support/electron/hooks.cjs', import.meta.url))
const types = fileURLToPath(new URL('../../node_modules/electron/electron.d.ts', import.meta.url))

interface Report {
  readonly electron: string
  readonly lacks: readonly string[]
  readonly results: readonly { name: string; ok: boolean; actual?: string; expected?: string }[]
}

/** What the shell uses and Electron 9.4.1 has not; events and fields that cannot be looked for are told in docs/electron.md. */
const tooNew = [
  'protocol.handle',
  'protocol.unhandle',
  'webContents.setWindowOpenHandler',
  'webContents.mainFrame',
  'session.setDevicePermissionHandler',
  'session.setDisplayMediaRequestHandler',
  'shell.trashItem',
]
const newEvents = ['will-frame-navigate', 'child-process-gone']

let folder: string
let old: OldElectron
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'attune-contract-'))
  old = await findOldElectron()
})
afterAll(() => rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }))

async function runIn(name: string, start: (env: Record<string, string>) => Promise<string>): Promise<Report> {
  const home = join(folder, name)
  await mkdir(home)
  const report = join(home, 'report.json')
  const output = await start({
    HOME: home,
    XDG_CONFIG_HOME: join(home, '.config'),
    ATTUNE_CONTRACT_OUT: report,
  })
  const text = await readFile(report, 'utf8').catch(() => {
    throw new Error(`the suite wrote nothing: ${output}`)
  })
  return JSON.parse(text) as Report
}

async function onDouble(): Promise<Report> {
  const double = await bundleDouble(folder)
  return runIn('double', env => {
    const child = spawn(process.execPath, ['--require', hooks, join(suite, 'main.cjs')], {
      cwd: suite,
      env: { ...process.env, ...env, ATTUNE_DOUBLE: double, ATTUNE_DOUBLE_APP: suite, NODE_OPTIONS: '' },
    })
    let output = ''
    child.stdout.on('data', part => (output += part))
    child.stderr.on('data', part => (output += part))
    return new Promise(resolve => {
      const timer = setTimeout(() => child.kill('SIGKILL'), 90_000)
      child.once('exit', () => {
        clearTimeout(timer)
        resolve(output)
      })
    })
  })
}

const differences = (report: Report) => report.results.filter(({ ok }) => !ok)

describe('the contract with Electron', () => {
  let double: Report | undefined
  it('holds on the double', async context => {
    if (findChromium() === undefined) context.skip(whyNoChromium)
    double = await onDouble()
    expect(differences(double)).toEqual([])
    expect(double.lacks).toEqual([])
    expect(double.results.length).toBeGreaterThanOrEqual(60)
    expect(double.results.at(-1)?.name).toBe('quit: last')
  })

  it('holds on a real Electron, assertion by assertion', async context => {
    if ('reason' in old) return context.skip(`no real Electron: ${old.reason}`)
    const { path } = old
    const real = await runIn('real', env => runOldElectron(path, [suite], env))
    expect(real.electron).toBe('9.4.1')
    expect(differences(real)).toEqual([])
    expect(real.lacks).toEqual(tooNew)
    // The same questions in the same order, so that none was left out on either.
    if (double) expect(real.results.map(({ name }) => name)).toEqual(double.results.map(({ name }) => name))
  })

  it('has types for what the old one lacks', async () => {
    const text = await readFile(types, 'utf8')
    for (const name of tooNew) expect(text).toMatch(new RegExp(`\\b${name.split('.')[1]}\\b`))
    for (const event of newEvents) expect(text).toContain(`on(event: '${event}'`)
    expect(text).toContain('readonly senderFrame: (WebFrameMain) | (null);')
  })
})
