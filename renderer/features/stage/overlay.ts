/**
 * Draws the picture and what lies over it: the live preview, the glow of words, the change against the picture before.
 * Listens to the stores and paints once a frame; glows are kept, so that going over words costs a copy each.
 */
import { headsOf, mapDifference, type MapSet, sameWord, type WordMap } from '../../engine/attention.ts'
import { differenceGlow, glow, glowMany, type HeatMap } from '../../engine/heat.ts'
import { drawPixels, smoothPreview } from '../../engine/pixels.ts'
import {
  comparedPixels,
  pictureBefore,
  selectedPicture,
  shownMaps,
  usePictures,
} from '../../state/pictures.ts'
import { liveFrame, onLiveFrame, useRun } from '../../state/run.ts'
import { useWords, type WordKey } from '../../state/words.ts'
import { stageView } from './stage-view.ts'

export interface StageCanvases {
  readonly picture: HTMLCanvasElement
  readonly before: HTMLCanvasElement
  readonly overlay: HTMLCanvasElement
}

/** Pixels of an overlay's longer side: maps are 8 to 64 positions wide, the browser smooths the rest. */
const overlaySide = 128
const mostKept = 64

let shownSet: MapSet | undefined

/** Maps of what is seen now: of the run that goes on, or of the shown picture and step. */
export function currentMaps(): MapSet | undefined {
  if (useRun.getState().phase !== 'idle') return liveFrame()?.maps
  return (shownSet ??= shownMaps())
}

/** @returns ends it */
export function startPainting(canvases: StageCanvases): () => void {
  let frame = 0
  let picture = true
  const kept = new Map<string, ImageData>()
  const paint = () => {
    frame = 0
    if (picture) paintPicture(canvases)
    picture = false
    paintOverlay(canvases.overlay, kept)
  }
  const schedule = (withPicture: boolean) => {
    picture ||= withPicture
    if (frame === 0) frame = requestAnimationFrame(paint)
  }
  const anew = () => {
    kept.clear()
    shownSet = undefined
    schedule(true)
  }
  const ends = [
    onLiveFrame(anew),
    usePictures.subscribe(anew),
    useRun.subscribe((now, before) => now.phase !== before.phase && anew()),
    useWords.subscribe(() => schedule(false)),
  ]
  anew()
  return () => {
    cancelAnimationFrame(frame)
    for (const end of ends) end()
  }
}

function paintPicture({ picture, before }: StageCanvases): void {
  const state = usePictures.getState()
  const shown = selectedPicture(state)
  const isRunning = useRun.getState().phase !== 'idle'
  const live = liveFrame()?.preview
  const step = shown?.steps.find(({ step }) => step === state.replay)
  const pixels = isRunning ? (live ?? shown?.pixels) : (step?.preview ?? shown?.pixels)
  if (!pixels) return
  const full = isRunning ? undefined : shown?.pixels
  if (full) stageView.setSize(full.width, full.height)
  else if (!shown) {
    // The first preview is smaller than the picture will be.
    const scale = Math.max(1, Math.round(512 / pixels.width))
    stageView.setSize(pixels.width * scale, pixels.height * scale)
  }
  // Few previews are larger than this, and those need no help.
  drawPixels(picture, pixels !== shown?.pixels && pixels.width <= 96 ? smoothPreview(pixels) : pixels)
  const other = comparedPixels(state)
  if (state.comparing && other && !isRunning) drawPixels(before, other)
}

function paintOverlay(canvas: HTMLCanvasElement, kept: Map<string, ImageData>): void {
  const { overlay, hovered, pinned } = useWords.getState()
  const context = canvas.getContext('2d')
  if (!context) return
  const { width, height } = overlaySize()
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width
    canvas.height = height
  }
  const image = overlay ? overlayImage(hovered, pinned, width, height, kept) : undefined
  canvas.dataset['shown'] = image ? 'true' : 'false'
  if (image) context.putImageData(image, 0, 0)
  else context.clearRect(0, 0, width, height)
}

function overlaySize(): { width: number; height: number } {
  const { width, height } = stageView.size
  const scale = overlaySide / Math.max(width, height)
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) }
}

function overlayImage(
  hovered: WordKey | undefined,
  pinned: readonly WordKey[],
  width: number,
  height: number,
  kept: Map<string, ImageData>,
): ImageData | undefined {
  const set = currentMaps()
  if (!set) return undefined
  const { colormap, strength, source, difference } = useWords.getState()
  const chosen = hovered ? [hovered] : pinned
  const words = chosen.flatMap(word => sameWord(set.words, word.text, word.occurrence) ?? [])
  if (words.length === 0) return undefined
  const key = [words, width, height, colormap, strength, source?.path, source?.head, difference].join('|')
  const known = kept.get(key)
  if (known) return known
  const image = make()
  if (kept.size > mostKept) kept.clear()
  kept.set(key, image)
  return image

  function make(): ImageData {
    const [first = 0] = words
    const changed = difference && words.length === 1 ? changeOf(first, chosen[0]) : undefined
    if (changed) return differenceGlow(changed, width, height)
    if (words.length > 1 && set) {
      return glowMany(
        words.flatMap(word => set.maps[word] ?? []),
        width,
        height,
        strength,
      )
    }
    const map = (source && mapOfSource(first, source)) ?? (set?.maps[first] as WordMap)
    return glow(map, width, height, colormap, strength)
  }
}

/** A word's map of one layer or head. */
function mapOfSource(
  word: number,
  source: { readonly path: string; readonly head: number | undefined },
): WordMap | undefined {
  const attention = selectedPicture()?.attention
  const layer = attention && headsOf(attention, word).find(({ path }) => path === source.path)
  if (!layer) return undefined
  if (source.head !== undefined) return layer.heads[source.head]
  const [first] = layer.heads
  if (!first) return undefined
  const data = first.data.map(
    (_, at) => layer.heads.reduce((sum, head) => sum + (head.data[at] as number), 0) / layer.heads.length,
  )
  return { ...first, data }
}

/** Its change against the picture before. */
function changeOf(word: number, key: WordKey | undefined): HeatMap | undefined {
  const [now, before] = [selectedPicture()?.maps, pictureBefore()?.maps]
  if (!now || !before || !key) return undefined
  const other = sameWord(before.words, key.text, key.occurrence)
  const [a, b] = [other === undefined ? undefined : before.maps[other], now.maps[word]]
  const data = a && b && mapDifference(a, b)
  return data && b ? { width: b.width, height: b.height, data } : undefined
}
