/**
 * The host's seat of the engine for a page that has no WebGPU of its own. A channel is a thread with an engine; its
 * messages to the page are frames (`model/contract/frames.ts`) in one answer that does not end, and those of the page
 * come one a request:
 *
 *   POST host/engine       → frames: { type: 'channel', id }, then every message of the seat, until either side leaves
 *   POST host/engine/ID    one frame, a message of `model/worker/messages.ts` → 204
 *
 * Leaving the answer (closing the tab) ends the thread. The page's other half is `renderer/engine/host-port.ts`.
 */
import { randomUUID } from 'node:crypto'
import { pathToFileURL } from 'node:url'
import { AttuneError } from '../../model/contract/errors.ts'
import { decodeFrame, encodeFrame, frameByteLimit } from '../../model/contract/frames.ts'
import { hostPaths } from '../../model/contract/host-api.ts'
import type { ModelLocation } from '../../model/worker/messages.ts'
import { type HostSeat, type SeatOptions, startHostSeat } from '../seat/host-seat.ts'
import { netLocation } from '../seat/inputs.ts'
import { toErrorRecord } from '../service/errors.ts'
import { type ByteReply, statusReply } from '../service/byte-reply.ts'
import type { HostService } from '../service/service.ts'

/** Threads of pages at once; each may hold a model. A page that is loaded anew leaves its old one a moment later. */
const channelLimit = 3
/** Bytes that wait for a page that does not read. */
const waitingLimit = 1 << 30
const openingByteLimit = 1 << 10
/** More than a request may have guides. */
const netLimit = 16

export class EngineChannels {
  readonly #service: HostService
  readonly #options: SeatOptions
  readonly #channels = new Map<string, Channel>()

  constructor(service: HostService, options: SeatOptions = {}) {
    this.#service = service
    this.#options = options
  }

  get count(): number {
    return this.#channels.size
  }

  /**
   * Answers the addresses of channels, for every transport.
   * @param path still encoded, without a slash at its beginning
   * @returns undefined when it is another address
   */
  async answer(
    method: string,
    path: string,
    body: (limit: number) => Promise<Uint8Array>,
  ): Promise<ByteReply | undefined> {
    const found = /^host\/engine(?:\/([0-9a-f-]{36}))?$/.exec(path)
    if (!found) return undefined
    if (method !== 'POST') return statusReply(405, 'This is not answered here.', { allow: 'POST' })
    const [, id] = found
    if (id === undefined) {
      // Its body says nothing, but must have come before the answer begins.
      await body(openingByteLimit)
      return this.open()
    }
    return this.send(id, await body(frameByteLimit))
      ? { status: 204, headers: {} }
      : statusReply(404, 'This engine has been left.')
  }

