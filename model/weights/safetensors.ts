/**
 * The safetensors container: its header is read and checked completely before any weight is.
 *
 * The checks and their order are those of huggingface/safetensors `safetensors/src/tensor.rs` (`read_metadata`, then
 * `Metadata::validate`), plus what the reference leaves out: duplicate keys, a limit on the number of tensors, and
 * a message that tells a pickle, a Git LFS pointer or a web page from a damaged file.
 */
import type { ByteSource } from '../contract/bytes.ts'
import { AttuneError } from '../contract/errors.ts'
import type { Shape } from '../tensor/shape.ts'
import { HeaderSyntaxError, scanHeader, type RawHeader, type RawTensorInfo } from './header-json.ts'
import { printable } from './printable.ts'

/** Bits per element of every dtype that the format knows. Attune computes with F32, F16 and BF16 only. */
export const safetensorsBits = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const

export type SafetensorsDType = keyof typeof safetensorsBits

export interface SafetensorsEntry {
  readonly dtype: SafetensorsDType
  readonly shape: Shape
  /** From the start of the file. Need not be aligned: only the reference's writer pads, files need not. */
  readonly byteOffset: number
  readonly byteLength: number
}

export interface SafetensorsHeader {
  /** In the header's order. */
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>
  readonly metadata: ReadonlyMap<string, string>
  /** Where the tensors' bytes begin: 8 + the header's length. */
  readonly dataOffset: number
}

/** Bytes; decimal, as in the reference. */
export const headerByteLimit = 100_000_000
export const tensorLimit = 1_000_000

const u64Limit = 1n << 64n

/**
 * Reads exactly `byteLength` bytes, and never asks a source for bytes that it does not have.
 * @param into receives the bytes where given; the result is then a view of it.
 * @throws AttuneError `bad-file`
 */
export async function readRange(
  source: ByteSource,
  offset: number,
  byteLength: number,
  into?: Uint8Array,
): Promise<Uint8Array> {
  if (offset < 0 || byteLength < 0 || offset + byteLength > source.byteLength) {
    throw new AttuneError(
      'bad-file',
      `${source.name}: bytes ${offset} to ${offset + byteLength} lie outside the file of ${source.byteLength} bytes.`,
      'The file is cut off: download it again.',
    )
  }
  const bytes = await source.read(offset, byteLength, into)
  if (bytes.byteLength !== byteLength) {
    throw new AttuneError(
      'bad-file',
      `${source.name} ended early: ${bytes.byteLength} of ${byteLength} bytes at ${offset}.`,
      'The file changed while it was read, or its drive is failing: try again, then download it again.',
    )
  }
  if (into && bytes.buffer !== into.buffer) {
    into.set(bytes)
    return into.subarray(0, byteLength)
  }
  return bytes
}

/**
 * Reads and checks the header of a safetensors file. Nothing of the size that a file claims is allocated before the
 * claim has been compared with the file's real length.
 * @throws AttuneError `bad-file` that names the file, the reason and what to do.
 */
export async function readSafetensorsHeader(source: ByteSource): Promise<SafetensorsHeader> {
  const size = source.byteLength
  const start = await readRange(source, 0, Math.min(size, 256))
  // Only a file whose first eight bytes are no length is sniffed: no safetensors file is ever taken for something else.
  const refuse = (why: string): never => {
    throw impostor(source.name, start) ?? damaged(source.name, why)
  }
  if (size === 0) throw damaged(source.name, 'it is empty')
  if (size < 8) return refuse(`it has ${size} bytes, and the length of its header alone takes 8`)
  const claimed = new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true)
  if (claimed > BigInt(headerByteLimit)) {
    return refuse(
      `its header claims ${claimed.toLocaleString('en-US')} bytes, and the format allows ${headerByteLimit.toLocaleString('en-US')}`,
    )
  }
  const headerLength = Number(claimed)
  if (8 + headerLength > size) {
    return refuse(`its header claims ${headerLength} bytes, but the file ends after ${size - 8} more`)
  }
  const header = await readRange(source, 8, headerLength)
  let raw: RawHeader
  try {
    // Without `ignoreBOM` the decoder would silently swallow a byte order mark.
    raw = scanHeader(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(header), tensorLimit)
  } catch (error) {
    if (error instanceof HeaderSyntaxError) throw damaged(source.name, error.message)
    throw damaged(source.name, 'its header is not UTF-8 text')
  }
  const dataOffset = 8 + headerLength
  const end = checkLayout(source.name, raw.tensors)
  if (dataOffset + end > size) {
    throw new AttuneError(
      'bad-file',
      `${source.name} is cut off: it has ${size.toLocaleString('en-US')} of ${(dataOffset + end).toLocaleString('en-US')} bytes.`,
      'Download the file again.',
    )
  }
  if (dataOffset + end < size) {
    throw damaged(source.name, `${size - dataOffset - end} bytes follow the last tensor`)
  }
  const tensors = new Map<string, SafetensorsEntry>()
  for (const [name, { dtype, shape, begin, end: stop }] of raw.tensors) {
    tensors.set(name, {
      dtype: dtype as SafetensorsDType,
      shape,
      byteOffset: dataOffset + begin,
      byteLength: stop - begin,
    })
  }
  return { tensors, metadata: raw.metadata, dataOffset }
}

