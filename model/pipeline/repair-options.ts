/** What may be asked of a repair, and what is refused; loads no engine. The repair itself: repair.ts. */
import { AttuneError } from '../contract/errors.ts'
import type { Controls } from '../contract/controls.ts'

/** `words`: the same seed with neglected words pushed. `seeds`: other seeds at few steps, the best one in full. */
export const repairKinds = ['words', 'seeds'] as const
export type RepairKind = (typeof repairKinds)[number]

export interface RepairOptions {
  readonly kind: RepairKind
  /** `words`: drawings after the first. `seeds`: seeds that are looked at. */
  readonly tries: number
}

/** What may be asked for. */
export const repairTries = { least: 1, most: 32, words: 3, seeds: 6 } as const

/**
 * What cannot be repaired; looks at no model.
 * @throws AttuneError `bad-argument`, `unsupported`
 */
export function refuseRepair(
  { controls }: { readonly controls?: Controls | undefined },
  { kind, tries }: RepairOptions,
  inputs: { readonly initialNoise?: unknown; readonly stepNoise?: unknown } = {},
): void {
  if (!Number.isInteger(tries) || tries < repairTries.least || tries > repairTries.most) {
    throw new AttuneError(
      'bad-argument',
      `A repair takes ${repairTries.least} to ${repairTries.most} tries, not ${tries}.`,
      'Choose a number in that range.',
    )
  }
  if (kind === 'words' && controls?.paint?.some(({ law }) => law === 'paint-with-words')) {
    throw new AttuneError(
      'unsupported',
      'A repair pushes words by a constant bias, and a run with painted words of the law paint-with-words has no other.',
      'Give the painted words the law constant, or look for another seed.',
    )
  }
  if (kind === 'seeds' && (inputs.initialNoise || inputs.stepNoise)) {
    throw new AttuneError(
      'bad-argument',
      'With noise that is given, every seed draws the same picture.',
      'Leave the noise out, or repair words.',
    )
  }
}
