/** `session` and `protocol` of the double. */
import { EventEmitter } from 'node:events'
import { browser, type SchemeHandler } from './browser.ts'

type RequestHandler = (
  contents: unknown,
  permission: string,
  answer: (granted: boolean) => void,
  details: object,
) => void
type CheckHandler = (contents: unknown, permission: string, origin: string, details: object) => boolean

export const protocol = {
  /** Kept, so that tests can look at what was asked for; Electron takes it once. */
  privileged: undefined as Electron.CustomScheme[] | undefined,
  registerSchemesAsPrivileged(schemes: Electron.CustomScheme[]): void {
    protocol.privileged = schemes
    // Known from now on, so that a window may be sent there before there is a handler.
  },
  handle(scheme: string, handler: SchemeHandler): void {
    if (browser.handlers.has(scheme)) throw new Error(`Failed to register protocol: ${scheme}`)
    browser.handlers.set(scheme, handler)
  },
  unhandle(scheme: string): void {
    if (!browser.handlers.delete(scheme)) throw new Error(`Failed to unhandle protocol: ${scheme}`)
  },
  isProtocolHandled: (scheme: string): boolean => browser.handlers.has(scheme),
} satisfies Partial<Record<keyof Electron.Protocol | 'privileged', unknown>> &
  Pick<Electron.Protocol, 'registerSchemesAsPrivileged' | 'unhandle' | 'isProtocolHandled'>

export class DoubleSession extends EventEmitter {
  readonly protocol = protocol
  #request: RequestHandler | null = null
  #check: CheckHandler | null = null
  /** What was set, for tests. */
  readonly handlers = { device: false, display: false }

  setPermissionRequestHandler(handler: RequestHandler | null): void {
    this.#request = handler
  }

  setPermissionCheckHandler(handler: CheckHandler | null): void {
    this.#check = handler
  }

  setDevicePermissionHandler(handler: unknown): void {
    this.handlers.device = handler !== null
  }

  setDisplayMediaRequestHandler(handler: unknown): void {
    this.handlers.display = handler !== null
  }

  /** Without a handler Electron grants. */
  requested(contents: unknown, permission: string, url: string, isMainFrame: boolean): Promise<boolean> {
    const handler = this.#request
    if (!handler) return Promise.resolve(true)
    return new Promise(resolve => handler(contents, permission, resolve, { requestingUrl: url, isMainFrame }))
  }

  checked(contents: unknown, permission: string, url: string, isMainFrame: boolean): boolean {
    return this.#check?.(contents, permission, url, { requestingUrl: url, isMainFrame }) ?? true
  }
}

export const session = { defaultSession: new DoubleSession() }
