/**
 * Canny's edges, pixel for pixel as OpenCV finds them with aperture 3 (`cv2.Canny`). ControlNets for edges were trained
 * on OpenCV's, so a line that lies elsewhere, or is doubled, is a line the network has not seen.
 *
 * Reference: J. Canny, "A Computational Approach to Edge Detection" (1986); OpenCV, modules/imgproc/src/canny.cpp,
 * whose choices are stated where they are made. There is no blur before, as there is none in OpenCV.
 */
import type { Pixels } from '../resample.ts'

export interface CannyOptions {
  /** Gradients above this belong to an edge if they touch a strong one. 100, as in the webui and in diffusers. */
  readonly low?: number
  /** Gradients above this are edges. 200. */
  readonly high?: number
  /** The length of the gradient, √(x² + y²), instead of |x| + |y|. */
  readonly l2?: boolean
}

/** Marks in the map of pixels. */
const possible = 0
const never = 1
const edge = 2

/** tan 22.5° in 15 bits of fixed point, which decides ties as OpenCV does. */
const tangentBits = 15
const tangent = Math.floor(Math.SQRT2 * 2 ** tangentBits + 0.5) - 2 ** tangentBits

/** White lines one pixel wide on black, one channel. Of colour pictures the channel with the steepest step counts. */
export function canny(picture: Pixels, options: CannyOptions = {}): Pixels {
  const { low = 100, high = 200, l2 = false } = options
  const { width, height } = picture
  const gradient = sobel(picture, l2)
  const [weak, strong] = thresholds(low, high, l2)
  const stride = width + 2
  const map = new Uint8Array(stride * (height + 2)).fill(never)
  const stack = suppress(gradient, width, height, weak, strong, map)
  follow(map, stack, stride)
  const data = new Uint8Array(width * height)
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0, from = (y + 1) * stride + 1; x < width; x++, from++, to++) {
      if (map[from] === edge) data[to] = 255
    }
  }
  return { width, height, channels: 1, data }
}

/** OpenCV swaps thresholds in the wrong order, squares them for the length, and drops their fractions. */
function thresholds(low: number, high: number, l2: boolean): [number, number] {
  const [small, large] = low > high ? [high, low] : [low, high]
  const cut = (value: number) => {
    const capped = l2 ? Math.min(32_767, value) : value
    return Math.floor(l2 && capped > 0 ? capped * capped : capped)
  }
  return [cut(small), cut(large)]
}

interface Gradient {
  readonly dx: Int16Array
  readonly dy: Int16Array
  /** With a border of zeros, (width + 2) × (height + 2). */
  readonly magnitude: Int32Array
}

/** Sobel's derivatives with repeated borders; the first of equally steep channels wins. */
function sobel({ width, height, channels, data }: Pixels, l2: boolean): Gradient {
  const dx = new Int16Array(width * height)
  const dy = new Int16Array(width * height)
  const magnitude = new Int32Array((width + 2) * (height + 2)).fill(-1)
  const used = channels === 1 ? 1 : 3
  // Columns of the three rows: differences down (for dy) and sums 1-2-1 (for dx), with both neighbours of the ends.
  const down = new Int16Array(width + 2)
  const sums = new Int16Array(width + 2)
  const pitch = width * channels
  for (let y = 0; y < height; y++) {
    const above = Math.max(0, y - 1) * pitch
    const here = y * pitch
    const below = Math.min(height - 1, y + 1) * pitch
    const row = (y + 1) * (width + 2) + 1
    for (let channel = 0; channel < used; channel++) {
      for (let x = 0, at = channel; x < width; x++, at += channels) {
        const top = data[above + at] as number
        const bottom = data[below + at] as number
        down[x + 1] = bottom - top
        sums[x + 1] = top + 2 * (data[here + at] as number) + bottom
      }
      down[0] = down[1] as number
      sums[0] = sums[1] as number
      down[width + 1] = down[width] as number
      sums[width + 1] = sums[width] as number
      for (let x = 0, to = y * width; x < width; x++, to++) {
        const gx = (sums[x + 2] as number) - (sums[x] as number)
        const gy = (down[x] as number) + 2 * (down[x + 1] as number) + (down[x + 2] as number)
        const size = l2 ? gx * gx + gy * gy : Math.abs(gx) + Math.abs(gy)
        if (size > (magnitude[row + x] as number)) {
          magnitude[row + x] = size
          dx[to] = gx
          dy[to] = gy
        }
      }
    }
  }
  clearBorder(magnitude, width, height)
  return { dx, dy, magnitude }
}

function clearBorder(magnitude: Int32Array, width: number, height: number): void {
  const stride = width + 2
  magnitude.fill(0, 0, stride)
  magnitude.fill(0, (height + 1) * stride)
  for (let y = 1; y <= height; y++) {
    magnitude[y * stride] = 0
    magnitude[y * stride + width + 1] = 0
  }
}

/**
 * Keeps crests: pixels steeper than both neighbours along their gradient, of four directions. On a plateau two pixels
 * wide the left or upper one is kept; a diagonal one is dropped altogether.
 * @returns places of strong edges in `map`
 */
function suppress(
  { dx, dy, magnitude }: Gradient,
  width: number,
  height: number,
  weak: number,
  strong: number,
  map: Uint8Array,
): number[] {
  const stride = width + 2
  const stack: number[] = []
  for (let y = 0, from = 0; y < height; y++) {
    for (let x = 0, at = (y + 1) * stride + 1; x < width; x++, at++, from++) {
      const size = magnitude[at] as number
      if (size <= weak) continue
      const gx = dx[from] as number
      const gy = dy[from] as number
      const across = Math.abs(gx)
      const up = Math.abs(gy) << tangentBits
      const flat = across * tangent
      let crest: boolean
      if (up < flat) {
        crest = size > (magnitude[at - 1] as number) && size >= (magnitude[at + 1] as number)
      } else if (up > flat + (across << (tangentBits + 1))) {
        // tan 67.5° = 2 + tan 22.5°
        crest = size > (magnitude[at - stride] as number) && size >= (magnitude[at + stride] as number)
      } else {
        const side = (gx ^ gy) < 0 ? -1 : 1
        crest =
          size > (magnitude[at - stride - side] as number) && size > (magnitude[at + stride + side] as number)
      }
      if (!crest) continue
      if (size > strong) {
        map[at] = edge
        stack.push(at)
      } else map[at] = possible
    }
  }
  return stack
}

/** Hysteresis: what touches an edge, over sides and corners, and may be one, is one. */
function follow(map: Uint8Array, stack: number[], stride: number): void {
  const around = [-stride - 1, -stride, -stride + 1, -1, 1, stride - 1, stride, stride + 1]
  for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
    for (const step of around) {
      if (map[at + step] !== possible) continue
      map[at + step] = edge
      stack.push(at + step)
    }
  }
}
