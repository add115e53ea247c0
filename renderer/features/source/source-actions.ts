/** Taking a picture as the one to begin from: from a file, from the film strip, from the gallery, from a record. */
import { sidesOf } from '../../engine/sizes.ts'
import { type Pixels, pngOf } from '../../engine/pixels.ts'
import { pictureUrl } from '../../host/client.ts'
import { useEngine } from '../../state/engine.ts'
import { defaultStrength, keepPicture, type PictureRef, type SourceDraft } from '../../state/inputs.ts'
import { selectedPicture } from '../../state/pictures.ts'
import { changeRequest, draft } from '../../state/request.ts'
import { reportError, showScreen, tell } from '../../state/ui.ts'
import { strings } from '../../strings/index.ts'

/** What a file chooser and a drop take. */
export const pictureTypes = 'image/png,image/jpeg,image/webp,image/avif'

/** Begins from a file. @returns whether it was taken; what is wrong with it is told */
export async function takeSourceFile(file: Blob, name: string): Promise<boolean> {
  try {
    takeSource(await keepPicture(file, name))
    return true
  } catch (error) {
    reportError(error)
    return false
  }
}

/** Begins from a kept picture: one step of the history. What was painted over another one goes with it. */
export function takeSource(picture: PictureRef): void {
  const { source, width, height } = draft()
  const next: SourceDraft = {
    ...picture,
    fit: source?.fit ?? 'crop',
    strength: source?.strength ?? defaultStrength,
  }
  // A size that the person chose stays; else the drawing takes the picture's shape.
  const size = width === undefined && height === undefined ? shapeOf(picture) : {}
  changeRequest({ source: next, inpaint: undefined, ...size })
}

/** Sides in the picture's shape, with about as many pixels as the model's own. */
export function shapeOf({ width, height }: { readonly width: number; readonly height: number }): {
  width?: number
  height?: number
} {
  const { defaults, sizeFactor } = useEngine.getState().model ?? {}
  if (!defaults || !sizeFactor) return {}
  return sidesOf(width / height, defaults.width * defaults.height, sizeFactor)
}

export function changeSource(patch: Partial<SourceDraft>, kind?: string): void {
  const { source } = draft()
  if (source) changeRequest({ source: { ...source, ...patch } }, kind)
}

/** Begins from the picture that the stage shows. */
export async function takeShownPicture(): Promise<boolean> {
  const picture = selectedPicture()
  if (!picture) {
    tell({ tone: 'info', text: strings().inputs.noSourceYet })
    return false
  }
  return takePixels(picture.pixels)
}

export async function takePixels(pixels: Pixels): Promise<boolean> {
  const { inputs } = strings()
  const isTaken = await takeSourceFile(await pngOf(pixels), inputs.drawnPicture)
  if (isTaken) tell({ tone: 'good', text: inputs.sourceTaken })
  return isTaken
}

/** Begins from a picture of the gallery. */
export async function takeGalleryPicture(id: number, name: string): Promise<void> {
  try {
    const answer = await fetch(pictureUrl(id))
    if (!(await takeSourceFile(await answer.blob(), name))) return
    showScreen('create')
    tell({ tone: 'good', text: strings().inputs.sourceTaken })
  } catch (error) {
    reportError(error)
  }
}
