/**
 * Flat areas by colour: k-means in CIELAB, seeded. It finds areas, not things: the sky and a blue car may be one. For
 * ControlNets that were trained on colour areas of this kind; those for ADE20K want the learned `seg`.
 *
 * Reference: S. Lloyd, "Least squares quantization in PCM" (1982); D. Arthur and S. Vassilvitskii, "k-means++" (2007).
 */
import type { Pixels } from '../resample.ts'
import { linear, lightness } from './colours.ts'
import { colourPlanes, gaussianBlur, pixelsOf, toRgb } from './filters.ts'
import { seededRandom } from './random.ts'

export interface SegmentOptions {
  /** How many colours. 8. */
  readonly colours?: number
  /** Where the search begins. 0. */
  readonly seed?: number
  /** Blur before, so that texture does not tear areas apart. 1.5. */
  readonly sigma?: number
  /** Radius of the vote that removes specks, in pixels. 2. */
  readonly clean?: number
}

/** More pixels change the centres of colours no more. */
const sampleLimit = 16_384
const rounds = 24

/** Every area in the mean colour of its pixels. */
export function segmentColours(picture: Pixels, options: SegmentOptions = {}): Pixels {
  const { colours = 8, seed = 0, sigma = 1.5, clean = 2 } = options
  const rgb = toRgb(picture)
  const { width, height } = rgb
  const smooth = sigma > 0 ? pixelsOf(colourPlanes(rgb).map(plane => gaussianBlur(plane, sigma))) : rgb
  const lab = toLab(smooth)
  const centres = cluster(sample(lab), colours, seed)
  const labels = new Uint8Array(width * height)
  for (let i = 0; i < labels.length; i++) labels[i] = nearest(lab, i, centres)
  const voted = clean > 0 ? vote(labels, width, height, centres.length / 3, Math.round(clean)) : labels
  return { width, height, channels: 3, data: paint(rgb, voted, centres.length / 3) }
}

/** The curve that CIELAB bends light by. */
const curve = (light: number) => (lightness(light) + 16) / 116

/** L*, a*, b* under D65, interleaved. */
function toLab({ width, height, data }: Pixels): Float32Array {
  const lab = new Float32Array(width * height * 3)
  for (let i = 0; i < lab.length; i += 3) {
    const red = linear[data[i] as number] as number
    const green = linear[data[i + 1] as number] as number
    const blue = linear[data[i + 2] as number] as number
    const x = curve((0.412453 * red + 0.35758 * green + 0.180423 * blue) / 0.950456)
    const y = curve(0.212671 * red + 0.71516 * green + 0.072169 * blue)
    const z = curve((0.019334 * red + 0.119193 * green + 0.950227 * blue) / 1.088754)
    lab[i] = 116 * y - 16
    lab[i + 1] = 500 * (x - y)
    lab[i + 2] = 200 * (y - z)
  }
  return lab
}

/** Pixels evenly spread over the picture, in its order. */
function sample(lab: Float32Array): Float32Array {
  const count = lab.length / 3
  if (count <= sampleLimit) return lab
  const chosen = new Float32Array(sampleLimit * 3)
  for (let i = 0; i < sampleLimit; i++) {
    const from = Math.floor(((i + 0.5) * count) / sampleLimit) * 3
    chosen.set(lab.subarray(from, from + 3), i * 3)
  }
  return chosen
}

function cluster(points: Float32Array, wanted: number, seed: number): Float64Array {
  const centres = firstCentres(points, wanted, seed)
  const count = centres.length / 3
  for (let round = 0; round < rounds; round++) {
    const sums = new Float64Array(count * 4)
    for (let i = 0; i < points.length / 3; i++) {
      const to = nearest(points, i, centres) * 4
      for (let part = 0; part < 3; part++)
        sums[to + part] = (sums[to + part] as number) + (points[i * 3 + part] as number)
      sums[to + 3] = (sums[to + 3] as number) + 1
    }
    let moved = 0
    for (let k = 0; k < count; k++) {
      const members = sums[k * 4 + 3] as number
      if (members === 0) continue
      for (let part = 0; part < 3; part++) {
        const mean = (sums[k * 4 + part] as number) / members
        moved = Math.max(moved, Math.abs(mean - (centres[k * 3 + part] as number)))
        centres[k * 3 + part] = mean
      }
    }
    if (moved < 0.05) break
  }
  return centres
}

