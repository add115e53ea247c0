/**
 * Logarithm, sine, cosine and arc cosine in f64 from additions, multiplications, divisions and square roots
 * alone. ECMAScript lets every engine round `Math.log` or `Math.sin` in its own way; the four operations and the
 * square root are exact by IEEE 754. Noise made with these functions is therefore the same, bit for bit, in every
 * browser, in Node and on every processor, and a saved seed keeps its picture.
 *
 * The polynomials and the splitting of the constants are those of FreeBSD msun / fdlibm (Sun Microsystems, 1993:
 * e_log.c, k_sin.c, k_cos.c, e_rem_pio2.c, e_acos.c), with errors below one unit in the last place.
 */
const double = new Float64Array(1)
const words = new Uint32Array(double.buffer)
/** Which half of `words` holds the sign and the exponent. */
const high = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? 1 : 0

const ln2Hi = 6.9314718036912381649e-1
const ln2Lo = 1.90821492927058770002e-10

/** The natural logarithm of `x`. `ln(0)` is -Infinity, a negative argument gives NaN, as `Math.log` does. */
export function ln(x: number): number {
  if (!(x > 0)) return x === 0 ? -Infinity : NaN
  if (x === Infinity) return x
  let exponent = 0
  double[0] = x
  if ((words[high] as number) < 0x00100000) {
    // Subnormal: bring it into the normal range first.
    double[0] = x * 2 ** 54
    exponent = -54
  }
  // x = 2^exponent (1 + f) with 1 + f between sqrt(1/2) and sqrt(2).
  const word = words[high] as number
  const mantissa = word & 0xfffff
  const carry = (mantissa + 0x95f64) & 0x100000
  words[high] = mantissa | (carry ^ 0x3ff00000)
  exponent += (word >>> 20) - 1023 + (carry >>> 20)
  const f = double[0] - 1

  const s = f / (2 + f)
  const z = s * s
  const w = z * z
  const even = w * (3.999999999940941908e-1 + w * (2.222219843214978396e-1 + w * 1.531383769920937332e-1))
  const odd =
    z *
    (6.66666666666673513e-1 +
      w * (2.857142874366239149e-1 + w * (1.818357216161805012e-1 + w * 1.479819860511658591e-1)))
  const half = 0.5 * f * f
  return exponent * ln2Hi - (half - (s * (half + even + odd) + exponent * ln2Lo) - f)
}

/** pi/2 in two parts: the first has 33 bits, so its product with a small whole number is exact. */
const halfPiHi = 1.57079632673412561417
const halfPiLo = 6.07710050650619224932e-11

/** Sine of `x + tail` for |x| <= pi/4. */
function sinKernel(x: number, tail: number): number {
  const z = x * x
  const v = z * x
  const r =
    8.33333333332248946124e-3 +
    z *
      (-1.98412698298579493134e-4 +
        z * (2.75573137070700676789e-6 + z * (-2.50507602534068634195e-8 + z * 1.58969099521155010221e-10)))
  return x - (z * (0.5 * tail - v * r) - tail - v * -1.66666666666666324348e-1)
}

/** Cosine of `x + tail` for |x| <= pi/4. */
function cosKernel(x: number, tail: number): number {
  const z = x * x
  const r =
    z *
    (4.16666666666666019037e-2 +
      z *
        (-1.38888888888741095749e-3 +
          z *
            (2.48015872894767294178e-5 +
              z *
                (-2.75573143513906633035e-7 +
                  z * (2.0875723212981748279e-9 + z * -1.13596475577881948265e-11)))))
  const half = 0.5 * z
  const w = 1 - half
  return w + (1 - w - half + (z * r - x * tail))
}

/**
 * Sine and cosine of an angle in radians.
 *
 * @param x the angle; the reduction is exact enough for |x| <= 1e6 (Box-Muller needs no more than 2 pi), beyond
 *   that and for a non-finite angle both results are NaN rather than quietly inexact
 */
export function sincos(x: number): { sin: number; cos: number } {
  if (!(Math.abs(x) <= 1e6)) return { sin: NaN, cos: NaN }
  const quadrant = Math.floor(x * (2 / Math.PI) + 0.5)
  const reduced = x - quadrant * halfPiHi
  const correction = quadrant * halfPiLo
  const y = reduced - correction
  const tail = reduced - y - correction
  const sin = sinKernel(y, tail)
  const cos = cosKernel(y, tail)
  switch (quadrant & 3) {
    case 0:
      return { sin, cos }
    case 1:
      return { sin: cos, cos: -sin }
    case 2:
      return { sin: -sin, cos: -cos }
    default:
      return { sin: -cos, cos: sin }
  }
}

/** (asin(x) - x) / x as a rational function of z = x^2, for |x| <= 1/2. */
function asinRatio(z: number): number {
  const p =
    z *
    (1.66666666666666657415e-1 +
      z *
        (-3.25565818622400915405e-1 +
          z *
            (2.01212532134862925881e-1 +
              z *
                (-4.00555345006794114027e-2 +
                  z * (7.91534994289814532176e-4 + z * 3.4793310759602116757e-5)))))
  const q =
    1 +
    z *
      (-2.40339491173441421878 +
        z * (2.02094576023350569471 + z * (-6.8828397160545329303e-1 + z * 7.70381505559019352791e-2)))
  return p / q
}

/** The arc cosine of `x` in radians, between 0 and pi; NaN outside [-1, 1]. */
export function acos(x: number): number {
  if (!(Math.abs(x) <= 1)) return NaN
  if (Math.abs(x) <= 0.5) return Math.PI / 2 - (x + x * asinRatio(x * x))
  // acos(x) = 2 asin(sqrt((1 - x) / 2)), and its mirror image for negative x.
  const z = (1 - Math.abs(x)) * 0.5
  const s = Math.sqrt(z)
  const angle = 2 * (s + s * asinRatio(z))
  return x > 0 ? angle : Math.PI - angle
}
