/**
 * Electron's security checklist (docs/tutorial/security.md, 20 items), walked against the code and the packages'
 * configuration. What a running shell must show is in shell.e2e.test.ts; here it is that nothing in the sources can
 * undo it.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import { channels } from '../../electron/channels.ts'
import {
  externalUrl,
  grantsPermission,
  isAppPage,
  pageHeaders,
  schemePrivileges,
} from '../../electron/policy.ts'
import { buildElectron } from '../../scripts/build-electron.ts'
import { wantedFuses } from '../../scripts/fuses.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const sources = new Map(
  readdirSync(join(root, 'electron'))
    .filter(name => name.endsWith('.ts'))
    .map(name => [name, withoutComments(readFileSync(join(root, 'electron', name), 'utf8'))]),
)
const all = [...sources.values()].join('\n')
const source = (name: string) => sources.get(name) ?? ''
const builder = readFileSync(join(root, 'electron-builder.yml'), 'utf8')

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')
}

/** Files in which something is written. */
function filesWith(pattern: RegExp): string[] {
  return [...sources].filter(([, text]) => pattern.test(text)).map(([name]) => name)
}

/** What every window is made with, as it stands in the code: window.ts cannot be loaded without Electron. */
const preferences = Object.fromEntries(
  [
    ...(/webPreferences = \{([\s\S]*?)\} as const/.exec(source('window.ts'))?.[1] ?? '').matchAll(
      /(\w+): (true|false)/g,
    ),
  ].map(([, name, value]) => [name, value === 'true']),
)

