/** Taking the body of an answer without losing what came before its connection broke. */
import type { IncomingMessage } from 'node:http'

/** Bytes that may wait for the disk. */
const aheadLimit = 4 << 20

/**
 * Takes a body piece by piece, undefined at its end. Node's own iteration throws away what has arrived and was not yet
 * taken when the connection breaks; from a server that breaks often, nothing would ever come.
 */
export function readAhead(response: IncomingMessage): () => Promise<Uint8Array | undefined> {
  const waiting: Uint8Array[] = []
  let size = 0
  const end: { isReached: boolean; failure?: Error } = { isReached: false }
  let wake: (() => void) | undefined
  const over = (error?: Error) => {
    end.isReached = true
    if (error) end.failure ??= error
    wake?.()
  }
  response.on('data', (piece: Uint8Array) => {
    waiting.push(piece)
    size += piece.length
    if (size > aheadLimit) response.pause()
    wake?.()
  })
  response.once('end', () => over())
  response.on('error', over)
  response.once('close', () => over())
  return async () => {
    while (!waiting.length && !end.isReached) {
      await new Promise<void>(resolve => {
        wake = resolve
      })
    }
    const piece = waiting.shift()
    if (!piece && end.failure) throw end.failure
    size -= piece?.length ?? 0
    if (response.isPaused() && size < aheadLimit / 2) response.resume()
    return piece
  }
}
