/** Sizes of pictures by their shape. */

/** Sides of a shape with about as many pixels as the model's own size, on its grid. */
export function sidesOf(ratio: number, area: number, factor: number): { width: number; height: number } {
  const fit = (side: number) => Math.max(factor, Math.round(side / factor) * factor)
  return { width: fit(Math.sqrt(area * ratio)), height: fit(Math.sqrt(area / ratio)) }
}
