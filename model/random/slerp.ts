import { AttuneError } from '../contract/errors.ts'
import type { Shape } from '../tensor/shape.ts'
import { elementCount, formatShape } from '../tensor/shape.ts'
import { acos, sincos } from './math.ts'

/**
 * A variation of a noise: `base` turned towards `variation` by a share of the angle between them. A straight
 * blend of two noises would have less variance than either, and would give a washed-out picture; along the arc
 * the variance stays.
 *
 * Follows A1111 `modules/rng.py` (`slerp`), so that its variation seeds give the same noise: the angle is taken
 * per column, along axis H of [C, H, W]. Where A1111 falls back to a straight blend (mean cosine above 0.9995) it
 * exchanges the two weights; we do not, so that strength 0 is always the base.
 *
 * @param base the noise of the seed, [C, H, W]
 * @param variation the noise of the variation seed, [C, H, W]
 * @param strength 0 gives the base, 1 the variation
 * @param shape [C, H, W]
 * @returns a new array, [C, H, W]
 * @throws AttuneError `bad-argument` when sizes disagree or the strength is not within [0, 1]
 */
export function slerpNoise(
  base: Float32Array,
  variation: Float32Array,
  strength: number,
  shape: Shape,
): Float32Array {
  const [channels, height, width] = shape
  const wrongShape =
    channels === undefined || height === undefined || width === undefined || shape.length !== 3
  if (wrongShape || base.length !== elementCount(shape) || variation.length !== base.length)
    throw new AttuneError(
      'bad-argument',
      `Noises of ${base.length} and ${variation.length} numbers cannot be blended as ${formatShape(shape)}.`,
      'Give two noises of the same [C, H, W] shape.',
    )
  if (!(strength >= 0 && strength <= 1))
    throw new AttuneError(
      'bad-argument',
      `The variation strength ${strength} is not within 0 and 1.`,
      'Use 0 for the seed itself and 1 for the variation seed.',
    )

  const columns = channels * width
  const cosines = new Float64Array(columns)
  let total = 0
  for (let column = 0; column < columns; column++) {
    const start = Math.floor(column / width) * height * width + (column % width)
    let dot = 0
    let baseSquares = 0
    let variationSquares = 0
    for (let row = 0; row < height; row++) {
      const a = base[start + row * width] as number
      const b = variation[start + row * width] as number
      dot += a * b
      baseSquares += a * a
      variationSquares += b * b
    }
    const lengths = Math.sqrt(baseSquares) * Math.sqrt(variationSquares)
    cosines[column] = lengths === 0 ? 1 : Math.max(-1, Math.min(1, dot / lengths))
    total += cosines[column] as number
  }

  const straight = total / columns > 0.9995
  const blended = new Float32Array(base.length)
  for (let column = 0; column < columns; column++) {
    const [first, second] = arcWeights(cosines[column] as number, strength, straight)
    const start = Math.floor(column / width) * height * width + (column % width)
    for (let row = 0; row < height; row++) {
      const at = start + row * width
      blended[at] = first * (base[at] as number) + second * (variation[at] as number)
    }
  }
  return blended
}

/** The weights of the two ends at `strength` of the arc whose cosine is given. */
function arcWeights(cosine: number, strength: number, straight: boolean): readonly [number, number] {
  const angle = acos(cosine)
  const sine = sincos(angle).sin
  // Columns that are parallel or opposed have no one arc (A1111 would divide by nearly zero here).
  if (straight || sine < 1e-6) return [1 - strength, strength]
  return [sincos((1 - strength) * angle).sin / sine, sincos(strength * angle).sin / sine]
}
