/** The shell's parts that need no Electron: messages, places, crashes, quitting, menus, arguments, updates. */
/* oxlint-disable unicorn/consistent-function-scoping -- helpers stand where they are used */
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { hostApiOfBridge } from '../../renderer/host/bridge.ts'
import { answerCall, CallCounter, callLimits, errorRecord } from '../../electron/calls.ts'
import { CrashBudget, SafeModeMarker } from '../../electron/crash-budget.ts'
import { menuCommands, menuTemplate } from '../../electron/menu-template.ts'
import { mostOpened, picturesOfArguments } from '../../electron/open-files.ts'
import { QuitGuard } from '../../electron/quitting.ts'
import { chromiumSwitches, readShellSettings } from '../../electron/switches.ts'
import { isNewer, startUpdates, type UpdateOptions } from '../../electron/update.ts'
import {
  placeWindow,
  readWindowState,
  smallestWindow,
  writeWindowState,
} from '../../electron/window-state.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import type { HostApi } from '../../model/contract/host-api.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'attune-shell-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

function hostThat(call: (method: string, params: unknown) => unknown): HostApi {
  return {
    call: (async (method: string, params: unknown) => call(method, params)) as HostApi['call'],
    subscribe: () => () => undefined,
  }
}

describe('fault C2: a question of a page', () => {
  const ask = (method: unknown, params: unknown, api = hostThat(() => ({}))) =>
    answerCall(api, new CallCounter(), method, params)

  it.each(['nowhere', '__proto__', 'constructor', 'toString', '', 7, null, undefined, {}, ['app.info']])(
    'C2 is refused for the method %s',
    async method => {
      const called = vi.fn()
      const reply = await ask(method, {}, hostThat(called))
      expect(reply).toMatchObject({ ok: false, error: { code: 'bad-argument' } })
      expect(called).not.toHaveBeenCalled()
    },
  )

  it.each([
    ['gallery.get', { id: '1' }],
    ['gallery.get', { id: 1, path: '/etc/passwd' }],
    ['gallery.get', { id: -1 }],
    ['gallery.get', { id: Number.NaN }],
    ['gallery.get', 'id'],
    ['gallery.remove', { ids: [] }],
    ['gallery.remove', { ids: Array.from({ length: 10_001 }, () => 1) }],
    ['models.addFolder', { path: 'x'.repeat(5000) }],
    ['shell.openFolder', { which: '../..' }],
    ['downloads.start', { url: 'not an address' }],
    ['jobs.cancel', JSON.parse('{"id":"a","__proto__":{"x":1}}')],
  ])('C2 is refused for wrong parameters: %s %o', async (method, params) => {
    const called = vi.fn()
    expect(await ask(method, params, hostThat(called))).toMatchObject({
      ok: false,
      error: { code: 'bad-argument' },
    })
    expect(called).not.toHaveBeenCalled()
  })

  it('C2 may be cyclic', async () => {
    const cyclic: Record<string, unknown> = { id: 1 }
    cyclic['self'] = cyclic
    expect(await ask('gallery.get', cyclic)).toMatchObject({ ok: false })
  })

  it('gets an answer that fits the contract, or none', async () => {
    expect(
      await ask(
        'gallery.undoRemove',
        {},
        hostThat(() => ({ restored: 2 })),
      ),
    ).toEqual({
      ok: true,
      value: { restored: 2 },
    })
    const wrong = await ask(
      'gallery.undoRemove',
      {},
      hostThat(() => ({ restored: 'two' })),
    )
    expect(wrong).toMatchObject({ ok: false, error: { code: 'internal' } })
  })

  it('gets errors as code, message and remedy', async () => {
    const failing = hostThat(() => {
      throw new AttuneError('bad-file', 'It is gone.', 'Rescan.')
    })
    expect(await ask('gallery.rescan', {}, failing)).toEqual({
      ok: false,
      error: { code: 'bad-file', message: 'It is gone.', remedy: 'Rescan.' },
    })
    expect(errorRecord(new Error('x'.repeat(9000))).message).toHaveLength(2000)
    expect(errorRecord('text')).toMatchObject({ code: 'internal', message: 'text' })
  })

  it('fault C3: is refused in a flood, and answered again afterwards', async () => {
    let now = 0
    const counter = new CallCounter(() => now)
    for (let at = 0; at < callLimits.perSecond; at++) {
      expect(counter.enter()).toBe(true)
      counter.leave()
    }
    expect(counter.enter()).toBe(false)
    now = 1001
    for (let at = 0; at < callLimits.open; at++) expect(counter.enter()).toBe(true)
    expect(counter.enter()).toBe(false)
    counter.leave()
    expect(counter.enter()).toBe(true)
    const full = new CallCounter(() => 0)
    for (let at = 0; at < callLimits.open; at++) full.enter()
    expect(
      await answerCall(
        hostThat(() => ({})),
        full,
        'gallery.rescan',
        {},
      ),
    ).toMatchObject({ ok: false })
  })

  it('becomes a HostApi again in the page', async () => {
    const api = hostApiOfBridge({
      call: (method, params) =>
        answerCall(
          hostThat(() => ({ restored: 1 })),
          new CallCounter(),
          method,
          params,
        ),
      subscribe: listener => {
        listener({ type: 'models' })
        listener({ type: 'nonsense' })
        return () => undefined
      },
    })
    expect(await api.call('gallery.undoRemove', {})).toEqual({ restored: 1 })
    await expect(api.call('gallery.get', { id: 0 })).rejects.toMatchObject({
      name: 'AttuneError',
      code: 'bad-argument',
    })
    const heard: unknown[] = []
    api.subscribe(event => heard.push(event))
    expect(heard).toEqual([{ type: 'models' }])
  })
})