describe('the security checklist', () => {
  it('1 loads secure content only', () => {
    expect(all).not.toMatch(/\bhttp:\/\//)
    expect(filesWith(/loadURL\(/).toSorted()).toEqual(['crash.ts', 'window.ts'])
    for (const [call] of all.matchAll(/loadURL\([^)]*\)/g)) expect(call).toBe('loadURL(appPage)')
    expect(all).not.toMatch(/loadFile\(/)
  })

  it('2 gives pages no Node', () => {
    expect(preferences).toMatchObject({
      nodeIntegration: false,
      nodeIntegrationInWorker: false,
      nodeIntegrationInSubFrames: false,
    })
  })

  it('3 isolates contexts', () => {
    expect(preferences['contextIsolation']).toBe(true)
  })

  it('4 sandboxes every process', () => {
    expect(preferences['sandbox']).toBe(true)
    expect(source('shell.ts')).toMatch(/app\.enableSandbox\(\)/)
    expect(all).not.toMatch(/no-sandbox|disable-setuid/)
  })

  it('5 decides every permission, asked for and looked up', () => {
    for (const handler of ['Request', 'Check']) {
      expect(source('permissions.ts')).toMatch(new RegExp(`setPermission${handler}Handler\\(\\(`))
    }
    expect(source('permissions.ts')).toMatch(/setDevicePermissionHandler\(\(\) => false\)/)
    expect(source('shell.ts')).toMatch(/guardPermissions\(session\.defaultSession\)/)
    expect(all).not.toMatch(/fromPartition|partition:/)
    expect(grantsPermission('media', 'app://attune/', true)).toBe(false)
  })

  it('6 keeps web security', () => {
    expect(preferences['webSecurity']).toBe(true)
    expect(all).not.toMatch(/disable-web-security|webSecurity: false/)
  })

  it('7 has a content security policy on every page', () => {
    expect(pageHeaders['content-security-policy']).toMatch(/^default-src 'none'/)
    expect(source('protocol.ts')).toMatch(/answerFile\(folder, request, pageHeaders\)/)
  })

  it('8 runs no insecure content', () => {
    expect(preferences['allowRunningInsecureContent']).toBe(false)
    expect(all).not.toMatch(/allow-running-insecure-content/)
  })

  it('9 enables no experimental features but WebGPU on Linux', () => {
    expect(preferences['experimentalFeatures']).toBe(false)
    expect(all).not.toMatch(/enable-experimental-web-platform-features/)
    expect(filesWith(/enable-unsafe-webgpu/)).toEqual(['switches.ts'])
  })

  it('10 enables no Blink features', () => {
    expect(all).not.toMatch(/enableBlinkFeatures|enable-blink-features/)
  })

  it('11 has no web views, so none with popups', () => {
    expect(preferences['webviewTag']).toBe(false)
    expect(all).not.toMatch(/allowpopups/)
  })

  it('12 refuses web views whatever their options', () => {
    expect(source('navigation.ts')).toMatch(/'will-attach-webview', event => event\.preventDefault\(\)/)
  })

  it('13 limits navigation by parsed addresses', () => {
    for (const event of ['will-navigate', 'will-frame-navigate', 'will-redirect']) {
      expect(source('navigation.ts')).toContain(`'${event}'`)
    }
    expect(isAppPage('app://attune.example.org/')).toBe(false)
    expect(source('policy.ts')).not.toMatch(/startsWith\(/)
  })

  it('14 opens no windows for pages', () => {
    expect(source('navigation.ts')).toMatch(/setWindowOpenHandler/)
    expect(all).not.toMatch(/action: 'allow'/)
    expect(filesWith(/new BrowserWindow\(/)).toEqual(['window.ts'])
  })

  it('15 gives the system only known addresses', () => {
    expect(filesWith(/openExternal\(url\)|shell\.openExternal/)).toEqual(['navigation.ts'])
    expect(source('navigation.ts')).toMatch(
      /const url = externalUrl\(text\)\s+if \(url === undefined\) return false/,
    )
    expect(externalUrl('file:///etc/passwd')).toBeUndefined()
  })

  it('16 uses a current Electron, pinned', () => {
    const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    expect(devDependencies.electron).toMatch(/^\d+\.\d+\.\d+$/)
    expect(Number.parseInt(devDependencies.electron, 10)).toBeGreaterThanOrEqual(45)
  })

  it('17 checks the sender of every message', () => {
    expect(filesWith(/\bipcMain\b/)).toEqual(['ipc.ts'])
    // One place that takes messages, and the check stands before what it does.
    expect(source('ipc.ts').match(/ipcMain\.(?:handle|on|once|handleOnce)\(/g)).toHaveLength(1)
    expect(source('ipc.ts')).toMatch(
      /senderProblem\(event\)[\s\S]*throw new Error\('refused'\)[\s\S]*await answer\(/,
    )
    expect(source('ipc.ts')).toMatch(/if \(frame === null\) return/)
    expect(all).not.toMatch(/MessageChannelMain|ipcMain\.on\(/)
  })

  it('18 has a scheme of its own instead of file:', () => {
    expect(all).not.toMatch(/registerFileProtocol|interceptFileProtocol|loadFile|pathToFileURL/)
    expect(Object.keys(schemePrivileges)).not.toContain('bypassCSP')
    expect(source('protocol.ts').match(/registerSchemesAsPrivileged\(/g)).toHaveLength(1)
  })

  it('19 flips the fuses of the packed binary', () => {
    expect(builder).toMatch(/^afterPack: scripts\/after-pack\.mjs$/m)
    expect(wantedFuses).toEqual({
      runAsNode: false,
      cookieEncryption: true,
      nodeOptions: false,
      nodeCliInspect: false,
      embeddedAsarIntegrityValidation: true,
      onlyLoadAppFromAsar: true,
      loadBrowserProcessSpecificV8Snapshot: false,
      grantFileProtocolExtraPrivileges: false,
      wasmTrapHandlers: true,
    })
    // Nothing of ours relies on what they turn off.
    expect(all).not.toMatch(/ELECTRON_RUN_AS_NODE|from 'node:child_process'/)
  })

  describe('20 gives pages none of Electron', () => {
    let preload: string
    beforeAll(async () => {
      const outdir = mkdtempSync(join(tmpdir(), 'attune-checklist-'))
      const built = await buildElectron({ outdir })
      preload = readFileSync(built.preload, 'utf8')
      rmSync(outdir, { recursive: true })
    })

    it('but two functions', () => {
      expect(filesWith(/contextBridge/)).toEqual(['preload.ts'])
      expect(source('preload.ts').match(/exposeInMainWorld\(/g)).toHaveLength(1)
      // The event, whose sender reaches everything, is dropped.
      expect(source('preload.ts')).toMatch(/\(_event, payload: unknown\)/)
      expect(source('preload.ts')).not.toMatch(/exposeInMainWorld\([^)]*ipcRenderer/)
    })

    it('by known channels only, from a script that requires nothing else', () => {
      const required = [...preload.matchAll(/require\("([^"]+)"\)/g)].map(([, name]) => name)
      expect([...new Set(required)]).toEqual(['electron'])
      for (const [, channel] of preload.matchAll(/"(attune:[a-z]+)"/g)) {
        expect(Object.values(channels)).toContain(channel)
      }
      expect(preload.length).toBeLessThan(5000)
      expect(preload).not.toMatch(/sendSync|postMessage|webFrame|process\.env/)
    })
  })

  it('and only electron/ imports it', () => {
    expect(filesWith(/@electron\/remote|enableRemoteModule/)).toEqual([])
    expect(all).not.toMatch(/\beval\(|new Function\(/)
  })
})
