/** Keys as small caps of a keyboard. */
import { useStrings } from '../strings/index.ts'
import { cx } from './class-names.ts'

const isMac = /Mac|iP(hone|ad)/.test(globalThis.navigator?.platform ?? '')
const names: Readonly<Record<string, string>> = {
  Shift: isMac ? '⇧' : 'Shift',
  Enter: '↵',
  Escape: 'Esc',
  ArrowUp: '↑',
  ArrowDown: '↓',
}

/**
 * @param keys such as `Mod+Enter`
 * @param bare in the colours around it, for loud buttons
 */
export function Keys({ keys, bare = false }: { readonly keys: string; readonly bare?: boolean }) {
  const { app } = useStrings()
  const parts = keys === '+' ? ['+'] : keys.split('+')
  return (
    <span className="inline-flex items-center gap-0.5" aria-hidden>
      {parts.map(part => (
        <kbd
          key={part}
          className={cx(
            'min-w-4 rounded-sm px-1 text-center font-sans text-2xs ring-1 ring-inset',
            bare ? 'ring-current/40' : 'bg-app text-soft ring-line',
          )}
        >
          {part === 'Mod' ? (isMac ? '⌘' : app.controlKey) : (names[part] ?? part)}
        </kbd>
      ))}
    </span>
  )
}
