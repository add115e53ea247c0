/**
 * Pictures that this window is drawing, noted where they outlive it: a window that is killed in the middle of a run
 * leaves them behind, and the next one puts them into the queue, paused. A note goes when its picture is saved, or
 * when the person stopped the run.
 *
 * Which notes belong to a window that still lives is told by a lock that each window holds for its life: the browser
 * lets it go when the window ends, however that happens.
 */
import { z } from 'zod'
import { type QueuedRequest, queuedRequestSchema } from '../../model/contract/host-api.ts'

const noteSchema = z.object({
  window: z.string(),
  model: z.string().nullable(),
  requests: z.array(queuedRequestSchema).max(1000),
})
type Note = z.infer<typeof noteSchema>

const prefix = 'attune-unfinished-'
const lockPrefix = 'attune-window-'
const self: string = crypto.randomUUID()
let notes = 0

/** Holds this window's lock until it ends. */
export function liveHere(): void {
  void navigator.locks.request(lockPrefix + self, () => new Promise(() => undefined)).catch(() => undefined)
}

/** What is noted of one run. */
export class RunNote {
  readonly #key = `${prefix}${self}-${++notes}`
  readonly #model: string | null
  readonly #left: (QueuedRequest | undefined)[]

  constructor(requests: readonly QueuedRequest[], model: string | null) {
    this.#model = model
    this.#left = [...requests]
    this.#write()
  }

  /** The picture is saved. */
  saved(index: number): void {
    this.#left[index] = undefined
    this.#write()
  }

  /** The run ended by itself or by the person: this picture and those behind it are not wanted any more. */
  ended(index: number): void {
    this.#left.length = Math.min(this.#left.length, index)
    this.#write()
  }

  #write(): void {
    const requests = this.#left.filter(each => each !== undefined)
    const note: Note = { window: self, model: this.#model, requests: requests as Note['requests'] }
    try {
      if (requests.length === 0) localStorage.removeItem(this.#key)
      else localStorage.setItem(this.#key, JSON.stringify(note))
    } catch {
      // No room, or storage is switched off: then a crash costs the run, as it did.
    }
  }
}

/**
 * Hands over what windows left behind that are no more.
 * @param take keeps the requests somewhere; where it throws, the note stays for the next start
 */
export async function recoverUnfinished(
  take: (requests: readonly QueuedRequest[], model: string | null) => Promise<void>,
): Promise<void> {
  // One window at a time, so that no picture comes back twice.
  await navigator.locks.request('attune-recovery', async () => {
    const { held = [] } = await navigator.locks.query()
    const living = new Set(held.map(({ name }) => name))
    const keys = Object.keys(localStorage).filter(key => key.startsWith(prefix))
    for (const key of keys) {
      const note = read(key)
      if (note && living.has(lockPrefix + note.window)) continue
      if (note && note.requests.length > 0) await take(note.requests, note.model)
      localStorage.removeItem(key)
    }
  })
}

function read(key: string): Note | undefined {
  try {
    return noteSchema.safeParse(JSON.parse(localStorage.getItem(key) ?? '')).data
  } catch {
    return undefined
  }
}
