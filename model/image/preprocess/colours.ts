/**
 * Hints of colour and brightness: grid of colours, tile, luminance, threshold, invert.
 *
 * References: TencentARC/T2I-Adapter for the grid of colours (cells of 64 pixels); Mikubill/sd-webui-controlnet,
 * scripts/preprocessor, for the names, the defaults and the meaning of the others.
 */
import type { Pixels } from '../resample.ts'
import { resizeNearest, resizePicture, toByte, toRgb } from './filters.ts'

export interface ColourGridOptions {
  /** Side of a cell in pixels. 64. */
  readonly cell?: number
}

/** The picture as cells of one colour each: shrunk by a bicubic kernel, grown again without one. */
export function colourGrid(picture: Pixels, options: ColourGridOptions = {}): Pixels {
  const { cell = 64 } = options
  return resizeNearest(gridColours(toRgb(picture), cell), picture.width, picture.height)
}

/** One pixel a cell. */
export function gridColours(picture: Pixels, cell: number): Pixels {
  const side = (size: number) => Math.max(1, Math.floor(size / cell))
  return resizePicture(picture, side(picture.width), side(picture.height), 'cubic')
}

export interface TileOptions {
  /** How many times smaller the hint is. 1 leaves the picture as it is. */
  readonly rate?: number
}

/** A tile: the picture with its detail taken away by shrinking. Who uses the hint brings it to size. */
export function tileResample(picture: Pixels, options: TileOptions = {}): Pixels {
  const { rate = 1 } = options
  const rgb = toRgb(picture)
  // Below 1.1 the original does nothing, so neither do we.
  if (rate < 1.1) return rgb
  const side = (size: number) => Math.max(1, Math.floor(size / rate))
  return resizePicture(rgb, side(rgb.width), side(rgb.height), 'area')
}

export interface RecolorOptions {
  /** Exponent of the brightness: above 1 is darker. 1. */
  readonly gamma?: number
}

/**
 * The brightness that a recolouring keeps: L* of CIELAB under D65, 0…100 as 0…255. (The original takes red for blue
 * here; the difference is a few levels in saturated places.)
 */
export function recolorLuminance(picture: Pixels, options: RecolorOptions = {}): Pixels {
  const { gamma = 1 } = options
  const rgb = toRgb(picture)
  const data = new Uint8Array(rgb.width * rgb.height)
  for (let i = 0, from = 0; i < data.length; i++, from += 3) {
    const light =
      0.212671 * (linear[rgb.data[from] as number] as number) +
      0.71516 * (linear[rgb.data[from + 1] as number] as number) +
      0.072169 * (linear[rgb.data[from + 2] as number] as number)
    data[i] = toByte(255 * (lightness(light) / 100) ** gamma)
  }
  return { width: rgb.width, height: rgb.height, channels: 1, data }
}

/** The webui's other recolouring: the largest channel, V of HSV. */
export function recolorIntensity(picture: Pixels, options: RecolorOptions = {}): Pixels {
  const { gamma = 1 } = options
  return perPixel(picture, (red, green, blue) => toByte(255 * (Math.max(red, green, blue) / 255) ** gamma))
}

/** sRGB to linear light (IEC 61966-2-1). */
export const linear = Float64Array.from({ length: 256 }, (_, value) => {
  const v = value / 255
  return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4
})

/** L* of a relative luminance. */
export function lightness(light: number): number {
  return light > 0.008856 ? 116 * Math.cbrt(light) - 16 : 903.3 * light
}

export interface ThresholdOptions {
  /** What is brighter in all channels becomes white. 127. */
  readonly threshold?: number
}

/** Black and white. */
export function threshold(picture: Pixels, options: ThresholdOptions = {}): Pixels {
  const { threshold: limit = 127 } = options
  return perPixel(picture, (red, green, blue) => (Math.min(red, green, blue) > limit ? 255 : 0))
}

/** The negative: a drawing in black on white becomes the white on black that networks take. */
export function invert(picture: Pixels): Pixels {
  const rgb = picture.channels === 4 ? toRgb(picture) : picture
  return { ...rgb, data: rgb.data.map(value => 255 - value) }
}

function perPixel(picture: Pixels, of: (red: number, green: number, blue: number) => number): Pixels {
  const { width, height, data: rgb } = toRgb(picture)
  const data = new Uint8Array(width * height)
  for (let i = 0, from = 0; i < data.length; i++, from += 3) {
    data[i] = of(rgb[from] as number, rgb[from + 1] as number, rgb[from + 2] as number)
  }
  return { width, height, channels: 1, data }
}
