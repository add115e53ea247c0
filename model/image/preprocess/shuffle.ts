/**
 * Content shuffled: the picture pulled out of shape by two smooth fields, so that colours and style stay and places do
 * not. As the preprocessor of the ControlNet `shuffle` (lllyasviel/ControlNet-v1-1-nightly, annotator/shuffle), with
 * seeds of our own: numpy's numbers are not repeated.
 */
import type { Pixels } from '../resample.ts'
import { type Plane, resizePlane, toByte, toRgb } from './filters.ts'
import { seededRandom } from './random.ts'

export interface ShuffleOptions {
  /** Another seed, another warp. 0. */
  readonly seed?: number
  /** Distance of the field's knots in pixels: smaller tears more. 256. */
  readonly grain?: number
}

export function shuffle(picture: Pixels, options: ShuffleOptions = {}): Pixels {
  const { seed = 0, grain = 256 } = options
  const source = toRgb(picture)
  const { width, height } = source
  const random = seededRandom(seed)
  const across = smoothField(width, height, grain, random)
  const down = smoothField(width, height, grain, random)
  const data = new Uint8Array(width * height * 3)
  for (let i = 0; i < across.length; i++) {
    const x = (across[i] as number) * (width - 1)
    const y = (down[i] as number) * (height - 1)
    const left = Math.min(width - 1, Math.floor(x))
    const top = Math.min(height - 1, Math.floor(y))
    const right = Math.min(width - 1, left + 1)
    const bottom = Math.min(height - 1, top + 1)
    const [shareX, shareY] = [x - left, y - top]
    const [upper, lower] = [top * width, bottom * width]
    for (let part = 0; part < 3; part++) {
      const northWest = source.data[(upper + left) * 3 + part] as number
      const northEast = source.data[(upper + right) * 3 + part] as number
      const southWest = source.data[(lower + left) * 3 + part] as number
      const southEast = source.data[(lower + right) * 3 + part] as number
      const north = northWest + (northEast - northWest) * shareX
      const south = southWest + (southEast - southWest) * shareX
      data[i * 3 + part] = toByte(north + (south - north) * shareY)
    }
  }
  return { width, height, channels: 3, data }
}

/** Noise on a coarse grid, made smooth and brought to 0…1. One cell of border on each side is cut off. */
function smoothField(width: number, height: number, grain: number, random: () => number): Float32Array {
  const columns = Math.floor(width / grain) + 2
  const rows = Math.floor(height / grain) + 2
  const knots: Plane = {
    width: columns,
    height: rows,
    data: Float32Array.from({ length: columns * rows }, random),
  }
  const large = resizePlane(knots, width + 2 * grain, height + 2 * grain, 'cubic')
  const field = new Float32Array(width * height)
  let low = Infinity
  let high = -Infinity
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const value = large.data[(y + grain) * large.width + x + grain] as number
      field[y * width + x] = value
      if (value < low) low = value
      if (value > high) high = value
    }
  }
  const spread = high - low
  return spread > 0 ? field.map(value => (value - low) / spread) : field.fill(0.5)
}
