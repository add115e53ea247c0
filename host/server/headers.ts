/** What every answer of the loopback server says to the browser. */

/**
 * The policy of the window's pages: nothing from elsewhere, no inline script. `wasm-unsafe-eval` lets onnxruntime compile
 * its WebAssembly, and nothing else; inline styles are what the prompt's editor and the dialogs insert, and can fetch
 * nothing, since every address they could name is closed too; `blob:` and `data:` are pictures that the page made.
 */
export const pagePolicy = {
  'default-src': ["'none'"],
  'script-src': ["'self'", "'wasm-unsafe-eval'"],
  'worker-src': ["'self'"],
  'style-src': ["'self'", "'unsafe-inline'"],
  'img-src': ["'self'", 'blob:', 'data:'],
  'font-src': ["'self'"],
  'connect-src': ["'self'"],
  'manifest-src': ["'self'"],
  'object-src': ["'none'"],
  'base-uri': ["'none'"],
  'form-action': ["'none'"],
  'frame-ancestors': ["'none'"],
} as const satisfies Readonly<Record<string, readonly string[]>>

/** As the header has it; also for Electron's protocol. */
export function contentSecurityPolicy(): string {
  return Object.entries(pagePolicy)
    .map(([directive, sources]) => `${directive} ${sources.join(' ')}`)
    .join('; ')
}

/**
 * On every answer. The first three make the page cross-origin isolated, which onnxruntime's threads need (shared
 * memory), and keep others from embedding what is answered.
 */
export const commonHeaders = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  'cross-origin-resource-policy': 'same-origin',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY',
} as const

/** On pages, scripts and styles of the window. */
export const pageHeaders = {
  ...commonHeaders,
  'content-security-policy': contentSecurityPolicy(),
  'permissions-policy':
    'camera=(), microphone=(), geolocation=(), usb=(), serial=(), hid=(), payment=(), midi=()',
} as const
