/**
 * Drawings from pictures, without a network: white lines on black, as ControlNets for scribbles, line art and soft
 * edges take them.
 *
 * References: H. Winnemöller et al., "XDoG: An eXtended difference-of-Gaussians compendium" (2012); the webui
 * extension for ControlNet (Mikubill/sd-webui-controlnet, scripts/preprocessor) for the formulas of `scribble_xdog` and
 * `lineart_standard`; I. Sobel's gradient for the soft edge.
 */
import { type Pixels, toGrey } from '../resample.ts'
import { colourPlanes, gaussianBlur, pixelsOf, type Plane, planeOf, toByte } from './filters.ts'

export interface XdogOptions {
  /** Higher draws fewer lines. 32. */
  readonly threshold?: number
}

/**
 * Scribbles, black or white: where a fine blur (σ 0.5) is darker than a coarse one (σ 5) by more than half the
 * threshold, in every channel. Dark strokes and the dark sides of steps become lines.
 */
export function scribbleXdog(picture: Pixels, options: XdogOptions = {}): Pixels {
  const { threshold = 32 } = options
  const { width, height } = picture
  const deepest = new Float32Array(width * height).fill(Infinity)
  for (const plane of colourPlanes(picture)) {
    const fine = gaussianBlur(plane, 0.5).data
    const coarse = gaussianBlur(plane, 5).data
    for (let i = 0; i < deepest.length; i++) {
      const difference = (coarse[i] as number) - (fine[i] as number)
      if (difference < (deepest[i] as number)) deepest[i] = difference
    }
  }
  const data = new Uint8Array(width * height)
  for (let i = 0; i < data.length; i++) {
    // The original keeps 255 − difference in 8 bits, fraction cut off, on its way: 2 · (255 − that) is compared.
    const kept = Math.floor(Math.min(255, Math.max(0, 255 - (deepest[i] as number))))
    data[i] = 2 * (255 - kept) > threshold ? 255 : 0
  }
  return { width, height, channels: 1, data }
}

export interface LineartStandardOptions {
  /** Width of the surroundings that a line is darker than. 6. */
  readonly sigma?: number
  /** Below this a difference is texture, not a line. 8. */
  readonly floor?: number
}

/**
 * The webui's `lineart_standard`: how much darker a pixel is than its surroundings in the channel where that is least,
 * scaled so that the median line is half as bright as white.
 */
export function lineartStandard(picture: Pixels, options: LineartStandardOptions = {}): Pixels {
  const { sigma = 6, floor = 8 } = options
  const { width, height } = picture
  const least = new Float32Array(width * height).fill(Infinity)
  for (const plane of colourPlanes(picture)) {
    const around = gaussianBlur(plane, sigma).data
    for (let i = 0; i < least.length; i++) {
      least[i] = Math.min(least[i] as number, (around[i] as number) - (plane.data[i] as number))
    }
  }
  const strength = least.map(value => Math.min(255, Math.max(0, value)))
  const typical = median(strength.filter(value => value > floor))
  // 16, so that a picture without lines does not become noise.
  const scale = 127 / Math.max(16, typical)
  const data = Uint8Array.from(strength, value => Math.floor(Math.min(255, value * scale)))
  return { width, height, channels: 1, data }
}

export interface LineartDogOptions {
  /** Half the width of the lines that are drawn. 1. */
  readonly sigma?: number
  /** The coarse blur as a multiple of the fine one; 1.6 is near the Laplacian. */
  readonly ratio?: number
  /** How fast a line becomes white. 0.25: a step of 10 levels is half white. */
  readonly gain?: number
  /** Differences that are no line, in levels of 255. 1. */
  readonly floor?: number
}

/**
 * Line art by a difference of Gaussians: what is darker than its near surroundings, with soft ends (tanh) instead of a
 * threshold. Finds drawn lines and the dark sides of steps, both in the width of `sigma`.
 */
