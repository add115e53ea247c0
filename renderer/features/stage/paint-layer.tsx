/**
 * Where words and regions are placed, over the picture: the painted mask of a word while its brush is out, and the
 * rectangles of regions. A stroke is drawn on the canvas at once and goes into the request when the pointer lets go.
 */
import { type KeyboardEvent, useEffect, useRef } from 'react'
import type { Region } from '../../../model/contract/controls.ts'
import { changeRequest, draft, useRequest } from '../../state/request.ts'
import { useWords } from '../../state/words.ts'
import { useStrings } from '../../strings/index.ts'
import { dab, emptyMask, fromControlMask, type Mask, stroke, tintMask, toControlMask } from './masks.ts'
import { type StagePoint, stageView } from './stage-view.ts'

const paintColour = [255, 157, 110] as const
const smallestRegion = 0.03

export function PaintLayer() {
  const tool = useWords(state => state.tool)
  const showsPlaces = useWords(state => state.tab === 'places' || state.tool.kind !== 'view')
  return (
    <>
      {tool.kind === 'paint' && <Brush index={tool.index} key={tool.index} />}
      {showsPlaces && <Regions />}
      {tool.kind === 'region' && <RegionTool />}
    </>
  )
}

/** The brush as it is set now. */
function options(): { readonly size: number; readonly erase: boolean } {
  const { tool } = useWords.getState()
  return tool.kind === 'paint' ? tool : { size: 0.12, erase: false }
}

