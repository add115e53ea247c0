/** A picture as large as fits; a click shows actual pixels, the wheel zooms where it points, dragging moves it. */
import { type KeyboardEvent, type PointerEvent, useEffect, useRef, useState } from 'react'
import { ImageOff } from 'lucide-react'
import { useStrings } from '../../strings/index.ts'
import { cx } from '../../ui/class-names.ts'

interface View {
  /** CSS pixels of one picture pixel; undefined fits. */
  readonly zoom: number | undefined
  /** The picture's middle from the middle of the room, in CSS pixels. */
  readonly x: number
  readonly y: number
}

const fitted: View = { zoom: undefined, x: 0, y: 0 }
const zoomRange = { least: 0.05, most: 16 } as const

export function ZoomPicture({
  url,
  preview,
  alt,
  width,
  height,
}: {
  readonly url: string
  /** Shown until the whole picture is there. */
  readonly preview?: string
  readonly alt: string
  readonly width: number
  readonly height: number
}) {
  const { gallery } = useStrings()
  const room = useRef<HTMLDivElement>(null)
  const [view, setView] = useState<View>(fitted)
  const [state, setState] = useState<'loading' | 'there' | 'failed'>('loading')
  const drag = useRef<{ x: number; y: number; from: View; moved: boolean }>(undefined)
  const fitZoom = () => {
    const { clientWidth = 1, clientHeight = 1 } = room.current ?? {}
    // Small pictures are not blown up beyond double: their pixels are what one wants to judge.
    return Math.min(2, (clientWidth - 48) / width, (clientHeight - 48) / height)
  }
  useEffect(() => {
    const element = room.current
    // React's wheel listener is passive and could not keep the page from zooming.
    const onWheel = (event: WheelEvent) => {
      event.preventDefault()
      const { left, top, width: w, height: h } = element?.getBoundingClientRect() ?? new DOMRect()
      const at = { x: event.clientX - left - w / 2, y: event.clientY - top - h / 2 }
      setView(before => {
        const old = before.zoom ?? fitZoom()
        const zoom = Math.min(zoomRange.most, Math.max(zoomRange.least, old * Math.exp(-event.deltaY / 400)))
        const share = zoom / old
        return { zoom, x: at.x - (at.x - before.x) * share, y: at.y - (at.y - before.y) * share }
      })
    }
    element?.addEventListener('wheel', onWheel, { passive: false })
    return () => element?.removeEventListener('wheel', onWheel)
  }, [width, height])

  const toggle = () =>
    setView(({ zoom }) => (zoom === undefined ? { zoom: 1 / devicePixelRatio, x: 0, y: 0 } : fitted))
  const onPointerMove = (event: PointerEvent) => {
    const start = drag.current
    if (!start) return
    const by = { x: event.clientX - start.x, y: event.clientY - start.y }
    if (Math.hypot(by.x, by.y) > 3) start.moved = true
    if (start.moved && start.from.zoom !== undefined)
      setView({ ...start.from, x: start.from.x + by.x, y: start.from.y + by.y })
  }
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === '1') setView({ zoom: 1 / devicePixelRatio, x: 0, y: 0 })
    else if (event.key === '0') setView(fitted)
    else if (event.key === '+' || event.key === '-') {
      const factor = event.key === '+' ? 1.25 : 0.8
      setView(({ zoom, x, y }) => ({ zoom: (zoom ?? fitZoom()) * factor, x: x * factor, y: y * factor }))
    } else return
    event.preventDefault()
    event.stopPropagation()
  }
  const zoom = view.zoom
  const fits = 'absolute inset-6 m-auto max-h-[calc(100%-3rem)] max-w-[calc(100%-3rem)] object-contain'
  const style = zoom === undefined ? { width: width * 2, height: height * 2 } : undefined
  const pixels = {
    width: width * (zoom ?? 1),
    height: height * (zoom ?? 1),
    left: `calc(50% + ${view.x}px)`,
    top: `calc(50% + ${view.y}px)`,
  }
  return (
    <div
      ref={room}
      // The picture is a thing to look at and to move: arrow keys of the viewer go on, digits and signs zoom.
      role="group"
      aria-label={gallery.zoomHint}
      tabIndex={0}
      onKeyDown={onKeyDown}
      onPointerDown={event => {
        if (event.button !== 0) return
        event.currentTarget.setPointerCapture(event.pointerId)
        drag.current = { x: event.clientX, y: event.clientY, from: view, moved: false }
      }}
      onPointerMove={onPointerMove}
      onPointerUp={() => {
        if (drag.current && !drag.current.moved) toggle()
        drag.current = undefined
      }}
      className={cx(
        'absolute inset-0 overflow-hidden',
        zoom === undefined ? 'cursor-zoom-in' : 'cursor-grab',
      )}
    >
      {state === 'loading' && preview && (
        <img src={preview} alt="" draggable={false} className={cx(fits, 'blur-[2px]')} style={style} />
      )}
      {state === 'failed' ? (
        <div className="grid size-full place-content-center justify-items-center gap-2 text-soft">
          <ImageOff className="size-6 text-faint" aria-hidden />
          {gallery.unreadable}
        </div>
      ) : (
        <img
          src={url}
          alt={alt}
          draggable={false}
          onLoad={() => setState('there')}
          onError={() => setState('failed')}
          style={zoom === undefined ? style : pixels}
          className={cx(
            zoom === undefined ? fits : 'absolute max-w-none -translate-x-1/2 -translate-y-1/2',
            zoom !== undefined && zoom * devicePixelRatio >= 2 && '[image-rendering:pixelated]',
            state === 'loading' && 'opacity-0',
          )}
        />
      )}
    </div>
  )
}
