/** The host over loopback HTTP: one POST a question, events from a stream that reconnects by itself. */
import { AttuneError, type ErrorCode } from '../../model/contract/errors.ts'
import {
  errorRecordSchema,
  type HostApi,
  type HostEvent,
  hostEventSchema,
  type HostMethod,
  hostHeader,
  hostMethods,
  hostPaths,
  type HostParams,
  type HostResult,
} from '../../model/contract/host-api.ts'

export class HttpHost implements HostApi {
  readonly #listeners = new Set<(event: HostEvent) => void>()
  readonly #onReach: (isReached: boolean) => void
  #stream: EventSource | undefined

  /** @param onReach told at each sign of whether the host can be reached */
  constructor(onReach: (isReached: boolean) => void = () => undefined) {
    this.#onReach = onReach
  }

  /** Whether somebody answers who speaks the contract. */
  async answers(): Promise<boolean> {
    try {
      await this.call('app.info', {})
      return true
    } catch (error) {
      // A host that answers with an error is a host.
      return error instanceof AttuneError && error.cause === undefined && error.code !== 'unsupported'
    }
  }

  async call<M extends HostMethod>(method: M, params: HostParams<M>): Promise<HostResult<M>> {
    let answer: Response
    try {
      answer = await fetch(hostPaths.call, {
        method: 'POST',
        headers: { 'content-type': 'application/json', [hostHeader]: '1' },
        body: JSON.stringify({ method, params }),
      })
    } catch (cause) {
      this.#onReach(false)
      throw new AttuneError('network', 'The host does not answer.', 'Start Attune again.', { cause })
    }
    this.#onReach(true)
    const body: unknown = await answer.json().catch(() => undefined)
    const told = body as { result?: unknown; error?: unknown } | undefined
    const error = errorRecordSchema.safeParse(told?.error)
    if (error.success) {
      throw new AttuneError(error.data.code as ErrorCode, error.data.message, error.data.remedy)
    }
    const result = hostMethods[method].result.safeParse(told?.result)
    if (answer.ok && result.success) return result.data as HostResult<M>
    throw new AttuneError(
      answer.status === 404 ? 'unsupported' : 'internal',
      `The host answered ${method} in a way that this window does not understand (${answer.status}).`,
      'Reload the window; if it happens again, report it.',
      { cause: result.error ?? answer.status },
    )
  }

  subscribe(listener: (event: HostEvent) => void): () => void {
    this.#listeners.add(listener)
    this.#stream ??= this.#open()
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size > 0) return
      this.#stream?.close()
      this.#stream = undefined
    }
  }

  #open(): EventSource {
    const stream = new EventSource(hostPaths.events)
    // It connects again by itself.
    stream.addEventListener('open', () => this.#onReach(true))
    stream.addEventListener('error', () => this.#onReach(false))
    stream.addEventListener('message', ({ data }: MessageEvent<string>) => {
      let parsed: unknown
      try {
        parsed = JSON.parse(data)
      } catch {
        return
      }
      const event = hostEventSchema.safeParse(parsed)
      if (event.success) for (const listener of this.#listeners) listener(event.data)
    })
    return stream
  }
}
