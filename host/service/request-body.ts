/** The body of a web Request, as shells with a protocol of their own get it. */
import { AttuneError } from '../../model/contract/errors.ts'

/** @throws AttuneError `bad-argument` when it is larger than `limit` */
export async function readRequestBody(request: Request, limit: number): Promise<Uint8Array<ArrayBuffer>> {
  const reader = request.body?.getReader() as ReadableStreamDefaultReader<Uint8Array> | undefined
  const pieces: Uint8Array[] = []
  let length = 0
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true, value: undefined }
    if (done) break
    length += value.byteLength
    if (length > limit) {
      await reader?.cancel()
      throw new AttuneError(
        'bad-argument',
        `What was sent is larger than the ${limit} bytes that are taken.`,
        'Send less.',
      )
    }
    pieces.push(value)
  }
  const bytes = new Uint8Array(length)
  let at = 0
  for (const piece of pieces) {
    bytes.set(piece, at)
    at += piece.byteLength
  }
  return bytes
}
