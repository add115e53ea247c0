/** From `npm start` to a page: the set-up's verb, and `attune serve` as a process. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Machine } from '../../cli/machine.mjs'
import { main, rendererState, startElectron } from '../../cli/setup.mjs'
import { browserOpener, serve } from '../../cli/commands/serve.ts'
import type { CommandIO } from '../../cli/io.ts'
import { lastingFolder } from './service-support.ts'
import { exchange, tokenOf } from './server-support.ts'
import type { RunningServer } from '../../host/server/server.ts'

const ready = {
  '/app/package-lock.json': [1, '{}'],
  '/app/node_modules/.package-lock.json': [2, '{}'],
  '/app/package.json': [1, '{"main":"dist/electron/main.js"}'],
  '/app/renderer/vite.config.ts': [5, ''],
  '/app/renderer/app/main.tsx': [5, ''],
  '/app/model/worker/seat.ts': [5, ''],
  '/app/dist/renderer/index.html': [9, ''],
} as const satisfies Record<string, readonly [time: number, text: string]>

interface Fake extends Partial<Machine> {
  readonly more?: Readonly<Record<string, readonly [time: number, text: string]>>
  readonly without?: readonly string[]
  readonly answer?: (words: string) => number
}

function fake({ more = {}, without = [], answer, ...rest }: Fake = {}) {
  const files = new Map<string, readonly [number, string]>(
    Object.entries({ ...ready, ...more }).filter(([path]) => !without.includes(path)),
  )
  const ran: string[] = []
  const said: string[] = []
  const machine: Machine = {
    root: '/app',
    platform: 'darwin',
    nodeVersion: '20.0.0',
    nodePath: 'node',
    env: {},
    uid: 1,
    terminal: false,
    now: () => 0,
    say: line => void said.push(line),
    readText: path => files.get(path)?.[1],
    exists: path => [...files.keys()].some(file => file === path || file.startsWith(`${path}/`)),
    list: path => {
      const below = [...files.keys()].filter(file => file.startsWith(`${path}/`))
      return [...new Set(below.map(file => file.slice(path.length + 1).split('/')[0] as string))]
    },
    modified: path => files.get(path)?.[0],
    write: () => undefined,
    run: (command, args) => {
      const words = [command, ...args].join(' ')
      ran.push(words)
      return Promise.resolve(answer?.(words) ?? 0)
    },
    ...rest,
  }
  return { machine, ran, said }
}

const built = 'node node_modules/vite/bin/vite.js build --config renderer/vite.config.ts --logLevel warn'
const served = 'node /app/cli/attune.mjs serve'

describe('npm start', () => {
  it('serves the window, and builds it first where it is missing or old', async () => {
    const first = fake()
    expect(await main(['start'], first.machine)).toBe(0)
    expect(first.ran).toEqual([served])
    const missing = fake({ without: ['/app/dist/renderer/index.html'] })
    await main(['start', '--no-browser'], missing.machine)
    expect(missing.ran).toEqual([built, `${served} --no-browser`])
    expect(missing.said).toEqual(['building the window (once)', 'window built in 0 s'])
    for (const path of ['/app/renderer/app/main.tsx', '/app/model/worker/seat.ts', '/app/package-lock.json'])
      expect(rendererState(fake({ more: { [path]: [10, ''] } }).machine)).toBe('stale')
    expect(rendererState(first.machine)).toBe('ready')
    expect(rendererState(fake({ without: ['/app/renderer/vite.config.ts'] }).machine)).toBe('absent')
  })

  it('draws a first picture where the window cannot be built, and stops where it is stopped', async () => {
    const failing = fake({
      without: ['/app/dist/renderer/index.html'],
      answer: words => (words.includes('vite') ? 1 : 0),
    })
    expect(await main(['start'], failing.machine)).toBe(0)
    expect(failing.ran[1]).toContain('generate a red car')
    expect(failing.said).toContainEqual(expect.stringContaining('the window could not be built; drawing'))
    const stopped = fake({ without: ['/app/dist/renderer/index.html'], answer: () => 130 })
    expect(await main(['start'], stopped.machine)).toBe(130)
    expect(stopped.ran).toEqual([built])
  })

  it('takes the desktop’s window where it is installed and can be seen', async () => {
    const more = {
      '/app/node_modules/electron/dist/electron': [1, ''],
      '/app/dist/electron/main.js': [1, ''],
    } as const
    const desktop = fake({ more })
    expect(await main(['start'], desktop.machine)).toBe(0)
    expect(desktop.ran).toEqual(['node node_modules/electron/cli.js .'])
    const none = [
      fake({ more, platform: 'linux' }),
      fake({ more, env: { CI: '1' } }),
      fake({ more, env: { SSH_CONNECTION: 'x' } }),
      fake({ more, without: ['/app/dist/electron/main.js'] }),
      fake({ more, without: ['/app/package.json'] }),
      fake({ more, without: ['/app/node_modules/electron/dist/electron'] }),
    ]
    for (const { machine } of none) expect(await startElectron(machine, [])).toBeUndefined()
    expect(await startElectron(desktop.machine, ['--port', '2000'])).toBeUndefined()
    expect(await startElectron(fake({ more, platform: 'linux', env: { DISPLAY: ':0' } }).machine, [])).toBe(0)
  })
})

/** A command's streams, in memory. */
async function inMemory() {
  const home = await lastingFolder()
  const renderer = join(home, 'renderer')
  await mkdir(renderer)
  await writeFile(join(renderer, 'index.html'), '<title>x</title>')
  const controller = new AbortController()
  let out = ''
  const stream = { write: (text: string) => void (out += text), isTTY: true, columns: 80 }
  const io: CommandIO = {
    stdout: stream,
    stderr: stream,
    cwd: home,
    env: {
      HOME: home,
      XDG_CONFIG_HOME: join(home, 'config'),
      XDG_CACHE_HOME: join(home, 'cache'),
      DISPLAY: ':0',
    },
    now: () => new Date(),
    signal: controller.signal,
  }
  return { io, renderer, stop: () => controller.abort(), said: () => out }
}

