/** A region in the list of places: its colour, words, mask and strength. */
import { Brush, ScanSearch, Trash2 } from 'lucide-react'
import { useState } from 'react'
import type { Region } from '../../../model/contract/controls.ts'
import { isJoiningWord } from '../../engine/attention.ts'
import { coverage, isEmpty, toControlMask } from '../../state/masks.ts'
import { selectedPicture, usePictures } from '../../state/pictures.ts'
import { keysOf, useWords } from '../../state/words.ts'
import { useStrings } from '../../strings/index.ts'
import { IconButton } from '../../ui/button.tsx'
import { cx } from '../../ui/class-names.ts'
import { Popover } from '../../ui/popover.tsx'
import { Select } from '../../ui/select.tsx'
import { Slider } from '../../ui/slider.tsx'
import { percent } from '../attention/word-row.tsx'
import {
  changeRegion,
  maskOfRegion,
  maskOfWord,
  paintRegion,
  regionColour,
  removeRegion,
} from './region-state.ts'

export function RegionRow({ region, index }: { readonly region: Region; readonly index: number }) {
  const { attention, regions } = useStrings()
  const name = attention.regionNumber(index + 1)
  const isPainting = useWords(({ tool }) => tool.kind === 'paint-region' && tool.index === index)
  const nothing = region.mask.kind === 'bitmap' && isEmpty(maskOfRegion(region.mask))
  const rests = nothing ? regions.isEmpty : region.prompt.trim() === '' ? regions.noWords : undefined
  return (
    <section
      aria-label={name}
      data-region={index}
      className={cx('rounded-lg bg-raised p-2.5', isPainting && 'shadow-[0_0_0_1.5px_var(--accent)]')}
    >
      <div className="flex items-center gap-1">
        <span
          aria-hidden
          title={regions.colour(name)}
          className="mr-1 size-3 shrink-0 rounded-full ring-1 ring-black/20"
          style={{ background: `rgb(${regionColour(index).join(' ')})` }}
        />
        <h3 className="grow truncate text-sm font-medium">{name}</h3>
        <IconButton
          label={regions.paintThis(name)}
          size="small"
          pressed={isPainting}
          onClick={() => (isPainting ? useWords.setState({ tool: { kind: 'view' } }) : paintRegion(index))}
        >
          <Brush aria-hidden />
        </IconButton>
        <FromMap index={index} name={name} />
        <IconButton label={attention.remove(name)} size="small" onClick={() => removeRegion(index)}>
          <Trash2 aria-hidden />
        </IconButton>
      </div>
      <input
        aria-label={`${attention.regionPrompt}: ${name}`}
        placeholder={attention.regionPrompt}
        value={region.prompt}
        onChange={event => changeRegion(index, { prompt: event.target.value })}
        className="field my-1.5 h-8 w-full px-2 text-sm placeholder:text-faint"
      />
      {rests && <p className="mb-1 text-xs text-warning">{rests}</p>}
      <span className="label">{attention.strength}</span>
      <Slider
        label={`${attention.strength}: ${name}`}
        value={region.weight}
        min={0}
        max={2}
        step={0.05}
        onChange={weight => changeRegion(index, { weight })}
      />
      <span className="label">{attention.softness}</span>
      <Slider
        label={`${attention.softness}: ${name}`}
        value={region.feather}
        min={0}
        max={0.3}
        step={0.01}
        onChange={feather => changeRegion(index, { feather })}
      />
    </section>
  )
}

/** The mask of a region from where a word was looked at. */
function FromMap({ index, name }: { readonly index: number; readonly name: string }) {
  const { regions } = useStrings()
  return (
    <Popover
      label={regions.fromMap(name)}
      side="left"
      trigger={
        <button
          type="button"
          aria-label={regions.fromMap(name)}
          title={regions.fromMap(name)}
          className="inline-grid size-6 shrink-0 place-items-center rounded-md text-soft hover:bg-raised hover:text-text data-[state=open]:text-accent"
        >
          <ScanSearch className="size-3.5" aria-hidden />
        </button>
      }
    >
      <MapChoice index={index} />
    </Popover>
  )
}

function MapChoice({ index }: { readonly index: number }) {
  const { regions } = useStrings()
  const maps = usePictures(state => selectedPicture(state)?.maps)
  const words = keysOf(maps?.words ?? [])
  const [chosen, setChosen] = useState<number>()
  const [threshold, setThreshold] = useState(0.5)
  const [covered, setCovered] = useState<number>()
  if (words.length === 0) return <p className="w-56 text-soft">{regions.noMaps}</p>
  // Until one is chosen the first that names something is offered, and nothing is changed.
  const shown =
    chosen ??
    Math.max(
      0,
      words.findIndex(({ text }) => !isJoiningWord(text)),
    )
  const take = (word: number, share: number) => {
    setChosen(word)
    setThreshold(share)
    const key = words[word]
    const mask = key && maskOfWord(key, share)
    if (!mask) return
    setCovered(coverage(mask))
    changeRegion(index, { mask: toControlMask(mask) }, `region map ${index}`)
  }
  return (
    <div className="flex w-56 flex-col gap-2">
      <span className="label">{regions.word}</span>
      <Select
        label={regions.word}
        value={chosen === undefined ? '' : String(chosen)}
        options={words.map(({ text, occurrence }, at) => ({
          value: String(at),
          label: occurrence > 0 ? `${text} (${occurrence + 1})` : text,
        }))}
        onChange={value => take(Number(value), threshold)}
      />
      <span className="label">{regions.threshold}</span>
      <Slider
        label={regions.threshold}
        valueText={regions.thresholdText(Math.round(100 * threshold))}
        value={threshold}
        min={0.05}
        max={0.95}
        step={0.05}
        onChange={share => take(shown, share)}
      />
      <p className="text-xs text-soft" role="status">
        <span className="block">{regions.thresholdText(Math.round(100 * threshold))}</span>
        {covered !== undefined && <span className="block">{regions.covers(percent(covered))}</span>}
      </p>
    </div>
  )
}
