/**
 * A brush over the picture: paints a mask with pointer and keyboard, for whatever the mask is for (a word's place, what
 * is drawn anew, where a guide acts). A stroke is seen at once and handed over when the pointer lets go.
 *
 * Keys while it is out: [ and ] size, X paint or erase, arrows move a spot, Space dabs there, Escape or Enter leaves.
 */
import { type KeyboardEvent as ReactKeyboardEvent, useEffect, useRef } from 'react'
import {
  type Brush,
  copyMask,
  dab,
  type Mask,
  type MaskPoint,
  outlineMask,
  stroke,
  tintMask,
} from '../state/masks.ts'

/** Where pointers come from; the stage is one (`features/stage/stage-view.ts`). Points are pixels of the picture. */
export interface BrushSurface {
  tool:
    | { down(point: SurfacePoint): void; move(point: SurfacePoint): void; up(point: SurfacePoint): void }
    | undefined
  readonly size: { readonly width: number; readonly height: number }
  /** @returns ends it */
  onProbe(listener: (point: SurfacePoint | undefined) => void): () => void
}

export interface SurfacePoint {
  readonly x: number
  readonly y: number
  readonly event: PointerEvent | KeyboardEvent | undefined
}

export interface BrushCanvasProps {
  /** What is painted and which keys there are; read when the brush is taken. */
  readonly label: string
  readonly surface: BrushSurface
  readonly mask: Mask
  readonly brush: Brush
  readonly colour: readonly [number, number, number]
  /** Opacity of a whole cell. */
  readonly opacity?: number
  /** Whether its edge is drawn as a light line. */
  readonly hasOutline?: boolean
  onBrush(patch: Partial<Brush>): void
  /** A stroke has ended; the mask is a new one. */
  onStroke(mask: Mask): void
  onLeave(): void
}

export const brushSizes = { least: 0.01, most: 0.5 } as const
/** Sizes are felt as ratios. */
const sizeStep = 1.25
const move = 0.04

const within = (value: number, least: number, most: number): number => Math.min(most, Math.max(least, value))

