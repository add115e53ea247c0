/** Where words go and regions with words of their own: all that the person placed, each with its strength. */
import { Brush, Check, Eraser, MapPin, SquareDashed, Trash2 } from 'lucide-react'
import type { PaintControl, Region } from '../../../model/contract/controls.ts'
import { changeRequest, draft, useRequest } from '../../state/request.ts'
import { useWords } from '../../state/words.ts'
import { useStrings } from '../../strings/index.ts'
import { Button, IconButton } from '../../ui/button.tsx'
import { Slider } from '../../ui/slider.tsx'
import { RegionRow } from '../regions/region-row.tsx'
import { addPainted, addRectangle } from '../regions/region-state.ts'
import { RegionsLaw } from '../regions/regions-law.tsx'
import { paintWord } from '../stage/paint-layer.tsx'

export function PlacesList() {
  const { attention, regions: words } = useStrings()
  const paint = useRequest(state => state.draft.paint)
  const regions = useRequest(state => state.draft.regions?.regions ?? noRegions)
  const tool = useWords(state => state.tool)
  return (
    <div className="flex flex-col gap-3 p-3">
      {(tool.kind === 'paint' || tool.kind === 'paint-region') && <BrushOptions />}
      {paint.length === 0 && regions.length === 0 && (
        <div className="flex flex-col items-center gap-2 py-6 text-center">
          <MapPin className="size-6 text-faint" aria-hidden />
          <h2 className="font-semibold">{attention.placesTitle}</h2>
          <p className="text-soft">{attention.placesBody}</p>
        </div>
      )}
      {paint.map((each, index) => (
        <Painted key={each.phrase} control={each} index={index} />
      ))}
      {regions.map((region, index) => (
        <RegionRow key={index} region={region} index={index} />
      ))}
      {regions.length > 0 && <RegionsLaw />}
      <div className="grid grid-cols-1 gap-2">
        <Button
          onClick={event => {
            // With the keyboard a region begins in the middle; with a pointer it is drawn.
            if (event.detail === 0) addRectangle()
            else useWords.setState({ tool: { kind: 'region' } })
          }}
        >
          <SquareDashed className="size-4" aria-hidden />
          {words.rectangle}
        </Button>
        <Button onClick={addPainted}>
          <Brush className="size-4" aria-hidden />
          {words.paint}
        </Button>
      </div>
      {tool.kind === 'region' && (
        <p role="status" className="text-xs text-soft">
          {attention.addRegionHelp}
        </p>
      )}
      {(paint.length > 0 || regions.length > 0) && <p className="text-xs text-faint">{attention.willAct}</p>}
    </div>
  )
}

const noRegions: readonly Region[] = []

function BrushOptions() {
  const { attention, regions } = useStrings()
  const tool = useWords(state => state.tool)
  const phrase = useRequest(state => (tool.kind === 'paint' ? state.draft.paint[tool.index]?.phrase : ''))
  if (tool.kind !== 'paint' && tool.kind !== 'paint-region') return null
  const title =
    tool.kind === 'paint'
      ? attention.painting(phrase ?? '')
      : regions.painting(attention.regionNumber(tool.index + 1))
  return (
    <div className="rounded-lg bg-accent-wash p-3">
      <div className="mb-1 flex items-center justify-between gap-2">
        <h3 className="text-sm font-semibold">{title}</h3>
        <IconButton
          label={attention.erase}
          pressed={tool.erase}
          size="small"
          onClick={() => useWords.setState({ tool: { ...tool, erase: !tool.erase } })}
        >
          <Eraser aria-hidden />
        </IconButton>
      </div>
      <p className="mb-2 text-xs text-soft">{attention.paintHelp}</p>
      <span className="label">{attention.brushSize}</span>
      <Slider
        label={attention.brushSize}
        value={tool.size}
        min={0.03}
        max={0.4}
        step={0.01}
        onChange={size => useWords.setState({ tool: { ...tool, size } })}
      />
      <Button
        size="small"
        tone="loud"
        className="mt-1 w-full"
        onClick={() => useWords.setState({ tool: { kind: 'view' } })}
      >
        <Check className="size-3.5" aria-hidden />
        {attention.done}
      </Button>
    </div>
  )
}

function changePaint(index: number, patch: Partial<PaintControl>): void {
  const paint = draft().paint.map((each, at) => (at === index ? { ...each, ...patch } : each))
  changeRequest({ paint }, `paint ${index}`)
}

function Painted({ control, index }: { readonly control: PaintControl; readonly index: number }) {
  const { attention } = useStrings()
  return (
    <section aria-label={control.phrase} className="rounded-lg bg-raised p-2.5">
      <div className="flex items-center gap-1">
        <h3 className="grow truncate text-sm font-medium">{control.phrase}</h3>
        <IconButton
          label={attention.paint(control.phrase)}
          size="small"
          onClick={() => paintWord(control.phrase)}
        >
          <Brush aria-hidden />
        </IconButton>
        <IconButton
          label={attention.remove(control.phrase)}
          size="small"
          onClick={() => {
            useWords.setState({ tool: { kind: 'view' } })
            changeRequest({ paint: draft().paint.filter((_, at) => at !== index) })
          }}
        >
          <Trash2 aria-hidden />
        </IconButton>
      </div>
      <span className="label">{attention.strength}</span>
      <Slider
        label={`${attention.strength}: ${control.phrase}`}
        value={control.strength}
        min={-6}
        max={10}
        step={0.5}
        origin={0}
        onChange={strength => changePaint(index, { strength })}
      />
      <span className="label">{attention.softness}</span>
      <Slider
        label={`${attention.softness}: ${control.phrase}`}
        value={control.feather}
        min={0}
        max={0.3}
        step={0.01}
        onChange={feather => changePaint(index, { feather })}
      />
    </section>
  )
}
