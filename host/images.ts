/**
 * Pictures on the disk: decoding what a person brings (through sharp), and encoding what was drawn. Everything
 * after decoding is 8-bit sRGB, upright, without alpha.
 */
import { type FileHandle, open as openFile, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import sharp, { type Metadata } from 'sharp'
import { AttuneError, invariant } from '../model/contract/errors.ts'
import { insertPngText, type PngText } from '../model/image/png-text.ts'
import { type Pixels, resizeLanczos, toGrey } from '../model/image/resample.ts'

/** Limits that are checked against the header, before anything is decoded. */
export const pictureLimits = { side: 16_384, pixels: 100_000_000, fileBytes: 512 << 20 } as const

export interface PictureInfo {
  readonly format: string
  /** After turning the picture upright. */
  readonly width: number
  readonly height: number
}

/**
 * Looks at a picture's header. Its first bytes decide what it is, before any decoder sees it: decoders of drawings and
 * documents (SVG, PDF) open further files and addresses, and a name proves nothing.
 * @throws AttuneError `bad-argument` when there is no such file, `bad-file` when it is not a picture that is read
 */
export async function inspectPicture(path: string): Promise<PictureInfo> {
  const name = basename(path)
  const refuse = (why: string, remedy: string, cause?: unknown) =>
    new AttuneError('bad-file', `${name} ${why}.`, remedy, { cause })
  const file = await stat(path).catch((cause: unknown) => {
    throw new AttuneError('bad-argument', `There is no file ${path}.`, 'Check the path.', { cause })
  })
  // A pipe or a device would be read for ever.
  if (!file.isFile()) throw new AttuneError('bad-argument', `${path} is not a file.`, 'Name a picture file.')
  if (file.size > pictureLimits.fileBytes)
    throw refuse(`has ${file.size} bytes, too many for a picture`, 'Use a smaller file.')
  if (file.size === 0) throw refuse('is empty, so it is not a picture', 'Get a whole copy of the picture.')
  const { kind, frames } = await sniff(path)
  if (kind === undefined) throw refuse('is not a picture that can be read', useCommon)
  if (!readable.has(kind)) throw refuse(`is ${kind}, which is not read`, useCommon)
  if (frames > 1) throw refuse(`holds ${frames} pictures`, saveOne)
  const header = await open(path, false)
    .metadata()
    .catch((cause: unknown) => {
      if (cause instanceof Error && /channel limit/.test(cause.message))
        throw refuse('has more channels than a picture', asCommon, cause)
      throw refuse('is damaged: its header cannot be read', 'Get a whole copy of the picture.', cause)
    })
  if ((header.pages ?? 1) > 1) throw refuse(`holds ${header.pages} pictures`, saveOne)
  const { width, height } = header.autoOrient
  if (Math.max(width, height) > pictureLimits.side || width * height > pictureLimits.pixels) {
    throw refuse(
      `is ${width}x${height} pixels; at most ${pictureLimits.side} a side and ${pictureLimits.pixels / 1e6} million in all are read`,
      'Make it smaller first.',
    )
  }
  const odd = findOddness(header)
  if (odd !== undefined) throw refuse(odd, asCommon)
  return { format: header.format ?? kind, width, height }
}

const useCommon = 'Use a PNG, JPEG, WebP, AVIF or TIFF picture.'
const asCommon = 'Save it as an ordinary PNG or JPEG.'
const saveOne = 'Save one of them as a PNG.'

/** What `sniff` may find and the decoders read. */
const readable = new Set(['png', 'jpeg', 'webp', 'avif', 'heif', 'tiff', 'gif'])

/** First bytes (latin 1) of formats, and how far from the beginning they stand. */
const signatures: readonly (readonly [kind: string, at: number, ...beginnings: string[]])[] = [
  ['png', 0, '\x89PNG\r\n\x1a\n'],
  ['jpeg', 0, '\xff\xd8\xff'],
  ['gif', 0, 'GIF87a', 'GIF89a'],
  ['webp', 8, 'WEBP'],
  ['tiff', 0, 'II*\0', 'MM\0*', 'II+\0', 'MM\0+'],
  ['avif', 4, 'ftypavif', 'ftypavis'],
  // Compressed by HEVC, which no free decoder that we bring reads.
  ['heic', 4, 'ftyphei', 'ftyphev'],
  ['heif', 4, 'ftypmif', 'ftypmsf'],
  ['a film', 4, 'ftyp'],
  ['pdf', 0, '%PDF-'],
  ['psd', 0, '8BPS'],
  ['ico', 0, '\0\0\x01\0'],
  ['jpeg xl', 0, '\xff\x0a', '\0\0\0\x0cJXL '],
  ['jpeg 2000', 0, '\0\0\0\x0cjP  ', '\xff\x4f\xff\x51'],
  ['openexr', 0, 'v/1\x01'],
  ['radiance hdr', 0, '#?RADIANCE', '#?RGBE'],
  ['gzip', 0, '\x1f\x8b'],
]

function kindOf(head: string): string | undefined {
  const found = signatures.find(([, at, ...beginnings]) => beginnings.some(one => head.startsWith(one, at)))
  if (found) return found[0]
  // Text that is none of these is nothing that should be named.
  if (/<svg[\s>]/i.test(head)) return 'svg'
  if (/^BM[^]{4}\0{4}/.test(head)) return 'bmp'
  return /^P[1-7]\s\d/.test(head) ? 'netpbm' : undefined
}

/** What a file is by its first bytes, and how many pictures an animated PNG has (libvips shows the first silently). */
async function sniff(path: string): Promise<{ readonly kind: string | undefined; readonly frames: number }> {
  const file = await openFile(path, 'r')
  try {
    const head = Buffer.alloc(1024)
    const { bytesRead } = await file.read(head, 0, head.length, 0)
    const kind = kindOf(head.toString('latin1', 0, bytesRead))
    return { kind, frames: kind === 'png' ? await countFrames(file) : 1 }
  } finally {
    await file.close()
  }
}

/** The frames that an `acTL` chunk promises; it stands before the first IDAT (APNG 1.0). */
async function countFrames(file: FileHandle): Promise<number> {
  const chunk = Buffer.alloc(12)
  for (let offset = 8, count = 0; count < 1000; count++) {
    const { bytesRead } = await file.read(chunk, 0, 12, offset)
    const type = chunk.toString('latin1', 4, 8)
    if (bytesRead < 12 || type === 'IDAT') break
    if (type === 'acTL') return chunk.readUInt32BE(8)
    offset += 12 + chunk.readUInt32BE(0)
  }
  return 1
}

/** What the decoders would read wrong or not at all, in words. */
function findOddness({ format, compression, depth, space, channels }: Metadata): string | undefined {
  if (format === 'heif' && compression !== undefined && compression !== 'av1')
    return `is a HEIC photo, whose compression (${compression}) is not read`
  // RGB, CMYK or grey, with alpha at most.
  if (channels !== undefined && channels > (space === 'cmyk' ? 5 : 4)) return `has ${channels} channels`
  if (depth === undefined || depth === 'uchar' || depth === 'ushort') return undefined
  // Linear light and CIELAB have a scale; other numbers (heights, measurements) have none that we know.
  if (depth === 'float' && (space === 'scrgb' || space === 'lab')) return undefined
  return `holds numbers of the kind ${depth}, which have no brightness`
}

/**
 * Reads an init image as RGB at the wanted size: upright, converted to sRGB, transparent parts on white, resized
 * as diffusers' VaeImageProcessor does (Pillow's Lanczos, aspect not kept).
 */
export async function readPicture(path: string, width: number, height: number): Promise<Pixels> {
  return resizeLanczos(await decode(path, '#ffffff'), width, height)
}

/**
 * Reads a mask as one channel at the wanted size: white (255) is drawn anew, black is kept. Transparent parts
 * count as black, so that white strokes on an empty layer are a mask. Not yet cut at one half; diffusers does that
 * with the resized mask.
 */
export async function readMask(path: string, width: number, height: number): Promise<Pixels> {
  return toGrey(resizeLanczos(await decode(path, '#000000'), width, height))
}

/** Reads a picture as RGB at its own size: upright, in sRGB, transparent parts on white. */
export async function readWholePicture(path: string): Promise<Pixels> {
  return decode(path, '#ffffff')
}

async function decode(path: string, background: string): Promise<Pixels> {
  await inspectPicture(path)
  try {
    const { data, info } = await open(path)
      .autoOrient()
      .flatten({ background })
      .toColourspace('srgb')
      .removeAlpha()
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true })
    const { width, height, channels } = info
    invariant(channels === 1 || channels === 3, `${channels} channels are neither grey nor RGB`)
    return { width, height, channels: 3, data: channels === 3 ? bytesOf(data) : spread(data, channels) }
  } catch (cause) {
    throw new AttuneError('bad-file', `${basename(path)} is damaged.`, 'Get a whole copy of the picture.', {
      cause,
    })
  }
}

