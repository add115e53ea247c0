/** A number that can be typed, stepped with arrow keys and dragged sideways on its label. */
import { type KeyboardEvent, type PointerEvent, useRef, useState } from 'react'
import { cx } from './class-names.ts'

export interface NumberFieldProps {
  readonly label: string
  readonly value: number
  readonly min: number
  readonly max: number
  readonly step: number
  onChange(value: number): void
  readonly className?: string
  /** Shown before the number; dragging on it changes the number. */
  readonly prefix?: string
  /** Not the person's own choice: drawn fainter. */
  readonly isDefault?: boolean
  readonly digits?: number
}

export function NumberField({
  label,
  value,
  min,
  max,
  step,
  onChange,
  className,
  prefix,
  isDefault = false,
  digits = 0,
}: NumberFieldProps) {
  const [typed, setTyped] = useState<string>()
  const drag = useRef<{ x: number; value: number }>(undefined)
  const fit = (next: number) =>
    Number(Math.min(max, Math.max(min, Math.round(next / step) * step)).toFixed(Math.max(digits, 4)))
  const commit = () => {
    if (typed !== undefined && typed.trim() !== '' && Number.isFinite(Number(typed.replace(',', '.'))))
      onChange(fit(Number(typed.replace(',', '.'))))
    setTyped(undefined)
  }
  const onKeyDown = (event: KeyboardEvent) => {
    const by = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key]
    if (by !== undefined) {
      event.preventDefault()
      setTyped(undefined)
      onChange(fit(value + by * step))
    } else if (event.key === 'Enter' && !event.ctrlKey && !event.metaKey) commit()
    else if (event.key === 'Escape' && typed !== undefined) {
      event.stopPropagation()
      setTyped(undefined)
    }
  }
  const onMove = (event: PointerEvent) => {
    if (drag.current)
      onChange(fit(drag.current.value + Math.round((event.clientX - drag.current.x) / 4) * step))
  }
  return (
    <div className={cx('field flex h-8 items-center', className)}>
      {prefix && (
        <span
          className="cursor-ew-resize touch-none pl-2 text-xs text-faint select-none"
          aria-hidden
          onPointerDown={event => {
            event.currentTarget.setPointerCapture(event.pointerId)
            drag.current = { x: event.clientX, value }
          }}
          onPointerMove={onMove}
          onPointerUp={() => (drag.current = undefined)}
        >
          {prefix}
        </span>
      )}
      <input
        aria-label={label}
        role="spinbutton"
        aria-valuenow={value}
        aria-valuemin={min}
        aria-valuemax={max}
        inputMode="decimal"
        className={cx(
          'numeric h-full w-full min-w-0 bg-transparent px-2 text-right text-sm outline-none',
          isDefault ? 'text-soft' : 'text-text',
        )}
        value={typed ?? (digits ? value.toFixed(digits) : String(value))}
        onChange={event => setTyped(event.target.value)}
        onFocus={event => event.target.select()}
        onBlur={commit}
        onKeyDown={onKeyDown}
      />
    </div>
  )
}
