/** Two pictures: beside each other or one over the other with a border to move, and what their recipes do not share. */
import { ArrowLeft, ArrowLeftRight } from 'lucide-react'
import { type KeyboardEvent, useEffect, useRef, useState } from 'react'
import type { HostPicture, HostRecipe } from '../../../model/contract/host-api.ts'
import { callHost, pictureUrl } from '../../host/client.ts'
import { reportError } from '../../state/ui.ts'
import { useStrings } from '../../strings/index.ts'
import { Button } from '../../ui/button.tsx'
import { Segmented } from '../../ui/segmented.tsx'
import { altOf } from './format.ts'
import { useGallery } from './gallery-state.ts'
import { differencesOf } from './recipe-facts.ts'

type Pair = readonly [HostPicture, HostPicture]

const close = (): void => useGallery.setState({ comparing: undefined })

export function Compare({ pair }: { readonly pair: Pair }) {
  const { gallery, app } = useStrings()
  const [way, setWay] = useState<'sides' | 'wipe'>('sides')
  const section = useRef<HTMLElement>(null)
  useEffect(() => section.current?.focus(), [])
  const swap = () => useGallery.setState({ comparing: [pair[1], pair[0]] })
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Escape') close()
    else if (event.key.toLowerCase() === 'x' && !event.ctrlKey && !event.metaKey) swap()
    else return
    event.preventDefault()
  }
  return (
    <section
      ref={section}
      tabIndex={-1}
      aria-label={gallery.compareTwo}
      onKeyDown={onKeyDown}
      className="flex h-full flex-col bg-stage outline-none"
    >
      <header className="flex h-12 shrink-0 items-center justify-between gap-2 bg-panel px-2">
        <Button tone="plain" onClick={close}>
          <ArrowLeft className="size-4" aria-hidden />
          {app.gallery}
        </Button>
        <Segmented<'sides' | 'wipe'>
          label={gallery.compare}
          value={way}
          options={[
            { value: 'sides', label: gallery.sideBySide },
            { value: 'wipe', label: gallery.wipe },
          ]}
          onChange={setWay}
        />
        <Button tone="plain" title="X" onClick={swap}>
          <ArrowLeftRight className="size-4" aria-hidden />
          {gallery.swap}
        </Button>
      </header>
      {way === 'sides' ? (
        <div className="grid min-h-0 grow grid-cols-2 gap-2 p-4">
          {pair.map((picture, at) => (
            <figure key={`${at} ${picture.id}`} className="flex min-h-0 min-w-0 flex-col gap-2">
              <Whole picture={picture} className="min-h-0 grow object-contain" />
              <figcaption className="shrink-0 truncate pb-0.5 text-center text-xs text-soft">
                {at === 0 ? gallery.first : gallery.second} · {picture.name}
              </figcaption>
            </figure>
          ))}
        </div>
      ) : (
        <WipeOver pair={pair} />
      )}
      <Differences pair={pair} />
    </section>
  )
}

function Whole({ picture, className }: { readonly picture: HostPicture; readonly className: string }) {
  return <img src={pictureUrl(picture.id)} alt={altOf(picture)} draggable={false} className={className} />
}

function WipeOver({ pair }: { readonly pair: Pair }) {
  const { gallery } = useStrings()
  const [share, setShare] = useState(50)
  const room = useRef<HTMLDivElement>(null)
  const place = (next: number) => setShare(Math.min(100, Math.max(0, next)))
  const [a] = pair
  return (
    <div className="grid min-h-0 grow place-items-center p-4 [container-type:size]">
      <div
        ref={room}
        className="relative touch-none"
        // As large as fits, in the first picture's shape: both lie exactly over each other.
        style={{
          aspectRatio: `${a.width || 1} / ${a.height || 1}`,
          width: `min(100cqw, calc(100cqh * ${(a.width || 1) / (a.height || 1)}))`,
        }}
        onPointerDown={event => event.currentTarget.setPointerCapture(event.pointerId)}
        onPointerMove={event => {
          const box = room.current?.getBoundingClientRect()
          if (box && event.buttons > 0) place((100 * (event.clientX - box.left)) / box.width)
        }}
      >
        <Whole picture={pair[1]} className="absolute inset-0 size-full object-contain" />
        <div className="absolute inset-0" style={{ clipPath: `inset(0 ${100 - share}% 0 0)` }}>
          <Whole picture={a} className="absolute inset-0 size-full object-contain" />
        </div>
        <div
          role="slider"
          tabIndex={0}
          aria-label={gallery.wipeHandle}
          aria-valuemin={0}
          aria-valuemax={100}
          aria-valuenow={Math.round(share)}
          onKeyDown={event => {
            const by = { ArrowLeft: -2, ArrowRight: 2, PageDown: -10, PageUp: 10, Home: -100, End: 100 }[
              event.key
            ]
            if (by === undefined) return
            event.preventDefault()
            place(share + by)
          }}
          className="absolute inset-y-0 w-0 cursor-ew-resize"
          style={{ left: `${share}%` }}
        >
          <div className="absolute inset-y-0 -left-px w-0.5 bg-white shadow-[0_0_4px_rgb(0_0_0/0.6)]" />
          <div className="absolute top-1/2 left-0 grid size-8 -translate-1/2 place-items-center rounded-full bg-white text-black shadow-lg">
            <ArrowLeftRight className="size-4" aria-hidden />
          </div>
        </div>
        <span className="absolute top-2 left-2 rounded bg-black/70 px-2 py-0.5 text-xs text-white">
          {gallery.first}
        </span>
        <span className="absolute top-2 right-2 rounded bg-black/70 px-2 py-0.5 text-xs text-white">
          {gallery.second}
        </span>
      </div>
    </div>
  )
}

function Differences({ pair }: { readonly pair: Pair }) {
  const all = useStrings()
  const { gallery } = all
  const [recipes, setRecipes] = useState<readonly (HostRecipe | undefined)[]>()
  const [a, b] = pair
  useEffect(() => {
    let isCurrent = true
    Promise.all([callHost('gallery.get', { id: a.id }), callHost('gallery.get', { id: b.id })]).then(
      found => isCurrent && setRecipes(found.map(({ recipe }) => recipe)),
      reportError,
    )
    return () => {
      isCurrent = false
    }
  }, [a.id, b.id])
  if (!recipes) return <div className="h-40 shrink-0 border-t border-line bg-panel" />
  const rows = differencesOf(recipes[0], recipes[1], all)
  return (
    <section
      aria-label={gallery.differences}
      tabIndex={0}
      className="max-h-40 min-h-16 shrink-0 overflow-y-auto border-t border-line bg-panel px-4 py-2"
    >
      {rows.length === 0 ? (
        <p className="py-2 text-center text-soft">{gallery.noDifferences}</p>
      ) : (
        <table className="w-full table-fixed text-sm">
          <colgroup>
            <col className="w-28" />
            <col />
            <col />
          </colgroup>
          <thead className="sr-only">
            <tr>
              <th scope="col">{gallery.differences}</th>
              <th scope="col">{gallery.first}</th>
              <th scope="col">{gallery.second}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ label, values }) => (
              <tr key={label} className="border-b border-line align-baseline last:border-0">
                <th scope="row" className="label w-28 py-1.5 text-left">
                  {label}
                </th>
                {values.map((value, at) => (
                  <td key={at} className="selectable numeric py-1.5 pr-4 break-words" title={value}>
                    <span className="line-clamp-3">{value}</span>
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  )
}
