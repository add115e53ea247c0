/**
 * The grid: only the rows near the view exist. It has one place in the tab order; arrow keys go from picture to picture
 * and the one it is at is named to screen readers (a listbox with an active descendant).
 */
import { useVirtualizer } from '@tanstack/react-virtual'
import { type KeyboardEvent, useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react'
import type { HostPicture } from '../../../model/contract/host-api.ts'
import { pictureUrl } from '../../host/client.ts'
import { useStrings } from '../../strings/index.ts'
import { compareChosen, removeChosen, setFavourite, toggleFavourites, undoRemove } from './gallery-actions.ts'
import { openPicture, pictureAt, showRange, useGallery } from './gallery-state.ts'
import { placeAfterKey, select, selectAll, selectNone } from './selection.ts'
import { Tile } from './tile.tsx'

const gap = 8
const padding = 12

export function Grid() {
  const { gallery } = useStrings()
  const { pages, total, selected, active, tile, fill } = useGallery()
  const scroller = useRef<HTMLDivElement>(null)
  const width = useWidth(scroller)
  const [isFocused, setFocused] = useState(false)
  const inner = Math.max(tile, width - 2 * padding)
  const columns = Math.max(1, Math.floor((inner + gap) / (tile + gap)))
  // Whole pixels, or edges of pictures blur.
  const size = Math.floor((inner - (columns - 1) * gap) / columns)
  const rows = useVirtualizer({
    count: Math.ceil(total / columns),
    getScrollElement: () => scroller.current,
    estimateSize: () => size + gap,
    paddingStart: padding,
    paddingEnd: 64,
    overscan: 3,
    useFlushSync: false,
  })
  useLayoutEffect(() => rows.measure(), [rows, size])
  const shown = rows.getVirtualItems()
  const first = (shown[0]?.index ?? 0) * columns
  const last = Math.min(total - 1, ((shown.at(-1)?.index ?? 0) + 1) * columns - 1)
  // `pages` too: they are dropped when the folders change.
  useEffect(() => showRange(first, last), [first, last, pages])

  // Back from the large view, the grid stands where the picture is.
  const place = useRef(active)
  place.current = active
  useLayoutEffect(() => {
    if (width > 0) rows.scrollToIndex(Math.floor(place.current / columns), { align: 'auto' })
  }, [rows, columns, width])
  useEffect(() => scroller.current?.focus({ preventScroll: true }), [])

  const onPick = useCallback(
    (index: number, event: { shiftKey: boolean; ctrlKey: boolean; metaKey: boolean }) => {
      select(index, event.shiftKey ? 'extend' : event.ctrlKey || event.metaKey ? 'toggle' : 'only')
    },
    [],
  )
  const onOpen = useCallback((index: number) => openPicture(index), [])
  const onFavourite = useCallback(
    (picture: HostPicture) => void setFavourite(picture, !picture.favourite),
    [],
  )
  const onDragOut = useCallback((picture: HostPicture, data: DataTransfer) => {
    const url = new URL(pictureUrl(picture.id), document.baseURI).href
    data.setData('DownloadURL', `image/png:${picture.name}:${url}`)
    data.setData('text/uri-list', url)
    // Our own drop zone lets it pass.
    data.setData('application/x-attune-picture', String(picture.id))
  }, [])

  const onKeyDown = (event: KeyboardEvent) => {
    const mod = event.ctrlKey || event.metaKey
    const rowsInView = Math.max(1, Math.floor((scroller.current?.clientHeight ?? 0) / (size + gap)))
    const next = placeAfterKey(event.key, active, columns, rowsInView, total)
    if (next !== undefined) {
      select(next, event.shiftKey ? 'extend' : mod ? 'move' : 'only')
      rows.scrollToIndex(Math.floor(next / columns), { align: 'auto' })
    } else if (!onGridKey(event.key.toLowerCase(), mod, active)) return
    event.preventDefault()
  }
  return (
    <div
      ref={scroller}
      id="gallery-grid"
      role="listbox"
      aria-label={gallery.gridHelp}
      aria-multiselectable
      aria-activedescendant={isFocused ? `picture-${pictureAt(active)?.id ?? 0}` : undefined}
      tabIndex={0}
      onKeyDown={onKeyDown}
      onFocus={() => setFocused(true)}
      onBlur={() => setFocused(false)}
      className="absolute inset-0 overflow-y-auto bg-stage outline-none [contain:strict]"
    >
      <div role="presentation" className="relative" style={{ height: rows.getTotalSize() }}>
        {width > 0 &&
          shown.map(row => (
            <div
              key={row.key}
              role="presentation"
              className="absolute top-0 left-3 flex gap-2 [contain:layout_style]"
              style={{ transform: `translateY(${row.start}px)` }}
            >
              {Array.from({ length: Math.min(columns, total - row.index * columns) }, (_, column) => {
                const index = row.index * columns + column
                const picture = pictureAt(index)
                return (
                  <Tile
                    key={index}
                    picture={picture}
                    index={index}
                    total={total}
                    size={size}
                    fill={fill}
                    isSelected={picture !== undefined && selected.has(picture.id)}
                    isActive={isFocused && index === active}
                    onPick={onPick}
                    onOpen={onOpen}
                    onFavourite={onFavourite}
                    onDragOut={onDragOut}
                  />
                )
              })}
            </div>
          ))}
      </div>
    </div>
  )
}

/** @returns whether the key means something here */
function onGridKey(key: string, mod: boolean, active: number): boolean {
  if (mod && key === 'a') selectAll()
  else if (mod && key === 'z') void undoRemove()
  else if (mod) return false
  else if (key === 'enter') openPicture(active)
  else if (key === ' ') select(active, 'toggle')
  else if (key === 'f') toggleFavourites()
  else if (key === 'c') compareChosen()
  else if (key === 'delete' || key === 'backspace') void removeChosen()
  else if (key === 'escape') selectNone()
  else if (key === '/') document.getElementById('gallery-search')?.focus()
  else return false
  return true
}

function useWidth(element: React.RefObject<HTMLElement | null>): number {
  const [width, setWidth] = useState(0)
  useLayoutEffect(() => {
    const seen = element.current
    if (!seen) return
    setWidth(seen.clientWidth)
    const observer = new ResizeObserver(() => setWidth(seen.clientWidth))
    observer.observe(seen)
    return () => observer.disconnect()
  }, [element])
  return width
}
