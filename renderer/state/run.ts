/** The run that goes on: its progress, its live preview and maps, and how it ended. */
import { create } from 'zustand'
import type { ErrorRecord } from '../../model/contract/errors.ts'
import { type MapSet, mapsOfStep } from '../engine/attention.ts'
import type { Pixels } from '../engine/pixels.ts'
import type { EngineProgress } from '../engine/session.ts'

interface RunState {
  readonly phase: 'idle' | 'preparing' | 'drawing' | 'finishing'
  readonly step: number
  readonly steps: number
  /** Which of how many pictures. */
  readonly index: number
  readonly count: number
  readonly stopping: boolean
  readonly secondsLeft: number | undefined
  /** What the engine told about this run. */
  readonly notices: readonly string[]
  /** Of the last run. */
  readonly error: ErrorRecord | undefined
  readonly stoppedAt: number | undefined
}

export const useRun = create<RunState>(() => ({
  phase: 'idle',
  step: 0,
  steps: 0,
  index: 0,
  count: 1,
  stopping: false,
  secondsLeft: undefined,
  notices: [],
  error: undefined,
  stoppedAt: undefined,
}))

/** What is seen while drawing. Not in a store: canvases listen to it, and no component renders for it. */
export interface LiveFrame {
  readonly preview: Pixels | undefined
  readonly maps: MapSet | undefined
}

type FrameListener = (frame: LiveFrame | undefined) => void
const listeners = new Set<FrameListener>()
let frame: LiveFrame | undefined

export function liveFrame(): LiveFrame | undefined {
  return frame
}

export function onLiveFrame(listener: FrameListener): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

function show(next: LiveFrame | undefined): void {
  frame = next
  for (const listener of listeners) listener(next)
}

export function beginRun(index: number, count: number, steps: number): void {
  show(undefined)
  useRun.setState({
    phase: 'preparing',
    step: 0,
    steps,
    index,
    count,
    secondsLeft: undefined,
    notices: [],
    error: undefined,
    stoppedAt: undefined,
  })
}

export function progressRun(prompt: string, progress: EngineProgress, times: readonly number[]): void {
  const { step, steps, preview, maps } = progress
  if (progress.tile) {
    useRun.setState({ phase: step >= steps ? 'finishing' : 'drawing' })
    return
  }
  const sorted = times.toSorted((a, b) => a - b)
  const median = sorted[sorted.length >> 1]
  const { index, count } = useRun.getState()
  const left = steps - step + (count - index - 1) * steps
  useRun.setState({
    phase: step >= steps ? 'finishing' : 'drawing',
    step,
    steps,
    secondsLeft: median === undefined ? undefined : (left * median) / 1000,
  })
  show({
    preview: preview ?? frame?.preview,
    maps: maps ? mapsOfStep(prompt, maps) : frame?.maps,
  })
}

export function noticeRun(text: string): void {
  useRun.setState(({ notices }) => ({ notices: [...notices.filter(each => each !== text), text].slice(-3) }))
}

export function endRun(end: { readonly error?: ErrorRecord; readonly stoppedAt?: number } = {}): void {
  show(undefined)
  useRun.setState({
    phase: 'idle',
    stopping: false,
    secondsLeft: undefined,
    error: end.error,
    stoppedAt: end.stoppedAt,
  })
}

export function isDrawing(): boolean {
  return useRun.getState().phase !== 'idle'
}
