/**
 * Painted masks: bytes on a grid over the picture (0 outside, 255 inside), and what is done to them. Functions that end
 * in a new mask leave the given one as it is, so that a history can hold both; `dab` and `stroke` paint into theirs.
 */
import type { ControlMask } from '../../model/contract/controls.ts'

export interface Mask {
  readonly width: number
  readonly height: number
  /** [height, width] */
  readonly data: Uint8Array
}

/** Shares of the picture's width and height. */
export interface MaskPoint {
  readonly x: number
  readonly y: number
}

export interface Brush {
  /** Radius as a share of the picture's shorter side. */
  readonly size: number
  /** Share of the radius over which the rim fades: 0 hard, 1 from the middle on. */
  readonly softness: number
  readonly erase: boolean
}

/** Cells of a mask's longer side: finer than any grid of attention. */
const longerSide = 96

export function emptyMask(width: number, height: number, most = longerSide): Mask {
  const scale = most / Math.max(width, height)
  const [across, down] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))]
  return { width: across, height: down, data: new Uint8Array(across * down) }
}

/**
 * Lays a round spot on a mask.
 * @param x share of the width, 0…1
 * @param radius share of the shorter side
 * @param softness share of the radius that is the rim
 */
export function dab(
  mask: Mask,
  x: number,
  y: number,
  radius: number,
  erase: boolean,
  softness = 1 / 3,
): void {
  const { width, height, data } = mask
  const reach = radius * Math.min(width, height)
  const [cx, cy] = [x * width, y * height]
  // A hard rim still fades over one cell: no stairs.
  const rim = Math.max(softness, 1 / Math.max(1, reach))
  for (let row = Math.max(0, Math.floor(cy - reach)); row < Math.min(height, Math.ceil(cy + reach)); row++) {
    for (let at = Math.max(0, Math.floor(cx - reach)); at < Math.min(width, Math.ceil(cx + reach)); at++) {
      const distance = Math.hypot(at + 0.5 - cx, row + 0.5 - cy) / reach
      if (distance >= 1) continue
      const value = Math.round(255 * Math.min(1, (1 - distance) / rim))
      const index = row * width + at
      const before = data[index] as number
      data[index] = erase ? Math.min(before, 255 - value) : Math.max(before, value)
    }
  }
}

/** The line between two spots, without gaps. */
export function stroke(
  mask: Mask,
  from: MaskPoint,
  to: MaskPoint,
  radius: number,
  erase: boolean,
  softness = 1 / 3,
): void {
  const distance = Math.hypot((to.x - from.x) * mask.width, (to.y - from.y) * mask.height)
  // A third of the radius apart, which no eye tells from a line; small brushes go cell by cell or two.
  const apart = Math.max(1, Math.min(8, (radius * Math.min(mask.width, mask.height)) / 3))
  const count = Math.max(1, Math.ceil(distance / apart))
  for (let index = 1; index <= count; index++) {
    const share = index / count
    dab(mask, from.x + (to.x - from.x) * share, from.y + (to.y - from.y) * share, radius, erase, softness)
  }
}

export function isEmpty(mask: Mask): boolean {
  return mask.data.every(value => value === 0)
}

/** The share of the picture that is inside, 0…1. */
export function coverage({ data }: Mask): number {
  let sum = 0
  for (const value of data) sum += value
  return data.length > 0 ? sum / (255 * data.length) : 0
}

export function copyMask({ width, height, data }: Mask): Mask {
  return { width, height, data: data.slice() }
}

export function invertMask({ width, height, data }: Mask): Mask {
  return { width, height, data: data.map(value => 255 - value) }
}

/** The same places on another grid, each cell the mean of what it covers. */
export function resizeMask(mask: Mask, width: number, height: number): Mask {
  if (mask.width === width && mask.height === height) return mask
  const rows = resizeAxis(mask.data, mask.width, width, mask.height, 1, mask.width)
  return { width, height, data: bytes(resizeAxis(rows, mask.height, height, width, width, 1)) }
}

