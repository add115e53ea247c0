/**
 * Repair of neglected words: draws, looks at what was captured, and draws again, until no content word is neglected or
 * the tries are used up. What is kept is a request like any other, so the picture needs no repair to be drawn again.
 * The measure and its limits: model/attention/repair.ts.
 */
import { controlLimits } from '../contract/controls.ts'
import { requestLimits, type ResolvedRequest } from '../contract/request.ts'
import {
  bestAttempt,
  formatStanding,
  type Judgement,
  judge,
  nextPushes,
  type Pushes,
  pushesAsPaint,
} from '../attention/repair.ts'
import type { Backend } from '../graph/program.ts'
import type { DiffusionModel } from './diffusion-model.ts'
import { type DenoiseProgress, type GeneratedPicture, type GenerateInputs, generate } from './generate.ts'
import { refuseRepair, type RepairKind, type RepairOptions } from './repair-options.ts'
import { withSwaps } from './swaps.ts'

/** Steps of a look at a seed: a quarter of the run, but enough for a layout. */
export function lookSteps(steps: number): number {
  return Math.min(steps, Math.max(4, Math.ceil(steps / 4)))
}

export interface RepairAttempt {
  readonly seed: string
  readonly steps: number
  /** Words that were pushed, and how strongly. */
  readonly pushed: Readonly<Record<string, number>>
  readonly judgement: Judgement
}

export interface RepairProgress extends DenoiseProgress {
  /** From 1, of at most so many. */
  readonly attempt: number
  readonly attempts: number
}

export interface RepairedPicture extends GeneratedPicture {
  /** What the picture was drawn with: drawn again, it is the same picture. */
  readonly request: ResolvedRequest
  readonly repair: {
    readonly kind: RepairKind
    readonly attempts: readonly RepairAttempt[]
    /** Index of the attempt that was kept. */
    readonly kept: number
  }
}

/**
 * Draws one picture, several times.
 * @param inputs of every drawing; all words of the conditional half are captured whatever it says
 * @throws AttuneError `bad-argument`, `unsupported` for what cannot be repaired, and what `generate` throws
 */
export async function* repair(
  model: DiffusionModel,
  backend: Backend,
  request: ResolvedRequest,
  options: RepairOptions,
  inputs: Omit<GenerateInputs, 'resume' | 'keep'> = {},
  signal?: AbortSignal,
): AsyncGenerator<RepairProgress, RepairedPicture> {
  const draw = async function* (
    changed: ResolvedRequest,
    attempt: number,
    attempts: number,
  ): AsyncGenerator<RepairProgress, GeneratedPicture & { readonly judgement: Judgement }> {
    const { words: _, half: __, ...capture } = inputs.capture ?? {}
    const run = generate(model, backend, withSwaps(changed), { ...inputs, capture }, signal)
    for (;;) {
      const next = await run.next()
      if (!next.done) {
        yield { ...next.value, attempt, attempts }
        continue
      }
      const { attention } = next.value
      return { ...next.value, judgement: attention ? judge(attention) : judge(nothingCaptured) }
    }
  }
  refuseRepair(request, options, inputs)
  return options.kind === 'words'
    ? yield* repairWords(request, options.tries, draw)
    : yield* repairSeeds(request, options.tries, draw)
}

const nothingCaptured = {
  prompt: '',
  width: 1,
  height: 1,
  steps: 0,
  half: 'cond',
  tokens: [],
  words: [],
  layers: [],
} as const

type Draw = (
  request: ResolvedRequest,
  attempt: number,
  attempts: number,
) => AsyncGenerator<RepairProgress, GeneratedPicture & { readonly judgement: Judgement }>

async function* repairWords(
  request: ResolvedRequest,
  tries: number,
  draw: Draw,
): AsyncGenerator<RepairProgress, RepairedPicture> {
  const paint = request.controls?.paint ?? []
  const calls = Math.floor(request.steps * (request.strength ?? 1))
  const attempts: RepairAttempt[] = []
  let kept: { result: GeneratedPicture; request: ResolvedRequest; score: number } | undefined
  let pushes: Pushes | undefined = new Map()
  while (pushes && attempts.length <= tries) {
    const changed: ResolvedRequest =
      pushes.size === 0
        ? request
        : {
            ...request,
            controls: { ...request.controls, paint: [...paint, ...pushesAsPaint(pushes, calls)] },
          }
    const { judgement, ...result } = yield* draw(changed, attempts.length + 1, tries + 1)
    attempts.push({
      seed: changed.seed,
      steps: changed.steps,
      pushed: Object.fromEntries(pushes),
      judgement,
    })
    // Only the best is kept in memory.
    if (!kept || judgement.score > kept.score) kept = { result, request: changed, score: judgement.score }
    pushes = nextPushes(judgement, pushes, controlLimits.items - paint.length)
    if (pushes && attempts.length <= tries) {
      yield { ...said(tries + 1, attempts.length), notice: pushNotice(judgement, pushes) }
    }
  }
  const best = kept as NonNullable<typeof kept>
  return {
    ...best.result,
    request: best.request,
    repair: {
      kind: 'words',
      attempts,
      kept: bestAttempt(attempts.map(each => each.judgement.score)),
    },
  }
}

async function* repairSeeds(
  request: ResolvedRequest,
  tries: number,
  draw: Draw,
): AsyncGenerator<RepairProgress, RepairedPicture> {
  const attempts: RepairAttempt[] = []
  const steps = lookSteps(request.steps)
  // Looks at all steps are the pictures themselves.
  let whole: { readonly result: GeneratedPicture; readonly score: number } | undefined
  for (let index = 0; index < tries; index++) {
    const seed = String((BigInt(request.seed) + BigInt(index)) % (requestLimits.largestSeed + 1n))
    const { judgement, ...result } = yield* draw({ ...request, seed, steps }, index + 1, tries + 1)
    attempts.push({ seed, steps, pushed: {}, judgement })
    const { score } = judgement
    if (steps === request.steps && (!whole || score > whole.score)) whole = { result, score }
  }
  const kept = bestAttempt(attempts.map(each => each.judgement.score))
  const { seed } = attempts[kept] as RepairAttempt
  const changed = { ...request, seed }
  yield {
    ...said(tries + 1, tries),
    notice: `Seed ${seed} does best by its words, of ${tries} looked at in ${steps} steps: its least word has ${shareOf(attempts[kept] as RepairAttempt)} of the others' attention.`,
  }
  const result = whole?.result ?? (yield* draw(changed, tries + 1, tries + 1))
  return { ...result, request: changed, repair: { kind: 'seeds', attempts, kept } }
}

const said = (attempts: number, attempt: number) => ({
  step: 0,
  steps: 0,
  sigma: 0,
  milliseconds: 0,
  attempt,
  attempts,
})

const shareOf = ({ judgement }: RepairAttempt): string => formatStanding(judgement.score)

function pushNotice({ neglected }: Judgement, pushes: Pushes): string {
  const words = neglected
    .filter(({ word }) => pushes.has(word))
    .map(({ word, standing }) => `"${word}" (${formatStanding(standing)} of the others' attention)`)
  const strengths = [...pushes].map(([word, strength]) => `"${word}" +${strength}`)
  return `Little looked at: ${words.join(', ')}. Drawing again with ${strengths.join(', ')}.`
}
