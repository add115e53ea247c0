/** The host of the desktop program: `host/` in this process, its own seat of the engine in a thread. */
import { openDesktopHost } from '../host/seat/open-host.ts'
import type { CreateHost } from './host-port.ts'

/** Starts the host. */
export const createHost: CreateHost = shell =>
  // Bundled beside this file. The packed program brings no Dawn: there the thread says so, and the page's seat draws.
  openDesktopHost(shell, { entry: new URL('engine-thread.mjs', import.meta.url) })
