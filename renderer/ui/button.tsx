/** Buttons: the one loud action, quiet ones, and icons with a name and a tooltip. */
import type { ComponentProps, ReactNode } from 'react'
import { cx } from './class-names.ts'
import { Tip } from './tooltip.tsx'

export interface ButtonProps extends ComponentProps<'button'> {
  readonly tone?: 'loud' | 'quiet' | 'plain' | 'danger'
  readonly size?: 'normal' | 'small' | 'large'
}

const tones = {
  loud: 'bg-accent text-on-accent hover:bg-accent-strong font-semibold',
  quiet: 'bg-raised text-text hover:brightness-110 ring-1 ring-inset ring-line',
  plain: 'text-soft hover:bg-raised hover:text-text',
  danger: 'bg-danger-wash text-danger hover:brightness-110 font-medium',
} as const
const sizes = {
  small: 'h-6 px-2 text-xs gap-1',
  normal: 'h-8 px-3 text-sm gap-1.5',
  large: 'h-10 px-4 text-base gap-2',
} as const

export function Button({ tone = 'quiet', size = 'normal', className, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      className={cx(
        'inline-flex shrink-0 items-center justify-center rounded-md whitespace-nowrap transition-colors',
        'aria-disabled:cursor-not-allowed aria-disabled:opacity-50 disabled:cursor-not-allowed disabled:opacity-50',
        tones[tone],
        sizes[size],
        className,
      )}
      {...rest}
    />
  )
}

export interface IconButtonProps extends Omit<ComponentProps<'button'>, 'aria-label'> {
  /** Its name, shown as a tooltip too. */
  readonly label: string
  readonly keys?: string
  readonly pressed?: boolean
  readonly size?: 'small' | 'normal'
  readonly children: ReactNode
  readonly side?: 'top' | 'right' | 'bottom' | 'left'
}

export function IconButton({
  label,
  keys,
  pressed,
  size = 'normal',
  className,
  side,
  ...rest
}: IconButtonProps) {
  return (
    <Tip text={label} {...(keys && { keys })} {...(side && { side })}>
      <button
        type="button"
        aria-label={label}
        {...(pressed !== undefined && { 'aria-pressed': pressed })}
        className={cx(
          'inline-grid shrink-0 place-items-center rounded-md text-soft transition-colors',
          'hover:bg-raised hover:text-text disabled:opacity-40 disabled:hover:bg-transparent',
          'aria-pressed:bg-accent-wash aria-pressed:text-accent',
          size === 'small' ? 'size-6 [&_svg]:size-3.5' : 'size-8 [&_svg]:size-4',
          className,
        )}
        {...rest}
      />
    </Tip>
  )
}
