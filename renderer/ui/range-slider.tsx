/** A span between two handles; each moves a step by arrow keys, and neither passes the other. */
import { Slider as Radix } from 'radix-ui'

export function RangeSlider({
  labels,
  value,
  min,
  max,
  step,
  valueText,
  onChange,
}: {
  readonly labels: readonly [from: string, to: string]
  readonly value: readonly [from: number, to: number]
  readonly min: number
  readonly max: number
  readonly step: number
  valueText(value: number): string
  onChange(value: readonly [from: number, to: number]): void
}) {
  return (
    <Radix.Root
      value={[...value]}
      min={min}
      max={max}
      step={step}
      minStepsBetweenThumbs={1}
      onValueChange={([from, to]) => from !== undefined && to !== undefined && onChange([from, to])}
      className="relative flex h-6 w-full touch-none items-center"
    >
      <Radix.Track className="relative h-1 grow rounded-full bg-line-strong">
        <Radix.Range className="absolute inset-y-0 rounded-full bg-accent" />
      </Radix.Track>
      {labels.map((label, index) => (
        <Radix.Thumb
          key={label}
          aria-label={label}
          aria-valuetext={valueText(value[index] ?? 0)}
          className="block size-3.5 rounded-full bg-(--thumb) shadow-[0_1px_3px_rgb(0_0_0/0.5)] ring-1 ring-black/10 transition-transform hover:scale-125 focus-visible:scale-125"
        />
      ))}
    </Radix.Root>
  )
}
