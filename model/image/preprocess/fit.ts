/**
 * Sizes of hints: the resolution at which a preprocessor works, and how its result comes to the size of the drawing.
 *
 * Reference: Mikubill/sd-webui-controlnet, scripts/external_code.py (`pixel_perfect_resolution`) and
 * scripts/controlnet.py (resize modes).
 */
import { AttuneError } from '../../contract/errors.ts'
import type { Pixels } from '../resample.ts'
import { resizePicture, roundEven } from './filters.ts'

/** The webui's Just Resize, Crop and Resize, Resize and Fill. */
export const resizeModes = ['resize', 'crop', 'fill'] as const
export type ResizeMode = (typeof resizeModes)[number]

export interface Size {
  readonly width: number
  readonly height: number
}

/** A preprocessor keeps some eight numbers a pixel: at most a gigabyte. 33.5 million pixels are 5792 × 5792. */
const limits = { side: 16_384, pixels: 2 ** 25 } as const

/**
 * The resolution (length of the shorter side) at which the hint has as many pixels as the drawing will show: of
 * `fill` the whole picture fits inside, else it covers.
 */
export function pixelPerfectResolution(picture: Size, target: Size, mode: ResizeMode): number {
  const tall = target.height / picture.height
  const wide = target.width / picture.width
  const scale = mode === 'fill' ? Math.min(tall, wide) : Math.max(tall, wide)
  return Math.max(1, roundEven(scale * Math.min(picture.width, picture.height)))
}

/** The size at which a preprocessor works: the shorter side is the resolution, the aspect stays. */
export function workingSize(picture: Size, resolution: number): Size {
  const scale = resolution / Math.min(picture.width, picture.height)
  const side = (size: number) => Math.max(1, roundEven(size * scale))
  const size = { width: side(picture.width), height: side(picture.height) }
  checkWorkingSize(size)
  return size
}

/** @throws AttuneError `bad-argument` for more pixels than a preprocessor works on */
export function checkWorkingSize({ width, height }: Size): void {
  if (Math.max(width, height) <= limits.side && width * height <= limits.pixels) return
  throw new AttuneError(
    'bad-argument',
    `A preprocessor would work on ${width}x${height} pixels, more than ${limits.side} a side or ${Math.floor(limits.pixels / 1e6)} million in all.`,
    'Choose a smaller resolution (512 or 1024 are usual), or crop the picture.',
  )
}

/**
 * Brings a hint to the size of the drawing.
 *
 * - `resize`: without keeping the aspect.
 * - `crop`: covers, and what stands over is cut off evenly.
 * - `fill`: fits inside; the rest gets the median colour of the hint's border.
 * @param isFlat of areas of colours: no new colours are made
 */
export function fitPicture(picture: Pixels, target: Size, mode: ResizeMode, isFlat = false): Pixels {
  const { width, height } = target
  const how = isFlat ? 'nearest' : undefined
  if (mode === 'resize') return resizePicture(picture, width, height, how)
  const tall = height / picture.height
  const wide = width / picture.width
  const scale = mode === 'fill' ? Math.min(tall, wide) : Math.max(tall, wide)
  const scaled = resizePicture(
    picture,
    Math.max(1, roundEven(picture.width * scale)),
    Math.max(1, roundEven(picture.height * scale)),
    how,
  )
  const { channels } = picture
  const data = new Uint8Array(width * height * channels)
  if (mode === 'fill') paintAll(data, borderColour(picture))
  const [toX, toY] = [offset(width, scaled.width), offset(height, scaled.height)]
  const [fromX, fromY] = [offset(scaled.width, width), offset(scaled.height, height)]
  const length = Math.min(width, scaled.width) * channels
  for (let y = 0; y < Math.min(height, scaled.height); y++) {
    const from = ((fromY + y) * scaled.width + fromX) * channels
    data.set(scaled.data.subarray(from, from + length), ((toY + y) * width + toX) * channels)
  }
  return { width, height, channels, data }
}

/** Where the smaller begins in the larger, in the middle; 0 where it is not smaller. */
function offset(outer: number, inner: number): number {
  return Math.max(0, Math.floor((outer - inner) / 2))
}

function paintAll(data: Uint8Array, colour: readonly number[]): void {
  for (let i = 0; i < data.length; i++) data[i] = colour[i % colour.length] as number
}

/** The median of each channel over the outermost pixels; a fourth channel is opaque. */
function borderColour({ width, height, channels, data }: Pixels): number[] {
  return Array.from({ length: channels }, (_, part) => {
    if (part === 3) return 255
    const values: number[] = []
    const take = (x: number, y: number) => values.push(data[(y * width + x) * channels + part] as number)
    for (let x = 0; x < width; x++) {
      take(x, 0)
      take(x, height - 1)
    }
    for (let y = 0; y < height; y++) {
      take(0, y)
      take(width - 1, y)
    }
    values.sort((a, b) => a - b)
    const half = values.length >> 1
    // Both counts are even: the mean of the two middle values, its fraction cut off.
    return Math.floor(((values[half - 1] as number) + (values[half] as number)) / 2)
  })
}
