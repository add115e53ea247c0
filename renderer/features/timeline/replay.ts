/** The steps of the shown picture: which one is looked at, and whether it can be drawn on from there. */
import { rerunFrom } from '../../app/actions.ts'
import { type DrawnPicture, selectedPicture, usePictures } from '../../state/pictures.ts'
import { useRun } from '../../state/run.ts'

export interface Replay {
  /** Evaluations that were seen. */
  readonly last: number
  readonly shown: number
  show(step: number): void
  /** Absent where this step was not kept, or the picture is not the newest. */
  readonly rerun?: () => void
}

/** Undefined while a picture is drawn, and where no steps were kept. */
export function useReplay(): Replay | undefined {
  const picture = usePictures(state => selectedPicture(state))
  const replay = usePictures(state => state.replay)
  const isNewest = usePictures(state => state.pictures.at(-1)?.id === state.selected)
  const isRunning = useRun(state => state.phase !== 'idle')
  const last = lastStepOf(picture)
  if (!picture || isRunning || last < 2) return undefined
  const shown = Math.min(last, replay ?? last)
  // After `shown` evaluations comes the call of that number, counted from 0.
  const canRerun = isNewest && replay !== undefined && picture.kept.includes(shown)
  return {
    last,
    shown,
    show: step => usePictures.setState({ replay: step >= last ? undefined : Math.max(1, step) }),
    ...(canRerun && { rerun: () => void rerunFrom(picture, shown, shown) }),
  }
}

function lastStepOf(picture: DrawnPicture | undefined): number {
  return picture && picture.steps.length > 1 ? (picture.steps.at(-1)?.step ?? 0) : 0
}
