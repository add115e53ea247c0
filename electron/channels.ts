/**
 * The words between the page and the main process. The preload script exposes an `AttuneBridge`
 * (model/contract/bridge.ts); a page makes a `HostApi` of it (renderer/host/bridge.ts). Nothing is imported but types:
 * the preload script stays small.
 */
/** The only channels there are. */
export const channels = {
  /** Page asks: (method, params) → HostReply. */
  call: 'attune:call',
  /** Page listens now: what was kept for it may be sent. */
  listening: 'attune:listening',
  /** Main tells: a HostEvent. */
  event: 'attune:event',
} as const
