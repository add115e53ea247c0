/** What holds for all regions: how their texts come together, and how much the prompt counts inside. */
import { useRequest } from '../../state/request.ts'
import { useStrings } from '../../strings/index.ts'
import { Segmented } from '../../ui/segmented.tsx'
import { Slider } from '../../ui/slider.tsx'
import { changeRegions } from './region-state.ts'

export function RegionsLaw() {
  const { regions: words } = useStrings()
  const regions = useRequest(state => state.draft.regions)
  if (!regions) return null
  const { law, baseWeight } = regions
  return (
    <section aria-label={words.title} className="flex flex-col gap-1">
      <span className="label">{words.law}</span>
      <Segmented
        label={words.law}
        value={law}
        options={(['mix', 'isolate'] as const).map(value => ({ value, label: words[value] }))}
        onChange={next => changeRegions({ law: next })}
      />
      <p className="mb-1 text-xs text-faint">{words[`${law}Hint`]}</p>
      <span className="label" title={words.baseHint}>
        {words.base}
      </span>
      <Slider
        label={words.base}
        value={baseWeight}
        min={0}
        max={1}
        step={0.05}
        onChange={weight => changeRegions({ baseWeight: weight })}
      />
    </section>
  )
}
