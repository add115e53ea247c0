import { AttuneError } from '../contract/errors.ts'

/**
 * A seed as the 64 bits that torch keeps of it: negative seeds count from 2^64 downwards.
 *
 * @throws AttuneError `bad-argument` outside [-2^63, 2^64 - 1], the range of `torch.manual_seed`
 */
export function seedBits(seed: bigint): bigint {
  if (typeof seed !== 'bigint' || seed < -(2n ** 63n) || seed >= 2n ** 64n)
    throw new AttuneError(
      'bad-argument',
      `The seed ${String(seed)} is not a whole number from -2^63 to 2^64 - 1.`,
      'Give a seed between 0 and 18446744073709551615.',
    )
  return BigInt.asUintN(64, seed)
}

/** @throws AttuneError `bad-argument` when `count` cannot be the length of an array */
export function checkCount(count: number): void {
  if (!Number.isSafeInteger(count) || count < 0)
    throw new AttuneError(
      'bad-argument',
      `${count} random numbers were asked for.`,
      'Ask for a whole number of at least 0.',
    )
}
