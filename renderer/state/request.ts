/**
 * What the person asks for, with one history for all of it: typing, weights, sliders, places. What is left open is the
 * model's choice and shown as such.
 */
import { create } from 'zustand'
import type { ControlMask, EditControl, PaintControl, RegionsControl } from '../../model/contract/controls.ts'
import type { PromptDialect, WeightCurve, WeightLaw } from '../../model/contract/prompt.ts'
import type { GenerateRequestInput, Sampler } from '../../model/contract/request.ts'
import { useEngine } from './engine.ts'
import { type DraftInputs, namedGuides } from './inputs.ts'

export interface RequestDraft extends DraftInputs {
  readonly prompt: string
  readonly negativePrompt: string
  readonly dialect: PromptDialect
  /** The dialect's own law when undefined. */
  readonly emphasis: WeightLaw | undefined
  readonly width: number | undefined
  readonly height: number | undefined
  readonly steps: number | undefined
  readonly guidanceScale: number | undefined
  readonly sampler: Sampler | undefined
  readonly seed: string
  readonly seedLocked: boolean
  readonly count: number
  readonly paint: readonly PaintControl[]
  readonly regions: RegionsControl | undefined
  /** The picture is drawn with the attention of another prompt (prompt-to-prompt). */
  readonly edit: EditControl | undefined
  /** Weights that move over the steps. */
  readonly weightCurves: readonly WeightCurve[]
}

interface RequestState {
  readonly draft: RequestDraft
  readonly past: readonly RequestDraft[]
  readonly future: readonly RequestDraft[]
  /** Seeds that were drawn with, newest first. */
  readonly seeds: readonly string[]
}

export const emptyDraft: RequestDraft = {
  prompt: '',
  negativePrompt: '',
  dialect: 'a1111',
  emphasis: undefined,
  width: undefined,
  height: undefined,
  steps: undefined,
  guidanceScale: undefined,
  sampler: undefined,
  seed: '1',
  seedLocked: false,
  count: 1,
  paint: [],
  regions: undefined,
  edit: undefined,
  weightCurves: [],
  source: undefined,
  inpaint: undefined,
  guides: [],
}

/** Changes of the same kind within this time are one step of the history. */
const coalesceMilliseconds = 800
const longestHistory = 200

export const useRequest = create<RequestState>(() => ({ draft: emptyDraft, past: [], future: [], seeds: [] }))

let last: { readonly kind: string; readonly at: number } | undefined

export function draft(): RequestDraft {
  return useRequest.getState().draft
}

/**
 * Changes the request.
 * @param kind changes of one kind that follow each other closely are undone together; absent: a step of its own
 */
export function changeRequest(patch: Partial<RequestDraft>, kind?: string): void {
  const { draft: before, past } = useRequest.getState()
  const after = { ...before, ...patch }
  if (Object.keys(patch).every(key => Object.is(before[key as never], after[key as never]))) return
  const now = performance.now()
  const joins = kind !== undefined && last?.kind === kind && now - last.at < coalesceMilliseconds
  last = kind === undefined ? undefined : { kind, at: now }
  useRequest.setState({
    draft: after,
    past: joins && past.length > 0 ? past : [...past, before].slice(-longestHistory),
    future: [],
  })
}

export function undoRequest(): boolean {
  const { draft: now, past, future } = useRequest.getState()
  const before = past.at(-1)
  if (!before) return false
  last = undefined
  useRequest.setState({ draft: before, past: past.slice(0, -1), future: [now, ...future] })
  return true
}

export function redoRequest(): boolean {
  const { draft: now, past, future } = useRequest.getState()
  const [after, ...rest] = future
  if (!after) return false
  last = undefined
  useRequest.setState({ draft: after, past: [...past, now], future: rest })
  return true
}

/** A seed that fits 32 bits: easy to read, and every program takes it. */
export function randomSeed(): string {
  return String(crypto.getRandomValues(new Uint32Array(1))[0] ?? 0)
}

/** Remembers a seed that is drawn with; no step of the history. */
export function rememberSeed(seed: string): void {
  const { seeds, draft: present } = useRequest.getState()
  useRequest.setState({
    seeds: [seed, ...seeds.filter(each => each !== seed)].slice(0, 50),
    draft: { ...present, seed },
  })
}

/** The request as the engine takes it. */
export function requestInput(of: RequestDraft, seed: string): GenerateRequestInput {
  const { paint, regions, source } = of
  // A source of any size would else decide what is drawn.
  const own = source && useEngine.getState().model?.defaults
  const [width, height] = [of.width ?? own?.width, of.height ?? own?.height]
  const { guides } = namedGuides(of.guides)
  // A region without words would only take the base prompt's place away.
  const kept = regions?.regions.filter(({ prompt, mask }) => prompt.trim() !== '' && !isBlank(mask)) ?? []
  const controls = {
    ...(paint.length > 0 && { paint: [...paint] }),
    ...(regions && kept.length > 0 && { regions: { ...regions, regions: kept } }),
    ...(of.edit && { edit: of.edit }),
  }
  return {
    prompt: of.prompt,
    negativePrompt: of.negativePrompt,
    dialect: of.dialect,
    seed,
    ...(of.emphasis && { emphasis: of.emphasis }),
    ...(width !== undefined && { width }),
    ...(height !== undefined && { height }),
    ...(source && { strength: source.strength }),
    ...(guides.length > 0 && { guides }),
    ...(of.steps !== undefined && { steps: of.steps }),
    ...(of.guidanceScale !== undefined && { guidanceScale: of.guidanceScale }),
    ...(of.sampler && { sampler: of.sampler }),
    ...(of.weightCurves.length > 0 && { weightCurves: [...of.weightCurves] }),
    ...(Object.keys(controls).length > 0 && { controls }),
  }
}

/** Nothing painted yet: only zeros, which are A in base64. */
const isBlank = (mask: ControlMask): boolean => mask.kind === 'bitmap' && /^A*=*$/.test(mask.data)

/** What a picture was drawn from, back in the fields; a step of the history. */
export function takeRequest(from: Partial<RequestDraft>): void {
  changeRequest(from)
}
