/** Where a window may go: to the program's one page. Links go to the system's browser, if they lead to a known site. */
import { app, shell, type WebContents } from 'electron'
import { externalUrl, isAppPage } from './policy.ts'

/** Guards every window, and whatever else gets contents of its own. To be called before the first window. */
export function guardNavigation(): void {
  app.on('web-contents-created', (_event, contents) => guardContents(contents))
}

function guardContents(contents: WebContents): void {
  // Three events, because each misses what the others see: subframes, server redirects, and the page itself.
  contents.on('will-navigate', details => {
    if (!isAppPage(details.url)) details.preventDefault()
  })
  contents.on('will-frame-navigate', details => {
    if (!details.isMainFrame || !isAppPage(details.url)) details.preventDefault()
  })
  contents.on('will-redirect', details => {
    if (!details.isMainFrame || !isAppPage(details.url)) details.preventDefault()
  })
  contents.on('will-attach-webview', event => event.preventDefault())
  contents.setWindowOpenHandler(({ url }) => {
    void openExternal(url)
    return { action: 'deny' }
  })
}

/** The only way out of the program. @returns whether the address was one that may be opened */
export async function openExternal(text: string): Promise<boolean> {
  const url = externalUrl(text)
  if (url === undefined) return false
  await shell.openExternal(url)
  return true
}
