import { AttuneError } from '../contract/errors.ts'
import { PhiloxGenerator } from './philox.ts'
import { TorchCpuGenerator } from './torch-cpu.ts'

/**
 * A stream of standard normal numbers. One seed and one sequence of calls always give the same bits, on every
 * machine. A call continues where the last one stopped; how many numbers each call asks for is part of the
 * sequence (both generators below lay their numbers out per call, as the libraries that they follow do).
 */
export interface GaussianSource {
  /**
   * The next `count` numbers with mean 0 and variance 1, in the memory order of the tensor that torch would fill
   * (for latents: [B, C, H, W]).
   *
   * @throws AttuneError `bad-argument` when count is not a whole number of at least 0
   */
  randn(count: number): Float32Array
}

export const randomKinds = ['cpu', 'cuda'] as const

/**
 * - `cpu`: torch's CPU generator. ComfyUI, InvokeAI, diffusers with a CPU generator, A1111 set to "CPU".
 * - `cuda`: torch's generator on an NVIDIA GPU. A1111's default, and its "NV" setting on any machine.
 */
export type RandomKind = (typeof randomKinds)[number]

/**
 * The noise that people know by this seed.
 *
 * @param kind whose numbers, see {@link RandomKind}
 * @param seed a whole number from -2^63 to 2^64 - 1, as `torch.manual_seed` takes it; a bigint, because seeds
 *   beyond 2^53 are common and do not survive a JSON number
 * @throws AttuneError `bad-argument` for a seed out of range or an unknown kind
 */
export function gaussianSource(kind: RandomKind, seed: bigint): GaussianSource {
  if (kind === 'cpu') return new TorchCpuGenerator(seed)
  if (kind === 'cuda') return new PhiloxGenerator(seed)
  throw new AttuneError(
    'bad-argument',
    `There is no random generator called '${String(kind)}'.`,
    `Use one of ${randomKinds.join(', ')}.`,
  )
}
