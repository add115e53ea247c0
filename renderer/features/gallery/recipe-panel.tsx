/** A recipe to read: which program, the texts, every setting, what is not understood, and notes. */
import { Copy, Info } from 'lucide-react'
import type { HostRecipe } from '../../../model/contract/host-api.ts'
import { useStrings } from '../../strings/index.ts'
import { IconButton } from '../../ui/button.tsx'
import { copyText } from './gallery-actions.ts'
import { type Fact, factsOf, unknownFacts } from './recipe-facts.ts'
import { templateOf } from './reuse.ts'

export function RecipeView({
  recipe,
  record,
  messages = [],
}: {
  readonly recipe: HostRecipe
  readonly record?: Readonly<Record<string, unknown>> | undefined
  /** What of it could not be read. */
  readonly messages?: readonly string[]
}) {
  const all = useStrings()
  const { gallery } = all
  const notes = [...new Set([...recipe.notes, ...messages])]
  const template = templateOf(record)
  // Shown above, as what it is.
  const unknown = unknownFacts(recipe).filter(({ key }) => !template || key !== 'template')
  return (
    <div className="flex flex-col gap-5">
      <Words label={gallery.prompt} text={recipe.prompt} />
      {template && template.prompt !== recipe.prompt && (
        <Words label={gallery.template} text={template.prompt} />
      )}
      {recipe.negativePrompt !== '' && <Words label={gallery.negative} text={recipe.negativePrompt} />}
      <Facts facts={factsOf(recipe, all)} />
      {notes.length > 0 && (
        <section aria-label={gallery.notes} className="flex flex-col gap-1.5 rounded-md bg-raised p-3">
          {notes.map(note => (
            <p key={note} className="selectable flex gap-2 text-xs text-soft">
              <Info className="mt-0.5 size-3.5 shrink-0 text-faint" aria-hidden />
              <span className="min-w-0 break-words">{note}</span>
            </p>
          ))}
        </section>
      )}
      {unknown.length > 0 && (
        <details className="group">
          <summary className="label cursor-default rounded py-1 hover:text-text">
            {gallery.further} <span className="numeric text-faint">{unknown.length}</span>
          </summary>
          <p className="mb-2 text-xs text-faint">{gallery.furtherHint}</p>
          <Facts facts={unknown} stacked />
        </details>
      )}
    </div>
  )
}

function Words({ label, text }: { readonly label: string; readonly text: string }) {
  const { gallery } = useStrings()
  return (
    <section aria-label={label}>
      <div className="flex h-6 items-center justify-between">
        <h3 className="label">{label}</h3>
        <IconButton label={gallery.copyText(label)} size="small" onClick={() => void copyText(text)}>
          <Copy aria-hidden />
        </IconButton>
      </div>
      {/* Pasted novels exist: the text scrolls, the panel stays. */}
      <p className="selectable max-h-48 overflow-y-auto leading-6 break-words whitespace-pre-wrap text-text">
        {text === '' ? '–' : text}
      </p>
    </section>
  )
}

export function Facts({
  facts,
  stacked = false,
}: {
  readonly facts: readonly Fact[]
  readonly stacked?: boolean
}) {
  return (
    <dl className="flex flex-col">
      {facts.map(({ key, label, value }) => (
        <div
          key={key}
          className={
            stacked || value.length > 60
              ? 'border-b border-line py-1.5 last:border-0'
              : 'flex items-baseline justify-between gap-4 border-b border-line py-1.5 last:border-0'
          }
        >
          <dt className="shrink-0 text-xs break-words text-soft">{label}</dt>
          <dd className="selectable numeric max-h-40 min-w-0 overflow-y-auto text-sm break-words whitespace-pre-wrap">
            {value}
          </dd>
        </div>
      ))}
    </dl>
  )
}
