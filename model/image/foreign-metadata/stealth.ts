/**
 * Texts hidden in the lowest bits of the pixels ("stealth PNG info": NovelAI, Forge and A1111 extensions): of the
 * alpha channel, one bit a pixel, or of red, green and blue, three. Bits run down the columns. A signature, the
 * number of bits as 32 bits, then the text, plain or gzipped.
 */
import { parseForeignJson } from './json.ts'
import { fieldsOf } from './recipe.ts'
import type { MetadataTexts } from './containers.ts'

/** Longest hidden text, packed and unpacked. */
const byteLimit = 4 << 20

export interface StealthPixels {
  readonly width: number
  readonly height: number
  /** RGBA or RGB, 8 bits. */
  readonly channels: 3 | 4
  readonly data: Uint8Array
}

/**
 * Looks for a hidden text.
 * @param gunzip unpacks gzip, or gives undefined for more than `limit` bytes
 * @returns the texts as they would stand in the file, for `recipeFromTexts`; undefined where nothing is hidden
 */
export async function readStealthTexts(
  pixels: StealthPixels,
  gunzip: (data: Uint8Array, limit: number) => Promise<Uint8Array | undefined> = gunzipWithStream,
): Promise<MetadataTexts | undefined> {
  if (pixels.data.length !== pixels.width * pixels.height * pixels.channels) return undefined
  const modes = pixels.channels === 4 ? (['alpha', 'rgb'] as const) : (['rgb'] as const)
  for (const mode of modes) {
    const found = await readMode(pixels, mode, gunzip)
    if (found !== undefined) return found
  }
  return undefined
}

const signatures = {
  alpha: { plain: 'stealth_pnginfo', packed: 'stealth_pngcomp' },
  rgb: { plain: 'stealth_rgbinfo', packed: 'stealth_rgbcomp' },
} as const

async function readMode(
  pixels: StealthPixels,
  mode: 'alpha' | 'rgb',
  gunzip: (data: Uint8Array, limit: number) => Promise<Uint8Array | undefined>,
): Promise<MetadataTexts | undefined> {
  const bits = bitReader(pixels, mode)
  const { plain, packed } = signatures[mode]
  const signature = new TextDecoder('latin1').decode(bits(plain.length) ?? new Uint8Array())
  if (signature !== plain && signature !== packed) return undefined
  const size = bits(4)
  if (!size) return undefined
  const length = Math.floor(new DataView(size.buffer).getUint32(0) / 8)
  if (length > byteLimit) return unreadable('it is too large')
  const body = bits(length)
  if (!body) return unreadable('it ends early')
  let whole: Uint8Array | undefined
  try {
    whole = signature === packed ? await gunzip(body, byteLimit) : body
  } catch {
    return unreadable('its compressed data is damaged')
  }
  if (!whole) return unreadable('it is too large')
  return asTexts(new TextDecoder().decode(whole))
}

function unreadable(why: string): MetadataTexts {
  return { texts: [], skipped: [`the hidden text: ${why}`] }
}

/** NovelAI hides an object of PNG texts, others an infotext. */
function asTexts(text: string): MetadataTexts {
  const json = parseForeignJson(text)
  const fields = json.problem === undefined ? fieldsOf(json.value) : undefined
  if (!fields) return { texts: [{ keyword: 'parameters', text }], skipped: [] }
  const texts = Object.entries(fields).map(([keyword, value]) => ({
    keyword,
    text: typeof value === 'string' ? value : JSON.stringify(value),
  }))
  return { texts, skipped: [] }
}

/** Takes whole bytes, most significant bit first; undefined when the picture ends. */
function bitReader(pixels: StealthPixels, mode: 'alpha' | 'rgb'): (count: number) => Uint8Array | undefined {
  const { width, height, channels, data } = pixels
  const perPixel = mode === 'alpha' ? 1 : 3
  const first = mode === 'alpha' ? 3 : 0
  let at = 0
  return count => {
    if (at + count * 8 > width * height * perPixel) return undefined
    const bytes = new Uint8Array(count)
    for (let i = 0; i < count * 8; i++, at++) {
      const pixel = Math.floor(at / perPixel)
      const x = Math.floor(pixel / height)
      const y = pixel % height
      const bit = (data[(y * width + x) * channels + first + (at % perPixel)] as number) & 1
      bytes[i >> 3] = ((bytes[i >> 3] as number) << 1) | bit
    }
    return bytes
  }
}

async function gunzipWithStream(data: Uint8Array, limit: number): Promise<Uint8Array | undefined> {
  const stream = new Blob([data.slice()]).stream().pipeThrough(new DecompressionStream('gzip'))
  const reader = stream.getReader()
  const parts: Uint8Array[] = []
  let length = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    length += value.byteLength
    if (length > limit) {
      await reader.cancel()
      return undefined
    }
    parts.push(value)
  }
  const whole = new Uint8Array(length)
  let offset = 0
  for (const part of parts) {
    whole.set(part, offset)
    offset += part.length
  }
  return whole
}
