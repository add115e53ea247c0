/** The map of a spot among the exports: its name and range, and the cross that shows where the spot is. */
import type { SpotMap, SpotPoint } from '../../model/attention/spot.ts'
import { type HeatRange, rangeOf } from '../../model/image/heat.ts'
import type { Pixels } from '../../model/image/resample.ts'
import type { Normalisation } from './options.ts'

/** What manifest.json says of a spot's map. */
export interface SpotEntry {
  readonly name: string
  readonly point: SpotPoint
  readonly width: number
  readonly height: number
  /** Rows of self-attention that were averaged: layers times evaluations. */
  readonly rows: number
  readonly unit: string
  /** The values that are black and white in its pictures. */
  readonly range: HeatRange
}

/** `spot-0.5-0.25`: x and y as shares of the picture's sides, with at most three decimals. */
export function spotName({ x, y }: SpotPoint): string {
  return `spot-${[x, y].map(share => String(Number(share.toFixed(3)))).join('-')}`
}

/**
 * A spot's values are times an even look, not probabilities, so they share no range with words: `minmax` is its own,
 * both others begin at 0.
 */
export function spotEntry(spot: SpotMap, normalisation: Normalisation): SpotEntry {
  const own = rangeOf(spot.data)
  return {
    name: spotName(spot.point),
    point: spot.point,
    width: spot.width,
    height: spot.height,
    rows: spot.rows,
    unit: 'mean self-attention of the point, times the number of positions: 1 is an even look',
    range: normalisation === 'minmax' ? own : { low: 0, high: own.high },
  }
}

/** The picture with a small white cross, edged in black, on the point. */
export function markSpot(picture: Pixels, { x, y }: SpotPoint): Pixels {
  const { width, height, channels } = picture
  const data = Uint8Array.from(picture.data)
  const centre = {
    x: Math.min(width - 1, Math.floor(x * width)),
    y: Math.min(height - 1, Math.floor(y * height)),
  }
  const arm = Math.max(3, Math.round(Math.min(width, height) / 40))
  const put = (atX: number, atY: number, value: number): void => {
    if (atX < 0 || atY < 0 || atX >= width || atY >= height) return
    const at = (atY * width + atX) * channels
    data.fill(value, at, at + 3)
  }
  for (const [value, edge] of [
    [0, 1],
    [255, 0],
  ] as const) {
    for (let along = -arm - edge; along <= arm + edge; along++) {
      for (let across = -edge; across <= edge; across++) {
        put(centre.x + along, centre.y + across, value)
        put(centre.x + across, centre.y + along, value)
      }
    }
  }
  return { ...picture, data }
}
