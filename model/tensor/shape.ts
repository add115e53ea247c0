/**
 * Shapes, and the axis letters that every docstring in `model/` uses:
 *
 *   B batch · H height · W width · C channels · L query positions · S key positions (tokens) · N heads ·
 *   D head size · E embedding size · T sampling steps
 *
 * Activations are channels-last: images are [B, H, W, C], token sequences [B, L, C], so that an image of H×W
 * positions *is* a sequence of L = H·W tokens without a copy. On the host, latents and pictures that people can
 * save or load as .npy keep diffusers' [B, C, H, W]; they are turned at the door of a network.
 */
export type Shape = readonly number[]

/** The number of elements of a tensor of this shape; 1 for a scalar. */
export function elementCount(shape: Shape): number {
  let count = 1
  for (const size of shape) count *= size
  return count
}

/** `[1, 64, 64, 320]` as text, for messages. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(', ')}]`
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis])
}

/** The last axis of a shape. */
export function lastAxis(shape: Shape): number {
  const size = shape[shape.length - 1]
  if (size === undefined) throw new RangeError('A scalar has no last axis')
  return size
}

/** The number of rows when all axes but the last are folded into one. */
export function rowCount(shape: Shape): number {
  return elementCount(shape.slice(0, -1))
}

/** Rounds `value` up to a multiple of `step`. */
export function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step
}
