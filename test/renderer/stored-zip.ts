/** Reads a ZIP of stored members by its directory, as any unpacker would: our writer is not trusted to read itself. */

/** @returns name → bytes */
export function readStoredZip(bytes: Uint8Array): Map<string, Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let end = bytes.length - 22
  while (end >= 0 && view.getUint32(end, true) !== 0x06054b50) end--
  if (end < 0) throw new Error('no end of a directory')
  const members = new Map<string, Uint8Array>()
  let at = view.getUint32(end + 16, true)
  for (let left = view.getUint16(end + 10, true); left > 0; left--) {
    if (view.getUint32(at, true) !== 0x02014b50) throw new Error('no entry of a directory')
    if (view.getUint16(at + 10, true) !== 0) throw new Error('not stored')
    const size = view.getUint32(at + 20, true)
    const [name, extra, comment] = [28, 30, 32].map(field => view.getUint16(at + field, true)) as [
      number,
      number,
      number,
    ]
    const local = view.getUint32(at + 42, true)
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true)
    members.set(
      new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + name)),
      bytes.slice(start, start + size),
    )
    at += 46 + name + extra + comment
  }
  return members
}
