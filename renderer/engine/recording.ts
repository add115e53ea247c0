/**
 * A picture's capture as the recording that the command line reads and writes: what the window exports goes through the
 * same file format, so that `attune maps open` makes the same maps of it.
 */
import type { CapturedAttention } from '../../model/attention/captured.ts'
import { makeRecording, type StepMaps, writeRecording } from '../../model/attention/recording.ts'
import { runFactsOf } from '../../model/attention/run-facts.ts'
import type { ResolvedRequest } from '../../model/contract/request.ts'
import type { EngineProgress, EngineResult } from './session.ts'

type LiveMaps = NonNullable<EngineProgress['maps']>

export interface RecordedPicture {
  readonly request: ResolvedRequest
  readonly attention: CapturedAttention
  /** Evaluations from 1, with the maps so far. */
  readonly steps: readonly { readonly step: number; readonly maps?: LiveMaps | undefined }[]
  readonly schedule: EngineResult['schedule']
  readonly tokenWeights: EngineResult['tokenWeights']
  readonly spot: EngineResult['spot']
}

/**
 * The bytes of a picture's recording.
 * @param version of this application
 * @throws AttuneError `non-finite` or `bad-file` for what could not be read back
 */
export function recordingOf(
  { request, attention, steps, schedule, tokenWeights, spot }: RecordedPicture,
  version: string,
  model: string,
): Uint8Array<ArrayBuffer> {
  const perStep = stepMapsOf(steps, attention.words.length, attention.steps)
  const run = runFactsOf({
    used: request,
    controls: request.controls,
    app: { name: 'Attune', version },
    model: { name: model },
    schedule: schedule?.sigmas.length === attention.steps ? schedule : undefined,
    tokenWeights,
  })
  return writeRecording(makeRecording(attention, run, { ...(perStep && { perStep }), ...(spot && { spot }) }))
}

/**
 * Maps of each evaluation by itself. What a step told is the mean over all evaluations so far, m(k); evaluation k alone
 * is k·m(k) − (k − 1)·m(k − 1), and is left out where the step before told nothing.
 * @returns undefined where nothing can be told
 */
export function stepMapsOf(
  steps: RecordedPicture['steps'],
  words: number,
  evaluations: number,
): StepMaps | undefined {
  const told = steps.flatMap(({ step, maps }) => (maps ? [{ step, maps }] : []))
  const [first] = told
  if (!first) return undefined
  const { width, height } = first.maps
  const size = words * width * height
  const fits = ({ maps }: { maps: LiveMaps }) =>
    maps.width === width && maps.height === height && maps.data.length === size
  const kept: number[] = []
  const parts: Float32Array[] = []
  for (const { step, maps } of told) {
    const before = step === 1 ? undefined : told.find(each => each.step === step - 1)
    if ((step > 1 && !before) || step > evaluations || !fits({ maps }) || (before && !fits(before))) continue
    kept.push(step - 1)
    parts.push(
      maps.data.map((mean, at) =>
        // Rounding may leave a hair below zero, which no probability is.
        Math.max(0, step * mean - (step - 1) * (before?.maps.data[at] ?? 0)),
      ),
    )
  }
  if (kept.length === 0) return undefined
  const data = new Float32Array(size * kept.length)
  parts.forEach((part, index) => data.set(part, index * size))
  return { width, height, steps: kept, words: Array.from({ length: words }, (_, word) => word), data }
}