/**
 * Checks that the tensors cover the data without gap or overlap, each as long as its dtype and shape say.
 * @returns the end of the last tensor, in bytes from the data's start.
 */
function checkLayout(fileName: string, tensors: ReadonlyMap<string, RawTensorInfo>): number {
  const ordered = [...tensors].toSorted(([, a], [, b]) => a.begin - b.begin || a.end - b.end)
  let previousEnd = 0
  let previousName = ''
  for (const [name, { dtype, shape, begin, end }] of ordered) {
    if (begin !== previousEnd) {
      const before = previousName
        ? `${printable(previousName)}, which ends at ${previousEnd}`
        : "the data's start"
      throw damaged(
        fileName,
        `${place(name, begin, end)} ${begin < previousEnd ? 'overlaps' : 'leaves a gap after'} ${before}`,
      )
    }
    if (end < begin) throw damaged(fileName, `${place(name, begin, end)} ends before it begins`)
    if (!Object.hasOwn(safetensorsBits, dtype)) {
      throw new AttuneError(
        'bad-file',
        `${fileName}: ${printable(name)} has the dtype ${printable(dtype, 32)}, which is not a safetensors dtype that Attune knows.`,
        'Convert the model to F32, F16 or BF16.',
      )
    }
    const bits = exactBits(shape, safetensorsBits[dtype as SafetensorsDType])
    if (bits === undefined)
      throw damaged(fileName, `the shape of ${place(name, begin, end)}, [${shape.join(', ')}], overflows`)
    if (bits % 8n !== 0n)
      throw damaged(fileName, `${place(name, begin, end)} does not fill whole bytes (${bits} bits)`)
    if (BigInt(end - begin) !== bits / 8n) {
      throw damaged(
        fileName,
        `${place(name, begin, end)} holds ${end - begin} bytes, but ${dtype} [${shape.join(', ')}] takes ${bits / 8n}`,
      )
    }
    previousEnd = end
    previousName = name
  }
  return previousEnd
}

function place(name: string, begin: number, end: number): string {
  return `${printable(name)} (bytes ${begin} to ${end})`
}

/** The number of bits of a tensor, or undefined when a product on the way exceeds 64 bits, as in the reference. */
function exactBits(shape: Shape, bitsPerElement: number): bigint | undefined {
  let count = 1
  for (const axis of shape) count *= axis
  // The product of the nonzero axes bounds every partial product; doubles are exact up to 2^53.
  let bound = bitsPerElement
  for (const axis of shape) bound *= Math.max(axis, 1)
  if (Number.isSafeInteger(bound)) return BigInt(count * bitsPerElement)
  let exact = 1n
  for (const axis of shape) {
    exact *= BigInt(axis)
    if (exact >= u64Limit) return undefined
  }
  exact *= BigInt(bitsPerElement)
  return exact >= u64Limit ? undefined : exact
}

function damaged(fileName: string, why: string): AttuneError {
  return new AttuneError(
    'bad-file',
    `${fileName} is not a valid safetensors file: ${why}.`,
    'Download the file again from a source that you trust.',
  )
}

/** Says what a file really is when it only pretends to be safetensors. */
function impostor(fileName: string, start: Uint8Array): AttuneError | undefined {
  const text = String.fromCharCode(...start.subarray(0, 64))
  const isZip = text.startsWith('PK\u0003\u0004')
  const isPickle = start[0] === 0x80 && (start[1] ?? 0) >= 2 && (start[1] ?? 0) <= 5
  // Four zeros: a length after all, of a safetensors file that was cut off.
  if (!isZip && text.slice(4, 8) === '\u0000\u0000\u0000\u0000') return undefined
  if (isZip || isPickle) {
    return new AttuneError(
      'bad-file',
      `${fileName} is a pickle checkpoint, not safetensors. A pickle can run code, so Attune never opens one.`,
      'Get the .safetensors version of this model, or convert it with https://huggingface.co/spaces/safetensors/convert.',
    )
  }
  if (text.startsWith('version https://git-lfs')) {
    return new AttuneError(
      'bad-file',
      `${fileName} is a Git LFS pointer, not a model: only its address was downloaded.`,
      'Run `git lfs pull` in the model folder, or download the file itself.',
    )
  }
  const trimmed = text.replace(/^\u00ef\u00bb\u00bf/, '').trimStart()
  if (/^<(?:!doctype|html|head|body|\?xml|!--)/i.test(trimmed)) {
    return new AttuneError(
      'bad-file',
      `${fileName} is a web page, not a model: the server sent an error or a login page.`,
      'Open its address in a browser, sign in where it asks, and download the file again.',
    )
  }
  if (/^[{[]/.test(trimmed)) {
    return new AttuneError(
      'bad-file',
      `${fileName} is a JSON text, not a model.`,
      'Choose the .safetensors file that belongs to it; an index (.safetensors.index.json) only lists such files.',
    )
  }
  if (text.startsWith('GGUF')) {
    return new AttuneError(
      'bad-file',
      `${fileName} is a GGUF file, not safetensors.`,
      'Get the .safetensors version.',
    )
  }
  return undefined
}
