/** Pictures of this session: what the film strip, the stage and comparisons show. Older ones let go of their maps. */
import { create } from 'zustand'
import type { ResolvedRequest } from '../../model/contract/request.ts'
import {
  type AttentionReport,
  type CapturedAttention,
  type MapSet,
  mapsOf,
  mapsOfStep,
  pause,
  reportOf,
} from '../engine/attention.ts'
import type { Pixels } from '../engine/pixels.ts'
import type { EngineProgress, EngineResult } from '../engine/session.ts'
import type { RequestDraft } from './request.ts'

/** What was seen after a step. */
export interface DrawnStep {
  readonly step: number
  readonly preview?: Pixels | undefined
  readonly maps?: EngineProgress['maps'] | undefined
}

export interface DrawnPicture {
  readonly id: number
  /** As the person had it, to be taken up again. */
  readonly draft: RequestDraft
  readonly request: ResolvedRequest
  readonly pixels: Pixels
  /** What it was drawn over, at its size. */
  readonly before?: Pixels
  readonly maps: MapSet | undefined
  readonly report: AttentionReport | undefined
  readonly attention: CapturedAttention | undefined
  readonly steps: readonly DrawnStep[]
  readonly effects: readonly { readonly control: string; readonly change: number }[]
  /** For recordings: one entry an evaluation, one weight a captured token, what a watched spot looks at. */
  readonly schedule?: EngineResult['schedule']
  readonly tokenWeights?: EngineResult['tokenWeights']
  readonly spot?: EngineResult['spot']
  /** The model's name as people read it. */
  readonly model?: string
  /** Calls from which it can be drawn on; only the newest picture's are in the engine. */
  readonly kept: readonly number[]
  readonly seconds: number
  readonly adapter: string
  /** Bytes of intermediate results while drawing. */
  readonly workingBytes: number
  /** In the gallery. */
  readonly saved: number | undefined
  /** The sample of the first run. */
  readonly isSample: boolean
}

interface PicturesState {
  /** Oldest first. */
  readonly pictures: readonly DrawnPicture[]
  readonly selected: number | undefined
  /** The step that is replayed; undefined shows the finished picture. */
  readonly replay: number | undefined
  readonly comparing: boolean
}

export const usePictures = create<PicturesState>(() => ({
  pictures: [],
  selected: undefined,
  replay: undefined,
  comparing: false,
}))

/** Captures are megabytes: so many pictures keep theirs. */
const withAttention = 6
const longestStrip = 60

let lastId = 0

/** Shows a picture as soon as its maps are there. */
export async function addPicture(
  picture: Omit<DrawnPicture, 'id' | 'maps' | 'report'>,
): Promise<DrawnPicture> {
  const { attention } = picture
  const maps = attention && (await mapsOf(attention))
  const report = attention && maps && reportOf(attention, maps)
  await pause()
  const whole: DrawnPicture = { ...picture, id: ++lastId, maps, report }
  usePictures.setState(({ pictures }) => {
    const all = [...pictures.filter(({ isSample }) => !isSample), whole].slice(-longestStrip)
    return {
      pictures: all.map((each, index) =>
        index < all.length - withAttention && each.attention
          ? { ...each, attention: undefined, steps: [] }
          : each,
      ),
      selected: whole.id,
      replay: undefined,
    }
  })
  return whole
}

/** The sample has maps but no capture. */
export function addSample(picture: Omit<DrawnPicture, 'id' | 'report'>): void {
  const whole = { ...picture, id: ++lastId, report: undefined }
  usePictures.setState({ pictures: [whole], selected: whole.id })
}

export function markSaved(id: number, saved: number): void {
  usePictures.setState(({ pictures }) => ({
    pictures: pictures.map(each => (each.id === id ? { ...each, saved } : each)),
  }))
}

export function selectPicture(id: number): void {
  usePictures.setState({ selected: id, replay: undefined })
}

export function selectedPicture(state: PicturesState = usePictures.getState()): DrawnPicture | undefined {
  return state.pictures.find(({ id }) => id === state.selected)
}

/** The picture before the one that is shown. */
export function pictureBefore(state: PicturesState = usePictures.getState()): DrawnPicture | undefined {
  const at = state.pictures.findIndex(({ id }) => id === state.selected)
  return at > 0 ? state.pictures[at - 1] : undefined
}

/** What the shown picture is compared with: what it was drawn over, else the picture before. */
export function comparedPixels(state: PicturesState = usePictures.getState()): Pixels | undefined {
  return selectedPicture(state)?.before ?? pictureBefore(state)?.pixels
}

/** Maps of what is shown: of the replayed step, else of the finished picture. */
export function shownMaps(state: PicturesState = usePictures.getState()): MapSet | undefined {
  const picture = selectedPicture(state)
  if (state.replay === undefined) return picture?.maps
  const step = picture?.steps.find(({ step }) => step === state.replay)
  return step?.maps && picture ? mapsOfStep(picture.request.prompt, step.maps) : picture?.maps
}