describe('the place of the window', () => {
  const screen = { x: 0, y: 0, width: 1920, height: 1040 }
  const state = (x: number, y: number, width = 1200, height = 800) => ({
    version: 1 as const,
    bounds: { x, y, width, height },
    maximized: false,
    fullScreen: false,
  })

  it.each([
    ['none', undefined, { x: 240, y: 70, width: 1440, height: 900 }],
    ['as it was', state(100, 50), { x: 100, y: 50, width: 1200, height: 800 }],
    ['on a screen that was unplugged', state(3000, 50), { x: 360, y: 120, width: 1200, height: 800 }],
    ['above the screen', state(100, -500), { x: 360, y: 120, width: 1200, height: 800 }],
    ['below the screen', state(100, 1030), { x: 360, y: 120, width: 1200, height: 800 }],
    ['hardly on the screen', state(1850, 50), { x: 360, y: 120, width: 1200, height: 800 }],
    ['larger than the screen', state(0, 0, 9000, 9000), { x: 0, y: 0, width: 1920, height: 1040 }],
    ['too small', state(0, 0, 10, 10), { x: 0, y: 0, ...smallestWindow }],
  ])('%s', (_name, kept, bounds) => expect(placeWindow(kept, [screen])).toEqual(bounds))

  it('may be on a second screen, and fits a tiny one', () => {
    const second = { x: 1920, y: 0, width: 1280, height: 1000 }
    expect(placeWindow(state(2000, 10), [screen, second])).toMatchObject({ x: 2000, y: 10 })
    const tiny = { x: 0, y: 0, width: 800, height: 600 }
    expect(placeWindow(undefined, [tiny])).toEqual(tiny)
    expect(placeWindow(undefined, [])).toMatchObject({ width: 1440 })
  })

  it('is kept in a file; a damaged one is none', async () => {
    const path = join(folder, 'window.json')
    await writeWindowState(path, state(1, 2))
    expect(readWindowState(path)).toEqual(state(1, 2))
    for (const text of [
      '',
      '{',
      '[]',
      '{"version":2}',
      JSON.stringify(state(1e9, 0)),
      JSON.stringify(state(0, 0, 0.5)),
    ]) {
      await writeFile(path, text)
      expect(readWindowState(path)).toBeUndefined()
    }
    await mkdir(join(folder, 'taken'))
    const warned = vi.spyOn(console, 'warn').mockImplementation(() => undefined)
    await writeWindowState(join(folder, 'taken'), state(1, 2))
    expect(warned).toHaveBeenCalledOnce()
    warned.mockRestore()
  })
})

