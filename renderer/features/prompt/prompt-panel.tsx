/** Prompt and negative prompt with what is known about them, quietly, below. */
import { Minus, Plus, TriangleAlert } from 'lucide-react'
import { useEffect, useState } from 'react'
import { type PromptDialect, promptDialects, type WeightLaw } from '../../../model/contract/prompt.ts'
import { ownLaw, readPrompt, rewritePrompt, weightLaws } from '../../engine/words.ts'
import { changeRequest, draft, useRequest } from '../../state/request.ts'
import { tell } from '../../state/ui.ts'
import { type Strings, strings, useStrings } from '../../strings/index.ts'
import { cx } from '../../ui/class-names.ts'
import { Popover } from '../../ui/popover.tsx'
import { Select } from '../../ui/select.tsx'
import { Tip } from '../../ui/tooltip.tsx'
import { StylesMenu } from '../presets/styles-menu.tsx'
import { followPrompt, useExplanation } from './explanation.ts'
import { PromptEditor, promptEditor } from './prompt-editor.tsx'

const dialectNames: Readonly<Record<PromptDialect, string>> = {
  a1111: 'A1111 · (word:1.2)',
  comfy: 'ComfyUI · (word:1.2)',
  compel: 'InvokeAI · (word)1.2',
  plain: 'Plain',
}

function lawName(law: WeightLaw, { prompt }: Strings): string {
  const names: Readonly<Record<WeightLaw, string>> = {
    a1111: prompt.lawA1111,
    'a1111-no-norm': prompt.lawA1111NoNorm,
    comfy: prompt.lawComfy,
    compel: prompt.lawCompel,
    ignore: prompt.lawIgnore,
    'logit-bias': prompt.lawLogitBias,
    'value-gain': prompt.lawValueGain,
  }
  return names[law]
}

export function PromptPanel() {
  useEffect(followPrompt, [])
  return (
    <section className="flex flex-col gap-2">
      <div className="field">
        <PromptEditor />
        <Facts />
      </div>
      <Problems />
      <div className="flex flex-wrap items-center justify-between gap-2 [&>label]:w-full">
        <Negative />
        <StylesMenu />
      </div>
    </section>
  )
}

function Facts() {
  const all = useStrings()
  const { prompt } = all
  const explanation = useExplanation(state => state.explanation)
  const dialect = useRequest(state => state.draft.dialect)
  const text = explanation?.parts[0]?.states[0]?.texts[0]
  const used = text?.chunks.reduce((sum, chunk) => sum + chunk.used, 0) ?? 0
  const unknown = text?.words.filter(({ isInPieces }) => isInPieces).length ?? 0
  const chunks = text?.chunks.length ?? 1
  return (
    <div className="flex h-7 items-center gap-2 border-t border-line pr-1 pl-3 text-xs text-faint">
      <Tip text={prompt.tokensHint(text?.chunks.at(-1)?.free ?? 75)}>
        <span tabIndex={0} className="numeric min-w-0 truncate rounded">
          {prompt.tokens(used)}
          {chunks > 1 && ` · ${prompt.chunks(chunks)}`}
          {unknown > 0 && ` · ${prompt.unknown(unknown)}`}
        </span>
      </Tip>
      <span className="grow" />
      <Popover
        label={prompt.dialect}
        align="end"
        trigger={
          <button type="button" className="shrink-0 rounded px-1 hover:text-text">
            {dialectNames[dialect].split(' · ')[0]}
          </button>
        }
      >
        <DialectChoice />
      </Popover>
    </div>
  )
}

function DialectChoice() {
  const all = useStrings()
  const { prompt } = all
  const { dialect, emphasis } = useRequest(state => state.draft)
  const own = ownLaw(dialect)
  return (
    <div className="flex w-64 flex-col gap-1">
      <span className="label">{prompt.dialect}</span>
      <Select
        label={prompt.dialect}
        value={dialect}
        options={promptDialects.map(value => ({ value, label: dialectNames[value] }))}
        onChange={chooseDialect}
      />
      <p className="mb-2 text-xs text-soft">{prompt.dialectHint}</p>
      <span className="label">{prompt.law}</span>
      <Select
        label={prompt.law}
        value={emphasis ?? 'own'}
        options={[
          { value: 'own', label: prompt.lawOwn, hint: lawName(own, all) },
          ...weightLaws.filter(law => law !== own).map(value => ({ value, label: lawName(value, all) })),
        ]}
        onChange={law => changeRequest({ emphasis: law === 'own' ? undefined : (law as WeightLaw) })}
      />
    </div>
  )
}

/** The words keep their weights, written in the other way. */
function chooseDialect(dialect: PromptDialect): void {
  const { prompt, negativePrompt, dialect: before } = draft()
  const now = rewritePrompt(prompt, before, dialect)
  const negative = rewritePrompt(negativePrompt, before, dialect)
  changeRequest({ dialect, prompt: now.text, negativePrompt: negative.text })
  const losses = now.losses + negative.losses
  if (losses > 0) tell({ tone: 'info', text: strings().prompt.lostInConversion(losses) })
}

function Problems() {
  const { prompt } = useStrings()
  const text = useRequest(state => state.draft.prompt)
  const dialect = useRequest(state => state.draft.dialect)
  const explained = useExplanation(state => state.explanation)
  const problems =
    explained?.source === text && explained.dialect === dialect
      ? explained.problems
      : readPrompt(text, dialect).problems
  const isLong = (explained?.parts[0]?.states[0]?.texts[0]?.chunks.length ?? 1) > 4
  if (problems.length === 0 && !isLong) return null
  return (
    <ul className="flex max-h-36 flex-col gap-1 overflow-y-auto px-1 text-xs text-soft">
      {isLong && <li>{prompt.long}</li>}
      {problems.slice(0, 6).map(problem => (
        <li key={`${problem.span.start} ${problem.message}`} className="flex gap-1.5">
          <TriangleAlert
            className={cx(
              'mt-0.5 size-3.5 shrink-0',
              problem.level === 'error' ? 'text-danger' : 'text-warning',
            )}
            aria-hidden
          />
          <button
            type="button"
            className="rounded text-left hover:text-text"
            onClick={() => {
              const editor = promptEditor()
              editor?.dispatch({ selection: { anchor: problem.span.start }, scrollIntoView: true })
              editor?.focus()
            }}
          >
            {prompt.at(problem.column)}: {problem.message}
          </button>
        </li>
      ))}
    </ul>
  )
}

function Negative() {
  const { prompt } = useStrings()
  const value = useRequest(state => state.draft.negativePrompt)
  const [open, setOpen] = useState(value !== '')
  if (!open && value === '') {
    return (
      <button
        type="button"
        onClick={() => setOpen(true)}
        className="flex h-6 items-center gap-1 self-start rounded px-1 text-xs text-faint hover:text-text"
      >
        <Plus className="size-3.5" aria-hidden /> {prompt.addNegative}
      </button>
    )
  }
  return (
    <label className="field flex items-start gap-2 px-3 py-1.5">
      <Minus className="mt-0.5 size-4 shrink-0 text-cool" aria-hidden />
      <textarea
        aria-label={prompt.negative}
        placeholder={prompt.negativeHint}
        rows={1}
        autoFocus={value === ''}
        value={value}
        onChange={event => changeRequest({ negativePrompt: event.target.value }, 'negative')}
        onBlur={() => value === '' && setOpen(false)}
        className="field-sizing-content max-h-24 w-full resize-none bg-transparent text-sm outline-none placeholder:text-faint"
      />
    </label>
  )
}
