/** Bodies of requests: as large as they may be for their purpose, and all together no more than the machine bears. */
import type { IncomingMessage } from 'node:http'
import { AttuneError } from '../../model/contract/errors.ts'

/** A body that is not taken; the connection ends with the answer. */
export class BodyError extends AttuneError {
  readonly status: number

  constructor(status: number, message: string, remedy?: string) {
    super('bad-argument', message, remedy)
    this.status = status
  }
}

export class Bodies {
  readonly #limit: number
  #held = 0

  /** @param limit bytes of all bodies that are being read */
  constructor(limit: number) {
    this.#limit = limit
  }

  /**
   * Reads a whole body.
   * @throws BodyError when it is too large, at once where its length is told
   */
  async read(request: IncomingMessage, limit: number): Promise<Uint8Array> {
    const told = request.headers['content-length']
    const length = told === undefined ? undefined : Number(told)
    if (length !== undefined && length > limit) throw tooLarge(limit)
    const pieces: Uint8Array[] = []
    let read = 0
    try {
      for await (const piece of request as AsyncIterable<Uint8Array>) {
        read += piece.byteLength
        this.#held += piece.byteLength
        if (read > limit) throw tooLarge(limit)
        // Counted as it comes: a length that is only claimed takes nothing from others.
        if (this.#held > this.#limit) {
          throw new BodyError(503, 'Too much is being sent at once.', 'Try again when it has arrived.')
        }
        pieces.push(piece)
      }
    } finally {
      this.#held -= read
    }
    const bytes = new Uint8Array(read)
    let at = 0
    for (const piece of pieces) {
      bytes.set(piece, at)
      at += piece.byteLength
    }
    return bytes
  }
}

const tooLarge = (limit: number): BodyError =>
  new BodyError(413, `What was sent is larger than the ${limit} bytes that are taken.`, 'Send less.')
