/**
 * Takes docs/screenshots/*.png of every state of the window, with the real engine in a headless Chromium.
 *
 *   npm run build:renderer && npx tsx docs/make-screenshots.ts [name …]
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser, Page } from 'playwright'
import { findChromium, launchChromium, whyNoChromium } from '../test/e2e/browser.ts'
import { startRendererServer } from '../test/renderer/renderer-server.ts'

type Theme = 'dark' | 'light'
interface Shot {
  readonly name: string
  readonly size?: { readonly width: number; readonly height: number }
  readonly themes?: readonly Theme[]
  readonly language?: string
  /** Before the page is loaded. */
  readonly prepare?: (page: Page) => Promise<unknown>
  readonly act: (page: Page) => Promise<unknown>
}

const small = { width: 1024, height: 640 }
const prompt = 'a red car on the grass under a blue sky'

const editor = (page: Page) => page.locator('.cm-content')
const type = async (page: Page, text: string) => {
  await editor(page).click()
  await page.keyboard.press('Control+a')
  await page.keyboard.insertText(text)
}
const drawn = (page: Page) =>
  page.waitForFunction(
    () => document.querySelector('[role=option]') && !document.querySelector('[role=progressbar]'),
    undefined,
    { timeout: 180_000 },
  )
const draw = async (page: Page, text = prompt) => {
  await type(page, text)
  await page.keyboard.press('Control+Enter')
  await page.waitForSelector('[role=progressbar]')
  await drawn(page)
  await page.waitForTimeout(300)
}
const word = (page: Page, name: string) =>
  page.getByRole('button', { name: new RegExp(`map of ${name}`) }).first()
const rest = (page: Page) => page.mouse.move(2, 300)
const lock = (page: Page) => page.getByRole('button', { name: /new seed for every/ }).click()

