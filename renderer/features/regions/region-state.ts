/** What is done with regions: they stand in the request, so that each change is a step of its history. */
import type { ControlMask, Region, RegionsControl } from '../../../model/contract/controls.ts'
import { sameWord } from '../../engine/attention.ts'
import { tintColour } from '../../engine/heat.ts'
import { emptyMask, fromControlMask, type Mask, maskOfMap, toControlMask } from '../../state/masks.ts'
import { selectedPicture } from '../../state/pictures.ts'
import { changeRequest, draft } from '../../state/request.ts'
import { useWords, type WordKey } from '../../state/words.ts'
import { stageView } from '../stage/stage-view.ts'

export interface Rectangle {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

/** A region's colour on the picture and in the list, by its order. */
export const regionColour = (index: number): readonly [number, number, number] => tintColour(index)

/** Adds a region without words yet; they are asked for in the list of places. @returns its index */
export function addRegion(mask: ControlMask): number {
  const { regions } = draft()
  const region: Region = { prompt: '', mask, weight: 1, feather: 0.05 }
  changeRequest({
    regions: {
      baseWeight: 0.2,
      law: 'mix',
      window: { start: 0, end: 1 },
      ...regions,
      regions: [...(regions?.regions ?? []), region],
    },
  })
  return regions?.regions.length ?? 0
}

/** The words of a region are typed next. */
export function focusRegion(index: number): void {
  setTimeout(() => document.querySelector<HTMLElement>(`[data-region="${index}"] input`)?.focus())
}

export function addRectangle(rectangle: Rectangle = { x: 0.25, y: 0.25, width: 0.5, height: 0.5 }): void {
  focusRegion(addRegion({ kind: 'rect', ...rectangle }))
}

/** A region that is painted at once. */
export function addPainted(): void {
  const { width, height } = stageView.size
  paintRegion(addRegion(toControlMask(emptyMask(width, height))))
}

/** Takes the brush for a region; a rectangle becomes a mask with the first stroke. */
export function paintRegion(index: number): void {
  useWords.setState({ tool: { kind: 'paint-region', index, erase: false, size: 0.12 }, tab: 'places' })
}

export function changeRegion(index: number, patch: Partial<Region>, kind = `region ${index}`): void {
  const { regions } = draft()
  if (!regions) return
  const next = regions.regions.map((each, at) => (at === index ? { ...each, ...patch } : each))
  changeRequest({ regions: { ...regions, regions: next } }, kind)
}

/** A stroke is a step of its own. */
export function setRegionMask(index: number, mask: Mask): void {
  const { regions } = draft()
  if (!regions) return
  const next = regions.regions.map((each, at) =>
    at === index ? { ...each, mask: toControlMask(mask) } : each,
  )
  changeRequest({ regions: { ...regions, regions: next } })
}

export function changeRegions(patch: Partial<RegionsControl>): void {
  const { regions } = draft()
  if (regions) changeRequest({ regions: { ...regions, ...patch } }, 'regions')
}

export function removeRegion(index: number): void {
  const { regions } = draft()
  const { tool } = useWords.getState()
  // The brush is of the region that goes, or of one that gets another number.
  if (tool.kind === 'paint-region') useWords.setState({ tool: { kind: 'view' } })
  const rest = regions?.regions.filter((_, at) => at !== index) ?? []
  changeRequest({ regions: regions && rest.length > 0 ? { ...regions, regions: rest } : undefined })
}

/** The mask where a word of the shown picture was looked at; undefined when it has no map. */
export function maskOfWord(word: WordKey, threshold: number): Mask | undefined {
  const picture = selectedPicture()
  const index = picture?.maps && sameWord(picture.maps.words, word.text, word.occurrence)
  const map = index === undefined ? undefined : picture?.maps?.maps[index]
  return map && picture && maskOfMap(map, threshold, picture.pixels)
}

const decoded = new WeakMap<ControlMask, Mask>()

/** Its mask on a grid over the picture; decoded once. */
export function maskOfRegion(mask: ControlMask): Mask {
  const known = decoded.get(mask)
  if (known) return known
  const { width, height } = stageView.size
  const made = fromControlMask(mask, width, height)
  decoded.set(mask, made)
  return made
}
