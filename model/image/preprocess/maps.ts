/** Results of networks as hints: depth as grey, segments as colours. */
import { AttuneError } from '../../contract/errors.ts'
import type { Pixels } from '../resample.ts'
import { type Plane, toByte } from './filters.ts'

/**
 * Depth as ControlNets take it: near is bright, the nearest white and the farthest black.
 * @param farIsHigh of networks that give metres instead of their inverse
 * @throws AttuneError `bad-model` when there are values that are no numbers
 */
export function depthHint({ width, height, data }: Plane, farIsHigh: boolean): Pixels {
  let low = Infinity
  let high = -Infinity
  for (const value of data) {
    if (!Number.isFinite(value)) {
      throw new AttuneError(
        'bad-model',
        'The depth network gave values that are not numbers.',
        'Use another file of the model: fp32 where there is one.',
      )
    }
    low = Math.min(low, value)
    high = Math.max(high, value)
  }
  const scale = high > low ? 255 / (high - low) : 0
  const grey = Uint8Array.from(data, value => toByte(scale * (farIsHigh ? high - value : value - low)))
  return { width, height, channels: 1, data: grey }
}

/** Where one class or one thing is: 255 inside, of the picture's size. */
export interface Segment {
  /** Number of the class in the network's list; absent for a foreground without a class. */
  readonly label?: number
  readonly mask: Uint8Array
}

/** Segments in the colours of their classes; what belongs to none is black. Later ones lie above. */
export function segmentHint(
  width: number,
  height: number,
  segments: readonly Segment[],
  colourOf: (label: number) => readonly [number, number, number],
): Pixels {
  const data = new Uint8Array(width * height * 3)
  for (const { label, mask } of segments) {
    const colour = label === undefined ? [255, 255, 255] : colourOf(label)
    for (let i = 0; i < mask.length; i++) if ((mask[i] as number) >= 128) data.set(colour, i * 3)
  }
  return { width, height, channels: 3, data }
}

/**
 * A colour for each class of a network without colours of its own: hues by the golden angle, in three brightnesses, so
 * that neighbours in the list differ most.
 */
export function labelColour(label: number): [number, number, number] {
  const hue = ((label * 137.507764) % 360) / 60
  const value = [230, 170, 120][label % 3] as number
  const part = (shift: number) => {
    const k = (shift + hue) % 6
    return Math.round(value * (1 - 0.8 * Math.max(0, Math.min(k, 4 - k, 1))))
  }
  return [part(5), part(3), part(1)]
}
