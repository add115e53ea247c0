/**
 * The Mersenne Twister MT19937 (Matsumoto and Nishimura, 1998), seeded by one 32-bit word, as torch's
 * `aten/src/ATen/core/MT19937RNGEngine.h` does.
 */
const stateSize = 624
const middle = 397

export class MersenneTwister {
  private readonly state = new Uint32Array(stateSize)
  private next = stateSize

  /** @param seed a whole number; only its low 32 bits count */
  constructor(seed: number) {
    const state = this.state
    let previous = seed >>> 0
    state[0] = previous
    for (let i = 1; i < stateSize; i++) {
      previous = (Math.imul(1812433253, previous ^ (previous >>> 30)) + i) >>> 0
      state[i] = previous
    }
  }

  /** The next 32 random bits, as a whole number in [0, 2^32). */
  nextUint32(): number {
    if (this.next === stateSize) this.refill()
    let y = this.state[this.next++] as number
    y ^= y >>> 11
    y ^= (y << 7) & 0x9d2c5680
    y ^= (y << 15) & 0xefc60000
    y ^= y >>> 18
    return y >>> 0
  }

  private refill(): void {
    const state = this.state
    for (let i = 0; i < stateSize; i++) {
      const joined =
        ((state[i] as number) & 0x80000000) | ((state[(i + 1) % stateSize] as number) & 0x7fffffff)
      const twisted = (joined >>> 1) ^ (joined & 1 ? 0x9908b0df : 0)
      state[i] = (state[(i + middle) % stateSize] as number) ^ twisted
    }
    this.next = 0
  }
}
