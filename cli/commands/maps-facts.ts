/** What acted beside the prompt, out of a recording, in the words of the command line. */
import type { RunFacts } from '../../model/attention/recording-manifest.ts'

/** One line a control; none where nothing acted. */
export function controlFacts(run: RunFacts): string[] {
  const { controls = {}, sourcePrompt, tokenWeights, weightLaw, weightCurves = [] } = run
  const { edit, regions, paint = [], hidePadding } = controls
  const isWeighted = tokenWeights?.some(weight => weight !== 1) === true || weightCurves.length > 0
  return [
    ...(isWeighted && weightLaw ? [`weights by the law ${weightLaw}`] : []),
    ...weightCurves.map(({ phrase, keys }) => `curve "${phrase}": ${keys.map(pointOf).join(', ')}`),
    ...(sourcePrompt === undefined ? [] : [`edited from "${sourcePrompt}"${windowsOf(edit)}`]),
    ...(edit?.reweight ?? []).map(({ phrase, factor }) => `weight "${phrase}": ${factor ?? 1}`),
    ...(regions?.regions ?? []).map(
      ({ prompt, weight = 1, mask }) => `region "${prompt}", weight ${weight}${maskOf(mask)}`,
    ),
    ...(regions
      ? [
          `regions: law ${regions.law ?? 'mix'}, the prompt inside of them ${regions.baseWeight ?? 'as usual'}`,
        ]
      : []),
    ...paint.map(({ phrase, strength, mask }) => `paint "${phrase}", strength ${strength}${maskOf(mask)}`),
    ...(hidePadding ? ['padding hidden'] : []),
  ]
}

type Edit = NonNullable<NonNullable<RunFacts['controls']>['edit']>
type Point = NonNullable<RunFacts['weightCurves']>[number]['keys'][number]

function pointOf({ step, fraction, weight }: Point): string {
  const at = step === undefined ? `${Math.round((fraction ?? 0) * 100)} %` : `step ${step + 1}`
  return `${weight} at ${at}`
}

function windowsOf(edit: Edit | undefined): string {
  const parts = (['cross', 'self'] as const).flatMap(name => {
    const window = edit?.[name]
    return window ? [`${name} ${window.start}-${window.end}`] : []
  })
  return parts.length > 0 ? `, ${parts.join(', ')}` : ''
}

/** Fields beyond the schema come as they are. */
function maskOf(mask: unknown): string {
  if (typeof mask !== 'object' || mask === null) return ''
  const { kind, x, y, width, height } = mask as Record<string, unknown>
  if (![width, height].every(Number.isFinite)) return ''
  if (kind === 'bitmap') return `, mask of ${Number(width)}x${Number(height)}`
  return [x, y].every(Number.isFinite) ? `, in ${[x, y, width, height].map(Number).join(', ')}` : ''
}
