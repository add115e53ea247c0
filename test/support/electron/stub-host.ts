/**
 * A host for tests of the shell: answers from memory, keeps what it was asked, and can be told to be slow, wrong or
 * busy. Tests reach it as `globalThis.stubHost` in the main process.
 */
import type { CreateHost, HostPort } from '../../../electron/host-port.ts'
import { AttuneError } from '../../../model/contract/errors.ts'
import type { HostEvent } from '../../../model/contract/host-api.ts'
import { settingsSchema } from '../../../model/contract/settings.ts'

interface StubHost {
  readonly calls: { method: string; params: unknown }[]
  readonly opened: string[]
  jobs: unknown[]
  paused: boolean
  closed: boolean
  /** How long closing takes. */
  closeMilliseconds: number
  /** Answers instead of the usual ones, by method. */
  readonly answers: Record<string, unknown>
  /** What the bytes' answer is of, by path. */
  emit(event: HostEvent): void
}

const listeners = new Set<(event: HostEvent) => void>()
const stub: StubHost = {
  calls: [],
  opened: [],
  jobs: [],
  paused: false,
  closed: false,
  closeMilliseconds: 0,
  answers: {},
  emit: event => {
    for (const listener of listeners) listener(event)
  },
}
Object.assign(globalThis, { stubHost: stub })

const usual: Record<string, () => unknown> = {
  'app.info': () => ({
    version: '0.1.0',
    shell: 'electron',
    platform: process.platform,
    outputFolder: '/pictures',
    memory: 1,
    notices: [],
  }),
  'settings.get': () => settingsSchema.parse({}),
  'jobs.list': () => ({ jobs: stub.jobs, paused: stub.paused }),
}

const api: HostPort['api'] = {
  async call(method, params) {
    stub.calls.push({ method, params })
    if (method === 'gallery.remove') throw new AttuneError('bad-file', 'It is gone.', 'Rescan the gallery.')
    if (method === 'gallery.rescan') throw new Error('ENOENT in a place that pages need not know')
    if (method === 'gallery.undoRemove') return await new Promise<never>(() => undefined)
    return (stub.answers[method] ?? usual[method]?.() ?? {}) as never
  },
  subscribe(listener) {
    listeners.add(listener)
    return () => listeners.delete(listener)
  },
}

export const createHost: CreateHost = async shell => {
  Object.assign(globalThis, { stubShell: shell })
  return {
    api,
    async bytes(request) {
      const { pathname } = new URL(request.url)
      if (pathname === '/host/pictures/1') {
        return new Response(Uint8Array.of(1, 2, 3, 4), { headers: { 'content-type': 'image/png' } })
      }
      if (pathname === '/host/pictures/2') {
        return new Response('<script>alert(1)</script>', { headers: { 'content-type': 'text/html' } })
      }
      if (pathname === '/host/recipe' && request.method === 'POST') {
        return Response.json({ bytes: (await request.arrayBuffer()).byteLength })
      }
      if (pathname === '/host/broken') throw new Error('broken')
      return undefined
    },
    async openPicture(path) {
      stub.opened.push(path)
      return stub.opened.length
    },
    async close() {
      await new Promise(resolve => setTimeout(resolve, stub.closeMilliseconds))
      stub.closed = true
    },
  }
}
