import type { ByteSource } from '../../model/contract/bytes.ts'

export const text = (value: unknown) => JSON.stringify(value)

/** A file with this header text, a length prefix (true unless given) and `dataBytes` zero bytes. */
export function headerFile(header: string | Uint8Array, dataBytes: number, claimed?: bigint): Uint8Array {
  const bytes = typeof header === 'string' ? new TextEncoder().encode(header) : header
  const file = new Uint8Array(8 + bytes.length + dataBytes)
  new DataView(file.buffer).setBigUint64(0, claimed ?? BigInt(bytes.length), true)
  file.set(bytes, 8)
  return file
}

/** A source that fails the test when it is read outside its bytes, and that counts what is read. */
export function guardedSource(name: string, bytes: Uint8Array): ByteSource & { largestRead: number } {
  const source = {
    name,
    byteLength: bytes.byteLength,
    largestRead: 0,
    read(offset: number, byteLength: number, into?: Uint8Array): Promise<Uint8Array> {
      if (!Number.isInteger(offset) || !Number.isInteger(byteLength))
        throw new Error('a fractional range was read')
      if (offset < 0 || byteLength < 0 || offset + byteLength > bytes.byteLength) {
        throw new Error(`read outside the source: ${offset} + ${byteLength} of ${bytes.byteLength}`)
      }
      source.largestRead = Math.max(source.largestRead, byteLength)
      const view = bytes.subarray(offset, offset + byteLength)
      if (!into) return Promise.resolve(view)
      into.set(view)
      return Promise.resolve(into.subarray(0, byteLength))
    },
  }
  return source
}

/** A small generator of reproducible numbers (mulberry32): uniform integers below `limit`. */
export function seeded(seed: number): (limit: number) => number {
  let state = seed >>> 0
  return limit => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }
}
