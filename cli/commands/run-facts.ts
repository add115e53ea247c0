/** What a recording says of a run of the command line. */
import type { RunFacts } from '../../model/attention/recording-manifest.ts'
import { runFactsOf } from '../../model/attention/run-facts.ts'
import { withSwaps } from '../../model/pipeline/swaps.ts'
import type { GenerateResult } from '../engine.ts'

export function runFacts({ used, model, schedule, tokenWeights }: GenerateResult, version: string): RunFacts {
  const { controls } = withSwaps(used)
  return runFactsOf({ used, controls, app: { name: 'Attune', version }, model, schedule, tokenWeights })
}