export function BrushCanvas(props: BrushCanvasProps) {
  const { label, surface, mask } = props
  const canvas = useRef<HTMLCanvasElement>(null)
  const cursor = useRef<HTMLDivElement>(null)
  const element = useRef<HTMLDivElement>(null)
  const work = useRef<Mask>(mask)
  const spot = useRef<MaskPoint>({ x: 0.5, y: 0.5 })
  // Handlers are set once; they read what is true when they are called.
  const now = useRef(props)
  now.current = props

  const show = () => {
    const target = canvas.current
    if (!target) return
    const { width, height } = work.current
    if (target.width !== width) target.width = width
    if (target.height !== height) target.height = height
    const { colour, opacity, hasOutline } = now.current
    const image = tintMask(work.current, colour, opacity)
    if (hasOutline) outlineMask(work.current, image)
    target.getContext('2d')?.putImageData(image, 0, 0)
  }
  const ring = (at: MaskPoint | undefined) => {
    const target = cursor.current
    if (!target) return
    target.style.visibility = at ? 'visible' : 'hidden'
    if (!at) return
    const { size } = now.current.brush
    const side = size * 2 * Math.min(surface.size.width, surface.size.height)
    Object.assign(target.style, {
      left: `${at.x * 100}%`,
      top: `${at.y * 100}%`,
      width: `${side}px`,
      height: `${side}px`,
    })
  }

  useEffect(() => {
    work.current = copyMask(mask)
    show()
  }, [mask])
  useEffect(show, [props.colour, props.opacity])

  useEffect(() => {
    let last: MaskPoint | undefined
    let frame = 0
    const share = ({ x, y }: SurfacePoint): MaskPoint => ({
      x: x / surface.size.width,
      y: y / surface.size.height,
    })
    const erases = ({ event }: SurfacePoint) => now.current.brush.erase !== Boolean(event?.altKey)
    // Strokes come faster than frames.
    const later = () => {
      cancelAnimationFrame(frame)
      frame = requestAnimationFrame(show)
    }
    surface.tool = {
      down(point) {
        const { size, softness } = now.current.brush
        last = share(point)
        dab(work.current, last.x, last.y, size, erases(point), softness)
        ring(last)
        later()
      },
      move(point) {
        const { size, softness } = now.current.brush
        const next = share(point)
        stroke(work.current, last ?? next, next, size, erases(point), softness)
        last = next
        ring(next)
        later()
      },
      up() {
        last = undefined
        now.current.onStroke(copyMask(work.current))
      },
    }
    const end = surface.onProbe(point => ring(point && share(point)))
    element.current?.focus({ preventScroll: true })
    return () => {
      end()
      cancelAnimationFrame(frame)
      surface.tool = undefined
    }
  }, [surface])

  // Anywhere in the window, unless text is typed: a hand on the pen does not look for the focus.
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      const { target } = event
      const typing =
        target instanceof HTMLElement &&
        target.matches('input, textarea, [contenteditable=true], .cm-content')
      if (typing || event.ctrlKey || event.metaKey || event.defaultPrevented) return
      const { brush, onBrush, onLeave } = now.current
      if (event.key === '[') onBrush({ size: Math.max(brushSizes.least, brush.size / sizeStep) })
      else if (event.key === ']') onBrush({ size: Math.min(brushSizes.most, brush.size * sizeStep) })
      else if (event.key.toLowerCase() === 'x') onBrush({ erase: !brush.erase })
      else if (
        event.key === 'Escape' &&
        !document.querySelector('[data-radix-popper-content-wrapper] [role=dialog]')
      )
        onLeave()
      else return
      event.preventDefault()
      event.stopPropagation()
    }
    window.addEventListener('keydown', onKeyDown, true)
    return () => window.removeEventListener('keydown', onKeyDown, true)
  }, [])
  useEffect(() => {
    if (cursor.current?.style.visibility === 'visible') ring(spotOf(cursor.current))
  }, [props.brush.size])

  const onKeyDown = (event: ReactKeyboardEvent) => {
    if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey) return
    const moves: Readonly<Record<string, readonly [number, number]>> = {
      ArrowLeft: [-move, 0],
      ArrowRight: [move, 0],
      ArrowUp: [0, -move],
      ArrowDown: [0, move],
    }
    const by = moves[event.key]
    const { brush, onStroke, onLeave } = now.current
    if (by) {
      const { x, y } = spot.current
      spot.current = { x: within(x + by[0], 0, 1), y: within(y + by[1], 0, 1) }
    } else if (event.key === ' ') {
      const { x, y } = spot.current
      dab(work.current, x, y, brush.size, brush.erase !== event.altKey, brush.softness)
      show()
      onStroke(copyMask(work.current))
    } else if (event.key === 'Enter') onLeave()
    else return
    event.preventDefault()
    event.stopPropagation()
    ring(spot.current)
  }

  return (
    <div
      ref={element}
      data-brush
      tabIndex={0}
      role="group"
      aria-label={label}
      onKeyDown={onKeyDown}
      className="absolute inset-0 outline-none"
    >
      <canvas ref={canvas} aria-hidden className="absolute inset-0 size-full" />
      <div
        ref={cursor}
        style={{ visibility: 'hidden' }}
        className="pointer-events-none absolute -translate-1/2 rounded-full shadow-[0_0_0_calc(1.5px*var(--unscale))_white,0_0_0_calc(3px*var(--unscale))_rgb(0_0_0/0.6)]"
      />
    </div>
  )
}

/** Where a ring lies, from its own style. */
function spotOf({ style }: HTMLElement): MaskPoint {
  return { x: Number.parseFloat(style.left) / 100, y: Number.parseFloat(style.top) / 100 }
}
