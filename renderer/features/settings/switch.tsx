/** On or off. */
import { Switch as Radix } from 'radix-ui'

export function Switch({
  label,
  checked,
  onChange,
}: {
  readonly label: string
  readonly checked: boolean
  onChange(on: boolean): void
}) {
  return (
    <Radix.Root
      aria-label={label}
      checked={checked}
      onCheckedChange={onChange}
      className="relative h-5 w-9 shrink-0 rounded-full bg-line-strong transition-colors data-[state=checked]:bg-accent"
    >
      <Radix.Thumb className="block size-4 translate-x-0.5 rounded-full bg-white shadow transition-transform data-[state=checked]:translate-x-[1.125rem]" />
    </Radix.Root>
  )
}
