/**
 * Sessions: whoever knows the token of this run gets a cookie that scripts cannot read. The token stands in the fragment
 * of the printed address, which browsers send to nobody.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

/** Bytes of tokens and cookies: 256 bits, where 128 would do. */
const secretBytes = 32
/** Browsers and profiles of one run; the oldest is forgotten. */
const sessionLimit = 64
const launchMilliseconds = 120_000

export class Sessions {
  /** Of this run. */
  readonly token = secret()
  readonly #cookieName: string
  /** Digests: what is compared takes the same time however much of it is right. */
  readonly #cookies = new Set<string>()
  readonly #launches = new Map<string, number>()
  readonly #now: () => number

  constructor(port: number, now: () => number = Date.now) {
    // Cookies do not know ports: two servers of one machine must not take each other's away.
    this.#cookieName = `attune-${port}`
    this.#now = now
  }

  /**
   * A token that works once, and soon: for the address that a browser is started with, which other users of the machine
   * can see among its arguments.
   */
  launchToken(): string {
    const token = secret()
    this.#launches.set(digest(token), this.#now() + launchMilliseconds)
    return token
  }

  /** @returns the value of Set-Cookie; undefined for a wrong token */
  exchange(token: unknown): string | undefined {
    if (typeof token !== 'string' || token.length > 200) return undefined
    const isOwn = timingSafeEqual(Buffer.from(digest(token)), Buffer.from(digest(this.token)))
    if (!isOwn && !this.#useLaunch(token)) return undefined
    const cookie = secret()
    this.#cookies.add(digest(cookie))
    const oldest = this.#cookies.values().next().value
    if (this.#cookies.size > sessionLimit && oldest !== undefined) this.#cookies.delete(oldest)
    return `${this.#cookieName}=${cookie}; HttpOnly; SameSite=Strict; Path=/`
  }

  #useLaunch(token: string): boolean {
    const key = digest(token)
    const until = this.#launches.get(key)
    this.#launches.delete(key)
    return until !== undefined && this.#now() < until
  }

  /** Whether a request's Cookie header holds a session of this run. */
  knows(header: string | undefined): boolean {
    for (const pair of header?.split(';', 100) ?? []) {
      const [name, value] = pair.trim().split('=', 2)
      if (name === this.#cookieName && value !== undefined && this.#cookies.has(digest(value))) return true
    }
    return false
  }
}

const secret = (): string => randomBytes(secretBytes).toString('base64url')

const digest = (text: string): string => createHash('sha256').update(text).digest('hex')
