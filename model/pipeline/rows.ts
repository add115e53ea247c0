/**
 * The texts of a request as rows of the batch, and the texts of its regions: what is drawn together, before anything is
 * encoded.
 *
 * Rows: picture by picture (an edit draws two), in each the unconditional text first where there is guidance, then each
 * part of an AND (Liu et al. 2022).
 */
import { AttuneError } from '../contract/errors.ts'
import type { Region } from '../contract/controls.ts'
import type { ResolvedRequest } from '../contract/request.ts'
import type { CaptureText } from '../attention/capture.ts'
import { type SeamLayout, seamLayout } from '../attention/layout.ts'
import type { WeightCurve } from '../contract/prompt.ts'
import { bindCurves, phrasePlaces } from '../prompt/curves.ts'
import { parsePrompt } from '../prompt/parse.ts'
import { chunkLength, tokenPlaces } from '../text/chunks.ts'
import { PromptPlan } from '../text/plan.ts'
import type { ClipTokenizer } from '../text/tokenizer.ts'

/** A text that is encoded by itself: a row of a plan. */
export interface PlannedText {
  readonly plan: PromptPlan
  /** Of the plan. */
  readonly row: number
  /** As typed, where the plan is one text. */
  readonly prompt: string
}

/** A row of the batch: whose answer it is, and how it counts. */
export interface TextRow extends PlannedText {
  readonly trajectory: number
  readonly half: 'cond' | 'uncond'
  /** How much its difference from the unconditional prediction counts. */
  readonly weight: number
}

/** Each part of an AND is one more picture in every batch. */
const mostParts = 32

export interface BatchTexts {
  /** True where the unconditional text is in the batch. */
  readonly guided: boolean
  /** Pictures that are drawn together: 2 for an edit. */
  readonly trajectories: number
  readonly rows: readonly TextRow[]
  /** The texts that are encoded, each once. */
  readonly texts: readonly PlannedText[]
  /** Which text stands in each source of a row, without image prompts; null where the tokens are made later. [B][G] */
  readonly cells: readonly (readonly (number | null)[])[]
  readonly chunksEach: number
  readonly layout: SeamLayout
}

/**
 * @param calls evaluations of the network that will be made
 * @param imageTokens of each image prompt
 * @throws AttuneError `bad-argument`, `unsupported`: what this request's words cannot mean
 */
export function batchTexts(
  request: ResolvedRequest,
  tokenizer: ClipTokenizer,
  calls: number,
  imageTokens: readonly number[] = [],
): BatchTexts {
  const { dialect = 'plain', guidanceScale, sampler, steps, controls } = request
  const callsPerStep = sampler === 'heun' ? 2 : 1
  const options = { steps, callsPerStep, oldTimeline: request.oldTimeline === true }
  const planOf = (prompt: string, curves?: readonly WeightCurve[]): PromptPlan =>
    new PromptPlan(parsePrompt(prompt, dialect), tokenizer, {
      ...options,
      ...(curves && { curves: bindCurves(curves, prompt) }),
      madeSteps: Math.ceil(calls / callsPerStep),
    })
  /** For texts that have no parts of their own: negative prompts, regions. */
  const simple = (prompt: string): PlannedText => ({
    plan: new PromptPlan(parsePrompt(prompt, dialect, { composes: false }), tokenizer, options),
    row: 0,
    prompt,
  })
  const { weightCurves = [] } = request
  const plan = planOf(request.prompt, weightCurves)
  if (plan.rows.length > mostParts) {
    throw new AttuneError(
      'bad-argument',
      `The prompt has ${plan.rows.length} parts joined by AND; ${mostParts} can be drawn together.`,
      'Join parts with commas.',
    )
  }
  const edit = controls?.edit
  // The picture that an edit begins with had the same curves, as far as it has their words.
  const had = weightCurves.filter(({ phrase }) => phrasePlaces(edit?.sourcePrompt ?? '', phrase).length > 0)
  const source = edit && planOf(edit.sourcePrompt, had)
  const pictures = [
    ...(source ? [{ plan: source, prompt: edit.sourcePrompt }] : []),
    { plan, prompt: request.prompt },
  ]
  if (source && (plan.rows.length > 1 || source.rows.length > 1)) {
    throw new AttuneError(
      'unsupported',
      'An edit compares two texts word by word, and a prompt with AND is several.',
      'Write both prompts without AND.',
    )
  }
  const guided =
    guidanceScale !== 1 || pictures.some(each => each.plan.rows.length > 1 || each.plan.rows[0]?.weight !== 1)
  const negative = guided ? simple(request.negativePrompt) : undefined
  const rows = pictures.flatMap((picture, trajectory): TextRow[] => [
    ...(negative ? [{ ...negative, trajectory, half: 'uncond' as const, weight: 1 }] : []),
    ...picture.plan.rows.flatMap(({ weight }, row): TextRow[] =>
      // What counts nothing is not computed.
      weight === 0 ? [] : [{ ...picture, row, trajectory, half: 'cond', weight }],
    ),
  ])
  const regions = controls?.regions
  const { texts, cells } = cellsOf(rows, regions?.regions ?? [], simple, edit !== undefined)
  const chunksEach = Math.max(...texts.map(({ plan: { rows: all }, row }) => all[row]?.chunks ?? 1))
  const kinds = [
    { kind: 'own' as const },
    ...(regions?.regions ?? []).map((_, region) => ({ kind: 'region' as const, region })),
    ...(edit ? [{ kind: 'borrowed' as const }] : []),
    ...imageTokens.map((length, image) => ({ kind: 'image' as const, image, length })),
  ]
  return {
    guided,
    trajectories: pictures.length,
    rows,
    texts,
    cells,
    chunksEach,
    layout: seamLayout(rows, kinds, chunksEach * chunkLength, regions?.law === 'isolate'),
  }
}

