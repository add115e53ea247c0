/** A Chromium that the double's process and the test's process both drive: each connects to it over DevTools' protocol. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findChromium, whyNoChromium } from '../../e2e/browser.ts'

export interface SharedChromium {
  /** Its WebSocket address. */
  readonly endpoint: string
  close(): Promise<void>
}

/** Starts a headless Chromium with a profile of its own. */
export async function startChromium(): Promise<SharedChromium> {
  const program = findChromium()
  if (program === undefined) throw new Error(whyNoChromium)
  const profile = await mkdtemp(join(tmpdir(), 'attune-chromium-'))
  const child = spawn(
    program,
    [
      '--headless=new',
      // Chromium's sandbox does not start as root, which containers are.
      '--no-sandbox',
      '--remote-debugging-port=0',
      `--user-data-dir=${profile}`,
      '--enable-unsafe-webgpu',
      '--use-webgpu-adapter=swiftshader',
      '--disable-domain-blocking-for-3d-apis',
      '--disable-quic',
      '--no-first-run',
      '--no-default-browser-check',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--disable-extensions',
      '--disable-popup-blocking',
      '--disable-renderer-backgrounding',
      '--disable-backgrounding-occluded-windows',
      '--mute-audio',
      'about:blank',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  const endpoint = await endpointOf(child)
  return {
    endpoint,
    async close() {
      const ended = new Promise(resolve => {
        child.once('exit', resolve)
      })
      if (child.exitCode === null && child.kill()) await ended
      await rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
    },
  }
}

function endpointOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    const timer = setTimeout(() => reject(new Error(`Chromium did not start in a minute: ${text}`)), 60_000)
    child.stderr?.on('data', (part: Buffer) => {
      text = (text + part.toString()).slice(-10_000)
      const found = /DevTools listening on (ws:\/\/\S+)/.exec(text)
      if (!found?.[1]) return
      clearTimeout(timer)
      resolve(found[1])
    })
    child.once('exit', code => {
      clearTimeout(timer)
      reject(new Error(`Chromium ended with ${code}: ${text}`))
    })
  })
}
