/** A choice among few, all in view. */
import { ToggleGroup } from 'radix-ui'
import type { ReactNode } from 'react'
import { cx } from './class-names.ts'
import { Tip } from './tooltip.tsx'

export interface SegmentedProps<T extends string> {
  readonly label: string
  readonly value: T | undefined
  readonly options: readonly { readonly value: T; readonly label: string; readonly icon?: ReactNode }[]
  onChange(value: T): void
  readonly className?: string
}

export function Segmented<T extends string>({
  label,
  value,
  options,
  onChange,
  className,
}: SegmentedProps<T>) {
  return (
    <ToggleGroup.Root
      type="single"
      aria-label={label}
      value={value ?? ''}
      onValueChange={next => next && onChange(next as T)}
      className={cx('field flex h-8 items-center p-0.5', className)}
    >
      {options.map(option => {
        const item = (
          <ToggleGroup.Item
            key={option.value}
            value={option.value}
            aria-label={option.label}
            className="grid h-7 min-w-7 grow place-items-center rounded-[5px] px-2 text-xs text-soft transition-colors hover:text-text aria-checked:bg-raised aria-checked:text-text aria-checked:shadow-[0_0_0_1px_var(--line)] [&_svg]:size-4"
          >
            {option.icon ?? option.label}
          </ToggleGroup.Item>
        )
        return option.icon ? (
          <Tip key={option.value} text={option.label}>
            {item}
          </Tip>
        ) : (
          item
        )
      })}
    </ToggleGroup.Root>
  )
}