function Brush({ index }: { readonly index: number }) {
  const { attention } = useStrings()
  const canvas = useRef<HTMLCanvasElement>(null)
  const cursor = useRef<HTMLDivElement>(null)
  const stored = useRequest(state => state.draft.paint[index]?.mask)
  const mask = useRef<Mask>(undefined)
  const place = useRef({ x: 0.5, y: 0.5 })

  const show = () => {
    const element = canvas.current
    if (!element || !mask.current) return
    element.width = mask.current.width
    element.height = mask.current.height
    element.getContext('2d')?.putImageData(tintMask(mask.current, paintColour), 0, 0)
  }
  const commit = () => {
    const { paint } = draft()
    if (!mask.current || !paint[index]) return
    const next = toControlMask(mask.current)
    changeRequest({ paint: paint.map((each, at) => (at === index ? { ...each, mask: next } : each)) })
  }

  useEffect(() => {
    const { width, height } = stageView.size
    mask.current = stored ? fromControlMask(stored, width, height) : emptyMask(width, height)
    show()
  }, [stored])

  useEffect(() => {
    let last: { x: number; y: number } | undefined
    const share = ({ x, y }: StagePoint) => ({ x: x / stageView.size.width, y: y / stageView.size.height })
    const follow = (point: StagePoint | undefined) => {
      const element = cursor.current
      if (!element) return
      element.style.visibility = point ? 'visible' : 'hidden'
      if (!point) return
      const at = share(point)
      const side = options().size * 2 * Math.min(stageView.size.width, stageView.size.height)
      Object.assign(element.style, {
        left: `${at.x * 100}%`,
        top: `${at.y * 100}%`,
        width: `${side}px`,
        height: `${side}px`,
      })
    }
    stageView.tool = {
      down(point) {
        last = share(point)
        if (mask.current)
          dab(mask.current, last.x, last.y, options().size, options().erase || Boolean(point.event?.altKey))
        follow(point)
        show()
      },
      move(point) {
        const next = share(point)
        if (mask.current && last)
          stroke(mask.current, last, next, options().size, options().erase || Boolean(point.event?.altKey))
        last = next
        follow(point)
        show()
      },
      up: commit,
    }
    const end = stageView.onProbe(follow)
    document.querySelector<HTMLElement>('[data-brush]')?.focus()
    return () => {
      end()
      stageView.tool = undefined
    }
  }, [])

  const onKeyDown = (event: KeyboardEvent) => {
    const moves: Readonly<Record<string, readonly [number, number]>> = {
      ArrowLeft: [-0.04, 0],
      ArrowRight: [0.04, 0],
      ArrowUp: [0, -0.04],
      ArrowDown: [0, 0.04],
    }
    const move = moves[event.key]
    const { size, erase } = options()
    if (move) {
      place.current = {
        x: Math.min(1, Math.max(0, place.current.x + move[0])),
        y: Math.min(1, Math.max(0, place.current.y + move[1])),
      }
    } else if (event.key === ' ' && mask.current) {
      dab(mask.current, place.current.x, place.current.y, size, erase || event.altKey)
      commit()
    } else if (event.key === 'Enter' || event.key === 'Escape') {
      useWords.setState({ tool: { kind: 'view' } })
    } else return
    event.preventDefault()
    event.stopPropagation()
    const element = cursor.current
    if (!element) return
    const side = size * 2 * Math.min(stageView.size.width, stageView.size.height)
    Object.assign(element.style, {
      visibility: 'visible',
      left: `${place.current.x * 100}%`,
      top: `${place.current.y * 100}%`,
      width: `${side}px`,
      height: `${side}px`,
    })
  }

  return (
    <div
      data-brush
      tabIndex={0}
      role="group"
      aria-label={attention.paintHelp}
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

function Regions() {
  const { attention } = useStrings()
  const regions = useRequest(state => state.draft.regions?.regions)
  return regions?.map(({ mask, prompt }, index) =>
    mask.kind === 'rect' ? (
      <div
        key={`${index} ${mask.x} ${mask.y}`}
        className="pointer-events-none absolute rounded-[calc(4px*var(--unscale))] bg-white/5 shadow-[0_0_0_calc(1.5px*var(--unscale))_white,0_0_0_calc(2.5px*var(--unscale))_rgb(0_0_0/0.6)]"
        style={{
          left: `${mask.x * 100}%`,
          top: `${mask.y * 100}%`,
          width: `${mask.width * 100}%`,
          height: `${mask.height * 100}%`,
        }}
      >
        <span
          className="absolute top-1 left-1 origin-top-left rounded bg-black/70 px-1.5 py-0.5 text-xs whitespace-nowrap text-white"
          style={{ scale: 'var(--unscale)' }}
        >
          {prompt || attention.regionNumber(index + 1)}
        </span>
      </div>
    ) : null,
  )
}

/** A rectangle is drawn by dragging. */
function RegionTool() {
  const frame = useRef<HTMLDivElement>(null)
  useEffect(() => {
    let from: { x: number; y: number } | undefined
    const share = ({ x, y }: StagePoint) => ({
      x: Math.min(1, Math.max(0, x / stageView.size.width)),
      y: Math.min(1, Math.max(0, y / stageView.size.height)),
    })
    const rectangle = (to: { x: number; y: number }) => {
      const [x, y] = [Math.min(from?.x ?? 0, to.x), Math.min(from?.y ?? 0, to.y)]
      return { x, y, width: Math.abs(to.x - (from?.x ?? 0)), height: Math.abs(to.y - (from?.y ?? 0)) }
    }
    stageView.tool = {
      down(point) {
        from = share(point)
      },
      move(point) {
        const { x, y, width, height } = rectangle(share(point))
        if (frame.current)
          frame.current.style.cssText = `left:${x * 100}%;top:${y * 100}%;width:${width * 100}%;height:${height * 100}%;visibility:visible`
      },
      up(point) {
        const drawn = rectangle(share(point))
        if (drawn.width > smallestRegion && drawn.height > smallestRegion) addRegion(drawn)
        useWords.setState({ tool: { kind: 'view' }, tab: 'places' })
      },
    }
    return () => {
      stageView.tool = undefined
    }
  }, [])
  return (
    <div
      ref={frame}
      style={{ visibility: 'hidden' }}
      className="pointer-events-none absolute bg-white/10 shadow-[0_0_0_calc(1.5px*var(--unscale))_white]"
    />
  )
}

/** Adds a region without words yet; they are asked for in the list of places. */
export function addRegion(
  rectangle: { readonly x: number; readonly y: number; readonly width: number; readonly height: number } = {
    x: 0.25,
    y: 0.25,
    width: 0.5,
    height: 0.5,
  },
): void {
  const { regions } = draft()
  const region: Region = { prompt: '', mask: { kind: 'rect', ...rectangle }, weight: 1, feather: 0.05 }
  changeRequest({
    regions: {
      baseWeight: 0.2,
      law: 'mix',
      window: { start: 0, end: 1 },
      ...regions,
      regions: [...(regions?.regions ?? []), region],
    },
  })
  setTimeout(() => document.querySelector<HTMLElement>('[data-region]:last-of-type input')?.focus())
}

/** Takes the brush for a word; its place is made when there is none yet. */
export function paintWord(phrase: string): void {
  const { paint } = draft()
  let index = paint.findIndex(each => each.phrase.toLowerCase() === phrase.toLowerCase())
  if (index < 0) {
    index = paint.length
    const mask = toControlMask(emptyMask(stageView.size.width, stageView.size.height))
    const place = {
      phrase,
      mask,
      strength: 3,
      law: 'constant',
      feather: 0.04,
      window: { start: 0, end: 1 },
    } as const
    changeRequest({ paint: [...paint, place] })
  }
  useWords.setState({ tool: { kind: 'paint', index, erase: false, size: 0.14 }, tab: 'places' })
}
