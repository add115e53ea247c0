/** What a recording says of the run beside its sums: the schedule, the weights, and what acted beside the prompt. */
import type { RunFacts } from '../../model/attention/recording-manifest.ts'
import type { Controls, ControlMask } from '../../model/contract/controls.ts'
import { withSwaps } from '../../model/pipeline/swaps.ts'
import { lawOfDialect } from '../../model/text/laws.ts'
import type { GenerateResult } from '../engine.ts'

export function runFacts({ used, model, schedule, tokenWeights }: GenerateResult, version: string): RunFacts {
  const { weightCurves, dialect = 'plain' } = used
  const { controls } = withSwaps(used)
  return {
    app: { name: 'Attune', version },
    model,
    sampler: used.sampler,
    seed: used.seed,
    guidanceScale: used.guidanceScale,
    dialect,
    weightLaw: used.emphasis ?? lawOfDialect(dialect),
    ...(schedule && { sigmas: [...schedule.sigmas], timesteps: [...schedule.timesteps] }),
    ...(tokenWeights && { tokenWeights: [...tokenWeights] }),
    ...(weightCurves?.length && { weightCurves: structuredClone([...weightCurves]) }),
    ...(controls?.edit && { sourcePrompt: controls.edit.sourcePrompt }),
    ...(controls && { controls: factsOf(controls) }),
  }
}

/** Without the pixels of masks: they stand in the picture's record. */
function factsOf({ paint, regions, edit, hidePadding }: Controls): NonNullable<RunFacts['controls']> {
  const { sourcePrompt: _, ...edited } = edit ?? {}
  return {
    ...(paint && { paint: paint.map(item => ({ ...item, mask: maskOf(item.mask) })) }),
    ...(regions && {
      regions: {
        ...regions,
        regions: regions.regions.map(region => ({ ...region, mask: maskOf(region.mask) })),
      },
    }),
    ...(edit && { edit: edited as Omit<typeof edit, 'sourcePrompt'> }),
    ...(hidePadding && { hidePadding }),
  }
}

function maskOf(mask: ControlMask): object {
  if (mask.kind === 'rect') return mask
  const { data: _, ...facts } = mask
  return facts
}
