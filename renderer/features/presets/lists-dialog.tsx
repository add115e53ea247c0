/** The lists that `__name__` draws from: made, changed and deleted here, or dropped onto the window as .txt. */
import { ArrowLeft, Plus, Trash2 } from 'lucide-react'
import { type FormEvent, useState } from 'react'
import { styleLimits } from '../../../model/contract/styles.ts'
import { tell } from '../../state/ui.ts'
import { useStrings } from '../../strings/index.ts'
import { Button, IconButton } from '../../ui/button.tsx'
import { Dialog } from '../../ui/dialog.tsx'
import { listNameOf, readList } from '../queue/wildcards.ts'
import { Area } from './save-style-dialog.tsx'
import { removeList, saveList, useKept } from './storage.ts'

export function ListsDialog({ open, onClose }: { readonly open: boolean; onClose(): void }) {
  const { presets: words } = useStrings()
  const lists = useKept(state => state.lists)
  const [edited, setEdited] = useState<string>()
  const names = Object.keys(lists).sort((a, b) => a.localeCompare(b))
  const close = () => {
    setEdited(undefined)
    onClose()
  }
  return (
    <Dialog open={open} onClose={close} title={words.lists} className="w-[min(30rem,calc(100vw-2rem))]!">
      {edited !== undefined ? (
        <Editor key={edited} name={edited} onDone={() => setEdited(undefined)} />
      ) : (
        <div className="flex min-h-0 flex-col gap-4 overflow-y-auto p-5">
          <p className="text-soft">{names.length === 0 ? words.noLists : words.listsHint}</p>
          <ul>
            {names.map(name => (
              <li key={name} className="flex items-center border-b border-line py-1 last:border-0">
                <button
                  type="button"
                  aria-label={words.editList(name)}
                  onClick={() => setEdited(name)}
                  className="flex min-w-0 grow items-baseline justify-between gap-3 rounded-md px-2 py-1 text-left hover:bg-raised"
                >
                  <span className="truncate font-mono text-sm">__{name}__</span>
                  <span className="numeric shrink-0 text-xs text-faint">
                    {words.entriesCount(lists[name]?.length ?? 0)}
                  </span>
                </button>
                <IconButton label={words.remove(name)} size="small" onClick={() => void removeList(name)}>
                  <Trash2 aria-hidden />
                </IconButton>
              </li>
            ))}
          </ul>
          <Button className="self-start" onClick={() => setEdited('')}>
            <Plus className="size-4" aria-hidden />
            {words.newList}
          </Button>
        </div>
      )}
    </Dialog>
  )
}

function Editor({ name: before, onDone }: { readonly name: string; onDone(): void }) {
  const { presets: words } = useStrings()
  const lists = useKept(state => state.lists)
  const [name, setName] = useState(before)
  const [text, setText] = useState((lists[before] ?? []).join('\n'))
  const submit = (event: FormEvent) => {
    event.preventDefault()
    const clean = listNameOf(`${name}.txt`)
    const entries = readList(text).map(entry => entry.slice(0, styleLimits.entry))
    void saveList(clean, entries, before === '' ? clean : before).then(isKept => {
      if (isKept) tell({ tone: 'good', text: words.saved(`__${clean}__`) })
    })
    onDone()
  }
  return (
    <form onSubmit={submit} className="flex min-h-0 flex-col gap-4 overflow-y-auto p-5">
      <label className="flex flex-col gap-1">
        <span className="label">{words.listName}</span>
        <input
          required
          autoFocus
          maxLength={80}
          value={name}
          onChange={event => setName(event.target.value)}
          className="field h-8 px-2 font-mono text-sm outline-none"
        />
      </label>
      <Area label={words.entries} value={text} onChange={setText} tall />
      <div className="flex justify-between">
        <Button tone="plain" onClick={onDone}>
          <ArrowLeft className="size-4" aria-hidden />
          {words.back}
        </Button>
        <Button tone="loud" type="submit" disabled={name.trim() === '' || text.trim() === ''}>
          {words.save}
        </Button>
      </div>
    </form>
  )
}
