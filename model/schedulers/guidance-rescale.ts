import { AttuneError, invariant } from '../contract/errors.ts'

/**
 * Guidance rescale: brings the spread of the guided prediction back to that of the conditional one, against the
 * overexposure of high guidance scales under a zero terminal SNR.
 *
 * Lin et al. 2023 (arXiv:2305.08891), section 3.4, equations 14 to 16; diffusers' `rescale_noise_cfg`.
 *
 * @param cond the prediction under the prompt, one or more samples behind one another
 * @param guided the prediction after guidance, of the same length
 * @param phi 0 leaves `guided` as it is, 1 rescales fully; the paper uses 0.7
 * @param samples how many pictures the arrays hold; the spread is taken for each on its own
 * @returns a new array
 * @throws AttuneError `bad-argument` when phi is not within [0, 1]
 */
export function guidanceRescale(
  cond: Float32Array,
  guided: Float32Array,
  phi: number,
  samples = 1,
): Float32Array {
  if (!(phi >= 0 && phi <= 1))
    throw new AttuneError(
      'bad-argument',
      `The guidance rescale ${phi} is not within 0 and 1.`,
      'Use 0 to switch it off; 0.7 is the usual value.',
    )
  const fits = cond.length === guided.length && Number.isInteger(samples) && guided.length % samples === 0
  invariant(fits, `Guidance rescale of ${cond.length} and ${guided.length} numbers as ${samples} samples.`)
  const size = guided.length / samples
  const rescaled = new Float32Array(guided.length)
  for (let start = 0; start < guided.length; start += size) {
    const spread = standardDeviation(guided, start, size)
    const wanted = standardDeviation(cond, start, size)
    // A constant prediction has no spread to rescale (diffusers would divide by zero).
    const factor = spread > 0 ? phi * (wanted / spread) + (1 - phi) : 1
    for (let i = start; i < start + size; i++) rescaled[i] = factor * (guided[i] as number)
  }
  return rescaled
}

/** With n - 1 in the denominator, as `torch.std` has it. */
function standardDeviation(values: Float32Array, start: number, size: number): number {
  let sum = 0
  for (let i = start; i < start + size; i++) sum += values[i] as number
  const mean = sum / size
  let squares = 0
  for (let i = start; i < start + size; i++) squares += ((values[i] as number) - mean) ** 2
  return Math.sqrt(squares / (size - 1))
}
