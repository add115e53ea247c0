/** The choices of an export: words, formats, how maps are made. */
import type { ReactNode } from 'react'
import { type Colormap, colormaps } from '../../engine/heat.ts'
import type { DrawnPicture } from '../../state/pictures.ts'
import { useStrings } from '../../strings/index.ts'
import { Button } from '../../ui/button.tsx'
import { cx } from '../../ui/class-names.ts'
import { Select } from '../../ui/select.tsx'
import { type ExportFormat, formatGroups, useExport, wordsOf } from './export-state.ts'

export function ExportOptions({
  picture,
  chosen,
  onChoose,
  cannot,
}: {
  readonly picture: DrawnPicture
  readonly chosen: readonly string[]
  onChoose(words: readonly string[]): void
  readonly cannot: Partial<Record<ExportFormat, string>>
}) {
  const { export: words } = useStrings()
  const all = wordsOf(picture)
  return (
    <div className="flex min-h-0 flex-col gap-5 overflow-y-auto p-5">
      <section aria-label={words.words}>
        <Heading text={words.words}>
          <Button size="small" tone="plain" onClick={() => onChoose(all)}>
            {words.allWords}
          </Button>
          <Button size="small" tone="plain" onClick={() => onChoose([])}>
            {words.noWords}
          </Button>
        </Heading>
        <div className="flex max-h-24 flex-wrap gap-1.5 overflow-y-auto p-0.5">
          {all.map((word, at) => {
            const isOn = chosen.includes(word)
            return (
              <button
                key={word}
                type="button"
                autoFocus={at === 0}
                aria-pressed={isOn}
                onClick={() => onChoose(all.filter(each => (each === word ? !isOn : chosen.includes(each))))}
                className="h-6 rounded-full px-2.5 text-xs text-faint ring-1 ring-line-strong ring-inset hover:text-text aria-pressed:bg-accent-wash aria-pressed:text-accent aria-pressed:ring-accent"
              >
                {word}
              </button>
            )
          })}
        </div>
      </section>
      <section aria-label={words.formats}>
        <Heading text={words.formats} />
        <div className="grid grid-cols-2 gap-x-4 gap-y-3">
          <Formats group="pictures" cannot={cannot} />
          <Formats group="numbers" cannot={cannot} />
          <Formats group="reports" cannot={cannot} />
        </div>
      </section>
      <Look />
    </div>
  )
}

function Heading({ text, children }: { readonly text: string; readonly children?: ReactNode }) {
  return (
    <div className="mb-2 flex h-6 items-center gap-1">
      <h3 className="grow text-sm font-semibold">{text}</h3>
      {children}
    </div>
  )
}

function Formats({
  group,
  cannot,
}: {
  readonly group: keyof typeof formatGroups
  readonly cannot: Partial<Record<ExportFormat, string>>
}) {
  const { export: words } = useStrings()
  const formats = useExport(state => state.formats)
  return (
    <fieldset className={cx('min-w-0', group === 'numbers' && 'row-span-2')}>
      <legend className="label mb-1">{words[group]}</legend>
      {formatGroups[group].map(format => {
        const why = cannot[format]
        return (
          <label
            key={format}
            className={cx(
              'flex items-start gap-2 rounded-md px-1.5 py-1 hover:bg-raised',
              why !== undefined && 'opacity-60',
            )}
          >
            <input
              type="checkbox"
              disabled={why !== undefined}
              checked={why === undefined && formats.includes(format)}
              onChange={event => {
                const others = formats.filter(each => each !== format)
                useExport.setState({ formats: event.target.checked ? [...others, format] : others })
              }}
              className="mt-0.5 size-4 shrink-0 accent-(--accent)"
            />
            <span className="min-w-0">
              <span className="block text-sm">{words[format]}</span>
              <span className="block text-2xs leading-4 text-faint">{why ?? words[`${format}Hint`]}</span>
            </span>
          </label>
        )
      })}
    </fieldset>
  )
}

function Look() {
  const { export: words } = useStrings()
  const { rule, colormap, normalise, steps, layers, formats } = useExport()
  return (
    <section aria-label={words.look}>
      <Heading text={words.look} />
      <div className="grid grid-cols-2 gap-x-4 gap-y-3">
        <Field label={words.rule}>
          <Select
            label={words.rule}
            value={rule}
            options={[
              { value: 'mean', label: words.ruleMean, hint: words.ruleMeanHint },
              { value: 'daam', label: words.ruleDaam, hint: words.ruleDaamHint },
            ]}
            onChange={next => useExport.setState({ rule: next })}
          />
        </Field>
        <Field label={words.range}>
          <Select
            label={words.range}
            value={normalise}
            options={[
              { value: 'minmax', label: words.minmax, hint: words.minmaxHint },
              { value: 'shared', label: words.shared, hint: words.sharedHint },
              { value: 'absolute', label: words.absolute, hint: words.absoluteHint },
            ]}
            onChange={next => useExport.setState({ normalise: next })}
          />
        </Field>
        <Field label={words.colours}>
          <Select
            label={words.colours}
            value={colormap}
            options={colormaps.map(value => ({ value, label: value }))}
            onChange={(next: Colormap) => useExport.setState({ colormap: next })}
          />
        </Field>
        {formats.includes('webp') && (
          <Field label={words.steps}>
            <Select
              label={words.steps}
              value={steps}
              options={[
                { value: 'running', label: words.running, hint: words.runningHint },
                { value: 'each', label: words.each, hint: words.eachHint },
              ]}
              onChange={next => useExport.setState({ steps: next })}
            />
          </Field>
        )}
        <label className="flex items-center gap-2 self-end py-1.5">
          <input
            type="checkbox"
            checked={layers}
            onChange={event => useExport.setState({ layers: event.target.checked })}
            className="size-4 accent-(--accent)"
          />
          {words.layers}
        </label>
      </div>
    </section>
  )
}

function Field({ label, children }: { readonly label: string; readonly children: ReactNode }) {
  return (
    <div className="min-w-0">
      <span className="label mb-1 block">{label}</span>
      {children}
    </div>
  )
}