describe('crashes', () => {
  it('G4 are forgiven a few times in a while', () => {
    let now = 0
    const budget = new CrashBudget(2, 1000, () => now)
    expect([budget.crashed(), budget.crashed(), budget.crashed()]).toEqual([true, true, false])
    now = 2500
    expect(budget.crashed()).toBe(true)
    budget.forgive()
    expect([budget.crashed(), budget.crashed(), budget.crashed()]).toEqual([true, true, false])
  })

  it('G7 of the graphics process are remembered for this build', async () => {
    const path = join(folder, 'safe-mode')
    expect(new SafeModeMarker(path, '1 45').isSet()).toBe(false)
    new SafeModeMarker(path, '1 45').set()
    expect(new SafeModeMarker(path, '1 45').isSet()).toBe(true)
    expect(new SafeModeMarker(path, '2 45').isSet()).toBe(false)
    expect(new SafeModeMarker(path, '1 45').isSet()).toBe(false)
    const warned = vi.spyOn(console, 'warn').mockImplementation(() => undefined)
    new SafeModeMarker(join(folder, 'nowhere/safe-mode'), '1').set()
    expect(warned).toHaveBeenCalledOnce()
    warned.mockRestore()
  })
})

describe('quitting', () => {
  const actions = (drawing: number, agree = true) => {
    const log: string[] = []
    const value = {
      drawing: async () => drawing,
      ask: async (count: number) => {
        log.push(`ask ${count}`)
        return agree
      },
      finish: async () => {
        await new Promise(resolve => setTimeout(resolve, 5))
        log.push('finished')
      },
      quit: () => log.push('quit'),
    }
    return { log, value }
  }

  it('goes at once when nothing is drawn, after the writing', async () => {
    const { log, value } = actions(0)
    const guard = new QuitGuard(value)
    const prevented = vi.fn()
    guard.hold({ preventDefault: prevented })
    expect(prevented).toHaveBeenCalledOnce()
    await vi.waitFor(() => expect(log).toEqual(['finished', 'quit']))
    expect(guard.mayQuit).toBe(true)
    guard.hold({ preventDefault: prevented })
    expect(prevented).toHaveBeenCalledOnce()
  })

  it('asks once while something is drawn, and stays when told so', async () => {
    const { log, value } = actions(3, false)
    const guard = new QuitGuard(value)
    expect(await Promise.all([guard.request(), guard.request()])).toEqual([false, false])
    expect(log).toEqual(['ask 3'])
    expect(await guard.request()).toBe(false)
    expect(log).toEqual(['ask 3', 'ask 3'])
  })

  it('does not wait for ever, nor stumble over what fails', async () => {
    const { log, value } = actions(1)
    const warned = vi.spyOn(console, 'warn').mockImplementation(() => undefined)
    const slow = new QuitGuard({ ...value, finish: () => new Promise(() => undefined) }, 20)
    expect(await slow.request()).toBe(true)
    expect(log).toEqual(['ask 1', 'quit'])
    const broken = new QuitGuard({
      ...value,
      drawing: () => Promise.reject(new Error('x')),
      finish: () => Promise.reject(new Error('y')),
    })
    expect(await broken.request()).toBe(true)
    expect(warned).toHaveBeenCalledTimes(3)
    warned.mockRestore()
  })
})

describe('the menu', () => {
  const labels = (platform: NodeJS.Platform) =>
    menuTemplate(platform, true, { command: vi.fn(), openPicture: vi.fn(), openFolder: vi.fn() }).map(
      item => item.label ?? item.role,
    )

  it('follows the platform', () => {
    expect(labels('darwin')).toEqual(['appMenu', '&File', '&Edit', '&Draw', '&View', 'windowMenu', 'help'])
    expect(labels('linux')).toEqual(['&File', '&Edit', '&Draw', '&View', 'help'])
    expect(labels('win32')).toEqual(labels('linux'))
  })

  it('has each command once, and no reload in a packed program', () => {
    for (const platform of ['darwin', 'linux'] as const) {
      const command = vi.fn()
      const items = menuTemplate(platform, true, {
        command,
        openPicture: vi.fn(),
        openFolder: vi.fn(),
      }).flatMap(item => (Array.isArray(item.submenu) ? item.submenu : []))
      for (const name of menuCommands) {
        const found = items.filter(item => item.id === name)
        expect(found, name).toHaveLength(1)
        // Electron calls it with the item, the window and the event; none is used.
        const click = found[0]?.click as (() => void) | undefined
        click?.()
        expect(command).toHaveBeenLastCalledWith(name)
      }
      const accelerators = items.flatMap(item => item.accelerator ?? [])
      expect(new Set(accelerators).size).toBe(accelerators.length)
      expect(items.filter(item => item.role === 'reload' || item.role === 'toggleDevTools')).toEqual([])
    }
  })
})

