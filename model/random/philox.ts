import { checkCount, seedBits } from './arguments.ts'
import { ln, sincos } from './math.ts'
import type { GaussianSource } from './source.ts'

/** 2^-32 and 2 pi 2^-32 with the f32 constants of CUDA's curand. */
const scale = Math.fround(2.3283064e-10)
const angleScale = Math.fround(2.3283064e-10 * 6.2831855)

/**
 * torch's normal numbers on an NVIDIA GPU: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011) and the first number of curand's Box-Muller pair. Same numbers as A1111's "NV" source
 * (`modules/rng_philox.py`), whose printed example is in our tests.
 *
 * Element i of call c comes from the counter (c, 0, i, 0) and the 64-bit seed alone, so a longer call begins with
 * the numbers of a shorter one. On a real GPU that holds up to one launch wave (40,960 numbers on a T4); beyond
 * it torch's order depends on the card (pytorch#194676), and this order is as good as any.
 */
export class PhiloxGenerator implements GaussianSource {
  private readonly keyLow: number
  private readonly keyHigh: number
  private calls = 0

  /**
   * @param seed from -2^63 to 2^64 - 1; all 64 bits count
   * @throws AttuneError `bad-argument` for a seed out of range
   */
  constructor(seed: bigint) {
    const bits = seedBits(seed)
    this.keyLow = Number(bits & 0xffffffffn)
    this.keyHigh = Number(bits >> 32n)
  }

  /** @inheritdoc */
  randn(count: number): Float32Array {
    checkCount(count)
    const values = new Float32Array(count)
    const words = new Uint32Array(4)
    for (let i = 0; i < count; i++) {
      words[0] = this.calls
      words[1] = 0
      words[2] = i
      words[3] = 0
      philox(words, this.keyLow, this.keyHigh)
      const u = (words[0] as number) * scale + scale / 2
      const angle = (words[1] as number) * angleScale + angleScale / 2
      values[i] = Math.sqrt(-2 * ln(u)) * sincos(angle).sin
    }
    this.calls++
    return values
  }
}

/** Ten rounds of Philox 4x32 on the counter in `words`, in place. */
function philox(words: Uint32Array, keyLow: number, keyHigh: number): void {
  let c0 = words[0] as number
  let c1 = words[1] as number
  let c2 = words[2] as number
  let c3 = words[3] as number
  let k0 = keyLow
  let k1 = keyHigh
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(0xd2511f53, c0)
    const low0 = Math.imul(0xd2511f53, c0)
    const high2 = multiplyHigh(0xcd9e8d57, c2)
    const low2 = Math.imul(0xcd9e8d57, c2)
    c0 = (high2 ^ c1 ^ k0) >>> 0
    c1 = low2 >>> 0
    c2 = (high0 ^ c3 ^ k1) >>> 0
    c3 = low0 >>> 0
    k0 = (k0 + 0x9e3779b9) >>> 0
    k1 = (k1 + 0xbb67ae85) >>> 0
  }
  words[0] = c0
  words[1] = c1
  words[2] = c2
  words[3] = c3
}

/** The upper 32 bits of the 64-bit product of two unsigned 32-bit numbers, by halves that f64 holds exactly. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff
  const aHigh = a >>> 16
  const bLow = b & 0xffff
  const bHigh = b >>> 16
  const cross = aHigh * bLow + ((aLow * bLow) >>> 16)
  const second = aLow * bHigh + (cross % 65536)
  return (aHigh * bHigh + Math.floor(cross / 65536) + Math.floor(second / 65536)) >>> 0
}
