/**
 * The scheme `app://`: the window's files from `dist/renderer`, and the host's bytes under `/host/`. A page on `file://`
 * could read every file of the person; one on this scheme reads what is answered here.
 */
import { app, protocol } from 'electron'
import { answerFile } from './bundle-files.ts'
import type { HostPort } from './host-port.ts'
import { appScheme, dataHeaders, dataType, ownUrl, pageHeaders, schemePrivileges } from './policy.ts'

/** To be called once, before the application is ready. */
export function registerAppScheme(): void {
  protocol.registerSchemesAsPrivileged([{ scheme: appScheme, privileges: { ...schemePrivileges } }])
}

/**
 * @param folder of the window's bundle
 * @param host the host, as soon as there is one
 */
export function serveApp(folder: string, host: () => Promise<HostPort>): void {
  protocol.handle(appScheme, async request => {
    try {
      const url = ownUrl(request.url)
      if (!url) return new Response(null, { status: 404, headers: pageHeaders })
      if (url.pathname !== '/host' && !url.pathname.startsWith('/host/')) {
        return await answerFile(folder, request, pageHeaders)
      }
      const answer = await (await host()).bytes(request)
      return asData(answer ?? new Response(null, { status: 404 }))
    } catch (error) {
      console.error(`${app.getName()}: ${new URL(request.url).pathname} failed`, error)
      return new Response(null, { status: 500, headers: dataHeaders })
    }
  })
}

/** The host's answer with the headers that keep bytes from ever being a page. */
function asData(answer: Response): Response {
  const headers = new Headers(answer.headers)
  for (const [name, value] of Object.entries(dataHeaders)) headers.set(name, value)
  if (answer.body) headers.set('content-type', dataType(answer.headers.get('content-type')))
  return new Response(answer.body, { status: answer.status, headers })
}
