/** A picture that was dropped or pasted anywhere in the window: read by the host, shown as a card. */
import { create } from 'zustand'
import type { ErrorRecord } from '../../../model/contract/errors.ts'
import { hostPaths, readRecipeSchema } from '../../../model/contract/host-api.ts'
import type { z } from 'zod'
import { postBytes } from '../../host/client.ts'
import { recordOf, tell } from '../../state/ui.ts'
import { strings } from '../../strings/index.ts'
import { saveList } from '../presets/storage.ts'
import { listNameOf, readList } from '../queue/wildcards.ts'

export type RecipeReading = z.output<typeof readRecipeSchema>

export interface Dropped {
  readonly name: string
  readonly file: File
  /** Of the picture, for the card. */
  readonly url: string
  readonly state: 'reading' | 'read' | 'failed'
  readonly reading?: RecipeReading
  readonly error?: ErrorRecord
}

export const useDropped = create<{ readonly dropped: Dropped | undefined; readonly isOver: boolean }>(() => ({
  dropped: undefined,
  isOver: false,
}))

/** As many bytes as the host reads. */
const largestFile = 128 << 20
const pictureName = /\.(png|jpe?g|webp|avif)$/i

function isPicture({ type, name }: File): boolean {
  return /^image\/(png|jpeg|webp|avif)$/.test(type) || pictureName.test(name)
}

export function closeDropped(): void {
  const { dropped } = useDropped.getState()
  if (dropped) URL.revokeObjectURL(dropped.url)
  useDropped.setState({ dropped: undefined })
}

/** Takes dropped or pasted files: the first picture is read; what cannot be used is said. */
export async function takeFiles(files: readonly File[]): Promise<void> {
  const { gallery } = strings()
  const file = files.find(isPicture)
  if (!file) return refuse(files[0])
  if (files.length > 1) tell({ tone: 'info', text: gallery.tooMany(files.length) })
  if (file.size > largestFile) return tell({ tone: 'problem', text: gallery.tooLarge })
  closeDropped()
  // Clipboards call everything image.png.
  const name = file.name === '' || file.name === 'image.png' ? gallery.pastedName : file.name
  const dropped: Dropped = { name, file, url: URL.createObjectURL(file), state: 'reading' }
  useDropped.setState({ dropped })
  const finish = (end: Partial<Dropped>) => {
    if (useDropped.getState().dropped === dropped) useDropped.setState({ dropped: { ...dropped, ...end } })
  }
  try {
    const answer = await postBytes(hostPaths.readRecipe, file)
    finish({ state: 'read', reading: readRecipeSchema.parse(await answer.json()) })
  } catch (error) {
    finish({ state: 'failed', error: recordOf(error) })
  }
}

/** Says what can be dropped; a text file is offered as a list of wildcards. */
function refuse(file: File | undefined): void {
  const { gallery } = strings()
  if (!file) return
  const name = listNameOf(file.name)
  const isList = /\.txt$/i.test(file.name) && file.size < 4 << 20
  tell({
    tone: 'info',
    text: gallery.notPicture(file.name),
    detail: gallery.whatDrops,
    ...(isList && { action: { label: gallery.addWildcard(name), run: () => void addList(name, file) } }),
  })
}

async function addList(name: string, file: File): Promise<void> {
  const entries = readList(await file.text())
  if (!(await saveList(name, entries))) return
  tell({ tone: 'good', text: strings().gallery.wildcardAdded(name, entries.length) })
}

const ownPicture = 'application/x-attune-picture'

/** A place with a use of its own for files says so by `data-accepts-files`. */
const isTaken = ({ target }: Event): boolean =>
  target instanceof Element && target.closest('[data-accepts-files]') !== null

const carriesFiles = (event: DragEvent): boolean => {
  const types = event.dataTransfer?.types ?? []
  return types.includes('Files') && !types.includes(ownPicture) && !isTaken(event)
}

const onPaste = (event: ClipboardEvent): void => {
  const files = [...(event.clipboardData?.files ?? [])]
  // Word processors put a picture of the text beside the text, which is what was meant.
  const hasText = event.clipboardData?.types.includes('text/plain') ?? false
  if (files.length === 0 || hasText || isTaken(event)) return
  event.preventDefault()
  event.stopPropagation()
  void takeFiles(files)
}

const onDrop = (event: DragEvent): void => {
  if (!carriesFiles(event)) return
  // Else the page would leave for the file.
  event.preventDefault()
  event.stopPropagation()
  useDropped.setState({ isOver: false })
  void takeFiles([...(event.dataTransfer?.files ?? [])])
}

/** Listens to the whole window. @returns ends it */
export function listenToDrops(): () => void {
  let leaving: ReturnType<typeof setTimeout> | undefined
  const onOver = (event: DragEvent): void => {
    if (!carriesFiles(event)) return
    event.preventDefault()
    clearTimeout(leaving)
    if (!useDropped.getState().isOver) useDropped.setState({ isOver: true })
    // Leaving has no event that is true for the window: over comes every 50 ms while it lasts.
    leaving = setTimeout(() => useDropped.setState({ isOver: false }), 200)
  }
  // Before anybody else: the prompt's editor would take a picture for text.
  window.addEventListener('dragover', onOver, true)
  window.addEventListener('drop', onDrop, true)
  window.addEventListener('paste', onPaste, true)
  return () => {
    clearTimeout(leaving)
    window.removeEventListener('dragover', onOver, true)
    window.removeEventListener('drop', onDrop, true)
    window.removeEventListener('paste', onPaste, true)
  }
}
