/** The window as a page without a host, for tests: open, ready, and what its console complained of. */
import type { Browser, Page } from 'playwright'
import { listenForComplaints, untilReady } from '../support/window.ts'

export type Scheme = 'dark' | 'light'

export async function openWindow(
  browser: Browser,
  origin: string,
  size = { width: 1280, height: 800 },
  scheme: Scheme = 'dark',
) {
  const context = await browser.newContext({
    viewport: size,
    colorScheme: scheme,
    locale: 'en',
    reducedMotion: 'reduce',
  })
  const page = await context.newPage()
  const complaints = listenForComplaints(page)
  await page.goto(origin)
  await untilReady(page)
  return { page, complaints, close: () => context.close() }
}

export async function waitForPictures(page: Page, count: number): Promise<void> {
  await page.waitForFunction(
    expected =>
      document.querySelectorAll('[role=listbox] [role=option]').length === expected &&
      !document.querySelector('[role=progressbar]'),
    count,
    { timeout: 300_000 },
  )
}

/** Leaves the field, so that keys are no text. */
export async function setSteps(page: Page, count: number): Promise<void> {
  const field = page.getByRole('spinbutton', { name: 'Steps' })
  await field.fill(String(count))
  await field.press('Enter')
  await field.blur()
}
