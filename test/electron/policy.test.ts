/** What a page may do: addresses, headers, permissions. */
import { describe, expect, it } from 'vitest'
import {
  appPage,
  dataHeaders,
  dataType,
  externalUrl,
  grantsPermission,
  isAppPage,
  ownUrl,
  pageHeaders,
  schemePrivileges,
} from '../../electron/policy.ts'

/** A policy's directives, as a browser reads them. */
export function parsePolicy(text: string): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const part of text.split(';')) {
    const [name = '', ...sources] = part.trim().split(/\s+/)
    if (name !== '' && !found.has(name.toLowerCase())) found.set(name.toLowerCase(), sources)
  }
  return found
}

/** Directives that browsers know: a misspelt one is ignored by them without a word. */
const known = new Set(
  [
    'default-src script-src script-src-elem script-src-attr style-src style-src-elem style-src-attr img-src font-src',
    'connect-src media-src object-src frame-src child-src worker-src manifest-src base-uri form-action frame-ancestors',
    'require-trusted-types-for trusted-types sandbox upgrade-insecure-requests',
  ].flatMap(line => line.split(' ')),
)

describe('our own origin', () => {
  it('is known by its parts', () => {
    expect(ownUrl(appPage)?.pathname).toBe('/')
    expect(isAppPage('app://attune/index.html?a#b')).toBe(true)
  })

  it.each([
    'app://attune.example/',
    'app://attune:80/',
    'app://user@attune/',
    'app://user:word@attune/',
    'app://other/',
    'apps://attune/',
    'file:///app://attune/',
    'http://attune/',
    'https://app://attune/',
    'about:blank',
    'data:text/html,app://attune/',
    'javascript:location="app://attune/"',
    '',
    'app:attune',
    ' not an address',
    `app://attune/${'a'.repeat(3000)}`,
  ])('is not %s', address => {
    expect(ownUrl(address)).toBeUndefined()
    expect(isAppPage(address)).toBe(false)
  })

  it('has one page', () => {
    expect(isAppPage('app://attune/other.html')).toBe(false)
    expect(isAppPage('app://attune/host/pictures/1')).toBe(false)
  })
})

describe('headers', () => {
  const policy = parsePolicy(pageHeaders['content-security-policy'])

  it('hold a policy of known directives', () => {
    expect([...policy.keys()].filter(name => !known.has(name))).toEqual([])
    expect(policy.get('default-src')).toEqual(["'none'"])
    for (const name of ['object-src', 'base-uri', 'form-action', 'frame-ancestors']) {
      expect(policy.get(name)).toEqual(["'none'"])
    }
  })

  it('let no foreign or inline script run', () => {
    expect(policy.get('script-src')?.toSorted()).toEqual(["'self'", "'wasm-unsafe-eval'"])
    for (const sources of policy.values()) {
      expect(sources).not.toContain('*')
      expect(sources).not.toContain("'unsafe-eval'")
      expect(sources.filter(source => /^(?:https?|wss?|ftp):/.test(source))).toEqual([])
    }
    expect(policy.get('connect-src')).toEqual(["'self'"])
  })

  it('isolate the page', () => {
    expect(pageHeaders).toMatchObject({
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
      'cross-origin-resource-policy': 'same-origin',
      'x-content-type-options': 'nosniff',
    })
    expect(parsePolicy(dataHeaders['content-security-policy'] ?? '').has('sandbox')).toBe(true)
  })

  it.each([
    ['text/html', 'application/octet-stream'],
    ['TEXT/HTML; charset=utf-8', 'application/octet-stream'],
    ['image/svg+xml', 'application/octet-stream'],
    ['text/javascript', 'application/octet-stream'],
    ['application/xhtml+xml', 'application/octet-stream'],
    [null, 'application/octet-stream'],
    ['image/png', 'image/png'],
    ['application/json', 'application/json'],
  ])('give %s out as %s', (type, given) => expect(dataType(type)).toBe(given))
})

describe('permissions', () => {
  it('are two, for our main frame', () => {
    for (const permission of ['clipboard-sanitized-write', 'fullscreen']) {
      expect(grantsPermission(permission, appPage, true)).toBe(true)
      expect(grantsPermission(permission, appPage, false)).toBe(false)
      expect(grantsPermission(permission, 'https://example.org/', true)).toBe(false)
    }
  })

  it.each([
    'media',
    'geolocation',
    'notifications',
    'clipboard-read',
    'midi',
    'midiSysex',
    'openExternal',
    'display-capture',
    'hid',
    'serial',
    'usb',
    'fileSystem',
    'pointerLock',
    'unknown',
    '__proto__',
    'constructor',
  ])('refuse %s', permission => expect(grantsPermission(permission, appPage, true)).toBe(false))
})

describe('fault C5: addresses for the system browser', () => {
  it('are https of known sites', () => {
    expect(externalUrl('https://huggingface.co/a/b?c#d')).toBe('https://huggingface.co/a/b?c#d')
  })

  it.each([
    'http://huggingface.co/',
    'https://huggingface.co:8443/',
    'https://huggingface.co.example.org/',
    'https://user@huggingface.co/',
    'https://evilhuggingface.co/',
    'https://huggingface.co./',
    'file:///etc/passwd',
    'ms-settings:privacy',
    'smb://server/share',
    'javascript:alert(1)',
    'vscode://file/etc/passwd',
    'app://attune/',
    'data:text/html,x',
    '',
  ])('never %s', address => expect(externalUrl(address)).toBeUndefined())
})

it('the scheme is standard, secure, fetched and never past the policy', () => {
  expect(schemePrivileges).toEqual({
    standard: true,
    secure: true,
    supportFetchAPI: true,
    stream: true,
    codeCache: true,
  })
})
