import { checkCount, seedBits } from './arguments.ts'
import { ln, sincos } from './math.ts'
import { MersenneTwister } from './mt19937.ts'
import type { GaussianSource } from './source.ts'

/** 2 pi as torch's kernel holds it, in f32. */
const twoPi = Math.fround(2 * Math.PI)
/** torch fills and transforms in blocks of this many numbers. */
const block = 16

/**
 * `torch.Generator('cpu').manual_seed(seed)` and `torch.randn(shape, generator=...)` in float32.
 *
 * Source: pytorch `aten/src/ATen/native/cpu/DistributionTemplates.h` (`normal_fill`, `normal_kernel`),
 * `ATen/core/DistributionsHelper.h` (`normal_distribution`) and `ATen/core/MT19937RNGEngine.h`.
 *
 * The random bits are torch's own. The last bits of the transformed values are ours: torch's depend on the
 * processor (AVX2, NEON and the scalar path disagree), ours never do. The distance is below 1e-6.
 */
export class TorchCpuGenerator implements GaussianSource {
  private readonly engine: MersenneTwister
  /** The second number of a scalar Box-Muller pair, waiting for the next scalar draw. */
  private waiting: number | undefined

  /**
   * @param seed from -2^63 to 2^64 - 1; torch seeds its engine with the low 32 bits alone, so seeds that differ
   *   by a multiple of 2^32 give the same noise
   * @throws AttuneError `bad-argument` for a seed out of range
   */
  constructor(seed: bigint) {
    this.engine = new MersenneTwister(Number(seedBits(seed) & 0xffffffffn))
  }

  /** @inheritdoc */
  randn(count: number): Float32Array {
    checkCount(count)
    const values = new Float32Array(count)
    if (count < block) {
      for (let i = 0; i < count; i++) values[i] = this.nextNormal()
      return values
    }
    this.fillUniform(values)
    for (let start = 0; start + block <= count; start += block) transformBlock(values, start)
    if (count % block !== 0) {
      // torch has transformed whole blocks only, and draws the last 16 numbers anew, over some finished ones.
      this.fillUniform(values.subarray(count - block))
      transformBlock(values, count - block)
    }
    return values
  }

  /** Uniform numbers in [0, 1) with 24 bits, one engine word each. */
  private fillUniform(values: Float32Array): void {
    for (let i = 0; i < values.length; i++) values[i] = (this.engine.nextUint32() & 0xffffff) * 2 ** -24
  }

  /** A uniform number in [0, 1) with 53 bits: the first of two engine words is the upper one. */
  private nextDouble(): number {
    const upper = this.engine.nextUint32() & 0x1fffff
    return (upper * 2 ** 32 + this.engine.nextUint32()) * 2 ** -53
  }

  /** The path of tensors below 16 elements: Box-Muller in f64, whose second number is kept for the next call. */
  private nextNormal(): number {
    if (this.waiting !== undefined) {
      const value = this.waiting
      this.waiting = undefined
      return value
    }
    const u1 = this.nextDouble()
    const u2 = this.nextDouble()
    // 1 - u2 is exact, so this equals torch's log1p(-u2).
    const radius = Math.sqrt(-2 * ln(1 - u2))
    const { sin, cos } = sincos(2 * Math.PI * u1)
    this.waiting = radius * sin
    return radius * cos
  }
}

/**
 * Box-Muller over 16 uniform numbers in place: number j of the first eight and number j of the last eight make a
 * pair. Rounded to f32 wherever torch's vector code rounds, which keeps the angle equal to torch's.
 */
function transformBlock(values: Float32Array, start: number): void {
  for (let j = start; j < start + block / 2; j++) {
    const u1 = 1 - (values[j] as number)
    const u2 = values[j + block / 2] as number
    const radius = Math.fround(Math.sqrt(-2 * Math.fround(ln(u1))))
    const { sin, cos } = sincos(Math.fround(twoPi * u2))
    values[j] = radius * Math.fround(cos)
    values[j + block / 2] = radius * Math.fround(sin)
  }
}
