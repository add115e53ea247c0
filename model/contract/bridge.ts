/**
 * The bridge between a page and Electron's main process, as plain types: the preload script exposes it, the window makes
 * a `HostApi` of it. Nothing is imported at run time, so that the preload script stays small.
 */
import type { ErrorRecord } from './errors.ts'

/** The name under which Electron's preload script puts its bridge into a page. */
export const bridgeName = 'attuneHost'

/** An answer over the bridge: an envelope, for errors lose everything but their message on the way. */
export type HostReply = { ok: true; value: unknown } | { ok: false; error: ErrorRecord }

/** What the preload script exposes, and nothing else. */
export interface AttuneBridge {
  call(method: string, params: unknown): Promise<HostReply>
  /** @returns ends the subscription */
  subscribe(listener: (event: unknown) => void): () => void
}
