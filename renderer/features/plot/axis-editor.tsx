/** One axis of a plot: what varies and its values. */
import { samplers } from '../../../model/contract/request.ts'
import { readPrompt } from '../../engine/words.ts'
import { useRequest } from '../../state/request.ts'
import { type Strings, useStrings } from '../../strings/index.ts'
import { cx } from '../../ui/class-names.ts'
import { Select } from '../../ui/select.tsx'
import { samplerNames } from '../generate/settings-panel.tsx'
import { type Axis, type AxisKind, axisKinds, partsOf } from './axes.ts'
import { type AxisName, type PlotProblem, setAxis } from './plot-state.ts'

const usual: Readonly<Record<AxisKind, string>> = {
  seed: '1..4',
  steps: '8, 12, 20',
  guidance: '2, 4, 7',
  sampler: 'ddim,euler,dpmpp_2m',
  weight: '0.6, 1, 1.4',
  replace: '',
}

export function AxisEditor({
  name,
  axis,
  problem,
}: {
  readonly name: AxisName
  readonly axis: Axis | undefined
  readonly problem: PlotProblem | undefined
}) {
  const { plot: words } = useStrings()
  const title = words[name]
  const choose = (kind: AxisKind | 'nothing') =>
    setAxis(name, kind === 'nothing' ? undefined : { kind, values: usual[kind] })
  return (
    <fieldset className="flex flex-col gap-2">
      <legend className="label mb-1">{title}</legend>
      <Select
        label={words.kind(title)}
        value={axis?.kind ?? 'nothing'}
        options={[
          { value: 'nothing' as const, label: words.nothing },
          ...axisKinds.map(value => ({ value, label: words[value] })),
        ]}
        onChange={choose}
      />
      {axis?.kind === 'weight' && <WordChoice name={name} axis={axis} />}
      {axis &&
        (axis.kind === 'sampler' ? <Samplers name={name} axis={axis} /> : <Values name={name} axis={axis} />)}
      {problem && (
        <p role="alert" className="text-xs text-danger">
          {problemText(problem, words)}
        </p>
      )}
    </fieldset>
  )
}

function problemText(problem: PlotProblem, words: Strings['plot']): string {
  if (problem.kind === 'bad-value') return words.badValue(problem.value)
  if (problem.kind === 'not-in-prompt') return words.notInPrompt(problem.value)
  if (problem.kind === 'cannot-weigh') return words.cannotWeigh(problem.value)
  return problem.kind === 'repeated' ? words.repeated : words.choose
}

function Values({ name, axis }: { readonly name: AxisName; readonly axis: Axis }) {
  const { plot: words } = useStrings()
  const hints: Readonly<Record<AxisKind, string>> = {
    seed: words.seedHint,
    steps: words.numberHint,
    guidance: words.numberHint,
    sampler: '',
    weight: words.weightHint,
    replace: words.replaceHint,
  }
  const hint = `hint-${name}`
  return (
    <>
      <input
        aria-label={words.values(words[name])}
        aria-describedby={hint}
        value={axis.values}
        maxLength={4000}
        spellCheck={false}
        onChange={event => setAxis(name, { ...axis, values: event.target.value })}
        className="field numeric h-8 px-2 text-sm outline-none"
      />
      <p id={hint} className="text-xs text-faint">
        {hints[axis.kind]}
      </p>
    </>
  )
}

function WordChoice({ name, axis }: { readonly name: AxisName; readonly axis: Axis }) {
  const { plot: words } = useStrings()
  const { prompt, dialect } = useRequest(state => state.draft)
  const found = [...new Set(readPrompt(prompt, dialect).words.map(({ text }) => text.toLowerCase()))].slice(
    0,
    200,
  )
  if (found.length === 0) return <p className="text-xs text-soft">{words.noWords}</p>
  return (
    <Select
      label={words.word}
      value={axis.word ?? ''}
      options={[
        ...(axis.word === undefined ? [{ value: '', label: `${words.word} …` }] : []),
        ...found.map(value => ({ value, label: value })),
      ].filter(({ value }) => value !== '')}
      onChange={word => setAxis(name, { ...axis, word })}
    />
  )
}

function Samplers({ name, axis }: { readonly name: AxisName; readonly axis: Axis }) {
  const { plot: words } = useStrings()
  const chosen = partsOf(axis.values)
  return (
    <div role="group" aria-label={words.values(words[name])} className="flex flex-wrap gap-1">
      {samplers.map(sampler => {
        const isOn = chosen.includes(sampler)
        return (
          <button
            key={sampler}
            type="button"
            aria-pressed={isOn}
            onClick={() => {
              const next = samplers.filter(each => (each === sampler ? !isOn : chosen.includes(each)))
              setAxis(name, { ...axis, values: next.join(',') })
            }}
            className={cx(
              'h-7 rounded-full px-3 text-xs',
              isOn ? 'bg-accent-wash text-accent' : 'text-soft ring-1 ring-line ring-inset hover:text-text',
            )}
          >
            {samplerNames[sampler]}
          </button>
        )
      })}
    </div>
  )
}
