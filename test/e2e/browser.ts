/** A headless Chromium with WebGPU for tests, by Playwright; on a machine without a GPU it draws with SwiftShader. */
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { type Browser, chromium, type Page } from 'playwright'
import type { EnginePage } from './page.ts'

const usual = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/opt/google/chrome/chrome',
]

/** ATTUNE_CHROMIUM, else the first browser in the usual places and on the PATH. */
export function findChromium(): string | undefined {
  const chosen = process.env['ATTUNE_CHROMIUM']
  if (chosen) return existsSync(chosen) ? chosen : undefined
  const onPath = (process.env['PATH'] ?? '')
    .split(delimiter)
    .flatMap(folder => ['chromium', 'google-chrome'].map(name => join(folder, name)))
  return [...usual, ...onPath].find(path => existsSync(path))
}

const switches = {
  swiftshader: ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'],
  default: ['--enable-unsafe-webgpu', '--enable-features=Vulkan'],
  none: ['--disable-features=WebGPU', '--disable-blink-features=WebGPU'],
} as const

export const whyNoChromium =
  'no Chromium found: install one (on Debian and Ubuntu: apt-get install chromium), or set ATTUNE_CHROMIUM'

/**
 * @param adapter `swiftshader` makes figures and bits comparable between machines; `default` takes the GPU; `none` is a
 *   browser without WebGPU
 */
export function launchChromium(
  executablePath: string,
  adapter: 'swiftshader' | 'default' | 'none' = 'swiftshader',
): Promise<Browser> {
  return chromium.launch({
    executablePath,
    // Chromium's sandbox does not start as root, which containers are.
    chromiumSandbox: false,
    timeout: 180_000,
    args: [
      ...switches[adapter],
      // A page whose GPU process ended would wait two minutes for another device.
      '--disable-domain-blocking-for-3d-apis',
      // It would look for Google's hosts.
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}

/** Calls one function of the page's door (`page.ts`). */
export function callPage<Name extends keyof EnginePage>(
  page: Page,
  name: Name,
  ...parameters: Parameters<EnginePage[Name]>
): Promise<Awaited<ReturnType<EnginePage[Name]>>> {
  return page.evaluate(
    ([name, parameters]) => {
      const door = (globalThis as unknown as { attune: Record<string, (...all: unknown[]) => unknown> })
        .attune
      return door[name]?.(...parameters)
    },
    [name, parameters] as [string, unknown[]],
  ) as Promise<Awaited<ReturnType<EnginePage[Name]>>>
}