/** One axis: area means when it shrinks, linear between the middles of cells when it grows. */
function resizeAxis(
  data: ArrayLike<number>,
  from: number,
  to: number,
  lines: number,
  step: number,
  line: number,
): Float32Array {
  const isRow = step === 1
  const result = new Float32Array(lines * to)
  const scale = from / to
  for (let at = 0; at < lines; at++) {
    for (let index = 0; index < to; index++) {
      const centre = (index + 0.5) * scale
      const half = Math.max(1, scale)
      let [sum, total] = [0, 0]
      for (let cell = Math.floor(centre - half); cell <= Math.ceil(centre + half); cell++) {
        // A triangle as wide as the cells it stands for.
        const weight = 1 - Math.abs(cell + 0.5 - centre) / half
        if (weight <= 0) continue
        const inside = Math.min(from - 1, Math.max(0, cell))
        sum += weight * (data[at * line + inside * step] as number)
        total += weight
      }
      result[isRow ? at * to + index : index * lines + at] = sum / total
    }
  }
  return result
}

const bytes = (values: Float32Array): Uint8Array => Uint8Array.from(values, value => Math.round(value))

/**
 * Where a map is at least `threshold` of its peak. The map is grown smoothly first, so that the edge is no stairs.
 * @param map values of any range, [height, width]
 * @param size of the picture
 */
export function maskOfMap(
  map: { readonly width: number; readonly height: number; readonly data: ArrayLike<number> },
  threshold: number,
  size: { readonly width: number; readonly height: number },
  most = longerSide,
): Mask {
  const grid = emptyMask(size.width, size.height, most)
  const rows = resizeAxis(map.data, map.width, grid.width, map.height, 1, map.width)
  const smooth = resizeAxis(rows, map.height, grid.height, grid.width, grid.width, 1)
  let peak = 0
  for (const value of smooth) peak = Math.max(peak, value)
  return {
    ...grid,
    data: Uint8Array.from(smooth, value => (value > 0 && value >= threshold * peak ? 255 : 0)),
  }
}

export function toControlMask({ width, height, data }: Mask): ControlMask {
  let text = ''
  for (const byte of data) text += String.fromCharCode(byte)
  return { kind: 'bitmap', width, height, data: btoa(text) }
}

export function fromControlMask(mask: ControlMask, width: number, height: number): Mask {
  if (mask.kind === 'bitmap') {
    const data = Uint8Array.from(atob(mask.data), sign => sign.charCodeAt(0))
    return { width: mask.width, height: mask.height, data }
  }
  const made = emptyMask(width, height)
  made.data.forEach((_, index) => {
    const x = ((index % made.width) + 0.5) / made.width
    const y = (Math.floor(index / made.width) + 0.5) / made.height
    const inside = x >= mask.x && x < mask.x + mask.width && y >= mask.y && y < mask.y + mask.height
    made.data[index] = inside ? 255 : 0
  })
  return made
}

/** Draws a light line along a mask's edge into its picture, so that it is seen on a ground of its own colour. */
export function outlineMask({ width, height, data }: Mask, image: ImageData): ImageData {
  const isInside = (x: number, y: number): boolean =>
    (data[Math.min(height - 1, Math.max(0, y)) * width + Math.min(width - 1, Math.max(0, x))] as number) >=
    128
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!isInside(x, y)) continue
      const isEdge = !isInside(x - 1, y) || !isInside(x + 1, y) || !isInside(x, y - 1) || !isInside(x, y + 1)
      if (isEdge) image.data.set([255, 255, 255, 235], (y * width + x) * 4)
    }
  }
  return image
}

/** A mask as colour with its strength as opacity. */
export function tintMask(
  { width, height, data }: Mask,
  colour: readonly [number, number, number],
  opacity = 0.62,
): ImageData {
  const rgba = new Uint8ClampedArray(width * height * 4)
  data.forEach((value, at) => rgba.set([...colour, value * opacity], at * 4))
  return new ImageData(rgba, width, height)
}