export function lineartDog(picture: Pixels, options: LineartDogOptions = {}): Pixels {
  const { sigma = 1, ratio = 1.6, gain = 0.25, floor = 1 } = options
  const { width, height } = picture
  const best = new Float32Array(width * height)
  // The channel with the strongest line counts: red on green of the same brightness is a line too.
  for (const plane of [...colourPlanes(picture), lumaOf(picture)]) {
    const fine = gaussianBlur(plane, sigma).data
    const coarse = gaussianBlur(plane, sigma * ratio).data
    for (let i = 0; i < best.length; i++) {
      best[i] = Math.max(best[i] as number, (coarse[i] as number) - (fine[i] as number) - floor)
    }
  }
  const data = Uint8Array.from(best, value => toByte(255 * Math.tanh(gain * value)))
  return { width, height, channels: 1, data }
}

export interface SoftEdgeOptions {
  /** Blur before the gradient: larger leaves out texture. 1.4. */
  readonly sigma?: number
  /** Share of the pixels that are white or brighter than white, in percent. 2. */
  readonly clip?: number
  /** Brightens (below 1) or darkens (above 1) faint edges. 1. */
  readonly gamma?: number
}

/**
 * A soft edge by Sobel's gradient: wide, grey lines as HED draws them, but of every step of brightness, where HED knows
 * which belong to things. A stand-in until there is the network, and so named.
 */
export function softedgeSobel(picture: Pixels, options: SoftEdgeOptions = {}): Pixels {
  const { sigma = 1.4, clip = 2, gamma = 1 } = options
  const { width, height } = picture
  const steepest = new Float32Array(width * height)
  for (const plane of colourPlanes(picture)) {
    const { data } = gaussianBlur(plane, sigma)
    for (let y = 0; y < height; y++) {
      const above = Math.max(0, y - 1) * width
      const here = y * width
      const below = Math.min(height - 1, y + 1) * width
      for (let x = 0; x < width; x++) {
        const left = Math.max(0, x - 1)
        const right = Math.min(width - 1, x + 1)
        const northWest = data[above + left] as number
        const northEast = data[above + right] as number
        const southWest = data[below + left] as number
        const southEast = data[below + right] as number
        const west = data[here + left] as number
        const east = data[here + right] as number
        const north = data[above + x] as number
        const south = data[below + x] as number
        const gx = northEast + 2 * east + southEast - northWest - 2 * west - southWest
        const gy = southWest + 2 * south + southEast - northWest - 2 * north - northEast
        // Not Math.hypot, which is ten times slower and guards against an overflow that cannot be.
        const size = Math.sqrt(gx * gx + gy * gy)
        if (size > (steepest[here + x] as number)) steepest[here + x] = size
      }
    }
  }
  // A step of 8 levels is the least that may become white: else the noise of an empty wall would.
  const white = Math.max(percentile(steepest, 100 - clip), 32)
  const data = Uint8Array.from(steepest, value => toByte(255 * Math.min(1, value / white) ** gamma))
  return { width, height, channels: 1, data }
}

function lumaOf(picture: Pixels): Plane {
  return planeOf(toGrey(picture), 0)
}

/** Of two middle values their mean, as numpy does; 0 of nothing. */
function median(values: Float32Array): number {
  if (values.length === 0) return 0
  const sorted = values.slice().sort()
  const half = sorted.length >> 1
  return sorted.length % 2 === 1
    ? (sorted[half] as number)
    : ((sorted[half - 1] as number) + (sorted[half] as number)) / 2
}

function percentile(values: Float32Array, percent: number): number {
  const sorted = values.slice().sort()
  const at = Math.min(sorted.length - 1, Math.max(0, Math.round((percent / 100) * (sorted.length - 1))))
  return sorted[at] ?? 0
}

export interface BlurOptions {
  /** Standard deviation in pixels. 9. */
  readonly sigma?: number
}

/** Gaussian blur, for ControlNets that restore detail. */
export function blurGaussian(picture: Pixels, options: BlurOptions = {}): Pixels {
  const { sigma = 9 } = options
  return pixelsOf(colourPlanes(picture).map(plane => gaussianBlur(plane, sigma, 3)))
}
