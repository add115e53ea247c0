/** What the tests of faults share. */
import type { BrowserContext, Page } from 'playwright'

/**
 * Lets the window's Worker draw with WebGPU where it would take WebAssembly, as it does on machines without a GPU: a
 * software adapter is lost in the same way. The window's own code is as it is; its question to the Worker gets the
 * field that a caller of the engine may give, from `useWebGpu` on.
 */
export async function drawWithWebGpu(context: BrowserContext): Promise<void> {
  await context.addInitScript(`{
    const send = Worker.prototype.postMessage
    Worker.prototype.postMessage = function (message, ...rest) {
      const asked = globalThis.testWebGpu && message?.type === 'generate' ? { ...message, backend: 'webgpu' } : message
      return send.call(this, asked, ...rest)
    }
  }`)
}

/** From now on the Worker is told to draw with WebGPU, and with nothing else: see `drawWithWebGpu`. */
export async function useWebGpu(page: Page): Promise<void> {
  await page.evaluate('globalThis.testWebGpu = true')
}

/** Waits until the status bar tells of at least this step; the first one of a cold software adapter takes minutes. */
export async function stepShown(page: Page, step: number): Promise<void> {
  await page.waitForFunction(
    least => {
      const [, at] = /Drawing · (\d+) of/.exec(document.querySelector('footer')?.textContent ?? '') ?? []
      return Number(at ?? 0) >= least
    },
    step,
    { timeout: 600_000 },
  )
}
