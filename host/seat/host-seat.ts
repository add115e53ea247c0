/** Starts the engine's thread, and makes it look like a page's Worker to `EngineClient`. */
import { Worker } from 'node:worker_threads'
import type { EnginePort } from '../../model/worker/client.ts'
import type { ThreadData } from './thread.ts'

export interface SeatOptions {
  /** The thread's first file; a bundled shell has its own. */
  readonly entry?: URL
  /** Every message of progress waits for `go`. */
  readonly lockStep?: boolean
}

export interface HostSeat {
  readonly port: EnginePort
  /** With `lockStep`: lets the run go on behind a message of progress. */
  go(): void
  /** Ends the thread, whatever it does. */
  end(): Promise<void>
}

/** What the port's listeners get: the few members of events that are used. */
type Listener = (event: never) => void

export function startHostSeat(options: SeatOptions = {}): HostSeat {
  // Mesa complains without one, and a thread's environment is a copy that native code does not see.
  if (process.platform === 'linux') process.env['XDG_RUNTIME_DIR'] ||= '/tmp'
  const hold = options.lockStep ? new SharedArrayBuffer(4) : undefined
  const workerData: ThreadData = { ...(hold && { hold }) }
  const worker = new Worker(options.entry ?? new URL('./thread.mjs', import.meta.url), {
    workerData,
    // Not those of this process: a test runner's loaders are not for the thread.
    execArgv: [],
    name: 'attune-engine',
  })
  const listeners = new Map<string, Listener[]>()
  const say = (type: string, event: unknown) => {
    for (const listener of listeners.get(type) ?? []) listener(event as never)
  }
  const gate = hold && new Int32Array(hold)
  const go = () => {
    if (!gate) return
    Atomics.store(gate, 0, 0)
    Atomics.notify(gate, 0)
  }
  let isEnding = false
  worker.on('message', (data: unknown) => say('message', { data }))
  worker.on('messageerror', () => say('messageerror', {}))
  worker.on('error', (error: Error) => say('error', { message: error.message }))
  worker.on('exit', code => {
    if (!isEnding) say('error', { message: `its thread ended (${code})` })
  })
  const end = async () => {
    isEnding = true
    go()
    await worker.terminate()
    // Whoever still waits for an answer does not wait for ever.
    say('error', { message: 'its thread was ended' })
  }
  return {
    port: {
      postMessage: (message, transfer) => worker.postMessage(message, transfer as ArrayBuffer[]),
      addEventListener(type: string, listener: Listener) {
        listeners.set(type, [...(listeners.get(type) ?? []), listener])
      },
      terminate: () => void end(),
    },
    go,
    end,
  }
}