/** Every distinct text once, and where it stands. */
function cellsOf(
  rows: readonly TextRow[],
  regions: readonly Region[],
  simple: (prompt: string) => PlannedText,
  isEdit: boolean,
): Pick<BatchTexts, 'texts' | 'cells'> {
  const texts: PlannedText[] = []
  const known = new Map<string, number>()
  const place = (text: PlannedText): number => {
    const same = texts.findIndex(each => each.plan === text.plan && each.row === text.row)
    if (same >= 0) return same
    texts.push(text)
    return texts.length - 1
  }
  const regionText = (prompt: string): number => {
    const index = known.get(prompt) ?? place(simple(prompt))
    known.set(prompt, index)
    return index
  }
  const cells = rows.map(row => [place(row)])
  for (const [b, row] of rows.entries()) {
    const own = cells[b]?.[0] ?? 0
    for (const { prompt, negativePrompt } of regions) {
      const text = row.half === 'cond' ? prompt : negativePrompt
      cells[b]?.push(text === undefined ? own : regionText(text))
    }
  }
  return { texts, cells: isEdit ? cells.map(each => [...each, null]) : cells }
}

/**
 * The tokens of a row's text, where it is one text that stays the same over the steps.
 * @param why the beginning of the message: what needs it
 * @throws AttuneError `unsupported`
 */
export function steadyText({ plan, row, prompt }: PlannedText, calls: number, why: string): CaptureText {
  const parts = plan.rows[row]?.parts ?? []
  const [part] = parts
  const states = part?.states ?? []
  const changes = Array.from({ length: calls }, (_, call) => part?.stateAt(call)).some(
    state => state !== part?.stateAt(0),
  )
  const text = states[part?.stateAt(0) ?? 0]?.texts
  if (!part || plan.rows.length > 1 || parts.length > 1 || changes || !text || text.length !== 1) {
    throw new AttuneError(
      'unsupported',
      `${why} one text that stays the same over the steps; this prompt changes, or is several texts.`,
      'Write it without a schedule, AND, .blend() or .and().',
    )
  }
  return { prompt, places: tokenPlaces(text[0]?.chunks ?? []) }
}

/** Positions that fill up the end of a text's chunks, behind the first end marker of each, [S]; 1 where they are. */
export function paddingOf({ plan, row }: PlannedText, call: number, chunksEach: number): Uint8Array {
  const padding = new Uint8Array(chunksEach * chunkLength)
  let chunk = 0
  for (const part of plan.rows[row]?.parts ?? []) {
    const { texts = [] } = part.states[part.stateAt(call)] ?? {}
    for (let i = 0; i < part.chunks; i++, chunk++) {
      // Of a blend only what pads all of its texts.
      const content = Math.max(0, ...texts.map(({ chunks }) => chunks[i]?.contentCount ?? 0))
      padding.fill(1, chunk * chunkLength + content + 2, (chunk + 1) * chunkLength)
    }
  }
  for (; chunk < chunksEach; chunk++) padding.fill(1, chunk * chunkLength + 2, (chunk + 1) * chunkLength)
  return padding
}
