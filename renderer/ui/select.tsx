/** A choice among many in a list that opens. */
import { Check, ChevronDown } from 'lucide-react'
import { Select as Radix } from 'radix-ui'
import { cx } from './class-names.ts'

export interface SelectProps<T extends string> {
  readonly label: string
  readonly value: T
  readonly options: readonly { readonly value: T; readonly label: string; readonly hint?: string }[]
  onChange(value: T): void
  readonly className?: string
  /** Without a frame, for lines of small text. */
  readonly bare?: boolean
}

export function Select<T extends string>({
  label,
  value,
  options,
  onChange,
  className,
  bare,
}: SelectProps<T>) {
  return (
    <Radix.Root value={value} onValueChange={next => onChange(next as T)}>
      <Radix.Trigger
        aria-label={label}
        onKeyDown={event => {
          // Enter opens it, but Ctrl+Enter is the window's. Only Radix looks at this event's own mark.
          if (event.ctrlKey || event.metaKey) Object.assign(event, { defaultPrevented: true })
        }}
        className={cx(
          'inline-flex items-center justify-between gap-1 rounded-md text-sm',
          bare ? 'px-1 text-xs text-soft hover:text-text' : 'field h-8 w-full px-2',
          className,
        )}
      >
        <span className="truncate">
          <Radix.Value />
        </span>
        <ChevronDown className="size-3.5 shrink-0 text-faint" aria-hidden />
      </Radix.Trigger>
      <Radix.Portal>
        <Radix.Content
          position="popper"
          sideOffset={4}
          collisionPadding={8}
          className="glow-in z-50 max-h-(--radix-select-content-available-height) min-w-(--radix-select-trigger-width) overflow-auto rounded-lg bg-raised p-1 shadow-pop"
        >
          <Radix.Viewport>
            {options.map(option => (
              <Radix.Item
                key={option.value}
                value={option.value}
                className="flex items-start gap-2 rounded-md py-1.5 pr-3 pl-2 text-sm outline-none data-[highlighted]:bg-accent-wash"
              >
                <span className="mt-0.5 size-4 shrink-0">
                  <Radix.ItemIndicator>
                    <Check className="size-4 text-accent" aria-hidden />
                  </Radix.ItemIndicator>
                </span>
                <span>
                  <Radix.ItemText>{option.label}</Radix.ItemText>
                  {option.hint && <span className="block text-xs text-soft">{option.hint}</span>}
                </span>
              </Radix.Item>
            ))}
          </Radix.Viewport>
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  )
}