  /**
   * Starts an engine for a page.
   * @throws AttuneError `unsupported` when there are too many
   */
  open(): ByteReply {
    if (this.#channels.size >= channelLimit) {
      throw new AttuneError(
        'unsupported',
        `The host draws for ${channelLimit} windows already.`,
        'Close one of them.',
      )
    }
    const id = randomUUID()
    const channel = new Channel(
      startHostSeat(this.#options),
      location => this.#folderOf(location),
      location => this.#netOf(location),
    )
    this.#channels.set(id, channel)
    channel.push({ type: 'channel', id })
    void channel.ended.then(() => this.#channels.delete(id))
    return {
      status: 200,
      headers: {
        'content-type': 'application/octet-stream',
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
        'cross-origin-resource-policy': 'same-origin',
      },
      body: { kind: 'stream', stream: channel },
    }
  }

  /** Hands a page's message to its engine. @returns false when there is no such channel */
  send(id: string, frame: Uint8Array): boolean {
    const channel = this.#channels.get(id)
    if (!channel) return false
    channel.send(decodeFrame(frame))
    return true
  }

  async close(): Promise<void> {
    await Promise.all([...this.#channels.values()].map(channel => channel.end()))
  }

  /** A page names models by the address that it would fetch them from; the thread gets their folder. */
  async #folderOf(location: unknown): Promise<{ kind: 'url'; url: string; name: string }> {
    const id = idOf(location)
    if (id === undefined) {
      throw new AttuneError(
        'unsupported',
        'The host draws with models of its library only.',
        `Add the model’s folder to the library; its address is then ${hostPaths.model('ID')}.`,
      )
    }
    return { kind: 'url', url: pathToFileURL(await this.#service.modelFolder(id)).href, name: id }
  }

  /** Likewise of a ControlNet. */
  async #netOf(location: unknown): Promise<ModelLocation> {
    const id = idOf(location)
    const { name } = (location ?? {}) as { name?: unknown }
    if (id !== undefined)
      return netLocation(await this.#service.netPlace(id), typeof name === 'string' ? name.slice(0, 200) : id)
    throw new AttuneError(
      'unsupported',
      'The host draws with ControlNets of its library only.',
      'Add the network’s folder to the library.',
    )
  }
}

/** What `hostPaths.model` made an address of; undefined when it is none. */
function idOf(location: unknown): string | undefined {
  const { kind, url } = (location ?? {}) as { kind?: unknown; url?: unknown }
  const path = kind === 'url' && typeof url === 'string' && URL.canParse(url) ? new URL(url).pathname : ''
  const [, encoded] = /\/host\/models\/([^/]+)\/?$/.exec(path) ?? []
  return encoded === undefined ? undefined : decodeURIComponent(encoded)
}

/** One engine and the stream of its messages. */
class Channel implements AsyncIterableIterator<Uint8Array> {
  readonly #seat: HostSeat
  readonly #folderOf: (location: unknown) => Promise<unknown>
  readonly #netOf: (location: unknown) => Promise<unknown>
  readonly #waiting: Uint8Array[] = []
  #waitingBytes = 0
  #wake: (() => void) | undefined
  #isEnded = false
  #tellEnd: () => void = () => undefined
  /** Messages are handed on in their order, though looking up a folder takes a while. */
  #sending: Promise<void> = Promise.resolve()
  readonly ended: Promise<void>

  constructor(
    seat: HostSeat,
    folderOf: (location: unknown) => Promise<unknown>,
    netOf: (location: unknown) => Promise<unknown>,
  ) {
    this.#seat = seat
    this.#folderOf = folderOf
    this.#netOf = netOf
    this.ended = new Promise(resolve => {
      this.#tellEnd = resolve
    })
    seat.port.addEventListener('message', ({ data }) => this.push(data))
    seat.port.addEventListener('error', event => {
      const { message } = event as { message?: string }
      const error = new AttuneError(
        'internal',
        `The host’s engine failed${message ? `: ${message}` : ''}.`,
        'Draw again; if it happens again, report it.',
      )
      this.push({ type: 'error', error: error.toRecord() })
      void this.end()
    })
  }

  push(message: unknown): void {
    if (this.#isEnded) return
    const frame = encodeFrame(message)
    this.#waiting.push(frame)
    this.#waitingBytes += frame.byteLength
    if (this.#waitingBytes > waitingLimit) void this.end()
    this.#wake?.()
  }

  send(message: unknown): void {
    this.#sending = this.#sending.then(async () => {
      try {
        const whole = await this.#translate(message)
        if (!this.#isEnded) this.#seat.port.postMessage(whole, [])
      } catch (error) {
        const { id } = (message ?? {}) as { id?: unknown }
        this.push({ type: 'error', ...(typeof id === 'number' && { id }), error: toErrorRecord(error) })
      }
    })
  }

  /**
   * Only `open` and guides name places; what a page says of onnxruntime's own files is left out, since it would be run
   * here.
   */
  async #translate(message: unknown): Promise<unknown> {
    const type = (message as { type?: unknown } | null)?.type
    if (type === 'generate') return this.#withNets(message as object)
    if (type !== 'open') return message
    const { id, model, tokenizer } = message as { id?: unknown; model?: unknown; tokenizer?: unknown }
    return {
      type: 'open',
      id,
      model: await this.#folderOf(model),
      ...(tokenizer !== undefined && { tokenizer: await this.#folderOf(tokenizer) }),
    }
  }

  /** The networks of a run's guides by their places here; whatever is no list of them the engine refuses. */
  async #withNets(message: { readonly inputs?: unknown }): Promise<unknown> {
    const inputs = (message.inputs ?? {}) as { readonly guides?: { readonly nets?: unknown } }
    const nets = inputs.guides?.nets
    if (!Array.isArray(nets)) return message
    const placed = await Promise.all(
      nets.slice(0, netLimit).map(async (net: unknown) => {
        const { name, location } = (net ?? {}) as { name?: unknown; location?: unknown }
        return { name, location: await this.#netOf(location) }
      }),
    )
    return { ...message, inputs: { ...inputs, guides: { ...inputs.guides, nets: placed } } }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    for (;;) {
      const frame = this.#waiting.shift()
      if (frame) {
        this.#waitingBytes -= frame.byteLength
        return { done: false, value: frame }
      }
      if (this.#isEnded) return { done: true, value: undefined }
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
    }
  }

  /** Called when the answer is left. Not a generator's, which would first wait for the next message. */
  async return(): Promise<IteratorResult<Uint8Array>> {
    this.#waiting.length = 0
    await this.end()
    return { done: true, value: undefined }
  }

  async end(): Promise<void> {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#wake?.()
    await this.#seat.end()
    this.#tellEnd()
  }
}
