/** What can be done with pictures of the gallery: shared by its buttons, its keys and the recipe panels. */
import type { HostPicture, HostRecipe } from '../../../model/contract/host-api.ts'
import { callHost } from '../../host/client.ts'
import { changeRequest, type RequestDraft } from '../../state/request.ts'
import { announce, reportError, showScreen, tell } from '../../state/ui.ts'
import { strings } from '../../strings/index.ts'
import { restoreInputs } from '../source/restore.ts'
import {
  openPicture,
  patchPicture,
  pictureAt,
  reload,
  showPlace,
  takeOut,
  useGallery,
} from './gallery-state.ts'
import { reuseOf, type ReusePart } from './reuse.ts'
import { chosenIds } from './selection.ts'

export async function setFavourite(picture: HostPicture, on: boolean): Promise<void> {
  patchPicture(picture.id, { favourite: on })
  const { gallery } = strings()
  announce(on ? gallery.favourite : gallery.unfavourite)
  try {
    await callHost('gallery.favourite', { id: picture.id, on })
  } catch (error) {
    patchPicture(picture.id, { favourite: !on })
    reportError(error)
  }
}

/** Of all that are chosen: marked when one is not. */
export function toggleFavourites(): void {
  const { pages } = useGallery.getState()
  const ids = new Set(chosenIds())
  const pictures = [...pages.values()].flat().filter(({ id }) => ids.has(id))
  const on = pictures.some(({ favourite }) => !favourite)
  for (const picture of pictures) if (picture.favourite !== on) void setFavourite(picture, on)
}

/** Moves what is chosen to the system's bin; a message offers to undo it. */
export async function removeChosen(): Promise<void> {
  const ids = chosenIds()
  if (ids.length === 0) return
  takeOut(new Set(ids))
  const { open, total } = useGallery.getState()
  if (open !== undefined && open >= total) openPicture(total > 0 ? total - 1 : undefined)
  try {
    await callHost('gallery.remove', { ids })
    const { gallery } = strings()
    tell({
      tone: 'info',
      text: gallery.removed(ids.length),
      action: { label: gallery.undo, run: () => void undoRemove() },
    })
  } catch (error) {
    reportError(error)
  }
  reload()
}

export async function undoRemove(): Promise<void> {
  try {
    const { restored } = await callHost('gallery.undoRemove')
    tell({ tone: 'good', text: strings().gallery.restored(restored) })
  } catch (error) {
    reportError(error)
  }
  reload()
}

export async function revealPicture(id: number): Promise<void> {
  await callHost('gallery.reveal', { id }).catch(reportError)
}

/** @param known the text, where it was read already */
export async function copyInfotext(id: number | undefined, known?: string): Promise<void> {
  const { gallery } = strings()
  try {
    const text = known ?? (id === undefined ? undefined : (await callHost('gallery.get', { id })).infotext)
    if (text === undefined) return tell({ tone: 'info', text: gallery.noInfotext })
    await copyText(text, gallery.infotextCopied)
  } catch (error) {
    reportError(error)
  }
}

export async function copyText(text: string, done: string = strings().gallery.textCopied): Promise<void> {
  try {
    await navigator.clipboard.writeText(text)
    tell({ tone: 'good', text: done })
  } catch {
    tell({ tone: 'problem', text: strings().gallery.copyFailed })
  }
}

/** Takes a recipe, or a part of it, into Create. */
export function reuse(
  source: { recipe?: HostRecipe | undefined; record?: Readonly<Record<string, unknown>> | undefined },
  part: ReusePart,
): void {
  const { gallery } = strings()
  const { patch, left } = reuseOf(source, part)
  if (part === 'all') return void reuseAll(source, patch, left)
  if (part === 'seed' && patch.seed === undefined) return tell({ tone: 'info', text: gallery.noSeed })
  changeRequest(patch)
  showScreen('create')
  tell({ tone: 'good', text: left.length > 0 ? gallery.reusedBut(left.join(', ')) : gallery.reused })
}

/** With what it took in: its source, its mask, its guides. Without a record of ours there is none of it. */
async function reuseAll(
  { record }: { record?: Readonly<Record<string, unknown>> | undefined },
  patch: Partial<RequestDraft>,
  left: readonly string[],
): Promise<void> {
  const { gallery } = strings()
  const restored = await restoreInputs(record)
  changeRequest({ ...patch, ...restored.patch })
  showScreen('create')
  const missing = [...left, ...restored.left]
  tell({ tone: 'good', text: missing.length > 0 ? gallery.reusedBut(missing.join(', ')) : gallery.reused })
}

export async function reuseOfPicture(id: number, part: ReusePart): Promise<void> {
  try {
    reuse(await callHost('gallery.get', { id }), part)
  } catch (error) {
    reportError(error)
  }
}

/** Compares the two that are chosen; in the large view, this one and the next. */
export function compareChosen(): void {
  const { pages, selected, open } = useGallery.getState()
  const all = [...pages.values()].flat()
  const pair =
    open === undefined
      ? [...selected].map(id => all.find(each => each.id === id))
      : [pictureAt(open), pictureAt(open + 1) ?? pictureAt(open - 1)]
  const [a, b] = pair
  if (a && b && pair.length === 2) useGallery.setState({ comparing: [a, b] })
  else tell({ tone: 'info', text: strings().gallery.chooseTwo })
}

/** Shows a picture large, wherever it stands in the gallery. */
export async function showPicture(id: number): Promise<void> {
  try {
    const { picture } = await callHost('gallery.get', { id })
    const notOlder = { sort: 'newest', from: picture.created } as const
    const [{ total: place }, { total }] = await Promise.all([
      callHost('gallery.query', { ...notOlder, limit: 1 }),
      callHost('gallery.query', { limit: 1 }),
    ])
    // It is among the last of those that are not older; several may be of the same moment.
    const offset = Math.max(0, place - 200)
    const { pictures } = await callHost('gallery.query', { ...notOlder, offset, limit: 200 })
    const at = pictures.findIndex(each => each.id === id)
    showScreen('gallery')
    if (at >= 0) showPlace(offset + at, total)
  } catch (error) {
    reportError(error)
  }
}
