/**
 * Text chunks of PNG files: tEXt, zTXt and iTXt, read and inserted without touching the pixels. Works over bytes
 * in memory, in Node and in a page. Pictures come from strangers, so every length is checked against what is
 * there and against a cap, and nothing inflates past it.
 */
import { AttuneError } from '../contract/errors.ts'

export interface PngText {
  /** 1 to 79 Latin-1 characters. */
  readonly keyword: string
  readonly text: string
}

export interface PngTextFound extends PngText {
  readonly chunk: 'tEXt' | 'zTXt' | 'iTXt'
}

export interface PngTextResult {
  readonly entries: PngTextFound[]
  /** What was there but not read, in words that can be shown. */
  readonly skipped: string[]
}

/** Pillow's caps: 1 MiB for one text, 64 MiB for all; and a number of text chunks that no honest picture has. */
export const pngTextLimits = { textBytes: 1 << 20, totalBytes: 64 << 20, chunks: 2_000 } as const

/**
 * Inflates zlib data.
 * @param limit bytes after which to stop
 * @returns the bytes, or undefined when they are more than `limit`
 */
export type Inflate = (data: Uint8Array, limit: number) => Promise<Uint8Array | undefined>

const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)

interface Chunk {
  readonly type: string
  /** Offset of the length field. */
  readonly start: number
  /** Offset after the CRC. */
  readonly end: number
  readonly data: Uint8Array
}

export interface PngHeader {
  readonly width: number
  readonly height: number
  readonly bitDepth: number
  readonly colorType: number
}

export function isPng(bytes: Uint8Array): boolean {
  return bytes.length >= signature.length && signature.every((byte, i) => bytes[i] === byte)
}

/** Width, height and pixel format from the first chunk; needs the first 29 bytes only. */
export function readPngHeader(bytes: Uint8Array): PngHeader {
  const view = viewOf(bytes)
  if (!isPng(bytes) || bytes.length < 29 || latin1(bytes.subarray(12, 16)) !== 'IHDR') throw notPng()
  const header = {
    width: view.getUint32(16),
    height: view.getUint32(20),
    bitDepth: view.getUint8(24),
    colorType: view.getUint8(25),
  }
  if (!header.width || !header.height || header.width > 0x7fffffff || header.height > 0x7fffffff)
    throw notPng()
  return header
}

/**
 * Inserts texts after the header, where Pillow puts them and where readers that stop at the pixels find them.
 * Existing texts with the same keywords are replaced, all other chunks stay byte for byte.
 */
export function insertPngText(png: Uint8Array, texts: readonly PngText[]): Uint8Array {
  const replaced = new Set(texts.map(text => text.keyword))
  const parts: Uint8Array[] = [signature]
  let sawHeader = false
  let sawEnd = false
  for (const chunk of chunksOf(png)) {
    const isText = chunk.type === 'tEXt' || chunk.type === 'zTXt' || chunk.type === 'iTXt'
    if (isText && replaced.has(keywordOf(chunk.data)?.keyword ?? '')) continue
    parts.push(png.subarray(chunk.start, chunk.end))
    if (chunk.type === 'IHDR' && !sawHeader) {
      sawHeader = true
      for (const text of texts) parts.push(encodeText(text))
    }
    sawEnd = chunk.type === 'IEND'
  }
  if (!sawHeader) throw notPng()
  // Writing into a torn picture would make it look whole.
  if (!sawEnd) throw truncated()
  return concat(parts)
}

/**
 * Pillow's rule: text that fits Latin-1 becomes tEXt, other text becomes uncompressed iTXt in UTF-8. A NUL cannot
 * be held by either (it ends the keyword) and becomes U+FFFD.
 */
function encodeText({ keyword, text }: PngText): Uint8Array {
  if (!/^[\x20-\x7e\xa1-\xff]{1,79}$/.test(keyword) || /^ | $| {2}/.test(keyword)) {
    throw new AttuneError(
      'internal',
      `"${keyword}" cannot be a PNG keyword.`,
      'A keyword has 1 to 79 Latin-1 characters and no leading, trailing or double spaces.',
    )
  }
  const clean = text.replaceAll('\0', '\uFFFD')
  const fitsLatin1 = !/[^\x00-\xff]/.test(clean) // oxlint-disable-line no-control-regex -- the whole Latin-1 range
  if (fitsLatin1) return makeChunk('tEXt', concat([toLatin1(keyword), Uint8Array.of(0), toLatin1(clean)]))
  // Keyword, NUL, compression flag, method, language (empty) NUL, translated keyword (empty) NUL, text.
  return makeChunk(
    'iTXt',
    concat([toLatin1(keyword), Uint8Array.of(0, 0, 0, 0, 0), new TextEncoder().encode(clean)]),
  )
}

/**
 * Reads every text of a PNG. What is damaged or too large is skipped and named; a truncated file gives what came
 * before the end.
 * @throws AttuneError `bad-file` only when the bytes are not a PNG at all
 */
export async function readPngText(
  png: Uint8Array,
  inflate: Inflate = inflateWithStream,
): Promise<PngTextResult> {
  readPngHeader(png)
  const entries: PngTextFound[] = []
  const skipped: string[] = []
  let seen = 0
  let total = 0
  try {
    for (const chunk of chunksOf(png)) {
      if (chunk.type !== 'tEXt' && chunk.type !== 'zTXt' && chunk.type !== 'iTXt') continue
      if (++seen > pngTextLimits.chunks) {
        skipped.push(`more than ${pngTextLimits.chunks} texts; the rest was not read`)
        break
      }
      const limit = Math.min(pngTextLimits.textBytes, pngTextLimits.totalBytes - total)
      const found = crcFits(png, chunk) ? await decodeText(chunk, inflate, limit) : 'its checksum is wrong'
      if (typeof found === 'string') skipped.push(`a text (${chunk.type}) was skipped: ${found}`)
      else {
        total += found.bytes
        entries.push({ chunk: chunk.type, keyword: found.keyword, text: found.text })
      }
    }
  } catch (error) {
    if (!(error instanceof AttuneError)) throw error
    skipped.push(error.message)
  }
  return { entries, skipped }
}

