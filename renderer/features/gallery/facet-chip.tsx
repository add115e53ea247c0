/** A chip that filters by a setting: opens the values that the found pictures have, with their number. */
import { Check, ChevronDown, X } from 'lucide-react'
import { useEffect, useState } from 'react'
import { callHost } from '../../host/client.ts'
import { reportError } from '../../state/ui.ts'
import { currentLanguage, useStrings } from '../../strings/index.ts'
import { cx } from '../../ui/class-names.ts'
import { Popover } from '../../ui/popover.tsx'
import { changeFilter, useGallery } from './gallery-state.ts'
import { queryOf } from './search.ts'

export interface FacetKey {
  /** The setting's name in the index. */
  readonly key: string
  readonly label: string
}

export function FacetChip({
  label,
  keys,
  nameOf = value => value,
}: {
  readonly label: string
  /** More than one for what consists of several settings, such as the size. */
  readonly keys: readonly FacetKey[]
  nameOf?(value: string): string
}) {
  const { gallery } = useStrings()
  const chosen = useGallery(state => state.filter.chosen)
  const values = keys.flatMap(({ key }) => chosen[key] ?? [])
  const isOn = values.length > 0
  const clear = () =>
    changeFilter({ chosen: { ...chosen, ...Object.fromEntries(keys.map(({ key }) => [key, []])) } })
  return (
    <span
      className={cx(
        'inline-flex h-7 shrink-0 items-center rounded-full text-xs',
        isOn ? 'bg-accent-wash' : 'ring-1 ring-line ring-inset',
      )}
    >
      <Popover
        label={gallery.filter(label)}
        trigger={
          <button
            type="button"
            aria-label={isOn ? `${label}: ${values.map(nameOf).join(', ')}` : gallery.filter(label)}
            className={cx(
              'inline-flex h-7 max-w-44 items-center gap-1 rounded-full pl-3',
              isOn ? 'pr-1 text-accent' : 'pr-2 text-soft hover:text-text',
            )}
          >
            <span className="truncate">{isOn ? values.map(nameOf).join(', ') : label}</span>
            {!isOn && <ChevronDown className="size-3 shrink-0 text-faint" aria-hidden />}
          </button>
        }
      >
        <div className="-m-1 flex gap-4">
          {keys.map(each => (
            <Values key={each.key} facet={each} nameOf={nameOf} titled={keys.length > 1} />
          ))}
        </div>
      </Popover>
      {isOn && (
        <button
          type="button"
          aria-label={`${gallery.clearFilters}: ${label}`}
          onClick={clear}
          className="grid size-7 place-items-center rounded-full text-accent"
        >
          <X className="size-3" aria-hidden />
        </button>
      )}
    </span>
  )
}

function Values({
  facet,
  nameOf,
  titled,
}: {
  readonly facet: FacetKey
  nameOf(value: string): string
  readonly titled: boolean
}) {
  const { gallery } = useStrings()
  const filter = useGallery(state => state.filter)
  const [found, setFound] = useState<readonly { value: string; count: number }[]>()
  const chosen = filter.chosen[facet.key] ?? []
  useEffect(() => {
    // What could be chosen besides: the chip's own choice does not narrow its list.
    const others = { ...filter, chosen: { ...filter.chosen, [facet.key]: [] } }
    callHost('gallery.facet', { key: facet.key, query: queryOf(others) }).then(setFound, reportError)
  }, [filter, facet.key])
  const toggle = (value: string) =>
    changeFilter({
      chosen: {
        ...filter.chosen,
        [facet.key]: chosen.includes(value) ? chosen.filter(each => each !== value) : [...chosen, value],
      },
    })
  if (!found) return <p className="w-40 text-soft">{gallery.loading}</p>
  if (found.length === 0) return <p className="w-40 text-soft">{gallery.noValues}</p>
  return (
    <div className="min-w-40">
      {titled && <p className="label mb-1 px-2">{facet.label}</p>}
      <ul className="max-h-72 overflow-y-auto">
        {found.map(({ value, count }) => (
          <li key={value}>
            <button
              type="button"
              aria-pressed={chosen.includes(value)}
              onClick={() => toggle(value)}
              className="flex w-full items-center gap-2 rounded-md py-1 pr-2 pl-1 text-left hover:bg-accent-wash"
            >
              <span className="size-4 shrink-0">
                {chosen.includes(value) && <Check className="size-4 text-accent" aria-hidden />}
              </span>
              <span className="max-w-52 grow truncate" title={nameOf(value)}>
                {nameOf(value)}
              </span>
              <span className="numeric text-xs text-faint">{count.toLocaleString(currentLanguage())}</span>
            </button>
          </li>
        ))}
      </ul>
    </div>
  )
}
