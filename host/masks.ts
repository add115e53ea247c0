/**
 * Mask pictures: what a person paints in any program, as the bitmap of a control. White is inside and black outside,
 * or, on a layer of its own, what is painted is inside and what is empty is outside.
 */
import { basename } from 'node:path'
import sharp from 'sharp'
import { averageTo } from '../model/attention/controls/mask-resample.ts'
import type { ControlMask } from '../model/contract/controls.ts'
import { AttuneError, invariant } from '../model/contract/errors.ts'
import { toGrey } from '../model/image/resample.ts'
import { inspectPicture, pictureLimits } from './images.ts'

/** Of the longer side: four times the positions that a layer has at 512 pixels, in at most 88 kB of base64. */
export const maskSide = 256

/**
 * Reads a mask picture. A pixel counts by its brightness times its opacity, so that both black-and-white pictures and
 * white strokes on an empty layer are masks; where that leaves nothing (dark strokes on an empty layer), by its opacity
 * alone. At most `maskSide` pixels on the longer side remain, as exact area averages; not even one lit pixel is lost.
 * @throws AttuneError `bad-argument` when there is no such file or nothing in it is inside, `bad-file` when it is no
 *   picture that is read
 */
export async function readControlMask(path: string): Promise<ControlMask & { readonly kind: 'bitmap' }> {
  await inspectPicture(path)
  const { width, height, grey, opacity } = await decode(path)
  const lit = new Float32Array(grey.length)
  for (let i = 0; i < lit.length; i++) lit[i] = ((grey[i] as number) * (opacity[i] as number)) / (255 * 255)
  if (!hasInside(lit) && opacity.some(value => value < 255)) {
    for (let i = 0; i < lit.length; i++) lit[i] = (opacity[i] as number) / 255
  }
  if (!hasInside(lit)) {
    throw new AttuneError(
      'bad-argument',
      `The mask ${basename(path)} is all black or empty: no part of the picture is inside.`,
      'Paint the part that is meant white.',
    )
  }
  const shrink = Math.min(1, maskSide / Math.max(width, height))
  const side = (size: number): number => Math.max(1, Math.round(size * shrink))
  const { values, ...size } = averageTo(
    { width, height, values: lit },
    { width: side(width), height: side(height) },
  )
  const bytes = Buffer.from(values.map(value => (value > 0 ? Math.max(1, Math.round(value * 255)) : 0)))
  return { kind: 'bitmap', width: size.width, height: size.height, data: bytes.toString('base64') }
}

interface Decoded {
  readonly width: number
  readonly height: number
  readonly grey: Uint8Array
  readonly opacity: Uint8Array
}

async function decode(path: string): Promise<Decoded> {
  try {
    const { data, info } = await sharp(path, {
      failOn: 'error',
      limitInputPixels: pictureLimits.pixels,
      pages: 1,
    })
      .autoOrient()
      .toColourspace('srgb')
      .ensureAlpha()
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true })
    const { width, height, channels } = info
    invariant(channels === 4, `${channels} channels are not RGBA`)
    // Luma of the sRGB values, as masks are read elsewhere (`readMask`).
    const grey = toGrey({ width, height, channels, data }).data
    return { width, height, grey, opacity: data.filter((_, i) => i % 4 === 3) }
  } catch (cause) {
    throw new AttuneError('bad-file', `${basename(path)} is damaged.`, 'Get a whole copy of the picture.', {
      cause,
    })
  }
}

function hasInside(values: Float32Array): boolean {
  return values.some(value => value > 0)
}
