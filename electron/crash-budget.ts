/**
 * How often something may crash before trying again is a loop, and the marker by which the next start knows that the
 * graphics process kept crashing. No Electron here.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'

export class CrashBudget {
  readonly #times: number[] = []
  readonly #most: number
  readonly #milliseconds: number
  readonly #now: () => number

  /** @param most crashes within the time that are forgiven */
  constructor(most: number, milliseconds: number, now: () => number = () => performance.now()) {
    this.#most = most
    this.#milliseconds = milliseconds
    this.#now = now
  }

  /** Counts a crash. @returns whether to try again */
  crashed(): boolean {
    const now = this.#now()
    this.#times.push(now)
    while (this.#times[0] !== undefined && now - this.#times[0] > this.#milliseconds) this.#times.shift()
    return this.#times.length <= this.#most
  }

  /** The person decided to try again. */
  forgive(): void {
    this.#times.length = 0
  }
}

/** Without graphics hardware until the program or Electron changes: either may bring the cure. */
export class SafeModeMarker {
  readonly #path: string
  readonly #build: string

  constructor(path: string, build: string) {
    this.#path = path
    this.#build = build
  }

  /** Synchronous: it is read before the graphics process starts, and written when the program is about to end. */
  isSet(): boolean {
    try {
      if (readFileSync(this.#path, 'utf8') === this.#build) return true
    } catch {
      return false
    }
    this.clear()
    return false
  }

  set(): void {
    try {
      writeFileSync(this.#path, this.#build)
    } catch (error) {
      console.warn('the safe mode could not be kept:', error)
    }
  }

  clear(): void {
    if (existsSync(this.#path)) rmSync(this.#path, { force: true })
  }
}
