/** Draws a request's wildcards before it is made, in every text that it has. */
import type { GenerateRequestInput } from '../../../model/contract/request.ts'
import { canCurveAct } from '../../engine/timeline.ts'
import { type RequestDraft, requestInput } from '../../state/request.ts'
import { settings } from '../../state/settings.ts'
import { tell } from '../../state/ui.ts'
import { strings } from '../../strings/index.ts'
import { useKept } from '../presets/storage.ts'
import { expandWildcards, type WildcardProblem } from './wildcards.ts'

interface ExpandedDraft {
  readonly draft: RequestDraft
  readonly problems: readonly WildcardProblem[]
}

/** @param seed of the one picture: the same seed draws the same words */
function expandDraft(draft: RequestDraft, seed: string): ExpandedDraft {
  const { lists } = useKept.getState()
  const prompt = expandWildcards(draft.prompt, seed, lists, 'prompt')
  const negative = expandWildcards(draft.negativePrompt, seed, lists, 'negative')
  const regions = draft.regions && {
    ...draft.regions,
    regions: draft.regions.regions.map((region, at) => ({
      ...region,
      prompt: expandWildcards(region.prompt, seed, lists, `region ${at}`).text,
    })),
  }
  return {
    draft: { ...draft, prompt: prompt.text, negativePrompt: negative.text, regions },
    problems: [...prompt.problems, ...negative.problems],
  }
}

/** The request of one picture: its wildcards drawn, in the precision that the person chose. */
export function requestOf(
  draft: RequestDraft,
  seed: string,
): { readonly input: GenerateRequestInput; readonly problems: readonly WildcardProblem[] } {
  const { draft: expanded, problems } = expandDraft(draft, seed)
  // A curve of words that are not there rests; its row in the timeline says so.
  const weightCurves = expanded.weightCurves.filter(curve => canCurveAct(expanded.prompt, curve))
  const drawn = { ...expanded, weightCurves }
  const { precision } = settings()
  return { input: { ...requestInput(drawn, seed), ...(precision !== 'auto' && { precision }) }, problems }
}

/** For the record of a picture: its texts as typed, where what was drawn from is something else. */
export function recordedTemplate(
  { prompt, negativePrompt }: RequestDraft,
  drawn: { readonly prompt: string; readonly negativePrompt?: string | undefined },
): { readonly template?: { readonly prompt: string; readonly negativePrompt: string } } {
  if (prompt === drawn.prompt && negativePrompt === (drawn.negativePrompt ?? '')) return {}
  return { template: { prompt, negativePrompt } }
}

/** Says what could not be drawn; the run goes on with the text as typed. */
export function tellProblems(problems: readonly WildcardProblem[]): void {
  const { presets } = strings()
  for (const problem of problems) {
    const text =
      problem.kind === 'no-list'
        ? presets.noList(problem.name)
        : problem.kind === 'endless'
          ? presets.endless(problem.name)
          : presets.tooLong
    tell({ tone: 'info', text })
  }
}
