/** The mask of what is drawn anew while it is painted: the brush, and the word that it was made from. */
import { create } from 'zustand'
import { sameWord } from '../../engine/attention.ts'
import type { HeatMap } from '../../engine/heat.ts'
import { useEngine } from '../../state/engine.ts'
import { inpaintSide } from '../../state/inputs.ts'
import { type Brush, emptyMask, type Mask, maskOfMap, resizeMask } from '../../state/masks.ts'
import { selectedPicture, shownMaps, usePictures } from '../../state/pictures.ts'
import { changeRequest, draft, undoRequest, useRequest } from '../../state/request.ts'
import { showScreen, tell } from '../../state/ui.ts'
import { useWords, type WordKey } from '../../state/words.ts'
import { strings } from '../../strings/index.ts'
import { takeShownPicture } from '../source/source-actions.ts'

interface InpaintState {
  readonly brush: Brush
  /** A mask made from a word's map goes with the threshold until something is painted. */
  readonly fromMap: { readonly word: string; readonly map: HeatMap; readonly threshold: number } | undefined
}

export const useInpaint = create<InpaintState>(() => ({
  brush: { size: 0.08, softness: 0.3, erase: false },
  fromMap: undefined,
}))

/** What a mask begins with; painting changes it. */
export const inpaintDefaults = { feather: 0.03, content: 'original' } as const

/** The size that is drawn now. */
export function drawnSize(): { readonly width: number; readonly height: number } {
  const { width, height } = draft()
  const defaults = useEngine.getState().model?.defaults
  return { width: width ?? defaults?.width ?? 512, height: height ?? defaults?.height ?? 512 }
}

/** Takes the brush. */
export function editMask(): void {
  useWords.setState({ tool: { kind: 'inpaint' } })
}

/** The same by key: over the source, or over the picture that is shown. */
export async function inpaintShown(): Promise<void> {
  showScreen('create')
  if (draft().source !== undefined || (await takeShownPicture())) editMask()
}

/** Puts it down; the stage shows the picture again. */
export function leaveMask(): void {
  if (useWords.getState().tool.kind !== 'inpaint') return
  useWords.setState({ tool: { kind: 'view' } })
  useInpaint.setState({ fromMap: undefined })
  // The stage takes its size from the picture that it shows.
  usePictures.setState({})
}

/** The mask on a grid of the drawing's shape; an empty one where there is none. */
export function maskFor({ width, height }: { readonly width: number; readonly height: number }): Mask {
  const grid = emptyMask(width, height, inpaintSide)
  const mask = draft().inpaint?.mask
  if (!mask) return grid
  const isSameShape = Math.abs(mask.width / mask.height - width / height) < 0.02
  return isSameShape ? mask : resizeMask(mask, grid.width, grid.height)
}

export function setMask(mask: Mask, kind?: string): void {
  changeRequest({ inpaint: { ...inpaintDefaults, ...draft().inpaint, mask } }, kind)
}

export function paintMask(mask: Mask): void {
  useInpaint.setState({ fromMap: undefined })
  setMask(mask)
}

/** Whether the last step of the history was one of the mask. */
export function useCanUndoMask(): boolean {
  return useRequest(({ draft: now, past }) => {
    const before = past.at(-1)
    return before !== undefined && before.inpaint?.mask !== now.inpaint?.mask && before.source === now.source
  })
}

export function undoMask(): void {
  useInpaint.setState({ fromMap: undefined })
  undoRequest()
}

/** Draws a word's place anew: the shown picture becomes the source, its map the mask. */
export async function maskFromWord({ text, occurrence }: WordKey): Promise<void> {
  const set = shownMaps()
  const index = set && sameWord(set.words, text, occurrence)
  const map = index === undefined ? undefined : set?.maps[index]
  if (!map || !selectedPicture()) {
    tell({ tone: 'info', text: strings().inputs.noSourceYet })
    return
  }
  if (!(await takeShownPicture())) return
  useInpaint.setState({ fromMap: { word: text, map, threshold: 0.5 } })
  editMask()
  setThreshold(0.5)
}

export function setThreshold(threshold: number): void {
  const { fromMap } = useInpaint.getState()
  if (!fromMap) return
  useInpaint.setState({ fromMap: { ...fromMap, threshold } })
  setMask(maskOfMap(fromMap.map, threshold, drawnSize(), inpaintSide), 'mask of a map')
}

/** The accent as it glows on pictures: the same in both themes, since a picture has no theme. */
export const maskColour = [255, 157, 110] as const
