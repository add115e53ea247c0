/** Settings: sections at the left, each setting with a sentence, a search over all of them. */
import { RotateCcw, Search } from 'lucide-react'
import { useRef, useState } from 'react'
import { changeSettings, useSettings } from '../../state/settings.ts'
import { useStrings } from '../../strings/index.ts'
import { IconButton } from '../../ui/button.tsx'
import { cx } from '../../ui/class-names.ts'
import { formatBytes } from '../gallery/format.ts'
import { useAppInfo } from './folder-fields.tsx'
import { type SectionName, type SettingItem, settingItems, sections } from './items.tsx'

/** Whether every word of a search stands somewhere in a setting. */
export function fitsSearch({ label, hint, id }: SettingItem, section: string, search: string): boolean {
  const text = `${label} ${hint} ${id} ${section}`.toLowerCase()
  return search
    .toLowerCase()
    .split(/\s+/)
    .every(word => text.includes(word))
}

export function SettingsScreen() {
  const all = useStrings()
  const { settings: s } = all
  const values = useSettings(state => state.values)
  const [search, setSearch] = useState('')
  const [seen, setSeen] = useState<SectionName>('appearance')
  const scroller = useRef<HTMLDivElement>(null)
  const items = settingItems(values, all).filter(item => fitsSearch(item, s[item.section], search.trim()))
  const shown = sections.filter(section => items.some(item => item.section === section))
  const onScroll = () => {
    const top = scroller.current?.getBoundingClientRect().top ?? 0
    const passed = shown.filter(
      section =>
        (document.getElementById(`settings-${section}`)?.getBoundingClientRect().top ?? 0) < top + 96,
    )
    setSeen(passed.at(-1) ?? shown[0] ?? 'appearance')
  }
  return (
    <div className="grid h-full grid-cols-[13rem_minmax(0,1fr)] gap-px bg-line">
      <nav
        aria-label={all.app.settings}
        className="flex min-h-0 flex-col gap-0.5 overflow-y-auto bg-panel p-3"
      >
        <label className="field mb-3 flex h-8 shrink-0 items-center gap-2 px-2">
          <Search className="size-4 shrink-0 text-faint" aria-hidden />
          <input
            aria-label={s.search}
            placeholder={s.search}
            value={search}
            onChange={event => setSearch(event.target.value)}
            onKeyDown={event => event.key === 'Escape' && setSearch('')}
            className="h-full w-full min-w-0 bg-transparent text-sm outline-none placeholder:text-faint"
          />
        </label>
        {shown.map(section => (
          <button
            key={section}
            type="button"
            aria-current={seen === section ? 'true' : undefined}
            onClick={() => document.getElementById(`settings-${section}`)?.scrollIntoView({ block: 'start' })}
            className={cx(
              'shrink-0 rounded-md px-3 py-1.5 text-left text-sm transition-colors',
              seen === section ? 'bg-raised font-medium text-text' : 'text-soft hover:text-text',
            )}
          >
            {s[section]}
          </button>
        ))}
      </nav>
      <div
        ref={scroller}
        onScroll={onScroll}
        tabIndex={0}
        className="min-h-0 overflow-y-auto bg-app outline-none"
      >
        <div className="mx-auto flex max-w-2xl flex-col gap-10 px-8 pt-6 pb-16">
          {shown.map(section => (
            <section
              key={section}
              id={`settings-${section}`}
              aria-labelledby={`title-${section}`}
              className="scroll-mt-6"
            >
              <h2 id={`title-${section}`} className="mb-2 text-lg font-semibold">
                {s[section]}
              </h2>
              <div className="rounded-xl bg-panel px-5 ring-1 ring-line">
                {items
                  .filter(item => item.section === section)
                  .map(item => (
                    <Row key={item.id} item={item} />
                  ))}
              </div>
            </section>
          ))}
          {shown.length === 0 && (
            <p role="status" className="py-24 text-center text-soft">
              {s.none}
            </p>
          )}
          {search === '' && <About />}
        </div>
      </div>
    </div>
  )
}

function Row({ item }: { readonly item: SettingItem }) {
  const { settings: s } = useStrings()
  const { label, hint, reset, control, isWide } = item
  return (
    <div
      className={cx(
        'flex gap-x-6 gap-y-2 border-b border-line py-4 last:border-0',
        isWide ? 'flex-col' : 'flex-wrap items-center justify-between',
      )}
    >
      <div className={cx('min-w-0', !isWide && 'max-w-80 grow basis-52')}>
        <div className="flex h-6 items-center gap-1">
          <h3 className="font-medium">{label}</h3>
          {reset && (
            <IconButton label={s.reset(label)} size="small" onClick={() => void changeSettings(reset)}>
              <RotateCcw aria-hidden />
            </IconButton>
          )}
        </div>
        <p className="text-xs text-soft">{hint}</p>
      </div>
      {control}
    </div>
  )
}

function About() {
  const { settings: s } = useStrings()
  const info = useAppInfo()
  if (!info) return null
  return (
    <p className="numeric text-center text-xs text-faint">
      {s.version(info.version)}
      {info.memory > 0 && ` · ${s.machine(formatBytes(info.memory))}`}
    </p>
  )
}
