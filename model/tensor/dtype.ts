/**
 * Numeric formats, and conversions between them that run on the host while weights are repacked.
 */
export type DType = 'f32' | 'f16' | 'bf16'

export const bytesPerElement: Readonly<Record<DType, number>> = { f32: 4, f16: 2, bf16: 2 }

const scratchFloat = new Float32Array(1)
const scratchBits = new Uint32Array(scratchFloat.buffer)

/** The IEEE 754 binary16 nearest to `value` (ties to even), as its 16 bits. Overflow becomes infinity. */
export function floatToHalf(value: number): number {
  scratchFloat[0] = value
  const bits = scratchBits[0] as number
  const sign = (bits >>> 16) & 0x8000
  const magnitude = bits & 0x7fffffff
  if (magnitude >= 0x7f800000) return sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00)
  // 65520 and above round to infinity.
  if (magnitude >= 0x477ff000) return sign | 0x7c00
  if (magnitude < 0x38800000) {
    // Subnormal: scale so that the wanted bits sit at the bottom, and round to even by adding a magic number.
    if (magnitude < 0x33000000) return sign
    const exponent = magnitude >>> 23
    const mantissa = (magnitude & 0x7fffff) | 0x800000
    const shift = 126 - exponent
    const half = mantissa >>> shift
    const rest = mantissa & ((1 << shift) - 1)
    const tie = 1 << (shift - 1)
    const roundsUp = rest > tie || (rest === tie && (half & 1) === 1)
    return sign | (roundsUp ? half + 1 : half)
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1)
  return sign | ((rounded - 0x38000000) >>> 13)
}

/** The value of a binary16 given as 16 bits. */
export function halfToFloat(half: number): number {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >>> 10) & 31
  const mantissa = half & 1023
  if (exponent === 0) return sign * mantissa * 2 ** -24
  if (exponent === 31) return mantissa ? NaN : sign * Infinity
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15)
}

let halfTable: Float32Array | undefined

/** Decodes binary16 values; a table of all 65,536 makes it one load an element. */
export function decodeHalf(source: Uint16Array, target: Float32Array): void {
  if (!halfTable) {
    halfTable = new Float32Array(65536)
    for (let half = 0; half < 65536; half++) halfTable[half] = halfToFloat(half)
  }
  for (let i = 0; i < source.length; i++) target[i] = halfTable[source[i] as number] as number
}

/** Decodes bfloat16 values (the upper half of a binary32). */
export function decodeBfloat(source: Uint16Array, target: Float32Array): void {
  const bits = new Uint32Array(target.buffer, target.byteOffset, target.length)
  for (let i = 0; i < source.length; i++) bits[i] = (source[i] as number) << 16
}
