/** What a screen or panel shows when it has nothing to show. */
import type { ReactNode } from 'react'

export function Empty({
  icon,
  title,
  children,
}: {
  readonly icon?: ReactNode
  readonly title: string
  readonly children?: ReactNode
}) {
  return (
    <div className="grid h-full place-content-center justify-items-center gap-2 p-6 text-center">
      {icon && <div className="mb-1 text-faint [&_svg]:size-6">{icon}</div>}
      <h2 className="text-base font-semibold">{title}</h2>
      <div className="max-w-72 text-soft">{children}</div>
    </div>
  )
}
