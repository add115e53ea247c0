/**
 * The one place that answers pages: every message is taken only from the main frame of one of our windows, showing our
 * own page; everything else is refused without a word about why.
 */
import { ipcMain, type IpcMainInvokeEvent, type WebContents } from 'electron'
import { type HostEvent, hostEventSchema } from '../model/contract/host-api.ts'
import { answerCall, CallCounter } from './calls.ts'
import type { HostReply } from '../model/contract/bridge.ts'
import { channels } from './channels.ts'
import type { HostPort } from './host-port.ts'
import { isAppPage } from './policy.ts'

/** Events that are kept for a page which does not listen yet. */
const keptEvents = 64

/** Why a message is not answered, for the log; undefined when it is. */
export function senderProblem(event: IpcMainInvokeEvent): string | undefined {
  const frame = event.senderFrame
  // The frame went elsewhere or died in the meantime: whoever asked is not there any more.
  if (frame === null) return 'its frame is gone'
  if (frame.parent !== null) return 'it is a subframe'
  if (!isAppPage(frame.url)) return 'it is a foreign page'
  return undefined
}

/** Connects windows with a host. */
export class HostIpc {
  readonly #windows = new Map<WebContents, { counter: CallCounter; listening: boolean; kept: HostEvent[] }>()
  readonly #host: () => Promise<HostPort>
  readonly #warn: (message: string) => void

  constructor(host: () => Promise<HostPort>, warn: (message: string) => void) {
    this.#host = host
    this.#warn = warn
    this.#handle(channels.call, async (contents, method, params): Promise<HostReply> => {
      const counter = this.#windows.get(contents)?.counter ?? new CallCounter()
      const { api } = await this.#host()
      return await answerCall(api, counter, method, params)
    })
    this.#handle(channels.listening, contents => {
      const window = this.#windows.get(contents)
      if (!window) return
      window.listening = true
      for (const event of window.kept.splice(0)) contents.send(channels.event, event)
    })
  }

  /** Takes a window in: it may ask, and it is told of events. */
  add(contents: WebContents): void {
    this.#windows.set(contents, { counter: new CallCounter(), listening: false, kept: [] })
    // A page that loads again listens again; until then its events are kept.
    const deaf = () => {
      const window = this.#windows.get(contents)
      if (window) window.listening = false
    }
    contents.on('did-start-loading', deaf)
    contents.on('render-process-gone', deaf)
    contents.once('destroyed', () => this.#windows.delete(contents))
  }

  /** Tells every window. What does not fit the contract is not sent. */
  send(event: HostEvent): void {
    const checked = hostEventSchema.safeParse(event)
    if (!checked.success) {
      this.#warn(`an event was not sent: ${checked.error.issues[0]?.message}`)
      return
    }
    for (const [contents, window] of this.#windows) {
      if (contents.isDestroyed()) continue
      if (window.listening) contents.send(channels.event, checked.data)
      else if (window.kept.length < keptEvents) window.kept.push(checked.data)
    }
  }

  #handle(channel: string, answer: (contents: WebContents, ...values: unknown[]) => unknown): void {
    ipcMain.handle(channel, async (event, ...values: unknown[]) => {
      const problem = this.#windows.has(event.sender) ? senderProblem(event) : 'it is no window of ours'
      if (problem !== undefined) {
        this.#warn(`a message was refused: ${problem}`)
        throw new Error('refused')
      }
      return await answer(event.sender, ...values)
    })
  }
}