/** @param limit false for headers only, so that their size can be named */
function open(path: string, limit: number | false = pictureLimits.pixels) {
  return sharp(path, { failOn: 'error', limitInputPixels: limit, pages: 1 })
}

/** Grey pictures come with one channel. */
function spread(data: Uint8Array, channels: number): Uint8Array {
  const rgb = new Uint8Array((data.length / channels) * 3)
  for (let from = 0, to = 0; to < rgb.length; from += channels, to += 3)
    rgb.fill(data[from] as number, to, to + 3)
  return rgb
}

function bytesOf(buffer: Uint8Array): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
}

/** Encodes a PNG and puts the texts into it. */
export async function encodePng(picture: Pixels, texts: readonly PngText[] = []): Promise<Uint8Array> {
  const { width, height, channels, data } = picture
  if (data.length !== width * height * channels) {
    throw new AttuneError(
      'internal',
      `${data.length} bytes are not a picture of ${width}x${height}x${channels}.`,
    )
  }
  const png = await sharp(data, { raw: { width, height, channels } })
    // A grey picture stays grey; adaptive filtering is a third smaller for drawings.
    .toColourspace(channels === 1 ? 'b-w' : 'srgb')
    .png({ compressionLevel: 6, adaptiveFiltering: true })
    .toBuffer()
  return insertPngText(bytesOf(png), texts)
}
