/** Models: the library as a list, the chosen one's facts beside it, folders and downloads below the list. */
import { Check, CircleAlert, FolderOpen, FolderPlus, Search, TriangleAlert } from 'lucide-react'
import { type FormEvent, useEffect, useState } from 'react'
import type { HostModel } from '../../../model/contract/host-api.ts'
import { callHost } from '../../host/client.ts'
import { useSettings } from '../../state/settings.ts'
import { reportError } from '../../state/ui.ts'
import { useStrings } from '../../strings/index.ts'
import { Button, IconButton } from '../../ui/button.tsx'
import { cx } from '../../ui/class-names.ts'
import { Empty } from '../../ui/empty.tsx'
import { formatBytes } from '../gallery/format.ts'
import { Downloads } from './downloads.tsx'
import { FolderField } from './folder-field.tsx'
import { addFolder, fitOf, followLibrary, loadLibrary, useLibrary } from './library-state.ts'
import { ModelDetails } from './model-details.tsx'

export const embeddedModel = 'storybook'

export function ModelsScreen() {
  const { models: words, app } = useStrings()
  const { phase, error, models } = useLibrary()
  const chosen = useSettings(({ values }) => values.model) ?? embeddedModel
  const [shown, setShown] = useState<string>()
  useEffect(followLibrary, [])
  const model = models.find(({ id }) => id === (shown ?? chosen)) ?? models[0]
  if (phase === 'failed') {
    return (
      <Empty icon={<CircleAlert aria-hidden />} title={words.failedTitle}>
        <p role="alert">{error?.message}</p>
        <Button className="mt-4" onClick={() => void loadLibrary()}>
          {app.retry}
        </Button>
      </Empty>
    )
  }
  return (
    <div className="grid h-full grid-cols-[clamp(17rem,32vw,24rem)_minmax(0,1fr)] gap-px bg-line">
      <section aria-label={words.library} className="flex min-h-0 flex-col bg-panel">
        <List shown={model?.id} inUse={chosen} onShow={setShown} />
        <AddFolder />
      </section>
      <section
        tabIndex={0}
        aria-label={model?.name ?? words.library}
        className="min-h-0 overflow-y-auto bg-app"
      >
        <div className="mx-auto flex max-w-3xl flex-col gap-8 p-8">
          {model && <ModelDetails key={model.id} model={model} isInUse={model.id === chosen} />}
          <Downloads />
        </div>
      </section>
    </div>
  )
}

function List({
  shown,
  inUse,
  onShow,
}: {
  readonly shown: string | undefined
  readonly inUse: string
  onShow(id: string): void
}) {
  const { models: words } = useStrings()
  const { models, phase } = useLibrary()
  const [search, setSearch] = useState('')
  const wanted = search.trim().toLowerCase()
  const found = models.filter(({ name, family }) => `${name} ${family}`.toLowerCase().includes(wanted))
  return (
    <>
      <div className="p-3 pb-2">
        <label className="field flex h-8 items-center gap-2 px-2">
          <Search className="size-4 shrink-0 text-faint" aria-hidden />
          <input
            aria-label={words.searchLabel}
            placeholder={words.searchHint}
            value={search}
            onChange={event => setSearch(event.target.value)}
            className="h-full w-full bg-transparent text-sm outline-none placeholder:text-faint"
          />
        </label>
      </div>
      <ul className="min-h-0 grow overflow-y-auto px-2 pb-2">
        {found.map(model => (
          <li key={model.id}>
            <Item model={model} isShown={model.id === shown} isInUse={model.id === inUse} onShow={onShow} />
          </li>
        ))}
        {found.length === 0 && (
          <li role="status" className="p-4 text-center text-soft">
            {phase === 'loading' ? words.loading : words.none}
          </li>
        )}
      </ul>
    </>
  )
}

function Item({
  model,
  isShown,
  isInUse,
  onShow,
}: {
  readonly model: HostModel
  readonly isShown: boolean
  readonly isInUse: boolean
  onShow(id: string): void
}) {
  const { models: words } = useStrings()
  const fit = fitOf(
    model,
    useLibrary(state => state.memory),
  )
  const name = model.embedded ? words.embeddedName : model.name
  return (
    <button
      type="button"
      aria-current={isShown ? 'true' : undefined}
      onClick={() => onShow(model.id)}
      className={cx(
        'flex w-full flex-col rounded-lg px-3 py-2 text-left transition-colors',
        isShown ? 'bg-raised' : 'hover:bg-raised/60',
      )}
    >
      <span className="flex w-full items-center justify-between gap-3">
        <span className={cx('truncate font-medium', !model.usable && 'text-soft')} title={name}>
          {name}
        </span>
        {isInUse ? (
          <span className="flex shrink-0 items-center gap-1 text-xs font-medium text-accent">
            <Check className="size-3.5" aria-hidden />
            {words.inUse}
          </span>
        ) : !model.usable ? (
          <Tag text={words.notUsable} tone="text-warning" />
        ) : fit === 'not' ? (
          <Tag text={words.fitTag} tone="text-danger" />
        ) : (
          fit === 'tight' && <Tag text={words.tightTag} tone="text-warning" />
        )}
      </span>
      <span className="truncate text-xs text-faint">
        {model.family} · {formatBytes(model.bytes)}
      </span>
    </button>
  )
}

function Tag({ text, tone }: { readonly text: string; readonly tone: string }) {
  return (
    <span className={cx('flex shrink-0 items-center gap-1 text-xs', tone)}>
      <TriangleAlert className="size-3.5" aria-hidden />
      <span className="max-w-24 truncate">{text}</span>
    </span>
  )
}

function AddFolder() {
  const { models: words } = useStrings()
  const hasDialog = useLibrary(state => state.hasDialog)
  const [path, setPath] = useState('')
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    if (path.trim() !== '' && (await addFolder(path.trim()))) setPath('')
  }
  const open = (
    <IconButton
      label={words.openFolder}
      side="top"
      onClick={() => void callHost('shell.openFolder', { which: 'models' }).catch(reportError)}
    >
      <FolderOpen aria-hidden />
    </IconButton>
  )
  if (hasDialog) {
    return (
      <div className="flex items-center gap-2 border-t border-line p-3">
        <Button className="grow" onClick={() => void addFolder()}>
          <FolderPlus className="size-4" aria-hidden />
          {words.add}
        </Button>
        {open}
      </div>
    )
  }
  return (
    <form onSubmit={submit} className="flex flex-col gap-2 border-t border-line p-3">
      <p className="text-xs text-faint">{words.addHint}</p>
      <div className="flex items-center gap-2">
        <FolderField
          label={words.addPath}
          placeholder="/home/…/models"
          value={path}
          onChange={setPath}
          above
        />
        <Button type="submit" disabled={path.trim() === ''}>
          <FolderPlus className="size-4" aria-hidden />
          {words.add}
        </Button>
        {open}
      </div>
    </form>
  )
}
