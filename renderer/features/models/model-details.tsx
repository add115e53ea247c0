/** One model: what it is, whether it fits, what it lacks; the embedded one's words, to be tried. */
import { Check, CircleAlert } from 'lucide-react'
import { useState } from 'react'
import type { HostModel } from '../../../model/contract/host-api.ts'
import { useEngine } from '../../state/engine.ts'
import { changeRequest, draft } from '../../state/request.ts'
import { changeSettings } from '../../state/settings.ts'
import { announce, showScreen } from '../../state/ui.ts'
import { type Strings, useStrings } from '../../strings/index.ts'
import { Button } from '../../ui/button.tsx'
import { cx } from '../../ui/class-names.ts'
import { formatBytes } from '../gallery/format.ts'
import { fitOf, needOf, useLibrary } from './library-state.ts'

export function ModelDetails({ model, isInUse }: { readonly model: HostModel; readonly isInUse: boolean }) {
  const { models: words } = useStrings()
  const memory = useLibrary(state => state.memory)
  const phase = useEngine(state => state.phase)
  const name = model.embedded ? words.embeddedName : model.name
  const fit = fitOf(model, memory)
  return (
    <article className="flex flex-col gap-6">
      <header className="flex flex-wrap items-start justify-between gap-4">
        <div className="min-w-0">
          <h2 className="text-xl font-semibold break-words">{name}</h2>
          <p className="mt-1 text-soft">{model.embedded ? words.embeddedTag : model.family}</p>
        </div>
        {isInUse ? (
          <span className="flex h-8 items-center gap-1.5 text-sm font-medium text-accent">
            <Check className="size-4" aria-hidden />
            {phase === 'opening' ? words.opening : words.inUse}
          </span>
        ) : (
          <Button
            tone={fit === 'not' ? 'quiet' : 'loud'}
            disabled={!model.usable}
            onClick={() => {
              void changeSettings({ model: model.embedded ? null : model.id })
              announce(`${words.inUse}: ${name}`)
            }}
          >
            {fit === 'not' ? words.useAnyway : words.use}
          </Button>
        )}
      </header>
      {model.problems.length > 0 && (
        <section aria-label={words.missing} className="rounded-lg bg-warning-wash p-4">
          <h3 className="flex items-center gap-2 font-medium text-warning">
            <CircleAlert className="size-4" aria-hidden />
            {words.missing}
          </h3>
          <ul className="selectable mt-2 flex flex-col gap-1">
            {model.problems.map(problem => (
              <li key={problem} className="break-words">
                {problem}
              </li>
            ))}
          </ul>
        </section>
      )}
      {model.embedded && (
        <div className="flex flex-col gap-2 text-base">
          <p>{words.embeddedBody}</p>
          <p className="text-soft">{words.embeddedLimits}</p>
        </div>
      )}
      <dl className="grid grid-cols-[8rem_minmax(0,1fr)] gap-y-2">
        <Row label={words.family}>{model.family}</Row>
        <Row label={words.size}>
          <span className="numeric">{formatBytes(model.bytes)}</span>
        </Row>
        <Row label={words.memory}>
          <span className={cx(fit === 'not' && 'text-danger', fit === 'tight' && 'text-warning')}>
            {fitText(model, memory, fit, words)}
          </span>
        </Row>
        <Row label={words.licence}>{model.licence ?? (model.embedded ? 'Apache-2.0' : words.noLicence)}</Row>
        {model.path !== undefined && (
          <Row label={words.place}>
            <span className="selectable break-all">{model.path}</span>
          </Row>
        )}
      </dl>
      {model.embedded && <Vocabulary isInUse={isInUse} />}
    </article>
  )
}

function fitText(
  model: HostModel,
  memory: number,
  fit: ReturnType<typeof fitOf>,
  words: Strings['models'],
): string {
  const need = needOf(model)
  if (need === undefined) return words.unknownMemory
  if (fit === 'unknown') return formatBytes(need)
  const text = { fits: words.fits, tight: words.tight, not: words.doesNotFit }[fit]
  return text(formatBytes(need), formatBytes(memory))
}

function Row({ label, children }: { readonly label: string; readonly children: React.ReactNode }) {
  return (
    <>
      <dt className="text-soft">{label}</dt>
      <dd className="min-w-0">{children}</dd>
    </>
  )
}

/** Groups that are lists of other things than words to type. */
const hidden = /synonym|coloured/
const shortList = 12

/** The words that the open model was taught, by group; a click puts one into the prompt. */
function Vocabulary({ isInUse }: { readonly isInUse: boolean }) {
  const { models: words } = useStrings()
  const vocabulary = useEngine(state => state.model?.vocabulary)
  if (!isInUse || !vocabulary) return <p className="text-soft">{words.openToSee}</p>
  const groups = Object.entries(vocabulary).filter(([name, list]) => !hidden.test(name) && list.length > 0)
  return (
    <section aria-label={words.knows} className="flex flex-col gap-4">
      <h3 className="text-lg font-semibold">{words.knows}</h3>
      {groups.map(([name, list]) => (
        <Group key={name} name={name} list={[...list]} />
      ))}
    </section>
  )
}

function Group({ name, list }: { readonly name: string; readonly list: readonly string[] }) {
  const { models: words } = useStrings()
  const [isWhole, setWhole] = useState(list.length <= shortList + 4)
  const key = name.split(/[./]/).at(-1) ?? name
  const title = words[key as keyof typeof words]
  const shown = isWhole ? list : list.slice(0, shortList)
  return (
    <div>
      <h4 className="label mb-1.5">
        {typeof title === 'string' ? title : key} <span className="numeric text-faint">{list.length}</span>
      </h4>
      <div className="flex flex-wrap gap-1">
        {shown.map(word => (
          <button
            key={word}
            type="button"
            aria-label={words.tryWord(word)}
            onClick={() => {
              const { prompt } = draft()
              changeRequest({ prompt: prompt.trim() === '' ? word : `${prompt.trimEnd()}, ${word}` })
              showScreen('create')
            }}
            className="h-7 rounded-full bg-panel px-3 text-sm text-soft ring-1 ring-line transition-colors ring-inset hover:bg-raised hover:text-text"
          >
            {word}
          </button>
        ))}
        {list.length > shortList + 4 && (
          <button
            type="button"
            aria-expanded={isWhole}
            onClick={() => setWhole(!isWhole)}
            className="h-7 rounded-full px-3 text-sm text-accent hover:underline"
          >
            {isWhole ? words.fewer : words.all(list.length)}
          </button>
        )}
      </div>
    </div>
  )
}
