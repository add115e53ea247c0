/** A slider of one value; a step by arrow keys, ten by page keys. */
import { Slider as Radix } from 'radix-ui'
import { cx } from './class-names.ts'

export interface SliderProps {
  readonly label: string
  readonly value: number
  readonly min: number
  readonly max: number
  readonly step: number
  onChange(value: number): void
  /** Spoken in place of the bare number. */
  readonly valueText?: string
  readonly className?: string
  readonly disabled?: boolean
  /** Where the filled part begins: weights begin at 1. */
  readonly origin?: number
  /** Thin and small, for lists. */
  readonly quiet?: boolean
}

export function Slider({
  label,
  value,
  min,
  max,
  step,
  onChange,
  valueText,
  className,
  disabled,
  origin = min,
  quiet = false,
}: SliderProps) {
  const share = (of: number) => (100 * (Math.min(max, Math.max(min, of)) - min)) / (max - min)
  const [from, to] = [share(origin), share(value)].sort((a, b) => a - b) as [number, number]
  return (
    <Radix.Root
      value={[value]}
      min={min}
      max={max}
      step={step}
      {...(disabled !== undefined && { disabled })}
      onValueChange={([next]) => next !== undefined && onChange(next)}
      className={cx('relative flex h-6 w-full touch-none items-center', className)}
    >
      <Radix.Track
        className={cx('relative grow rounded-full', quiet ? 'h-0.5 bg-line' : 'h-1 bg-line-strong')}
      >
        <span
          className={cx('absolute inset-y-0 rounded-full', value < origin ? 'bg-cool' : 'bg-accent')}
          style={{ left: `${from}%`, width: `${to - from}%` }}
        />
        {origin > min && (
          <span
            className="absolute -top-0.5 h-2 w-px bg-faint"
            style={{ left: `${share(origin)}%` }}
            aria-hidden
          />
        )}
      </Radix.Track>
      <Radix.Thumb
        aria-label={label}
        {...(valueText && { 'aria-valuetext': valueText })}
        className={cx(
          'block rounded-full shadow-[0_1px_3px_rgb(0_0_0/0.5)] ring-1 ring-black/10 transition-transform hover:scale-125 focus-visible:scale-125',
          quiet ? 'size-2.5' : 'size-3.5',
          quiet && value === origin ? 'bg-faint' : 'bg-(--thumb)',
        )}
      />
    </Radix.Root>
  )
}
