/**
 * Where programs put their texts: PNG text chunks, the EXIF UserComment of JPEG, WebP and PNG, the XMP packet, the
 * comment of a JPEG. Read from bytes in memory without decoding the picture; every offset is checked against what
 * is there.
 */
import { AttuneError } from '../../contract/errors.ts'
import { type Inflate, inflateWithStream, isPng, type PngText, readPngText } from '../png-text.ts'

/** All that a picture says, by place. */
export interface MetadataTexts {
  /** PNG texts in their order. */
  readonly texts: readonly PngText[]
  readonly userComment?: string
  /** EXIF MakerNote: Fooocus names its scheme there. */
  readonly makerNote?: string
  /** The XMP packet. */
  readonly xmp?: string
  /** The comment of a JPEG. */
  readonly comment?: string
  /** What was there and not read. */
  readonly skipped: readonly string[]
}

/** Longest text of one place. */
const textLimit = 8 << 20
/** Segments or chunks of a file that are looked at. */
const partLimit = 4_000

/**
 * Reads the texts of a PNG, JPEG or WebP.
 * @throws AttuneError `bad-file` when the bytes are none of them
 */
export async function readMetadataTexts(
  bytes: Uint8Array,
  inflate: Inflate = inflateWithStream,
): Promise<MetadataTexts> {
  if (isPng(bytes)) return readPng(bytes, inflate)
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return readJpeg(bytes)
  if (ascii(bytes, 0, 4) === 'RIFF' && ascii(bytes, 8, 4) === 'WEBP') return readWebp(bytes)
  throw new AttuneError(
    'bad-file',
    'This is not a PNG, JPEG or WebP picture, so no settings can be read from it.',
    'Drop the picture file as the program saved it.',
  )
}

async function readPng(bytes: Uint8Array, inflate: Inflate): Promise<MetadataTexts> {
  const { entries, skipped } = await readPngText(bytes, inflate)
  const exif = pngExif(bytes)
  const xmp = entries.find(entry => entry.keyword === 'XML:com.adobe.xmp')?.text
  return {
    texts: entries.map(({ keyword, text }) => ({ keyword, text })),
    skipped,
    ...(exif && readExif(exif)),
    ...(xmp !== undefined && { xmp }),
  }
}

/** The chunk eXIf; readPngText has checked that this is a PNG. */
function pngExif(bytes: Uint8Array): Uint8Array | undefined {
  const view = viewOf(bytes)
  for (let offset = 8, parts = 0; offset + 12 <= bytes.length && parts < partLimit; parts++) {
    const length = view.getUint32(offset)
    const end = offset + 12 + length
    if (end > bytes.length) return undefined
    const type = ascii(bytes, offset + 4, 4)
    if (type === 'eXIf') return bytes.subarray(offset + 8, end - 4)
    if (type === 'IEND') return undefined
    offset = end
  }
  return undefined
}

function readJpeg(bytes: Uint8Array): MetadataTexts {
  const view = viewOf(bytes)
  let found: Omit<MetadataTexts, 'texts' | 'skipped'> = {}
  const skipped: string[] = []
  let offset = 2
  for (let parts = 0; offset + 4 <= bytes.length && parts < partLimit; parts++) {
    if (bytes[offset] !== 0xff) break
    const marker = bytes[offset + 1] as number
    // Fill bytes, and markers without a length.
    if (marker === 0xff || marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
      offset += marker === 0xff ? 1 : 2
      continue
    }
    // The scan begins: no metadata after it.
    if (marker === 0xda || marker === 0xd9) break
    const length = view.getUint16(offset + 2)
    const end = offset + 2 + length
    if (length < 2 || end > bytes.length) {
      skipped.push('the picture ends early or is damaged')
      break
    }
    const data = bytes.subarray(offset + 4, end)
    if (marker === 0xe1 && ascii(data, 0, 6) === 'Exif\0\0')
      found = { ...found, ...readExif(data.subarray(6)) }
    else if (marker === 0xe1 && ascii(data, 0, xmpStart.length) === xmpStart)
      found = { ...found, xmp: utf8(data.subarray(xmpStart.length)) }
    else if (marker === 0xfe && found.comment === undefined) found = { ...found, comment: textFrom(data) }
    offset = end
  }
  return { texts: [], skipped, ...found }
}

const xmpStart = 'http://ns.adobe.com/xap/1.0/\0'

function readWebp(bytes: Uint8Array): MetadataTexts {
  const view = viewOf(bytes)
  let found: Omit<MetadataTexts, 'texts' | 'skipped'> = {}
  for (let offset = 12, parts = 0; offset + 8 <= bytes.length && parts < partLimit; parts++) {
    const length = view.getUint32(offset + 4, true)
    const start = offset + 8
    if (start + length > bytes.length) break
    const type = ascii(bytes, offset, 4)
    const data = bytes.subarray(start, start + length)
    if (type === 'EXIF') {
      const marked = ascii(data, 0, 6) === 'Exif\0\0'
      found = { ...found, ...readExif(marked ? data.subarray(6) : data) }
    } else if (type === 'XMP ' && length <= textLimit) found = { ...found, xmp: utf8(data) }
    offset = start + length + (length & 1)
  }
  return { texts: [], skipped: [], ...found }
}

/**
 * UserComment (0x9286) and MakerNote (0x927c) of a TIFF structure: the header, the first directory, and the EXIF
 * directory that it points to. Anything that does not fit is left out.
 */