describe('pictures that are opened', () => {
  it('are the files among the words', async () => {
    const picture = join(folder, 'a b.PNG')
    await writeFile(picture, 'x')
    await writeFile(join(folder, 'notes.txt'), 'x')
    await mkdir(join(folder, 'folder.png'))
    await symlink(picture, join(folder, 'link.png'))
    const words = [
      '--flag.png',
      'a b.PNG',
      'notes.txt',
      'folder.png',
      'nowhere.png',
      '',
      'a\0.png',
      pathToFileURL(picture).href,
      'https://example.org/a.png',
      'file://host/a.png',
      'link.png',
      '.',
    ]
    expect(await picturesOfArguments(words, folder)).toEqual([picture, picture, join(folder, 'link.png')])
    expect(await picturesOfArguments(Array(100).fill('a b.PNG'), folder)).toHaveLength(mostOpened)
  })
})

describe('switches', () => {
  it('ask for WebGPU on Linux only', () => {
    const settings = readShellSettings(join(folder, 'nowhere'))
    expect(chromiumSwitches('linux', settings)).toEqual([
      ['enable-unsafe-webgpu'],
      ['enable-features', 'Vulkan'],
    ])
    expect(chromiumSwitches('darwin', settings)).toEqual([])
    expect(chromiumSwitches('win32', settings)).toEqual([])
  })

  it('turn bounds checks off behind a setting only', async () => {
    const path = join(folder, 'shell.json')
    for (const text of ['{', '[]', '{"disableRobustness":"yes"}', '{"disableRobustness":false}']) {
      await writeFile(path, text)
      expect(readShellSettings(path)).toEqual({ disableRobustness: false })
    }
    await writeFile(path, '{"disableRobustness":true}')
    expect(chromiumSwitches('win32', readShellSettings(path))).toEqual([
      ['enable-dawn-features', 'disable_robustness'],
    ])
  })
})

describe('updates', () => {
  const options = (feed: string | undefined, version = '0.2.0') => {
    const load = vi.fn(async () => ({
      autoInstallOnAppQuit: false,
      checkForUpdates: async () => ({ updateInfo: { version } }),
      downloadUpdate: vi.fn(),
    }))
    const tell = vi.fn()
    return { feed, currentVersion: '0.1.0', load, tell } satisfies UpdateOptions
  }

  it('are off without a feed, and load nothing', async () => {
    for (const feed of [undefined, '', 'http://example.org/', 'file:///feed']) {
      const off = options(feed)
      expect(await startUpdates(off)).toBe('off')
      expect(off.load).not.toHaveBeenCalled()
    }
  })

  it('O5 go forward only', async () => {
    const forward = options('https://example.org/feed')
    expect(await startUpdates(forward)).toBe('ready')
    expect(forward.tell).toHaveBeenCalledOnce()
    expect(await startUpdates(options('https://example.org/feed', '0.0.9'))).toBe('current')
    expect(await startUpdates(options('https://example.org/feed', '9'))).toBe('current')
    expect(isNewer('1.10.0', '1.9.9')).toBe(true)
    expect(isNewer('1.0.0-evil', '0.1.0')).toBe(false)
  })

  it('that fail disturb nobody', async () => {
    const warned = vi.spyOn(console, 'warn').mockImplementation(() => undefined)
    const failing = { ...options('https://example.org/feed'), load: () => Promise.reject(new Error('x')) }
    expect(await startUpdates(failing)).toBe('failed')
    warned.mockRestore()
  })
})
