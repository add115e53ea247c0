/**
 * What several preprocessors are made of: planes of numbers, Gaussian blur, and OpenCV's two ways of resizing. Hints
 * are compared with those of other programs, which use OpenCV, so kernels, borders and pixel centres are OpenCV's
 * (modules/imgproc/src/smooth.dispatch.cpp, resize.cpp).
 */
import type { Pixels } from '../resample.ts'

/** Numbers, row by row: [height, width]. */
export interface Plane {
  readonly width: number
  readonly height: number
  readonly data: Float32Array
}

/** One channel as numbers. */
export function planeOf({ width, height, channels, data }: Pixels, channel: number): Plane {
  const plane = new Float32Array(width * height)
  for (let i = 0, from = channel; i < plane.length; i++, from += channels) plane[i] = data[from] as number
  return { width, height, data: plane }
}

/** The colour channels; a grey picture has one. */
export function colourPlanes(picture: Pixels): Plane[] {
  return Array.from({ length: picture.channels === 1 ? 1 : 3 }, (_, channel) => planeOf(picture, channel))
}

/** One or three planes as 8 bits: rounded and cut off at 0 and 255. */
export function pixelsOf(planes: readonly Plane[]): Pixels {
  const [{ width, height } = { width: 0, height: 0 }] = planes
  const channels = planes.length === 1 ? 1 : 3
  const data = new Uint8Array(width * height * channels)
  planes.forEach((plane, channel) => {
    for (let i = 0, to = channel; i < plane.data.length; i++, to += channels)
      data[to] = toByte(plane.data[i] as number)
  })
  return { width, height, channels, data }
}

/** Rounds half to even, as OpenCV's `saturate_cast` does. */
export function toByte(value: number): number {
  return value <= 0 ? 0 : value >= 255 ? 255 : roundEven(value)
}

/** Half goes to the even neighbour: numpy's `round`, OpenCV's `cvRound`. */
export function roundEven(value: number): number {
  const whole = Math.floor(value)
  const rest = value - whole
  return rest > 0.5 || (rest === 0.5 && whole % 2 !== 0) ? whole + 1 : whole
}

/** Grey with three equal channels, or RGB without alpha. */
export function toRgb(picture: Pixels): Pixels {
  const { width, height, channels, data } = picture
  if (channels === 3) return picture
  const rgb = new Uint8Array(width * height * 3)
  for (let i = 0, from = 0; i < rgb.length; i += 3, from += channels) {
    for (let part = 0; part < 3; part++) rgb[i + part] = data[channels === 1 ? from : from + part] as number
  }
  return { width, height, channels: 3, data: rgb }
}

/**
 * Gaussian blur with mirrored borders (…2 1 | 0 1 2…), as `cv2.GaussianBlur(x, (0, 0), sigma)`.
 * @param reach how many sigmas the kernel goes out: OpenCV takes 3 for 8-bit pictures and 4 for numbers
 */
export function gaussianBlur(plane: Plane, sigma: number, reach: 3 | 4 = 4): Plane {
  const kernel = gaussianKernel(sigma, reach)
  if (kernel.length === 1) return plane
  return blurColumns(blurRows(plane, kernel), kernel)
}

/** The right half of the kernel, from its centre on. */
function gaussianKernel(sigma: number, reach: number): Float64Array {
  const radius = (roundEven(sigma * reach * 2 + 1) | 1) >> 1
  const half = Float64Array.from({ length: radius + 1 }, (_, i) => Math.exp((-0.5 * i * i) / (sigma * sigma)))
  const sum = half.reduce((total, value, i) => total + (i === 0 ? value : 2 * value), 0)
  return half.map(value => value / sum)
}

/** Where a place beyond the border is mirrored to; far ones more than once. */
function mirror(at: number, size: number): number {
  if (size === 1) return 0
  const period = 2 * size - 2
  const inside = ((at % period) + period) % period
  return inside < size ? inside : period - inside
}

function blurRows({ width, height, data }: Plane, kernel: Float64Array): Plane {
  const radius = kernel.length - 1
  const padded = new Float32Array(width + 2 * radius)
  const sources = Int32Array.from(padded, (_, i) => mirror(i - radius, width))
  const result = new Float32Array(data.length)
  for (let y = 0; y < height; y++) {
    const row = y * width
    for (let i = 0; i < padded.length; i++) padded[i] = data[row + (sources[i] as number)] as number
    for (let x = 0; x < width; x++) {
      const centre = x + radius
      let sum = (kernel[0] as number) * (padded[centre] as number)
      for (let tap = 1; tap <= radius; tap++) {
        sum += (kernel[tap] as number) * ((padded[centre - tap] as number) + (padded[centre + tap] as number))
      }
      result[row + x] = sum
    }
  }
  return { width, height, data: result }
}

/** Whole rows are added up, so that memory is walked in its order. */
function blurColumns({ width, height, data }: Plane, kernel: Float64Array): Plane {
  const radius = kernel.length - 1
  const result = new Float32Array(data.length)
  const sum = new Float64Array(width)
  for (let y = 0; y < height; y++) {
    const row = y * width
    for (let x = 0; x < width; x++) sum[x] = (kernel[0] as number) * (data[row + x] as number)
    for (let tap = 1; tap <= radius; tap++) {
      const weight = kernel[tap] as number
      const above = mirror(y - tap, height) * width
      const below = mirror(y + tap, height) * width
      for (let x = 0; x < width; x++) {
        sum[x] = (sum[x] as number) + weight * ((data[above + x] as number) + (data[below + x] as number))
      }
    }
    result.set(sum, row)
  }
  return { width, height, data: result }
}