export function readExif(tiff: Uint8Array): { userComment?: string; makerNote?: string } {
  if (tiff.length < 8) return {}
  const order = ascii(tiff, 0, 2)
  if (order !== 'II' && order !== 'MM') return {}
  const little = order === 'II'
  const view = viewOf(tiff)
  const first = readDirectory(view, view.getUint32(4, little), little)
  const pointer = first.get(0x8769)
  const entries = pointer ? readDirectory(view, pointer.offsetValue, little) : first
  const bytesOf = (tag: number): Uint8Array | undefined => {
    const entry = entries.get(tag) ?? first.get(tag)
    // BYTE, ASCII and UNDEFINED have one byte each; nothing else holds text.
    if (!entry || ![1, 2, 7].includes(entry.type) || entry.count > textLimit) return undefined
    const start = entry.count <= 4 ? entry.valueAt : entry.offsetValue
    return start + entry.count <= tiff.length ? tiff.subarray(start, start + entry.count) : undefined
  }
  const comment = bytesOf(0x9286)
  const note = bytesOf(0x927c)
  return {
    ...(comment && { userComment: decodeUserComment(comment, little) }),
    ...(note && { makerNote: utf8(note).replace(/\0+$/, '') }),
  }
}

interface TiffEntry {
  readonly type: number
  readonly count: number
  readonly valueAt: number
  readonly offsetValue: number
}

function readDirectory(view: DataView, offset: number, little: boolean): Map<number, TiffEntry> {
  const entries = new Map<number, TiffEntry>()
  if (offset < 8 || offset + 2 > view.byteLength) return entries
  const count = view.getUint16(offset, little)
  for (let i = 0; i < count; i++) {
    const at = offset + 2 + i * 12
    if (at + 12 > view.byteLength) break
    entries.set(view.getUint16(at, little), {
      type: view.getUint16(at + 2, little),
      count: view.getUint32(at + 4, little),
      valueAt: at + 8,
      offsetValue: view.getUint32(at + 8, little),
    })
  }
  return entries
}

/** Eight bytes name the encoding. UNICODE is UTF-16, of which the byte order is a matter of taste among writers. */
function decodeUserComment(data: Uint8Array, little: boolean): string {
  const marker = ascii(data, 0, 8)
  const body = data.subarray(8)
  if (marker === 'UNICODE\0') return decodeUtf16(body, little)
  if (marker === 'ASCII\0\0\0' || marker === '\0\0\0\0\0\0\0\0') return textFrom(body)
  // Written without a marker, as libvips' callers do.
  return textFrom(data)
}

function decodeUtf16(bytes: Uint8Array, little: boolean): string {
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return new TextDecoder('utf-16be').decode(bytes)
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return new TextDecoder('utf-16le').decode(bytes)
  // The zero halves of Latin letters tell the order, whatever the header says: piexif writes big endian always.
  let even = 0
  let odd = 0
  for (let i = 0; i + 1 < Math.min(bytes.length, 4096); i += 2) {
    if (bytes[i] === 0) even++
    if (bytes[i + 1] === 0) odd++
  }
  const isLittle = even === odd ? little : odd > even
  return new TextDecoder(isLittle ? 'utf-16le' : 'utf-16be').decode(bytes).replace(/\0+$/, '')
}

/** UTF-8 where it is valid, else Latin-1. */
function textFrom(bytes: Uint8Array): string {
  const whole = bytes.subarray(0, textLimit)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(whole).replace(/\0+$/, '')
  } catch {
    return new TextDecoder('latin1').decode(whole).replace(/\0+$/, '')
  }
}

/** The text of `exif:UserComment` in an XMP packet, where Draw Things writes its JSON. */
export function userCommentOfXmp(xmp: string): string | undefined {
  const start = xmp.indexOf('<exif:UserComment')
  const end = xmp.indexOf('</exif:UserComment>', start)
  if (start < 0 || end < 0 || end - start > textLimit) {
    // As an attribute of rdf:Description.
    const attribute = /exif:UserComment="([^"]*)"/.exec(xmp.slice(0, textLimit))?.[1]
    return attribute === undefined ? undefined : unescapeXml(attribute)
  }
  return unescapeXml(withoutTags(xmp.slice(start, end))).trim()
}

/** A walk, not a pattern: over a text of unclosed tags a pattern takes quadratic time. */
function withoutTags(xml: string): string {
  const parts: string[] = []
  let from = 0
  for (let open = xml.indexOf('<'); open >= 0; open = xml.indexOf('<', from)) {
    parts.push(xml.slice(from, open))
    const close = xml.indexOf('>', open)
    if (close < 0) return parts.join('')
    from = close + 1
  }
  return parts.join('') + xml.slice(from)
}

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

function unescapeXml(text: string): string {
  return text.replace(
    /&(?:#x([0-9a-f]{1,6})|#(\d{1,7})|(amp|lt|gt|quot|apos));/gi,
    (whole, hex, decimal, name) => {
      if (name) return entities[String(name).toLowerCase()] ?? String(whole)
      const code = hex ? Number.parseInt(String(hex), 16) : Number(decimal)
      return code <= 0x10ffff ? String.fromCodePoint(code) : '\ufffd'
    },
  )
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function ascii(bytes: Uint8Array, start: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(start, start + length))
}

function utf8(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(0, textLimit))
}
