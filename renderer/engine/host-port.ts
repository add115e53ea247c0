/**
 * The page's half of the host's engine (`host/server/engine-channel.ts`): a port like a Worker's over two kinds of
 * requests. One answer that does not end brings the engine's messages as frames; each message of the page is a request
 * of its own, sent one after the other. Leaving the page ends the answer, and with it the engine.
 */
import { encodeFrame, FrameReader } from '../../model/contract/frames.ts'
import { hostHeader, hostPaths } from '../../model/contract/host-api.ts'
import type { EnginePort } from '../../model/worker/client.ts'

/** Messages of the engine: pictures, maps, latents. Larger than one of the page's. */
const messageByteLimit = 2 ** 31 - 1

type Listener = (event: never) => void

/**
 * Opens an engine in the host.
 * @param address of the channel, relative to the page
 * @param get in place of `fetch`: for tests
 */
export function openHostPort(
  address: string = hostPaths.engine,
  get: typeof fetch = fetch.bind(globalThis),
): EnginePort {
  return new HostPort(address, get)
}

class HostPort implements EnginePort {
  readonly #address: string
  readonly #get: typeof fetch
  readonly #listeners = new Map<string, Listener[]>()
  readonly #left = new AbortController()
  /** The channel's number, then each message that was sent. */
  #sending: Promise<string>
  #isOver = false

  constructor(address: string, get: typeof fetch) {
    this.#address = address
    this.#get = get
    this.#sending = new Promise((resolve, reject) => {
      this.#receive(resolve).then(
        () => this.#fail('it has ended'),
        (error: unknown) => {
          reject(error as Error)
          this.#fail(error instanceof Error ? error.message : String(error))
        },
      )
    })
    // Told to the listeners; nobody need have sent anything yet.
    this.#sending.catch(() => undefined)
  }

  postMessage(message: unknown): void {
    // Encoded now: the caller may change its arrays afterwards. What cannot be carried is thrown to it.
    const frame = encodeFrame(message)
    this.#sending = this.#sending.then(async id => {
      const answer = await this.#post(`${this.#address}/${id}`, frame)
      if (!answer.ok) throw new Error(await whyOf(answer))
      return id
    })
    this.#sending.catch((error: unknown) =>
      this.#fail(error instanceof Error ? error.message : String(error)),
    )
  }

  addEventListener(type: string, listener: Listener): void {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener])
  }

  terminate(): void {
    this.#isOver = true
    this.#left.abort()
  }

  async #receive(onChannel: (id: string) => void): Promise<void> {
    const answer = await this.#post(this.#address, new Uint8Array(0))
    if (!answer.ok || !answer.body) throw new Error(await whyOf(answer))
    const reader = answer.body.getReader()
    const frames = new FrameReader(messageByteLimit)
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      for (const message of frames.push(value)) {
        const { type, id } = (message ?? {}) as { type?: unknown; id?: unknown }
        if (type === 'channel' && typeof id === 'string') onChannel(id)
        else this.#say('message', { data: message })
      }
    }
  }

  #post(address: string, body: Uint8Array<ArrayBuffer>): Promise<Response> {
    return this.#get(address, {
      method: 'POST',
      headers: { [hostHeader]: '1', 'content-type': 'application/octet-stream' },
      body,
      signal: this.#left.signal,
    })
  }

  /** Once: what follows a broken connection is a consequence. */
  #fail(why: string): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#left.abort()
    this.#say('error', { message: `the host’s engine cannot be reached: ${why}` })
  }

  #say(type: string, event: unknown): void {
    for (const listener of this.#listeners.get(type) ?? []) listener(event as never)
  }
}

/** What the host says is wrong. */
async function whyOf(answer: Response): Promise<string> {
  const body = (await answer.json().catch(() => undefined)) as { error?: { message?: string } } | undefined
  return body?.error?.message ?? `the host answered ${answer.status}`
}
