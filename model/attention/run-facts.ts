/** What a recording says of the run beside its sums: the schedule, the weights, and what acted beside the prompt. */
import type { ControlMask, Controls } from '../contract/controls.ts'
import type { ResolvedRequest } from '../contract/request.ts'
import { lawOfDialect } from '../text/laws.ts'
import type { RunFacts } from './recording-manifest.ts'

/** What is known of a run that has ended. */
export interface FinishedRun {
  readonly used: ResolvedRequest
  /** Those of `used`, or with what the prompt itself asks for (compel's `.swap()`). */
  readonly controls?: Controls | undefined
  readonly app: { readonly name: string; readonly version: string }
  readonly model: { readonly name: string; readonly sha256?: string }
  /** One entry an evaluation. */
  readonly schedule?:
    | { readonly sigmas: readonly number[]; readonly timesteps: readonly number[] }
    | undefined
  /** One a captured token. */
  readonly tokenWeights?: readonly number[] | undefined
}

export function runFactsOf({ used, controls, app, model, schedule, tokenWeights }: FinishedRun): RunFacts {
  const { weightCurves, dialect = 'plain' } = used
  return {
    app: { ...app },
    model: { ...model },
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
