/** What makes the hint of a guide's picture, and what it can be told. */
import type { InputPreprocessor } from '../../../model/contract/inputs.ts'
import { offeredPreprocessors, type OptionSpecs } from '../../engine/preprocess.ts'
import type { GuideDraft } from '../../state/inputs.ts'
import { useStrings } from '../../strings/index.ts'
import { Select } from '../../ui/select.tsx'
import { Slider } from '../../ui/slider.tsx'
import { changeGuide } from './guide-state.ts'

const none = '-'

export function PreprocessorChoice({ guide }: { readonly guide: GuideDraft }) {
  const { inputs } = useStrings()
  const { preprocessor } = guide
  const chosen = offeredPreprocessors.find(({ name }) => name === preprocessor?.name)
  return (
    <div className="flex flex-col gap-2">
      <div>
        <span className="label mb-1 block">{inputs.preprocessor}</span>
        <Select
          label={inputs.preprocessor}
          value={preprocessor?.name ?? none}
          options={[
            { value: none, label: inputs.noPreprocessor },
            ...offeredPreprocessors.map(({ name }) => ({ value: name, label: name })),
          ]}
          onChange={name =>
            changeGuide(guide.id, { preprocessor: name === none ? undefined : { name, options: {} } })
          }
        />
      </div>
      {preprocessor && chosen && <Options guide={guide} preprocessor={preprocessor} specs={chosen.options} />}
    </div>
  )
}

/** Numbers as sliders, in even steps or as ratios where the range is wide; switches as boxes. */
function Options({
  guide,
  preprocessor,
  specs,
}: {
  readonly guide: GuideDraft
  readonly preprocessor: InputPreprocessor
  readonly specs: OptionSpecs
}) {
  const change = (key: string, value: number | boolean) =>
    changeGuide(
      guide.id,
      { preprocessor: { ...preprocessor, options: { ...preprocessor.options, [key]: value } } },
      key,
    )
  // The first of chance is as good as any: nobody turns a slider for it.
  const shown = Object.entries(specs).filter(([key]) => key !== 'seed')
  return shown.map(([key, spec]) => {
    const value = preprocessor.options[key] ?? spec.default
    if (spec.kind === 'switch') {
      return (
        <label key={key} className="flex items-center gap-2 text-xs text-soft" title={spec.what}>
          <input
            type="checkbox"
            checked={value === true}
            onChange={event => change(key, event.target.checked)}
            className="size-3.5 accent-(--accent)"
          />
          {key}
        </label>
      )
    }
    // Limits allow much that nobody looks for.
    const most = Math.min(spec.max, Math.max(spec.default * 4, spec.min + 1))
    const step = spec.kind === 'whole' ? 1 : Number(((most - spec.min) / 50).toPrecision(1))
    return (
      <div key={key} className="flex items-center gap-2" title={spec.what}>
        <span className="label w-16 shrink-0 truncate">{key}</span>
        <Slider
          label={key}
          value={Number(value)}
          min={spec.min}
          max={most}
          step={step}
          onChange={next => change(key, spec.kind === 'whole' ? Math.round(next) : Number(next.toFixed(3)))}
        />
        <span className="numeric w-9 shrink-0 text-right text-xs text-soft">{Number(value)}</span>
      </div>
    )
  })
}
