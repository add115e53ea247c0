/**
 * The words between the page and the main process. The preload script exposes an `AttuneBridge`; a page makes a
 * `HostApi` of it with `hostApiOfBridge` (bridge.ts). Answers are envelopes, because an error loses everything but its
 * message on the way through Electron's context bridge. Nothing is imported but types: the preload script stays small.
 */
import type { ErrorRecord } from '../model/contract/errors.ts'

/** The only channels there are. */
export const channels = {
  /** Page asks: (method, params) → HostReply. */
  call: 'attune:call',
  /** Page listens now: what was kept for it may be sent. */
  listening: 'attune:listening',
  /** Main tells: a HostEvent. */
  event: 'attune:event',
} as const

/** The name under which the page finds its bridge. */
export const bridgeName = 'attuneHost'

export type HostReply = { ok: true; value: unknown } | { ok: false; error: ErrorRecord }

/** What the preload script exposes, and nothing else. */
export interface AttuneBridge {
  call(method: string, params: unknown): Promise<HostReply>
  /** @returns ends the subscription */
  subscribe(listener: (event: unknown) => void): () => void
}
