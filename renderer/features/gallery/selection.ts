/** Which pictures are chosen: by click, with Shift and Ctrl as in a file manager, and the same with keys. */
import { callHost } from '../../host/client.ts'
import { reportError } from '../../state/ui.ts'
import { pageSize, pictureAt, useGallery } from './gallery-state.ts'
import { queryOf } from './search.ts'

export type SelectWay = 'only' | 'toggle' | 'extend' | 'move'

/** The ids of a range of places, read where they are not known yet. */
async function idsOf(first: number, last: number): Promise<number[]> {
  const ids: number[] = []
  for (let page = Math.floor(first / pageSize); page <= Math.floor(last / pageSize); page++) {
    const { pages, filter } = useGallery.getState()
    const known =
      pages.get(page) ??
      (await callHost('gallery.query', { ...queryOf(filter), offset: page * pageSize, limit: pageSize }))
        .pictures
    known.forEach(({ id }, at) => {
      const place = page * pageSize + at
      if (place >= first && place <= last) ids.push(id)
    })
  }
  return ids
}

/** @param way `only` this one; `toggle` it; `extend` from the anchor to it; `move` the keyboard alone */
export function select(index: number, way: SelectWay): void {
  const { selected, anchor, total } = useGallery.getState()
  if (index < 0 || index >= total) return
  const id = pictureAt(index)?.id
  if (way === 'extend') {
    const [first, last] = [Math.min(anchor, index), Math.max(anchor, index)]
    useGallery.setState({ active: index })
    idsOf(first, last).then(ids => useGallery.setState({ selected: new Set(ids) }), reportError)
    return
  }
  if (way === 'move' || id === undefined) {
    useGallery.setState({ active: index })
    return
  }
  const next = new Set(way === 'toggle' ? selected : [])
  if (way === 'toggle' && selected.has(id)) next.delete(id)
  else next.add(id)
  useGallery.setState({ selected: next, active: index, anchor: index })
}

export function selectAll(): void {
  const { total } = useGallery.getState()
  // The host takes so many at a time.
  idsOf(0, Math.min(total, 10_000) - 1).then(
    ids => useGallery.setState({ selected: new Set(ids) }),
    reportError,
  )
}

export function selectNone(): void {
  useGallery.setState({ selected: new Set() })
}

/** What an action is about: the selection, else the picture at the keyboard's place. */
export function chosenIds(): number[] {
  const { selected, active, open } = useGallery.getState()
  const here = pictureAt(open ?? active)?.id
  if (open !== undefined || selected.size === 0) return here === undefined ? [] : [here]
  return [...selected]
}

/** Where an arrow key leads in a grid; undefined for other keys. */
export function placeAfterKey(
  key: string,
  active: number,
  columns: number,
  rowsInView: number,
  total: number,
): number | undefined {
  const last = total - 1
  const moves: Readonly<Record<string, number>> = {
    ArrowLeft: active - 1,
    ArrowRight: active + 1,
    // The last row may be short: down from above its gap leads to its end.
    ArrowDown:
      active + columns > last && Math.floor(active / columns) < Math.floor(last / columns)
        ? last
        : active + columns,
    ArrowUp: active - columns,
    PageDown: Math.min(last, active + columns * rowsInView),
    PageUp: Math.max(0, active - columns * rowsInView),
    Home: 0,
    End: last,
  }
  const next = moves[key]
  if (next === undefined) return undefined
  return next < 0 || next > last ? active : next
}
