/**
 * A ZIP archive whose members are stored, not deflated: what an .npz is. Equal members give equal bytes (every
 * member carries the date 1980-01-01, as NumPy writes it).
 *
 * Format: PKWARE APPNOTE 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16. Without ZIP64, hence the limits.
 */
import { AttuneError, invariant } from '../../model/contract/errors.ts'

export interface ZipMember {
  /** Within the archive, with forward slashes. */
  readonly name: string
  readonly data: Uint8Array
}

/** Without ZIP64 an archive counts its members in 16 bits and its bytes in 32. */
const memberLimit = 65_535
const byteLimit = 2 ** 32 - 1

const table = Uint32Array.from({ length: 256 }, (_, at) => {
  let value = at
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1
  return value
})

/** The CRC-32 of ZIP, PNG and gzip (reflected, 0xEDB88320). Node's own came after the oldest Node that is served. */
export function crc32(data: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of data) crc = (crc >>> 8) ^ (table[(crc ^ byte) & 255] as number)
  return (crc ^ 0xffffffff) >>> 0
}

/**
 * @throws AttuneError `unsupported` when the archive would need ZIP64; `internal` for two members of one name
 */
export function writeZip(members: readonly ZipMember[]): Uint8Array {
  invariant(new Set(members.map(member => member.name)).size === members.length, 'two members of one name')
  const entries = members.map(({ name, data }) => ({
    name: new TextEncoder().encode(name),
    data,
    crc: crc32(data),
  }))
  const localSize = entries.reduce((sum, { name, data }) => sum + 30 + name.length + data.length, 0)
  const directorySize = entries.reduce((sum, { name }) => sum + 46 + name.length, 0)
  const size = localSize + directorySize + 22
  if (entries.length > memberLimit || size > byteLimit) {
    throw new AttuneError(
      'unsupported',
      `${entries.length} maps of ${size} bytes do not fit into one .npz.`,
      'Choose fewer words, layers or heads, or the format npy.',
    )
  }
  const file = new Uint8Array(size)
  const view = new DataView(file.buffer)
  let local = 0
  let directory = localSize
  for (const { name, data, crc } of entries) {
    view.setUint32(local, 0x04034b50, true)
    writeFields(view, local + 4, name.length, data.length, crc)
    file.set(name, local + 30)
    file.set(data, local + 30 + name.length)
    view.setUint32(directory, 0x02014b50, true)
    view.setUint16(directory + 4, 20, true) // version made by
    writeFields(view, directory + 6, name.length, data.length, crc)
    view.setUint32(directory + 42, local, true)
    file.set(name, directory + 46)
    local += 30 + name.length + data.length
    directory += 46 + name.length
  }
  view.setUint32(directory, 0x06054b50, true)
  view.setUint16(directory + 8, entries.length, true)
  view.setUint16(directory + 10, entries.length, true)
  view.setUint32(directory + 12, directorySize, true)
  view.setUint32(directory + 16, localSize, true)
  return file
}

/** The fields that the local header and the directory share, from "version needed" on. */
function writeFields(view: DataView, at: number, nameLength: number, size: number, crc: number): void {
  view.setUint16(at, 20, true)
  view.setUint16(at + 2, 0x0800, true) // names are UTF-8
  view.setUint16(at + 4, 0, true) // stored
  view.setUint16(at + 6, 0, true) // 00:00:00
  view.setUint16(at + 8, 0x21, true) // 1980-01-01
  view.setUint32(at + 10, crc, true)
  view.setUint32(at + 14, size, true)
  view.setUint32(at + 18, size, true)
  view.setUint16(at + 22, nameLength, true)
}