/** k-means++: each further centre is a pixel drawn by its squared distance to those there are. */
function firstCentres(points: Float32Array, wanted: number, seed: number): Float64Array {
  const random = seededRandom(seed)
  const count = points.length / 3
  const centres: number[] = []
  const distances = new Float64Array(count).fill(Infinity)
  const add = (at: number) => {
    const from = centres.length
    centres.push(points[at * 3] as number, points[at * 3 + 1] as number, points[at * 3 + 2] as number)
    for (let i = 0; i < count; i++)
      distances[i] = Math.min(distances[i] as number, squared(points, i, centres, from))
  }
  add(Math.floor(random() * count))
  while (centres.length < wanted * 3) {
    const total = distances.reduce((sum, value) => sum + value, 0)
    // Fewer colours in the picture than were asked for.
    if (total === 0) break
    let left = random() * total
    let at = 0
    while (at < count - 1 && (left -= distances[at] as number) > 0) at++
    add(at)
  }
  return Float64Array.from(centres)
}

function squared(points: Float32Array, i: number, centres: ArrayLike<number>, from: number): number {
  const l = (points[i * 3] as number) - (centres[from] as number)
  const a = (points[i * 3 + 1] as number) - (centres[from + 1] as number)
  const b = (points[i * 3 + 2] as number) - (centres[from + 2] as number)
  return l * l + a * a + b * b
}

function nearest(points: Float32Array, i: number, centres: Float64Array): number {
  let best = 0
  let least = Infinity
  for (let from = 0; from < centres.length; from += 3) {
    const distance = squared(points, i, centres, from)
    if (distance < least) {
      least = distance
      best = from / 3
    }
  }
  return best
}

/** The commonest label of the square around a pixel; its own where it is as common as any. */
function vote(labels: Uint8Array, width: number, height: number, count: number, radius: number): Uint8Array {
  const result = new Uint8Array(labels.length)
  const columns = Array.from({ length: width }, () => new Int32Array(count))
  const change = (y: number, by: number) => {
    if (y < 0 || y >= height) return
    for (let x = 0; x < width; x++) {
      const column = columns[x] as Int32Array
      const label = labels[y * width + x] as number
      column[label] = (column[label] as number) + by
    }
  }
  for (let y = 0; y < radius; y++) change(y, 1)
  for (let y = 0; y < height; y++) {
    change(y + radius, 1)
    change(y - radius - 1, -1)
    const votes = new Int32Array(count)
    const shift = (x: number, by: number) => {
      const column = columns[x]
      if (column) for (let k = 0; k < count; k++) votes[k] = (votes[k] as number) + by * (column[k] as number)
    }
    for (let x = 0; x < radius; x++) shift(x, 1)
    for (let x = 0; x < width; x++) {
      shift(x + radius, 1)
      shift(x - radius - 1, -1)
      let best = labels[y * width + x] as number
      for (let k = 0; k < count; k++) if ((votes[k] as number) > (votes[best] as number)) best = k
      result[y * width + x] = best
    }
  }
  return result
}

function paint({ data }: Pixels, labels: Uint8Array, count: number): Uint8Array {
  const sums = new Float64Array(count * 4)
  for (let i = 0; i < labels.length; i++) {
    const to = (labels[i] as number) * 4
    for (let part = 0; part < 3; part++)
      sums[to + part] = (sums[to + part] as number) + (data[i * 3 + part] as number)
    sums[to + 3] = (sums[to + 3] as number) + 1
  }
  const painted = new Uint8Array(labels.length * 3)
  for (let i = 0; i < labels.length; i++) {
    const from = (labels[i] as number) * 4
    for (let part = 0; part < 3; part++)
      painted[i * 3 + part] = Math.round((sums[from + part] as number) / (sums[from + 3] as number))
  }
  return painted
}
