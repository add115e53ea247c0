/**
 * What a page of this program may do, as data and pure functions: its origin, its content security policy, the
 * headers of its files, the permissions it gets and the addresses that may be opened in the system's browser. No
 * Electron here, so that every line is tested without it.
 */
import { pageHeaders } from '../host/server/headers.ts'

/** Headers of the program's own files: the loopback server's, policy included, so that both doors are the same. */
export { pageHeaders }

export const appScheme = 'app'
export const appHost = 'attune'
/** The page's address. */
export const appPage = `${appScheme}://${appHost}/`

/** What the scheme may do: a standard, secure origin (WebGPU and storage need that), fetched and streamed; never `bypassCSP`. */
export const schemePrivileges = {
  standard: true,
  secure: true,
  supportFetchAPI: true,
  stream: true,
  codeCache: true,
} as const

/** An address of our own origin, by its parsed parts: a prefix test would take `app://attune.example` for ours. */
export function ownUrl(text: string): URL | undefined {
  const url = parse(text)
  if (!url || url.protocol !== `${appScheme}:` || url.host !== appHost) return undefined
  return url.username === '' && url.password === '' ? url : undefined
}

/** The one page of the program; no other file of it may become a page. */
export function isAppPage(text: string): boolean {
  const url = ownUrl(text)
  return url !== undefined && (url.pathname === '/' || url.pathname === '/index.html')
}

/** Headers of the person's files: pictures and weights are data, never a page, whatever they hold. */
export const dataHeaders: Readonly<Record<string, string>> = {
  'content-security-policy': "default-src 'none'; sandbox",
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  'x-content-type-options': 'nosniff',
}

/** Types under which a browser would run or render markup. */
const active =
  /^(?:text\/html|text\/xml|application\/xml|application\/xhtml\+xml|image\/svg\+xml|.*javascript)/i

/** The type under which the person's bytes are given out. */
export function dataType(type: string | null): string {
  return type === null || active.test(type) ? 'application/octet-stream' : type
}

/** Everything else is refused: Electron's default would be to grant. */
const grantedPermissions: ReadonlySet<string> = new Set([
  // "Copy as text": writes after a click, never reads.
  'clipboard-sanitized-write',
  // The picture over the whole screen.
  'fullscreen',
])

/** Whether a page may have a permission: ours only, in its main frame, from the list above. */
export function grantsPermission(permission: string, origin: string, mainFrame: boolean): boolean {
  return mainFrame && ownUrl(origin) !== undefined && grantedPermissions.has(permission)
}

/** Sites that the interface links to: model pages, licences, our own. */
export const externalHosts: readonly string[] = [
  'huggingface.co',
  'github.com',
  'civitai.com',
  'www.apache.org',
  'creativecommons.org',
  'opensource.org',
]

/** The address to hand to the system's browser, or undefined: https only, the usual port, known hosts, no credentials. */
export function externalUrl(text: string): string | undefined {
  const url = parse(text)
  if (!url || url.protocol !== 'https:' || url.port !== '') return undefined
  if (url.username !== '' || url.password !== '') return undefined
  return externalHosts.includes(url.hostname) ? url.href : undefined
}

function parse(text: string): URL | undefined {
  // Longer ones are nobody's link, and some systems cut them.
  return text.length <= 2048 && URL.canParse(text) ? new URL(text) : undefined
}
