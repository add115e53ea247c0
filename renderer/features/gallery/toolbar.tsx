/** Above the pictures: search, filters as chips, order, and how large the tiles are. */
import { CircleHelp, Crop, Heart, RectangleHorizontal, RefreshCw, Search, X } from 'lucide-react'
import { callHost } from '../../host/client.ts'
import { samplerNames } from '../generate/settings-panel.tsx'
import { reportError } from '../../state/ui.ts'
import { useStrings } from '../../strings/index.ts'
import { IconButton } from '../../ui/button.tsx'
import { cx } from '../../ui/class-names.ts'
import { Select } from '../../ui/select.tsx'
import { Slider } from '../../ui/slider.tsx'
import { Tip } from '../../ui/tooltip.tsx'
import { FacetChip } from './facet-chip.tsx'
import { programNames } from './format.ts'
import { changeFilter, useGallery } from './gallery-state.ts'
import { isFiltered, noFilter, type Period, periods } from './search.ts'

export const tileRange = { least: 96, most: 320 } as const

export function Toolbar() {
  const { gallery } = useStrings()
  const filter = useGallery(state => state.filter)
  return (
    <header className="border-b border-line bg-panel">
      <div className="flex items-center gap-3 px-3 pt-3">
        <SearchField />
        <View />
      </div>
      <div className="flex flex-wrap items-center gap-1.5 px-3 py-2">
        <button
          type="button"
          aria-pressed={filter.favourite}
          onClick={() => changeFilter({ favourite: !filter.favourite })}
          className={cx(
            'inline-flex h-7 shrink-0 items-center gap-1.5 rounded-full px-3 text-xs',
            filter.favourite
              ? 'bg-accent-wash text-accent'
              : 'text-soft ring-1 ring-line ring-inset hover:text-text',
          )}
        >
          <Heart className={cx('size-3.5', filter.favourite && 'fill-current')} aria-hidden />
          {gallery.favourites}
        </button>
        <FacetChip label={gallery.model} keys={[{ key: 'model', label: gallery.model }]} />
        <FacetChip
          label={gallery.sampler}
          keys={[{ key: 'sampler', label: gallery.sampler }]}
          nameOf={value => samplerNames[value as keyof typeof samplerNames] ?? value}
        />
        <FacetChip
          label={gallery.size}
          keys={[
            { key: 'width', label: gallery.width },
            { key: 'height', label: gallery.height },
          ]}
        />
        <FacetChip label={gallery.seed} keys={[{ key: 'seed', label: gallery.seed }]} />
        <FacetChip
          label={gallery.tool}
          keys={[{ key: 'tool', label: gallery.tool }]}
          nameOf={value => programNames[value] ?? value}
        />
        <PeriodChip />
        {isFiltered(filter) && (
          <button
            type="button"
            onClick={() => changeFilter({ ...noFilter, sort: filter.sort })}
            className="h-7 shrink-0 rounded-full px-2 text-xs text-soft hover:text-text"
          >
            {gallery.clearFilters}
          </button>
        )}
        <div className="grow" />
        <Count />
      </div>
    </header>
  )
}

function SearchField() {
  const { gallery } = useStrings()
  const text = useGallery(state => state.filter.text)
  return (
    <div className="field flex h-8 min-w-0 grow items-center gap-2 pr-1 pl-2">
      <Search className="size-4 shrink-0 text-faint" aria-hidden />
      <input
        id="gallery-search"
        type="text"
        role="searchbox"
        aria-label={gallery.searchLabel}
        placeholder={gallery.searchHint}
        value={text}
        maxLength={2000}
        spellCheck={false}
        onChange={event => changeFilter({ text: event.target.value })}
        onKeyDown={event => {
          if (event.key === 'Escape' && text !== '') changeFilter({ text: '' })
          if (event.key === 'ArrowDown' || event.key === 'Enter')
            document.getElementById('gallery-grid')?.focus()
        }}
        className="h-full w-full min-w-0 bg-transparent text-sm outline-none placeholder:text-faint"
      />
      {text === '' ? (
        <Tip text={gallery.searchHelp}>
          <button
            type="button"
            aria-label={gallery.searchHelp}
            className="grid size-6 place-items-center rounded text-faint"
          >
            <CircleHelp className="size-3.5" aria-hidden />
          </button>
        </Tip>
      ) : (
        <IconButton label={gallery.clearSearch} size="small" onClick={() => changeFilter({ text: '' })}>
          <X aria-hidden />
        </IconButton>
      )}
    </div>
  )
}

function PeriodChip() {
  const { gallery } = useStrings()
  const period = useGallery(state => state.filter.period)
  const names: Readonly<Record<Period, string>> = {
    any: gallery.anyTime,
    today: gallery.today,
    week: gallery.week,
    month: gallery.month,
    year: gallery.year,
  }
  return (
    <span
      className={cx(
        'inline-flex h-7 items-center rounded-full px-2',
        period === 'any' ? 'ring-1 ring-line ring-inset' : 'bg-accent-wash [&_button]:text-accent',
      )}
    >
      <Select
        bare
        label={gallery.date}
        value={period}
        options={periods.map(value => ({ value, label: names[value] }))}
        onChange={next => changeFilter({ period: next })}
      />
    </span>
  )
}

function View() {
  const { gallery } = useStrings()
  const { tile, fill, filter } = useGallery()
  return (
    <div className="flex shrink-0 items-center gap-2">
      <Select
        label={gallery.sort}
        value={filter.sort}
        className="w-auto! min-w-24"
        options={[
          { value: 'newest', label: gallery.newest },
          { value: 'oldest', label: gallery.oldest },
          { value: 'name', label: gallery.byName },
          { value: 'largest', label: gallery.largest },
        ]}
        onChange={sort => changeFilter({ sort })}
      />
      <div className="w-24">
        <Slider
          label={gallery.tileSize}
          value={tile}
          min={tileRange.least}
          max={tileRange.most}
          step={8}
          onChange={next => useGallery.setState({ tile: next })}
        />
      </div>
      <IconButton
        label={fill ? gallery.fit : gallery.fill}
        onClick={() => useGallery.setState({ fill: !fill })}
      >
        {fill ? <RectangleHorizontal aria-hidden /> : <Crop aria-hidden />}
      </IconButton>
      <IconButton label={gallery.refresh} onClick={() => void callHost('gallery.rescan').catch(reportError)}>
        <RefreshCw aria-hidden />
      </IconButton>
    </div>
  )
}

function Count() {
  const { gallery } = useStrings()
  const { total, indexing, found, phase } = useGallery()
  return (
    <p role="status" className="numeric shrink-0 text-xs text-faint">
      {indexing ? gallery.indexing(Math.max(found, total)) : phase === 'ready' && gallery.count(total)}
    </p>
  )
}
