/** Saves words and settings under a name. */
import { type FormEvent, useState } from 'react'
import { useRequest } from '../../state/request.ts'
import { tell } from '../../state/ui.ts'
import { useStrings } from '../../strings/index.ts'
import { Button } from '../../ui/button.tsx'
import { Dialog } from '../../ui/dialog.tsx'
import { samplerNames } from '../generate/settings-panel.tsx'
import { settingsOf } from './apply.ts'
import { savePreset, useKept } from './storage.ts'

/** What stands behind the first comma: before it is mostly what the picture shows, behind it how. */
function styleWordsOf(prompt: string): string {
  const comma = prompt.indexOf(',')
  return comma < 0
    ? ''
    : prompt
        .slice(comma + 1)
        .trim()
        .slice(0, 20_000)
}

export function SaveStyleDialog({ open, onClose }: { readonly open: boolean; onClose(): void }) {
  const { presets: words } = useStrings()
  return (
    <Dialog
      open={open}
      onClose={onClose}
      title={words.dialogTitle}
      className="w-[min(30rem,calc(100vw-2rem))]!"
    >
      <Form onClose={onClose} />
    </Dialog>
  )
}

function Form({ onClose }: { onClose(): void }) {
  const { presets: words, app, create } = useStrings()
  const draft = useRequest(state => state.draft)
  const known = useKept(state => state.presets)
  const [name, setName] = useState('')
  const [before, setBefore] = useState('')
  const [after, setAfter] = useState(styleWordsOf(draft.prompt))
  const [negative, setNegative] = useState(draft.negativePrompt.slice(0, 20_000))
  const settings = settingsOf(draft)
  const has = Object.keys(settings).length > 0
  const [withSettings, setWith] = useState(has)
  const submit = (event: FormEvent) => {
    event.preventDefault()
    const preset = { name: name.trim(), before, after, negative, settings: withSettings ? settings : {} }
    void savePreset(preset).then(isKept => {
      if (isKept) tell({ tone: 'good', text: words.saved(preset.name) })
    })
    onClose()
  }
  const facts = [
    settings.width && settings.height ? `${settings.width} × ${settings.height}` : undefined,
    settings.steps && `${settings.steps} ${create.steps}`,
    settings.guidanceScale && `${create.guidance} ${settings.guidanceScale}`,
    settings.sampler && samplerNames[settings.sampler],
  ].filter(Boolean)
  return (
    <form onSubmit={submit} className="flex min-h-0 flex-col">
      <div className="flex min-h-0 flex-col gap-4 overflow-y-auto p-5">
        <label className="flex flex-col gap-1">
          <span className="label">{words.name}</span>
          <input
            required
            autoFocus
            maxLength={80}
            value={name}
            onChange={event => setName(event.target.value)}
            className="field h-8 px-2 text-sm outline-none"
          />
          {known.some(each => each.name === name.trim()) && (
            <span className="text-xs text-warning">{words.replaces}</span>
          )}
        </label>
        <Area label={words.before} value={before} onChange={setBefore} />
        <Area label={words.after} value={after} onChange={setAfter} />
        <Area label={words.negative} value={negative} onChange={setNegative} />
        <label className="flex items-start gap-2">
          <input
            type="checkbox"
            disabled={!has}
            checked={withSettings}
            onChange={event => setWith(event.target.checked)}
            className="mt-0.5 size-4 accent-[var(--accent)]"
          />
          <span>
            {words.withSettings}
            <span className="block text-xs text-soft">{has ? facts.join(' · ') : words.nothingSet}</span>
          </span>
        </label>
      </div>
      <footer className="flex justify-end gap-2 border-t border-line p-3">
        <Button tone="plain" onClick={onClose}>
          {app.cancel}
        </Button>
        <Button tone="loud" type="submit" disabled={name.trim() === ''}>
          {words.save}
        </Button>
      </footer>
    </form>
  )
}

export function Area(props: {
  readonly label: string
  readonly value: string
  readonly tall?: boolean
  onChange(value: string): void
}) {
  return (
    <label className="flex flex-col gap-1">
      <span className="label">{props.label}</span>
      <textarea
        rows={props.tall ? 10 : 2}
        value={props.value}
        onChange={event => props.onChange(event.target.value)}
        className="field field-sizing-content max-h-60 min-h-9 resize-none px-2 py-1.5 text-sm outline-none"
      />
    </label>
  )
}
