/** A folder on this machine: the shell's dialog where there is one, else a path with completion while it is typed. */
import { FolderOpen } from 'lucide-react'
import { type KeyboardEvent, useEffect, useId, useRef, useState } from 'react'
import { callHost } from '../../host/client.ts'
import { reportError } from '../../state/ui.ts'
import { useStrings } from '../../strings/index.ts'
import { Button } from '../../ui/button.tsx'
import { cx } from '../../ui/class-names.ts'

/** Asks with the shell's dialog. @returns undefined when the person chose none, or was told why there is none */
export async function askForFolder(title: string): Promise<string | undefined> {
  try {
    return (await callHost('shell.chooseFolder', { title })).path
  } catch (error) {
    reportError(error)
    return undefined
  }
}

/** Whether the shell has a dialog; false until it has said so. */
export function useFolderDialog(): boolean {
  const [has, setHas] = useState(false)
  useEffect(() => {
    callHost('app.info').then(
      ({ shell }) => setHas(shell === 'electron'),
      () => undefined,
    )
  }, [])
  return has
}

/** Long enough that fast typing asks once. */
const pause = 120

export function FolderField({
  label,
  placeholder,
  value,
  onChange,
  dialogTitle,
  above = false,
}: {
  readonly label: string
  readonly placeholder: string
  readonly value: string
  onChange(path: string): void
  /** With it, and a shell that has a dialog, a button asks by it. */
  readonly dialogTitle?: string
  /** The list opens upwards. */
  readonly above?: boolean
}) {
  const { export: words } = useStrings()
  const list = useId()
  const hasDialog = useFolderDialog()
  const [folders, setFolders] = useState<readonly string[]>([])
  const [chosen, setChosen] = useState(-1)
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  useEffect(() => () => clearTimeout(timer.current), [])
  const close = () => {
    clearTimeout(timer.current)
    setFolders([])
    setChosen(-1)
  }
  const complete = (path: string) => {
    clearTimeout(timer.current)
    timer.current = setTimeout(() => {
      callHost('shell.completeFolder', { path }).then(
        ({ folders: found }) => {
          setFolders(found.filter(folder => folder !== path))
          setChosen(-1)
        },
        () => setFolders([]),
      )
    }, pause)
  }
  const take = (path: string) => {
    onChange(path)
    complete(path)
  }
  const onKeyDown = (event: KeyboardEvent) => {
    if (folders.length === 0) return
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      const by = event.key === 'ArrowDown' ? 1 : -1
      setChosen((chosen + by + folders.length + (chosen < 0 && by < 0 ? 1 : 0)) % folders.length)
    } else if (event.key === 'Enter' && chosen >= 0) take(folders[chosen] ?? value)
    else if (event.key === 'Escape') close()
    else return
    event.preventDefault()
    event.stopPropagation()
  }
  return (
    <div className="relative flex min-w-0 grow items-center gap-2">
      <input
        role="combobox"
        aria-label={label}
        aria-expanded={folders.length > 0}
        aria-controls={list}
        aria-autocomplete="list"
        {...(chosen >= 0 && { 'aria-activedescendant': `${list}-${chosen}` })}
        placeholder={placeholder}
        value={value}
        maxLength={4096}
        spellCheck={false}
        autoComplete="off"
        onChange={event => {
          onChange(event.target.value)
          complete(event.target.value)
        }}
        onKeyDown={onKeyDown}
        onBlur={close}
        className="field h-8 min-w-0 grow px-2 text-sm placeholder:text-faint"
      />
      <ul
        id={list}
        role="listbox"
        aria-label={words.suggestions}
        className={cx(
          'absolute inset-x-0 z-50 max-h-48 overflow-y-auto rounded-lg bg-raised p-1 shadow-pop',
          above ? 'bottom-full mb-1' : 'top-full mt-1',
          folders.length === 0 && 'hidden',
        )}
      >
        {folders.map((folder, at) => (
          <li
            key={folder}
            id={`${list}-${at}`}
            role="option"
            aria-selected={at === chosen}
            // Before the field loses the focus.
            onPointerDown={event => {
              event.preventDefault()
              take(folder)
            }}
            className="truncate rounded-md px-2 py-1 text-sm hover:bg-accent-wash aria-selected:bg-accent-wash"
            title={folder}
          >
            {folder}
          </li>
        ))}
      </ul>
      {hasDialog && dialogTitle !== undefined && (
        <Button
          onClick={() =>
            void askForFolder(dialogTitle).then(path => {
              if (path !== undefined) onChange(path)
            })
          }
        >
          <FolderOpen className="size-4" aria-hidden />
          {words.chooseFolder}
        </Button>
      )}
    </div>
  )
}
