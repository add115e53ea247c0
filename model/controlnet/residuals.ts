/** What nets give the UNet: where residuals are added, and the arithmetic on them that is no network. */
import type { EncoderConfig } from './control-net-model.ts'
import { slotName } from './control-net-model.ts'

/** One residual input of the UNet: [B, height, width, channels]. */
export interface Slot {
  readonly name: string
  readonly height: number
  readonly width: number
  readonly channels: number
}

/** How strong a residual is, weights and mask included. */
export interface SlotReading {
  readonly height: number
  readonly width: number
  /** Root of the mean square of its values. */
  readonly norm: number
  /** The same of each position, over its channels, [h·w]. */
  readonly map?: Float32Array
}

/** The residuals that an encoder gives at a size of latents, halved up from level to level. */
export function slotsOf(
  levels: EncoderConfig['levels'],
  { height, width }: { readonly height: number; readonly width: number },
): Slot[] {
  const at = (halvings: number, channels: number) => ({
    height: Math.ceil(height / 2 ** halvings),
    width: Math.ceil(width / 2 ** halvings),
    channels,
  })
  const down = levels.flatMap(({ channels, layersPerBlock }, level) => {
    const own = Array.from({ length: layersPerBlock }, () => at(level, channels))
    return level < levels.length - 1 ? [...own, at(level + 1, channels)] : own
  })
  const all = [at(0, levels[0]?.channels ?? 0), ...down, at(levels.length - 1, levels.at(-1)?.channels ?? 0)]
  return all.map((each, i) => ({ ...each, name: slotName(i, all.length) }))
}

/** [B, L, C] in place: every position becomes the mean of all positions of its sample. */
export function poolPositions(
  values: Float32Array,
  batch: number,
  positions: number,
  channels: number,
): void {
  for (let row = 0; row < batch; row++) {
    const start = row * positions * channels
    for (let c = 0; c < channels; c++) {
      let sum = 0
      for (let p = 0; p < positions; p++) sum += values[start + p * channels + c] as number
      const mean = sum / positions
      for (let p = 0; p < positions; p++) values[start + p * channels + c] = mean
    }
  }
}

/** [B, L, C] in place times [L]. */
export function multiplyPositions(values: Float32Array, mask: Float32Array, channels: number): void {
  const size = mask.length * channels
  for (let start = 0; start < values.length; start += size) {
    for (const [position, share] of mask.entries()) {
      if (share === 1) continue
      const at = start + position * channels
      for (let c = 0; c < channels; c++) values[at + c] = (values[at + c] as number) * share
    }
  }
}

/** Adds samples of `size` values to those rows of a larger batch. */
export function addRows(from: Float32Array, to: Float32Array, rows: readonly number[], size: number): void {
  for (const [place, row] of rows.entries()) {
    const [start, target] = [place * size, row * size]
    for (let i = 0; i < size; i++) to[target + i] = (to[target + i] as number) + (from[start + i] as number)
  }
}

/** @param values of one sample, [h·w, C] */
export function readSlot(
  values: Float32Array,
  { height, width, channels }: Slot,
  withMap: boolean,
): SlotReading {
  const map = new Float32Array(height * width)
  let total = 0
  for (let position = 0; position < map.length; position++) {
    let sum = 0
    for (let c = 0; c < channels; c++) sum += (values[position * channels + c] as number) ** 2
    map[position] = Math.sqrt(sum / channels)
    total += sum
  }
  return { height, width, norm: Math.sqrt(total / values.length), ...(withMap && { map }) }
}