const at = (env: Record<string, string>, isTTY = true) => ({
  env,
  stdout: { isTTY, columns: 80, write: () => undefined },
})

describe('attune serve', () => {
  it('prints the address, starts a browser with another key, and ends when it is told to', async () => {
    const { io, renderer, stop, said } = await inMemory()
    const started: string[] = []
    const options = {
      renderer,
      start: (_: string, args: readonly string[]) => void started.push(args.at(-1) as string),
    }
    const running = serve({ open: true, json: false }, io, '9.9.9', options)
    while (!started.length) await new Promise(resolve => setTimeout(resolve, 10))
    const url = /http:\S+/.exec(said())?.[0] ?? ''
    const [launched = ''] = started
    expect(tokenOf(launched)).not.toBe(tokenOf(url))
    const server = { origin: new URL(url).origin } as RunningServer
    expect((await exchange(server, tokenOf(launched))).status).toBe(200)
    expect((await exchange(server, tokenOf(url))).status).toBe(200)
    stop()
    await running
    await expect(fetch(server.origin)).rejects.toThrow()
  })

  it('says what to do where the window is not built', async () => {
    const { io } = await inMemory()
    const missing = serve({ open: false, json: false }, io, '1', { renderer: join(io.cwd, 'none') })
    await expect(missing).rejects.toMatchObject({ code: 'unsupported', remedy: /npm start/ })
  })

  it('starts a browser where somebody sits, or where it is told to', () => {
    const auto = { open: 'auto' } as const
    expect(browserOpener(auto, at({ DISPLAY: ':0' }), 'linux')).toEqual(['xdg-open', []])
    expect(browserOpener(auto, at({}), 'linux')).toBeUndefined()
    expect(browserOpener(auto, at({ DISPLAY: ':0' }, false), 'linux')).toBeUndefined()
    expect(browserOpener(auto, at({ SSH_CONNECTION: 'x' }), 'darwin')).toBeUndefined()
    expect(browserOpener(auto, at({}), 'darwin')).toEqual(['open', []])
    expect(browserOpener({ open: true }, at({}, false), 'win32')?.[0]).toBe('rundll32')
    expect(browserOpener({ open: false }, at({ DISPLAY: ':0' }), 'linux')).toBeUndefined()
  })

  it('as a process ends cleanly on Ctrl-C', async () => {
    const { io, renderer } = await inMemory()
    const program = `
      const { register } = await import('tsx/esm/api'); register()
      const { serve } = await import(${JSON.stringify(new URL('../../cli/commands/serve.ts', import.meta.url).href)})
      const stop = new AbortController()
      process.once('SIGINT', () => stop.abort())
      const stream = { write: text => process.stdout.write(text), isTTY: false, columns: 80 }
      const io = { stdout: stream, stderr: stream, cwd: '/', env: process.env, now: () => new Date(), signal: stop.signal }
      await serve({ open: false, json: true }, io, '9', { renderer: ${JSON.stringify(renderer)} })`
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      env: { ...process.env, ...io.env },
      cwd: dirname(dirname(import.meta.dirname ?? new URL('.', import.meta.url).pathname)),
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    const { url } = JSON.parse(line.toString().split('\n')[0] as string) as { url: string }
    const events = await fetch(new URL('/host/events', url), {
      headers: {
        cookie:
          (await exchange({ origin: new URL(url).origin } as RunningServer, tokenOf(url))).headers
            .get('set-cookie')
            ?.split(';')[0] ?? '',
      },
    })
    expect(events.status).toBe(200)
    const began = performance.now()
    child.kill('SIGINT')
    const [code] = (await once(child, 'exit')) as [number]
    expect(code).toBe(0)
    expect(performance.now() - began).toBeLessThan(15_000)
    await events.text().catch(() => undefined)
  })
})
