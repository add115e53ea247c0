/** Events of the host as server-sent events: one connection a window, which reconnects by itself. */
import type { ServerResponse } from 'node:http'
import type { HostEvent } from '../../model/contract/host-api.ts'
import type { HostService } from '../service/service.ts'
import { commonHeaders } from './headers.ts'

/** Windows of one run. */
const streamLimit = 16
/** Bytes that wait for a window that does not read; then it is let go, and asks anew when it wakes. */
const waitingLimit = 4 << 20
const heartbeat = 20_000

export class EventStreams {
  readonly #service: HostService
  readonly #open = new Set<ServerResponse>()

  constructor(service: HostService) {
    this.#service = service
  }

  get count(): number {
    return this.#open.size
  }

  /** @returns false when there are too many */
  add(response: ServerResponse): boolean {
    if (this.#open.size >= streamLimit) return false
    response.writeHead(200, {
      ...commonHeaders,
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
    })
    this.#open.add(response)
    const send = (text: string) => {
      if (response.writableLength > waitingLimit) response.destroy()
      else response.write(text)
    }
    send('retry: 1000\n\n')
    const end = this.#service.subscribe((event: HostEvent) => send(`data: ${JSON.stringify(event)}\n\n`))
    // A comment now and then shows both sides that the other is there.
    const timer = setInterval(() => send(':\n\n'), heartbeat)
    response.on('close', () => {
      clearInterval(timer)
      end()
      this.#open.delete(response)
    })
    return true
  }

  close(): void {
    for (const response of this.#open) response.end()
  }
}