/** What makes one sample of an axis: `counts` inputs from `first` on, clamped to the axis. */
interface AxisTaps {
  readonly sources: Int32Array
  readonly weights: Float64Array
  readonly stride: number
}

/** As OpenCV does it for pictures: bicubic (INTER_CUBIC) or by area (INTER_AREA). */
export function resizePlane(plane: Plane, width: number, height: number, how: 'cubic' | 'area'): Plane {
  const make = how === 'cubic' ? cubicTaps : areaTaps
  const wide = plane.width === width ? plane : resizeRows(plane, width, make(plane.width, width))
  return plane.height === height ? wide : resizeColumns(wide, height, make(plane.height, height))
}

/**
 * Resizes a picture as the webui's preprocessors do: bicubic where it grows, by area where it shrinks. `how` decides
 * otherwise; `nearest` keeps flat colours flat.
 */
export function resizePicture(
  picture: Pixels,
  width: number,
  height: number,
  how?: 'cubic' | 'area' | 'nearest',
): Pixels {
  if (picture.width === width && picture.height === height) return picture
  if (how === 'nearest') return resizeNearest(picture, width, height)
  const grows = width * height > picture.width * picture.height
  const planes = Array.from({ length: picture.channels }, (_, channel) =>
    resizePlane(planeOf(picture, channel), width, height, how ?? (grows ? 'cubic' : 'area')),
  )
  if (picture.channels !== 4) return pixelsOf(planes)
  const data = new Uint8Array(width * height * 4)
  planes.forEach((plane, channel) => {
    for (let i = 0; i < plane.data.length; i++) data[i * 4 + channel] = toByte(plane.data[i] as number)
  })
  return { width, height, channels: 4, data }
}

/** OpenCV's INTER_NEAREST: the pixel at ⌊x · scale⌋. */
export function resizeNearest(picture: Pixels, width: number, height: number): Pixels {
  const { channels } = picture
  const data = new Uint8Array(width * height * channels)
  for (let y = 0, to = 0; y < height; y++) {
    const row = Math.min(picture.height - 1, Math.floor((y * picture.height) / height)) * picture.width
    for (let x = 0; x < width; x++, to += channels) {
      const from = (row + Math.min(picture.width - 1, Math.floor((x * picture.width) / width))) * channels
      for (let part = 0; part < channels; part++) data[to + part] = picture.data[from + part] as number
    }
  }
  return { width, height, channels, data }
}

/** Keys' cubic with a = −0.75; four taps also where it shrinks, so that it aliases there as OpenCV's does. */
function cubicTaps(from: number, to: number): AxisTaps {
  const sources = new Int32Array(to * 4)
  const weights = new Float64Array(to * 4)
  const a = -0.75
  for (let i = 0; i < to; i++) {
    const centre = ((i + 0.5) * from) / to - 0.5
    const base = Math.floor(centre)
    const x = centre - base
    const left = ((a * (x + 1) - 5 * a) * (x + 1) + 8 * a) * (x + 1) - 4 * a
    const middle = ((a + 2) * x - (a + 3)) * x * x + 1
    const right = ((a + 2) * (1 - x) - (a + 3)) * (1 - x) * (1 - x) + 1
    weights.set([left, middle, right, 1 - left - middle - right], i * 4)
    for (let tap = 0; tap < 4; tap++) sources[i * 4 + tap] = Math.min(from - 1, Math.max(0, base - 1 + tap))
  }
  return { sources, weights, stride: 4 }
}

/** The mean of what a pixel covers; where it grows, the pixel that holds the centre. */
function areaTaps(from: number, to: number): AxisTaps {
  const scale = from / to
  const stride = Math.ceil(scale) + 2
  const sources = new Int32Array(to * stride)
  const weights = new Float64Array(to * stride)
  for (let i = 0; i < to; i++) {
    const begin = i * scale
    const end = Math.min(from, begin + scale)
    let sum = 0
    for (let at = Math.floor(begin), tap = 0; at < end && tap < stride; at++, tap++) {
      const weight = Math.min(end, at + 1) - Math.max(begin, at)
      sources[i * stride + tap] = at
      // Rounding of `begin` can leave a sliver of the neighbour, which counts nothing.
      weights[i * stride + tap] = weight > 1e-9 ? weight : 0
      sum += weights[i * stride + tap] as number
    }
    for (let tap = 0; tap < stride; tap++)
      weights[i * stride + tap] = (weights[i * stride + tap] as number) / sum
  }
  return { sources, weights, stride }
}

function resizeRows(
  { width, height, data }: Plane,
  to: number,
  { sources, weights, stride }: AxisTaps,
): Plane {
  const result = new Float32Array(to * height)
  for (let y = 0; y < height; y++) {
    const row = y * width
    for (let x = 0; x < to; x++) {
      let sum = 0
      for (let tap = x * stride; tap < (x + 1) * stride; tap++) {
        sum += (weights[tap] as number) * (data[row + (sources[tap] as number)] as number)
      }
      result[y * to + x] = sum
    }
  }
  return { width: to, height, data: result }
}

function resizeColumns({ width, data }: Plane, to: number, { sources, weights, stride }: AxisTaps): Plane {
  const result = new Float32Array(width * to)
  const sum = new Float64Array(width)
  for (let y = 0; y < to; y++) {
    sum.fill(0)
    for (let tap = y * stride; tap < (y + 1) * stride; tap++) {
      const weight = weights[tap] as number
      if (weight === 0) continue
      const row = (sources[tap] as number) * width
      for (let x = 0; x < width; x++) sum[x] = (sum[x] as number) + weight * (data[row + x] as number)
    }
    result.set(sum, y * width)
  }
  return { width, height: to, data: result }
}
