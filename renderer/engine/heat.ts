/** Heat as pixels for a canvas: colour and opacity together, so that a browser lays it over the picture by itself. */
import { colourTable, type Colormap } from '../../model/image/colormap.ts'
import { type HeatMap, normalise, rangeOf, resizeHeat } from '../../model/image/heat.ts'

export { colormaps } from '../../model/image/colormap.ts'
export type { Colormap } from '../../model/image/colormap.ts'
export type { HeatMap } from '../../model/image/heat.ts'

/** The colour maps that people choose from; both are even in lightness and read by colour-blind people. */
export const offeredColormaps = ['viridis', 'magma'] as const

const tables = new Map<Colormap, Uint8Array>()
function tableOf(colormap: Colormap): Uint8Array {
  const table = tables.get(colormap) ?? colourTable(colormap)
  tables.set(colormap, table)
  return table
}

/** What the picture loses where it is not looked at, so that bright pictures do not drown the glow. */
const veil = 0.42

/**
 * RGBA of a map over a picture: glowing where it is hot, a dark veil where it is not.
 * @param strength opacity of the hottest place, 0…1
 */
export function glow(
  map: HeatMap,
  width: number,
  height: number,
  colormap: Colormap,
  strength: number,
): ImageData {
  const range = rangeOf(map.data)
  const smooth = resizeHeat(map, width, height)
  const table = tableOf(colormap)
  const rgba = new Uint8ClampedArray(width * height * 4)
  for (let at = 0; at < smooth.data.length; at++) {
    const heat = normalise(smooth.data[at] as number, range)
    const colour = strength * Math.sqrt(heat) * Math.min(1, heat * 4)
    const dark = veil * strength * (1 - heat)
    // Veil first, colour over it, as one layer.
    const alpha = 1 - (1 - dark) * (1 - colour)
    const share = alpha > 0 ? colour / alpha : 0
    const index = Math.round(heat * 255) * 3
    for (let part = 0; part < 3; part++) rgba[at * 4 + part] = share * (table[index + part] as number)
    rgba[at * 4 + 3] = alpha * 255
  }
  return new ImageData(rgba, width, height)
}

/** Colours of several pinned words: told apart by people with any colour vision (Okabe and Ito 2008). */
const tints: readonly (readonly [number, number, number])[] = [
  [230, 159, 0],
  [86, 180, 233],
  [0, 158, 115],
  [240, 228, 66],
  [204, 121, 167],
  [213, 94, 0],
]

export function tintColour(order: number): readonly [number, number, number] {
  return tints[order % tints.length] as readonly [number, number, number]
}

export function tintOf(order: number): string {
  const [red, green, blue] = tintColour(order)
  return `rgb(${red} ${green} ${blue})`
}

/** RGBA of several maps, each in a tint of its own; where they meet, the hotter one is seen more. */
export function glowMany(
  maps: readonly HeatMap[],
  width: number,
  height: number,
  strength: number,
): ImageData {
  const smooth = maps.map(map => ({ range: rangeOf(map.data), data: resizeHeat(map, width, height).data }))
  const rgba = new Uint8ClampedArray(width * height * 4)
  for (let at = 0; at < width * height; at++) {
    let [red, green, blue, total, most] = [0, 0, 0, 0, 0]
    smooth.forEach(({ range, data }, order) => {
      const heat = normalise(data[at] as number, range)
      const [r, g, b] = tints[order % tints.length] as readonly [number, number, number]
      const share = heat * heat
      red += share * r
      green += share * g
      blue += share * b
      total += share
      most = Math.max(most, heat)
    })
    const colour = strength * most ** 1.5
    const dark = veil * strength * (1 - most)
    const alpha = 1 - (1 - dark) * (1 - colour)
    const scale = total > 0 && alpha > 0 ? colour / alpha / total : 0
    rgba[at * 4] = red * scale
    rgba[at * 4 + 1] = green * scale
    rgba[at * 4 + 2] = blue * scale
    rgba[at * 4 + 3] = alpha * 255
  }
  return new ImageData(rgba, width, height)
}

/** A small opaque picture of a map. */
export function thumbnailOf(map: HeatMap, side: number, colormap: Colormap): ImageData {
  const range = rangeOf(map.data)
  const smooth = resizeHeat(map, side, side)
  const table = tableOf(colormap)
  const rgba = new Uint8ClampedArray(side * side * 4)
  for (let at = 0; at < smooth.data.length; at++) {
    const index = Math.round(normalise(smooth.data[at] as number, range) * 255) * 3
    for (let part = 0; part < 3; part++) rgba[at * 4 + part] = table[index + part] as number
    rgba[at * 4 + 3] = 255
  }
  return new ImageData(rgba, side, side)
}

/** RGBA of a difference in −1…1: warm where there is more, blue where there is less. */
export function differenceGlow(map: HeatMap, width: number, height: number): ImageData {
  const smooth = resizeHeat(map, width, height)
  const rgba = new Uint8ClampedArray(width * height * 4)
  smooth.data.forEach((value, at) => {
    const size = Math.min(1, Math.abs(value) * 1.6)
    rgba.set(value > 0 ? [255, 140, 80, size * 230] : [80, 150, 255, size * 230], at * 4)
  })
  return new ImageData(rgba, width, height)
}
