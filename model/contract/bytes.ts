/**
 * A source of bytes that is read by ranges: a file in Node, an HTTP or `app://` resource in a page, memory in a test.
 * Weights are gigabytes, so nobody reads a source whole.
 */
export interface ByteSource {
  /** For messages: the file's name or address as the person knows it. */
  readonly name: string
  readonly byteLength: number
  /**
   * Reads `byteLength` bytes from `offset`.
   * @param into optional buffer that receives the bytes (its first `byteLength` bytes); saves an allocation.
   * @returns exactly `byteLength` bytes (a view of `into` where given).
   * @throws AttuneError `bad-file` when the range is outside the source or the source ends early.
   */
  read(offset: number, byteLength: number, into?: Uint8Array): Promise<Uint8Array>
}

/** A `ByteSource` over memory. */
export function memorySource(name: string, given: Uint8Array): ByteSource {
  // A plain view, whatever came: Node's Buffer is a Uint8Array whose `slice` does not copy.
  const bytes = new Uint8Array(given.buffer, given.byteOffset, given.byteLength)
  return {
    name,
    byteLength: bytes.byteLength,
    read(offset, byteLength, into) {
      const view = bytes.subarray(offset, offset + byteLength)
      if (!into) return Promise.resolve(view)
      into.set(view)
      return Promise.resolve(into.subarray(0, byteLength))
    },
  }
}