/** The text of a chunk, or why it is not read. */
async function decodeText(
  chunk: Chunk,
  inflate: Inflate,
  limit: number,
): Promise<{ keyword: string; text: string; bytes: number } | string> {
  const start = keywordOf(chunk.data)
  if (!start) return 'it has no keyword'
  const { keyword, rest } = start
  if (chunk.type === 'tEXt') {
    return rest.length > limit ? tooLarge : { keyword, text: latin1(rest), bytes: rest.length }
  }
  if (chunk.type === 'zTXt') {
    if (rest[0] !== 0) return 'its compression is unknown'
    const data = await safeInflate(rest.subarray(1), inflate, limit)
    return typeof data === 'string' ? data : { keyword, text: latin1(data), bytes: data.length }
  }
  const [flag, method] = rest
  const languageEnd = rest.indexOf(0, 2)
  const translatedEnd = languageEnd < 0 ? -1 : rest.indexOf(0, languageEnd + 1)
  if (translatedEnd < 0) return 'it ends early'
  const body = rest.subarray(translatedEnd + 1)
  if (flag === 0) return body.length > limit ? tooLarge : { keyword, text: utf8(body), bytes: body.length }
  if (flag !== 1 || method !== 0) return 'its compression is unknown'
  const data = await safeInflate(body, inflate, limit)
  return typeof data === 'string' ? data : { keyword, text: utf8(data), bytes: data.length }
}

const tooLarge = 'it is too large'

async function safeInflate(data: Uint8Array, inflate: Inflate, limit: number): Promise<Uint8Array | string> {
  if (limit <= 0) return tooLarge
  try {
    return (await inflate(data, limit)) ?? tooLarge
  } catch {
    return 'its compressed data is damaged'
  }
}

/** Inflates with the platform's DecompressionStream (Node 18+ and every browser with WebGPU). */
export async function inflateWithStream(data: Uint8Array, limit: number): Promise<Uint8Array | undefined> {
  const stream = new Blob([data.slice()]).stream().pipeThrough(new DecompressionStream('deflate'))
  const reader = stream.getReader()
  const parts: Uint8Array[] = []
  let length = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return concat(parts)
    length += value.byteLength
    if (length > limit) {
      await reader.cancel()
      return undefined
    }
    parts.push(value)
  }
}

/** Walks the chunks; a length that does not fit the file ends the walk with an error. */
function* chunksOf(png: Uint8Array): Generator<Chunk> {
  if (!isPng(png)) throw notPng()
  const view = viewOf(png)
  let offset = signature.length
  while (offset < png.length) {
    if (offset + 12 > png.length) throw truncated()
    const length = view.getUint32(offset)
    const end = offset + 12 + length
    if (length > 0x7fffffff || end > png.length) throw truncated()
    const type = latin1(png.subarray(offset + 4, offset + 8))
    yield { type, start: offset, end, data: png.subarray(offset + 8, end - 4) }
    // What follows the end chunk is not part of the picture.
    if (type === 'IEND') return
    offset = end
  }
}

function keywordOf(data: Uint8Array): { keyword: string; rest: Uint8Array } | undefined {
  const end = data.subarray(0, 80).indexOf(0)
  return end < 1 ? undefined : { keyword: latin1(data.subarray(0, end)), rest: data.subarray(end + 1) }
}

export function makeChunk(type: string, data: Uint8Array): Uint8Array {
  const chunk = new Uint8Array(data.length + 12)
  const view = viewOf(chunk)
  view.setUint32(0, data.length)
  chunk.set(toLatin1(type), 4)
  chunk.set(data, 8)
  view.setUint32(data.length + 8, crc32(chunk.subarray(4, data.length + 8)))
  return chunk
}

function crcFits(png: Uint8Array, chunk: Chunk): boolean {
  return viewOf(png).getUint32(chunk.end - 4) === crc32(png.subarray(chunk.start + 4, chunk.end - 4))
}

let crcTable: Uint32Array | undefined

/** The CRC-32 of PNG, zlib and zip. */
export function crc32(bytes: Uint8Array): number {
  if (!crcTable) {
    crcTable = new Uint32Array(256)
    for (let n = 0; n < 256; n++) {
      let value = n
      for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1
      crcTable[n] = value
    }
  }
  let crc = 0xffffffff
  for (const byte of bytes) crc = (crcTable[(crc ^ byte) & 255] as number) ^ (crc >>> 8)
  return (crc ^ 0xffffffff) >>> 0
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let offset = 0
  for (const part of parts) {
    whole.set(part, offset)
    offset += part.length
  }
  return whole
}

/** True Latin-1: TextDecoder('latin1') is windows-1252 and would change 0x80-0x9f. */
function latin1(bytes: Uint8Array): string {
  let text = ''
  for (let i = 0; i < bytes.length; i += 4096) text += String.fromCharCode(...bytes.subarray(i, i + 4096))
  return text
}

function toLatin1(text: string): Uint8Array {
  return Uint8Array.from(text, character => character.charCodeAt(0))
}

function utf8(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)
}

function notPng(): AttuneError {
  return new AttuneError('bad-file', 'This is not a PNG picture.', 'Choose a PNG file.')
}

function truncated(): AttuneError {
  return new AttuneError('bad-file', 'The PNG ends early or is damaged.', 'Get a whole copy of the picture.')
}
