/** The sinusoidal embedding of timesteps, computed on the host (diffusers/models/embeddings.py). */

const maxPeriod = 10_000

/**
 * Sines and cosines of geometrically spaced frequencies (Vaswani et al. 2017; Ho et al. 2020).
 *
 * Every step is rounded to single precision where PyTorch rounds it: at timestep 999 the rounding of a frequency
 * moves an angle by up to 6e-5, and a model hears that.
 *
 * @param timesteps T of them, fractions allowed
 * @param channels C of the result
 * @param flipSinToCos cosines first
 * @param freqShift subtracted from the number of frequencies in the exponent
 * @returns [T, C], row-major
 */
export function timestepSinusoid(
  timesteps: readonly number[],
  channels: number,
  flipSinToCos: boolean,
  freqShift: number,
): Float32Array {
  const half = Math.floor(channels / 2)
  const embedding = new Float32Array(timesteps.length * channels)
  const single = Math.fround
  const logPeriod = single(-Math.log(maxPeriod))
  for (let i = 0; i < half; i++) {
    const frequency = single(Math.exp(single(single(logPeriod * i) / single(half - freqShift))))
    for (const [row, timestep] of timesteps.entries()) {
      const angle = single(single(timestep) * frequency)
      const start = row * channels + i
      embedding[flipSinToCos ? start + half : start] = Math.sin(angle)
      embedding[flipSinToCos ? start : start + half] = Math.cos(angle)
    }
  }
  return embedding
}
