/**
 * The way out: asks while something is being drawn, then lets the host finish its writing, then really quits. It
 * goes one way only and never twice; no Electron here, so that the order is tested without it.
 */

export interface QuitActions {
  /** How many pictures would be lost or put off; 0 when nothing is drawn. */
  drawing(): Promise<number>
  /** @returns whether the person wants to quit all the same */
  ask(count: number): Promise<boolean>
  /** Writes what must be written and closes files. */
  finish(): Promise<void>
  /** Quits; `mayQuit` is true from now on. */
  quit(): void
}

/** How long writing may take before the program ends without it: the system would end it less politely. */
export const finishMilliseconds = 15_000

export class QuitGuard {
  #state: 'open' | 'asking' | 'finishing' | 'done' = 'open'
  readonly #actions: QuitActions
  readonly #patience: number

  constructor(actions: QuitActions, patience: number = finishMilliseconds) {
    this.#actions = actions
    this.#patience = patience
  }

  /** Whether everything is done, so that windows may close and the program may end. */
  get mayQuit(): boolean {
    return this.#state === 'done'
  }

  /** Of `before-quit` and of a closing window: holds it back until everything is done. */
  hold(event: { preventDefault(): void }): void {
    if (this.mayQuit) return
    event.preventDefault()
    void this.request()
  }

  /** @returns whether the program quits */
  async request(): Promise<boolean> {
    // A second click while the question is open must not ask a second one.
    if (this.#state !== 'open') return false
    this.#state = 'asking'
    let go = true
    try {
      const count = await this.#actions.drawing()
      if (count > 0) go = await this.#actions.ask(count)
    } catch (error) {
      // A host that does not answer must not keep the program open for ever.
      console.warn('the queue could not be looked at:', error)
    }
    if (!go) {
      this.#state = 'open'
      return false
    }
    await this.force()
    return true
  }

  /** Quits without asking. */
  async force(): Promise<void> {
    if (this.#state === 'finishing' || this.#state === 'done') return
    this.#state = 'finishing'
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>(resolve => {
      timer = setTimeout(() => {
        console.warn(`quitting without what was still being written after ${this.#patience} ms`)
        resolve()
      }, this.#patience)
    })
    await Promise.race([
      this.#actions.finish().catch((error: unknown) => console.warn('while closing:', error)),
      late,
    ])
    clearTimeout(timer)
    this.#state = 'done'
    this.#actions.quit()
  }
}
