/**
 * Maps as pictures: resizing of single-precision maps with their aspect kept apart (width and height are never
 * swapped, nothing is assumed square), normalising, colouring, laying over a picture.
 */
import { type Colormap, colourTable } from './colormap.ts'
import type { Pixels } from './resample.ts'

/** A map of numbers: row by row from the top, [height, width]. */
export interface HeatMap {
  readonly width: number
  readonly height: number
  readonly data: Float32Array
}

/** The values that become 0 and 1. */
export interface HeatRange {
  readonly low: number
  readonly high: number
}

/** Smallest and largest value. */
export function rangeOf(data: Float32Array): HeatRange {
  let low = Infinity
  let high = -Infinity
  for (const value of data) {
    if (value < low) low = value
    if (value > high) high = value
  }
  return { low, high }
}

/** A value's place in its range, 0…1; a map that is the same everywhere is 0 everywhere. */
export function normalise(value: number, { low, high }: HeatRange): number {
  return high > low ? Math.min(1, Math.max(0, (value - low) / (high - low))) : 0
}

/**
 * Resizes a map for showing. Where it grows: Mitchell and Netravali's cubic (B = C = 1/3, pixel centres at one half),
 * which keeps round things round on grids of 4×4 too and hardly overshoots; what it does is cut off at the source's
 * range, so that no negative probability appears. Where it shrinks: the mean of the covered area.
 */
export function resizeHeat(map: HeatMap, width: number, height: number): HeatMap {
  if (map.width === width && map.height === height) return map
  const across = resizeAxis(map.data, map.height, map.width, width, true)
  const both = resizeAxis(across, width, map.height, height, false)
  const { low, high } = rangeOf(map.data)
  return { width, height, data: both.map(value => Math.min(high, Math.max(low, value))) }
}

/** One axis of `from` samples to `to`; `lines` of them, one after another (`rows`) or interleaved. */
function resizeAxis(
  data: Float32Array,
  lines: number,
  from: number,
  to: number,
  rows: boolean,
): Float32Array {
  if (from === to) return data
  const result = new Float32Array(lines * to)
  const taps = to > from ? cubicTaps(from, to) : areaTaps(from, to)
  taps.forEach((list, at) => {
    for (let line = 0; line < lines; line++) {
      let sum = 0
      for (const [source, weight] of list) {
        sum += weight * (data[rows ? line * from + source : source * lines + line] as number)
      }
      result[rows ? line * to + at : at * lines + line] = sum
    }
  })
  return result
}

function cubicTaps(from: number, to: number): [number, number][][] {
  return Array.from({ length: to }, (_, at) => {
    const centre = ((at + 0.5) * from) / to - 0.5
    const first = Math.floor(centre) - 1
    return [0, 1, 2, 3].map((k): [number, number] => {
      const source = Math.min(from - 1, Math.max(0, first + k))
      return [source, mitchell(Math.abs(centre - first - k))]
    })
  })
}

/** Mitchell and Netravali, "Reconstruction Filters in Computer Graphics" (1988), equation 8 with B = C = 1/3. */
function mitchell(x: number): number {
  if (x < 1) return (21 * x ** 3 - 36 * x ** 2 + 16) / 18
  if (x < 2) return (-7 * x ** 3 + 36 * x ** 2 - 60 * x + 32) / 18
  return 0
}

function areaTaps(from: number, to: number): [number, number][][] {
  const scale = from / to
  return Array.from({ length: to }, (_, at) => {
    const taps: [number, number][] = []
    const end = Math.min(from, (at + 1) * scale)
    for (let source = Math.floor(at * scale); source < end; source++) {
      const covered = Math.min(end, source + 1) - Math.max(at * scale, source)
      if (covered > 0) taps.push([source, covered / scale])
    }
    return taps
  })
}

/** A map in colours, at its own size. */
export function paintHeat(map: HeatMap, range: HeatRange, colormap: Colormap): Pixels {
  const table = colourTable(colormap)
  const data = new Uint8Array(map.data.length * 3)
  map.data.forEach((value, at) => {
    const index = Math.round(normalise(value, range) * 255) * 3
    data.set(table.subarray(index, index + 3), at * 3)
  })
  return { width: map.width, height: map.height, channels: 3, data }
}

/** A map as 16-bit grey: 0 is `range.low`, 65535 is `range.high`, linear between. */
export function greyHeat(map: HeatMap, range: HeatRange): Uint16Array {
  return Uint16Array.from(map.data, value => Math.round(normalise(value, range) * 65_535))
}

/**
 * Lays a map over a picture of the same size. Where the heat is low the picture is seen, a little darker and paler,
 * so that bright pictures do not drown the colours.
 * @param strength opacity of the hottest place, 0…1
 */
export function overlayHeat(
  picture: Pixels,
  map: HeatMap,
  range: HeatRange,
  colormap: Colormap,
  strength = 0.75,
): Pixels {
  const table = colourTable(colormap)
  const { channels } = picture
  const data = new Uint8Array(picture.width * picture.height * 3)
  for (let at = 0; at < map.data.length; at++) {
    const heat = normalise(map.data[at] as number, range)
    const alpha = strength * Math.sqrt(heat) * Math.min(1, heat * 4)
    const colour = Math.round(heat * 255) * 3
    const red = picture.data[at * channels] as number
    const green = picture.data[at * channels + (channels === 1 ? 0 : 1)] as number
    const blue = picture.data[at * channels + (channels === 1 ? 0 : 2)] as number
    const grey = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    ;[red, green, blue].forEach((value, part) => {
      const calm = 0.85 * (0.65 * value + 0.35 * grey)
      data[at * 3 + part] = Math.round(calm + alpha * ((table[colour + part] as number) - calm))
    })
  }
  return { width: picture.width, height: picture.height, channels: 3, data }
}
