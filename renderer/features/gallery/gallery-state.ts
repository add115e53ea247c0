/**
 * What the gallery shows: the search, and its pictures by their place in the result. Thousands of pictures are asked for
 * in pages, as they come into view; what was seen stays until its newer version is there.
 */
import { create } from 'zustand'
import type { ErrorRecord } from '../../../model/contract/errors.ts'
import type { HostPicture } from '../../../model/contract/host-api.ts'
import { callHost, host } from '../../host/client.ts'
import { recordOf } from '../../state/ui.ts'
import { type GalleryFilter, noFilter, queryOf } from './search.ts'

export const pageSize = 200

export interface GalleryState {
  readonly filter: GalleryFilter
  readonly phase: 'loading' | 'ready' | 'failed'
  readonly error: ErrorRecord | undefined
  readonly total: number
  readonly indexing: boolean
  /** While indexing. */
  readonly found: number
  readonly pages: ReadonlyMap<number, readonly HostPicture[]>
  readonly selected: ReadonlySet<number>
  /** Where the keyboard is, and from where Shift extends. */
  readonly active: number
  readonly anchor: number
  /** The place of the picture that is seen large. */
  readonly open: number | undefined
  readonly comparing: readonly [HostPicture, HostPicture] | undefined
  readonly tile: number
  readonly fill: boolean
  readonly panel: boolean
}

export const useGallery = create<GalleryState>(() => ({
  filter: noFilter,
  phase: 'loading',
  error: undefined,
  total: 0,
  indexing: false,
  found: 0,
  pages: new Map(),
  selected: new Set(),
  active: 0,
  anchor: 0,
  open: undefined,
  comparing: undefined,
  tile: 168,
  fill: true,
  panel: true,
}))

/** Answers of an older search are dropped. */
let generation = 0
const asked = new Set<number>()
let view: readonly [number, number] = [0, 0]

export function pictureAt(
  index: number,
  state: GalleryState = useGallery.getState(),
): HostPicture | undefined {
  return state.pages.get(Math.floor(index / pageSize))?.[index % pageSize]
}

/** New pictures push the others on: what is open, or where the keyboard is, stays the same picture. */
export function followed(
  before: GalleryState,
  page: number,
  pictures: readonly HostPicture[],
): Partial<Pick<GalleryState, 'open' | 'active' | 'anchor'>> {
  const place = before.open ?? before.active
  const id = pictureAt(place, before)?.id
  if (id === undefined || page !== Math.floor(place / pageSize)) return {}
  const at = pictures.findIndex(each => each.id === id)
  const next = page * pageSize + at
  if (at < 0 || next === place) return {}
  return { active: next, anchor: next, ...(before.open !== undefined && { open: next }) }
}

async function askPage(page: number): Promise<void> {
  if (asked.has(page)) return
  asked.add(page)
  const mine = generation
  try {
    const query = { ...queryOf(useGallery.getState().filter), offset: page * pageSize, limit: pageSize }
    const { pictures, total, indexing } = await callHost('gallery.query', query)
    if (mine !== generation) return
    useGallery.setState(before => ({
      phase: 'ready',
      error: undefined,
      total,
      indexing,
      pages: new Map(before.pages).set(page, pictures),
      ...followed(before, page, pictures),
    }))
  } catch (error) {
    if (mine !== generation) return
    asked.delete(page)
    useGallery.setState({ phase: 'failed', error: recordOf(error) })
  }
}

/** Says which places are in view; their pages are read, and read anew after `reload`. */
export function showRange(first: number, last: number): void {
  view = [first, last]
  for (let page = Math.floor(first / pageSize); page <= Math.floor(last / pageSize); page++)
    void askPage(page)
}

/** Reads anew what is in view; the rest when it comes into view. */
export function reload(): void {
  generation += 1
  asked.clear()
  showRange(...view)
}

let typing: ReturnType<typeof setTimeout> | undefined

export function changeFilter(patch: Partial<GalleryFilter>): void {
  const filter = { ...useGallery.getState().filter, ...patch }
  useGallery.setState({ filter, active: 0, anchor: 0, selected: new Set() })
  clearTimeout(typing)
  // Letters follow each other faster than answers.
  typing = setTimeout(
    () => {
      view = [0, 0]
      generation += 1
      asked.clear()
      const mine = generation
      // The old result stays in view until the new one is there: no flicker while typing.
      const { filter: asking } = useGallery.getState()
      void callHost('gallery.query', { ...queryOf(asking), offset: 0, limit: pageSize }).then(
        ({ pictures, total, indexing }) => {
          if (mine !== generation) return
          asked.clear()
          asked.add(0)
          useGallery.setState({
            phase: 'ready',
            error: undefined,
            total,
            indexing,
            pages: new Map([[0, pictures]]),
          })
        },
        (error: unknown) => {
          if (mine === generation) useGallery.setState({ phase: 'failed', error: recordOf(error) })
        },
      )
    },
    patch.text === undefined ? 0 : 160,
  )
}

let waiting: ReturnType<typeof setTimeout> | undefined

/** Follows the host while the gallery is shown. @returns ends it */
export function followGallery(): () => void {
  reload()
  return host().subscribe(event => {
    if (event.type !== 'gallery') return
    useGallery.setState({
      indexing: event.indexing,
      ...(event.found !== undefined && { found: event.found }),
    })
    // While folders are looked through, events come in dozens a second.
    waiting ??= setTimeout(() => {
      waiting = undefined
      reload()
    }, 400)
  })
}

/** Changes a picture that is shown, before the host has answered. */
export function patchPicture(id: number, patch: Partial<HostPicture>): void {
  useGallery.setState(({ pages }) => ({
    pages: new Map(
      [...pages].map(([page, list]) => [
        page,
        list.some(each => each.id === id)
          ? list.map(each => (each.id === id ? { ...each, ...patch } : each))
          : list,
      ]),
    ),
  }))
}

/** Takes pictures out of view before the host has answered. */
export function takeOut(ids: ReadonlySet<number>): void {
  useGallery.setState(({ pages, total, active }) => {
    const kept = [...pages.entries()]
      .sort(([a], [b]) => a - b)
      .map(([page, list]) => [page, list.filter(({ id }) => !ids.has(id))] as const)
    const left = Math.max(0, total - ids.size)
    return {
      pages: new Map(kept),
      total: left,
      selected: new Set(),
      active: Math.min(active, Math.max(0, left - 1)),
    }
  })
}

export function openPicture(index: number | undefined): void {
  useGallery.setState(({ active }) => ({
    open: index,
    comparing: undefined,
    active: index ?? active,
    anchor: index ?? active,
  }))
}

/** Leaves any search and shows the picture at a place of the whole gallery, newest first. */
export function showPlace(index: number, total: number): void {
  generation += 1
  asked.clear()
  useGallery.setState({
    filter: noFilter,
    pages: new Map(),
    total,
    selected: new Set(),
    active: index,
    anchor: index,
    open: index,
    comparing: undefined,
  })
  showRange(index, index)
}