const shots: readonly Shot[] = [
  { name: 'first-run', act: page => page.waitForTimeout(600) },
  { name: 'first-run-small', size: small, act: page => page.waitForTimeout(600) },
  {
    name: 'drawing',
    themes: ['dark'],
    async act(page) {
      await type(page, prompt)
      await page.keyboard.press('Control+Enter')
      await page.waitForFunction(() =>
        /[5-9] \/ 12/.test(document.querySelector('[role=progressbar]')?.textContent ?? ''),
      )
      await word(page, 'sky').hover()
      await page.waitForTimeout(200)
    },
  },
  {
    name: 'word-map',
    async act(page) {
      await draw(page, 'a (red:1.3) car on the grass under a (blue:0.7) sky')
      await word(page, 'car').hover()
      await page.waitForTimeout(300)
    },
  },
  {
    name: 'words-pinned',
    themes: ['dark'],
    async act(page) {
      await draw(page)
      for (const name of ['car', 'sky', 'grass']) await word(page, name).click()
      await page.mouse.move(700, 400)
      await page.waitForTimeout(300)
    },
  },
  {
    name: 'layers-and-heads',
    themes: ['dark'],
    async act(page) {
      await draw(page)
      await word(page, 'car').hover()
      await page.getByRole('button', { name: 'Layers and heads of car' }).click()
      await page.waitForTimeout(300)
    },
  },
  {
    name: 'replay',
    themes: ['light'],
    size: small,
    async act(page) {
      await draw(page)
      await page.getByRole('slider', { name: 'Replay' }).focus()
      for (let i = 0; i < 6; i++) await page.keyboard.press('ArrowLeft')
      await word(page, 'car').hover()
      await page.waitForTimeout(300)
    },
  },
  {
    name: 'before-after',
    themes: ['dark'],
    async act(page) {
      await lock(page)
      await draw(page)
      await draw(page, 'a (red:1.6) car under a blue sky, on the grass')
      await rest(page)
      await page.getByRole('button', { name: 'Compare with the picture before' }).click()
      await rest(page)
      await page.waitForTimeout(800)
    },
  },
  {
    name: 'painting',
    themes: ['dark', 'light'],
    async act(page) {
      await draw(page)
      await word(page, 'car').hover()
      await page.getByRole('button', { name: 'Paint where car goes' }).click()
      await page.mouse.move(560, 500)
      await page.mouse.down()
      await page.mouse.move(760, 480, { steps: 8 })
      await page.mouse.move(900, 520, { steps: 8 })
      await page.mouse.up()
      await page.waitForTimeout(300)
    },
  },
  {
    name: 'regions',
    themes: ['dark'],
    async act(page) {
      await draw(page)
      await page.getByRole('tab', { name: /Places/ }).click()
      await page.getByRole('button', { name: 'Draw a rectangle' }).click()
      await page.mouse.move(480, 100)
      await page.mouse.down()
      await page.mouse.move(720, 400, { steps: 6 })
      await page.mouse.up()
      await page.keyboard.type('a yellow sun')
      await page.waitForTimeout(300)
    },
  },
  {
    name: 'source',
    async act(page) {
      await draw(page)
      await page.locator('[data-focus=picture]').focus()
      await page.keyboard.press('i')
      await page.getByRole('region', { name: 'Source picture' }).waitFor()
      await rest(page)
      await page.waitForTimeout(4500)
    },
  },
  ...(['inpainting', 'inpainting-small'] as const).map(
    (name): Shot => ({
      name,
      ...(name === 'inpainting-small' && { size: small }),
      async act(page) {
        await draw(page)
        await page.locator('[data-focus=picture]').focus()
        await page.keyboard.press('m')
        const box = await page.locator('[data-brush]').boundingBox()
        const to = (x: number, y: number) =>
          page.mouse.move((box?.x ?? 0) + x * (box?.width ?? 0), (box?.y ?? 0) + y * (box?.height ?? 0), {
            steps: 6,
          })
        await to(0.3, 0.5)
        await page.mouse.down()
        await to(0.6, 0.45)
        await to(0.5, 0.7)
        await page.mouse.up()
        await to(0.7, 0.3)
        await page.waitForTimeout(4500)
      },
    }),
  ),
  {
    name: 'guide-without-network',
    size: small,
    async act(page) {
      await page.getByRole('button', { name: 'Guide', exact: true }).click()
      await page.getByText('No ControlNet yet').scrollIntoViewIfNeeded()
      await page.waitForTimeout(300)
    },
  },
  {
    name: 'suggestions',
    themes: ['dark'],
    async act(page) {
      await type(page, 'a (cat:1.25) and a xylophonist with a ')
      await page.keyboard.type('do')
      await page.waitForTimeout(600)
    },
  },
  {
    name: 'problems',
    themes: ['light'],
    async act(page) {
      await type(page, 'a (red:1.3.2) cat, a [dog, ) and a :1.5)')
      await page.waitForTimeout(600)
    },
  },
  {
    name: 'long-prompt',
    themes: ['dark'],
    size: small,
    async act(page) {
      const parts = ['a red car', 'a (blue:1.2) house', 'two green trees', 'a white cloud', 'a small dog']
      await type(page, Array.from({ length: 44 }, (_, index) => parts[index % parts.length]).join(', '))
      await page.keyboard.press('Control+Home')
      await page.waitForTimeout(800)
    },
  },
  {
    name: 'empty',
    themes: ['dark', 'light'],
    prepare: page => page.route('**/welcome*', route => route.abort()),
    act: page => page.waitForTimeout(600),
  },
  {
    name: 'model-missing',
    themes: ['dark', 'light'],
    prepare: page => page.route('**/host/models/**', route => route.abort()),
    act: page => page.waitForTimeout(1200),
  },
  {
    name: 'commands',
    themes: ['dark'],
    act: page => page.keyboard.press('Control+k').then(() => page.waitForTimeout(400)),
  },
  {
    name: 'shortcuts',
    themes: ['light'],
    async act(page) {
      await page.getByRole('button', { name: 'Keyboard shortcuts' }).click()
      await page.waitForTimeout(400)
    },
  },
  {
    name: 'german',
    themes: ['light'],
    language: 'de',
    size: small,
    act: page => page.waitForTimeout(800),
  },
]

const folder = fileURLToPath(new URL('screenshots/', import.meta.url))

async function take(browser: Browser, origin: string, shot: Shot, theme: Theme): Promise<void> {
  const context = await browser.newContext({
    viewport: shot.size ?? { width: 1440, height: 900 },
    colorScheme: theme,
    locale: shot.language ?? 'en',
  })
  const page = await context.newPage()
  page.on('pageerror', error => console.error(`${shot.name}: ${error.message}`))
  try {
    await shot.prepare?.(page)
    await page.goto(origin)
    await page.waitForFunction(
      () =>
        /Ready|Bereit|could not|konnte|failed|missing|answer/i.test(
          document.querySelector('footer')?.textContent ?? '',
        ),
      undefined,
      {
        timeout: 60_000,
      },
    )
    await page.waitForTimeout(500)
    await shot.act(page)
    await page.screenshot({ path: join(folder, `${shot.name}-${theme}.png`) })
    console.log(`${shot.name}-${theme}.png`)
  } catch (error) {
    console.error(`${shot.name}-${theme}: ${error instanceof Error ? error.message : String(error)}`)
    process.exitCode = 1
  } finally {
    await context.close()
  }
}

const executable = findChromium()
if (!executable) throw new Error(whyNoChromium)
mkdirSync(folder, { recursive: true })
const wanted = process.argv.slice(2)
const server = await startRendererServer()
const browser = await launchChromium(executable)
for (const shot of shots) {
  if (wanted.length > 0 && !wanted.includes(shot.name)) continue
  for (const theme of shot.themes ?? (['dark', 'light'] as const)) {
    await take(browser, server.origin, shot, theme)
  }
}
await browser.close()
await server.close()
