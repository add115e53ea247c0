/**
 * A body as OpenPose draws it for ControlNet, from the heat maps of a network that finds COCO's 17 points (ViTPose).
 *
 * References: CMU OpenPose (18 points: COCO's and the neck, halfway between the shoulders); lllyasviel/ControlNet,
 * annotator/openpose/util.py, for limbs, colours and widths.
 */
import type { Pixels } from '../resample.ts'

/** A point of the body in pixels; absent where the network is not sure. */
export interface PosePoint {
  readonly x: number
  readonly y: number
  readonly score: number
}

/** Heat maps of one person: [points, height, width]. */
export interface HeatMaps {
  readonly count: number
  readonly width: number
  readonly height: number
  readonly data: Float32Array
}

/**
 * The hottest place of each map, moved a quarter of a cell towards its hotter neighbour (as ViTPose's own decoding
 * does), in the units of a picture that the maps cover.
 */
export function pointsOf(maps: HeatMaps, width: number, height: number): PosePoint[] {
  const { count, data } = maps
  const area = maps.width * maps.height
  return Array.from({ length: count }, (_, map) => {
    let best = 0
    for (let i = 1; i < area; i++)
      if ((data[map * area + i] as number) > (data[map * area + best] as number)) best = i
    const at = (x: number, y: number) =>
      x < 0 || y < 0 || x >= maps.width || y >= maps.height
        ? -Infinity
        : (data[map * area + y * maps.width + x] as number)
    const [x, y] = [best % maps.width, Math.floor(best / maps.width)]
    return {
      x: ((x + 0.5 + towards(at(x + 1, y), at(x - 1, y))) * width) / maps.width,
      y: ((y + 0.5 + towards(at(x, y + 1), at(x, y - 1))) * height) / maps.height,
      score: data[map * area + best] as number,
    }
  })
}

/** A quarter of a cell to the hotter side; none at the border. */
function towards(after: number, before: number): number {
  return Number.isFinite(after) && Number.isFinite(before) ? Math.sign(after - before) * 0.25 : 0
}

/** COCO's numbers in OpenPose's order; the neck is made. */
const openPoseOfCoco = [0, -1, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3] as const
const [leftShoulder, rightShoulder] = [5, 6] as const

/** Pairs of points in OpenPose's order; each limb has the colour of its number. */
const limbs: readonly (readonly [number, number])[] = [
  [1, 2],
  [1, 5],
  [2, 3],
  [3, 4],
  [5, 6],
  [6, 7],
  [1, 8],
  [8, 9],
  [9, 10],
  [1, 11],
  [11, 12],
  [12, 13],
  [1, 0],
  [0, 14],
  [14, 16],
  [0, 15],
  [15, 17],
]

/** Round the wheel of hues in eighteen steps, as OpenPose has them. */
const colours: readonly (readonly [number, number, number])[] = [
  [255, 0, 0],
  [255, 85, 0],
  [255, 170, 0],
  [255, 255, 0],
  [170, 255, 0],
  [85, 255, 0],
  [0, 255, 0],
  [0, 255, 85],
  [0, 255, 170],
  [0, 255, 255],
  [0, 170, 255],
  [0, 85, 255],
  [0, 0, 255],
  [85, 0, 255],
  [170, 0, 255],
  [255, 0, 255],
  [255, 0, 170],
  [255, 0, 85],
]

/** Half the width of a limb and the radius of a point, at every size: so the networks were trained. */
const radius = 4
/** Limbs are this bright, points fully. */
const limbBrightness = 0.6

/** COCO's 17 points as OpenPose's 18. @param threshold points with less are left out */
export function toOpenPose(points: readonly PosePoint[], threshold: number): (PosePoint | undefined)[] {
  const sure = points.map(point => (point.score >= threshold ? point : undefined))
  const [left, right] = [sure[leftShoulder], sure[rightShoulder]]
  return openPoseOfCoco.map(index => {
    if (index >= 0) return sure[index]
    if (!left || !right) return undefined
    return {
      x: (left.x + right.x) / 2,
      y: (left.y + right.y) / 2,
      score: Math.min(left.score, right.score),
    }
  })
}

/** Draws people on black. */
export function drawPoses(
  width: number,
  height: number,
  people: readonly (readonly (PosePoint | undefined)[])[],
): Pixels {
  const data = new Uint8Array(width * height * 3)
  const put = (x: number, y: number, colour: readonly number[], brightness: number) => {
    if (x < 0 || y < 0 || x >= width || y >= height) return
    for (let part = 0; part < 3; part++)
      data[(y * width + x) * 3 + part] = Math.floor((colour[part] as number) * brightness)
  }
  for (const person of people) {
    limbs.forEach(([from, to], number) => {
      const [a, b] = [person[from], person[to]]
      if (a && b) fillEllipse(a, b, (x, y) => put(x, y, colours[number] as readonly number[], limbBrightness))
    })
    person.forEach((point, number) => {
      if (point) fillEllipse(point, point, (x, y) => put(x, y, colours[number] as readonly number[], 1))
    })
  }
  return { width, height, channels: 3, data }
}

/** An ellipse whose long axis goes from one point to the other; a disc when they are one. */
function fillEllipse(a: PosePoint, b: PosePoint, put: (x: number, y: number) => void): void {
  const [centreX, centreY] = [(a.x + b.x) / 2, (a.y + b.y) / 2]
  const length = Math.hypot(b.x - a.x, b.y - a.y)
  const long = Math.max(radius, length / 2)
  const [cos, sin] = length > 0 ? [(b.x - a.x) / length, (b.y - a.y) / length] : [1, 0]
  for (let y = Math.floor(centreY - long); y <= Math.ceil(centreY + long); y++) {
    for (let x = Math.floor(centreX - long); x <= Math.ceil(centreX + long); x++) {
      const along = ((x - centreX) * cos + (y - centreY) * sin) / long
      const aside = ((y - centreY) * cos - (x - centreX) * sin) / radius
      if (along * along + aside * aside <= 1) put(x, y)
    }
  }
}
