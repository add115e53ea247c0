/**
 * Pictures on the disk: decoding what a person brings (through sharp), and encoding what was drawn. Everything
 * after decoding is 8-bit sRGB, upright, without alpha.
 */
import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import sharp from 'sharp'
import { AttuneError } from '../model/contract/errors.ts'
import { insertPngText, type PngText } from '../model/image/png-text.ts'
import { type Pixels, resizeLanczos, toGrey } from '../model/image/resample.ts'

/** Limits that are checked against the header, before anything is decoded. */
export const pictureLimits = { side: 16_384, pixels: 100_000_000, fileBytes: 512 << 20 } as const

const readable = new Set(['png', 'jpeg', 'webp', 'avif', 'heif', 'tiff', 'gif'])

export interface PictureInfo {
  readonly format: string
  /** After turning the picture upright. */
  readonly width: number
  readonly height: number
}

/**
 * Looks at a picture's header.
 * @throws AttuneError `bad-argument` when there is no such file, `bad-file` when it is not a picture that is read
 */
export async function inspectPicture(path: string): Promise<PictureInfo> {
  const name = basename(path)
  const file = await stat(path).catch((cause: unknown) => {
    throw new AttuneError('bad-argument', `There is no file ${path}.`, 'Check the path.', { cause })
  })
  // A pipe or a device would be read for ever.
  if (!file.isFile()) throw new AttuneError('bad-argument', `${path} is not a file.`, 'Name a picture file.')
  if (file.size > pictureLimits.fileBytes) {
    throw new AttuneError(
      'bad-file',
      `${name} has ${file.size} bytes, too many for a picture.`,
      'Use a smaller file.',
    )
  }
  const header = await open(path)
    .metadata()
    .catch((cause: unknown) => {
      throw new AttuneError('bad-file', `${name} is not a picture that can be read.`, useCommon, { cause })
    })
  const format = header.format ?? 'unknown'
  if (!readable.has(format))
    throw new AttuneError('bad-file', `${name} is ${format}, which is not read.`, useCommon)
  if ((header.pages ?? 1) > 1) {
    throw new AttuneError('bad-file', `${name} holds ${header.pages} pictures.`, 'Save one of them as a PNG.')
  }
  const { width, height } = header.autoOrient
  if (Math.max(width, height) > pictureLimits.side || width * height > pictureLimits.pixels) {
    throw new AttuneError(
      'bad-file',
      `${name} is ${width}x${height} pixels; at most ${pictureLimits.side} a side and ${pictureLimits.pixels / 1e6} million in all are read.`,
      'Make it smaller first.',
    )
  }
  return { format, width, height }
}

const useCommon = 'Use a PNG, JPEG, WebP, AVIF or TIFF picture.'

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
    const { width, height } = info
    return {
      width,
      height,
      channels: 3,
      data: info.channels === 3 ? bytesOf(data) : spread(data, info.channels),
    }
  } catch (cause) {
    throw new AttuneError('bad-file', `${basename(path)} is damaged.`, 'Get a whole copy of the picture.', {
      cause,
    })
  }
}

function open(path: string) {
  return sharp(path, { failOn: 'error', limitInputPixels: pictureLimits.pixels, pages: 1 })
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
