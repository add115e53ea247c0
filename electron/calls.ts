/** Answers one question of a page: the method's name, its parameters and its result are checked, and every error crosses as a record. */
import { AttuneError, type ErrorRecord } from '../model/contract/errors.ts'
import { type HostApi, type HostMethod, hostMethods, type HostParams } from '../model/contract/host-api.ts'
import type { HostReply } from '../model/contract/bridge.ts'

const reportFault = 'This is a fault in Attune: please report it.'

/** How many questions may be open, and how many may come in a second: a page in a loop must not fill the memory. */
export const callLimits = { open: 256, perSecond: 2000 } as const

/** Counts a page's questions. */
export class CallCounter {
  #open = 0
  #second = Number.NEGATIVE_INFINITY
  #inSecond = 0
  readonly #now: () => number

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** @returns false when there are too many; else `leave` must follow */
  enter(): boolean {
    const now = this.#now()
    if (now - this.#second >= 1000) {
      this.#second = now
      this.#inSecond = 0
    }
    if (this.#open >= callLimits.open || this.#inSecond >= callLimits.perSecond) return false
    this.#open++
    this.#inSecond++
    return true
  }

  leave(): void {
    this.#open--
  }
}

/** Asks the host in a page's name. Never throws. */
export async function answerCall(
  api: HostApi,
  counter: CallCounter,
  method: unknown,
  params: unknown,
): Promise<HostReply> {
  if (!counter.enter()) {
    return refuse('bad-argument', 'The window asks more than the program can answer.', 'Wait a moment.')
  }
  try {
    // Own names only: `constructor` and `__proto__` are no methods.
    if (typeof method !== 'string' || !Object.hasOwn(hostMethods, method)) {
      return refuse('bad-argument', 'The window asked for something that does not exist.', reportFault)
    }
    const name = method as HostMethod
    const asked = hostMethods[name].params.safeParse(params ?? {})
    if (!asked.success) {
      const issue = asked.error.issues[0]
      const where = issue?.path.length ? ` at ${issue.path.join('.')}` : ''
      return refuse('bad-argument', `${name}: ${issue?.message ?? 'wrong parameters'}${where}.`, reportFault)
    }
    const answer = await api.call(name, asked.data as HostParams<typeof name>)
    const checked = hostMethods[name].result.safeParse(answer)
    if (!checked.success) {
      const issue = checked.error.issues[0]
      return refuse(
        'internal',
        `${name} answered wrongly: ${issue?.path.join('.')} ${issue?.message}`,
        reportFault,
      )
    }
    return { ok: true, value: checked.data }
  } catch (error) {
    return { ok: false, error: errorRecord(error) }
  } finally {
    counter.leave()
  }
}

/** What a page is told of an error; of unexpected ones the message only, never a stack with paths. */
export function errorRecord(error: unknown): ErrorRecord {
  if (error instanceof AttuneError) return error.toRecord()
  // An AttuneError of another bundle (the host's worker) is one by its shape.
  const shape = error as { name?: unknown; toRecord?: unknown } | null | undefined
  if (shape?.name === 'AttuneError' && typeof shape.toRecord === 'function') {
    return (shape.toRecord as () => ErrorRecord)()
  }
  const message = error instanceof Error ? error.message : String(error)
  return { code: 'internal', message: message.slice(0, 2000), remedy: reportFault }
}

function refuse(code: ErrorRecord['code'], message: string, remedy: string): HostReply {
  return { ok: false, error: { code, message, remedy } }
}
