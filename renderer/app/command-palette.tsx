/** Every command by its name: type some letters, choose with the arrows, Enter runs. */
import { type KeyboardEvent, useMemo, useRef, useState } from 'react'
import { showDialog, useUi } from '../state/ui.ts'
import { useStrings } from '../strings/index.ts'
import { cx } from '../ui/class-names.ts'
import { Dialog } from '../ui/dialog.tsx'
import { Keys } from '../ui/keys.tsx'
import { commands } from './commands.ts'

export function CommandPalette() {
  const { app } = useStrings()
  const open = useUi(state => state.dialog === 'palette')
  return (
    <Dialog open={open} onClose={() => showDialog(undefined)} title={app.commands} bare>
      {open && <Search />}
    </Dialog>
  )
}

/** Whether the letters stand in the text in their order. */
function matches(text: string, letters: string): boolean {
  let from = 0
  const lower = text.toLowerCase()
  for (const letter of letters.toLowerCase().replaceAll(' ', '')) {
    const at = lower.indexOf(letter, from)
    if (at < 0) return false
    from = at + 1
  }
  return true
}

function Search() {
  const strings = useStrings()
  const [text, setText] = useState('')
  const [chosen, setChosen] = useState(0)
  const list = useRef<HTMLUListElement>(null)
  const found = useMemo(
    () => commands.filter(command => matches(command.label(strings), text)),
    [text, strings],
  )
  const run = (index: number) => {
    const command = found[index]
    if (!command) return
    showDialog(undefined)
    // After the dialog gave the focus back.
    setTimeout(() => command.run())
  }
  const move = (to: number) => {
    const next = (to + found.length) % Math.max(1, found.length)
    setChosen(next)
    list.current?.children[next]?.scrollIntoView({ block: 'nearest' })
  }
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'ArrowDown') move(chosen + 1)
    else if (event.key === 'ArrowUp') move(chosen - 1)
    else if (event.key === 'Enter') run(chosen)
    else return
    event.preventDefault()
  }
  return (
    <>
      <input
        autoFocus
        role="combobox"
        aria-expanded
        aria-controls="command-list"
        aria-activedescendant={found[chosen] ? `command-${found[chosen].id}` : undefined}
        aria-label={strings.app.searchCommands}
        placeholder={strings.app.searchCommands}
        value={text}
        onChange={event => {
          setText(event.target.value)
          setChosen(0)
        }}
        onKeyDown={onKeyDown}
        className="h-12 w-full shrink-0 rounded-t-xl border-b border-line bg-transparent px-5 text-base outline-none placeholder:text-faint"
      />
      <ul
        id="command-list"
        role="listbox"
        aria-label={strings.app.commands}
        ref={list}
        className="min-h-0 overflow-y-auto p-2"
      >
        {found.map((command, index) => (
          <li
            key={command.id}
            id={`command-${command.id}`}
            role="option"
            aria-selected={index === chosen}
            onPointerMove={() => setChosen(index)}
            onClick={() => run(index)}
            className={cx(
              'flex h-9 items-center justify-between rounded-md px-3',
              index === chosen && 'bg-accent-wash',
            )}
          >
            {command.label(strings)}
            {command.keys && <Keys keys={command.keys} />}
          </li>
        ))}
      </ul>
      {found.length === 0 && <p className="px-5 pb-5 text-soft">{strings.app.noCommand}</p>}
    </>
  )
}
