/** Before and after: a border over the picture that is dragged, or moved with the arrow keys. */
import { useEffect, useRef } from 'react'
import { useStrings } from '../../strings/index.ts'
import { stageView } from './stage-view.ts'

export function Wipe() {
  const { create } = useStrings()
  const handle = useRef<HTMLDivElement>(null)
  const share = useRef(50)
  const place = (next: number) => {
    share.current = Math.min(100, Math.max(0, next))
    const element = handle.current
    if (!element) return
    element.style.left = `${share.current}%`
    element.setAttribute('aria-valuenow', String(Math.round(share.current)))
    const before = document.getElementById('stage-before')
    if (before) before.style.clipPath = `inset(0 ${100 - share.current}% 0 0)`
  }
  useEffect(() => place(50), [])
  return (
    <div
      ref={handle}
      role="slider"
      tabIndex={0}
      aria-label={create.compareHandle}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={50}
      className="absolute inset-y-0 w-0 cursor-ew-resize touch-none"
      onPointerDown={event => event.currentTarget.setPointerCapture(event.pointerId)}
      onPointerMove={event => {
        if (!event.currentTarget.hasPointerCapture(event.pointerId)) return
        place((100 * stageView.pointOf(event.clientX, event.clientY).x) / stageView.size.width)
      }}
      onKeyDown={event => {
        const by = { ArrowLeft: -2, ArrowRight: 2, PageDown: -10, PageUp: 10 }[event.key]
        if (by === undefined) return
        event.preventDefault()
        event.stopPropagation()
        place(share.current + by)
      }}
    >
      <div
        className="absolute inset-y-0 left-0 w-0.5 -translate-x-1/2 origin-center bg-white shadow-[0_0_4px_rgb(0_0_0/0.6)]"
        style={{ scale: 'var(--unscale) 1' }}
      />
      <div
        className="absolute top-1/2 left-0 grid size-8 -translate-x-1/2 -translate-y-1/2 place-items-center rounded-full bg-white text-xs font-bold text-black shadow-lg"
        style={{ scale: 'var(--unscale)' }}
      >
        ↔
      </div>
      {[create.before, create.after].map((label, index) => (
        <span
          key={label}
          className={`absolute top-2 rounded bg-black/70 px-2 py-0.5 text-xs whitespace-nowrap text-white ${index === 0 ? 'right-2 origin-top-right' : 'left-2 origin-top-left'}`}
          style={{ scale: 'var(--unscale)' }}
        >
          {label}
        </span>
      ))}
    </div>
  )
}
