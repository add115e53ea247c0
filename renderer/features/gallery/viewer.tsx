/** One picture large, with its recipe beside it; arrow keys go to its neighbours, Escape back to the grid. */
import {
  ArrowLeft,
  ChevronLeft,
  ChevronRight,
  Columns2,
  FileText,
  FileX2,
  FolderOpen,
  Heart,
  ImagePlus,
  PanelRight,
  Trash2,
} from 'lucide-react'
import { type KeyboardEvent, useEffect, useRef, useState } from 'react'
import type { HostPicture, HostResult } from '../../../model/contract/host-api.ts'
import { callHost, pictureUrl, thumbnailUrl } from '../../host/client.ts'
import { reportError } from '../../state/ui.ts'
import { takeGalleryPicture } from '../source/source-actions.ts'
import { useStrings } from '../../strings/index.ts'
import { Button, IconButton } from '../../ui/button.tsx'
import { cx } from '../../ui/class-names.ts'
import { altOf, formatBytes, formatDate } from './format.ts'
import {
  compareChosen,
  copyInfotext,
  removeChosen,
  reuse,
  revealPicture,
  setFavourite,
} from './gallery-actions.ts'
import { openPicture, pictureAt, showRange, useGallery } from './gallery-state.ts'
import { Facts, RecipeView } from './recipe-panel.tsx'
import { ZoomPicture } from './zoom-picture.tsx'

type Details = HostResult<'gallery.get'>

export function Viewer({ index }: { readonly index: number }) {
  const { gallery, app } = useStrings()
  const { total, panel } = useGallery()
  const picture = useGallery(state => pictureAt(index, state))
  const details = useDetails(picture)
  const section = useRef<HTMLElement>(null)
  useEffect(() => section.current?.focus(), [])
  // The neighbours' pages too: the next key press needs them.
  useEffect(() => showRange(Math.max(0, index - 1), Math.min(total - 1, index + 1)), [index, total])
  const go = (by: number) => {
    const next = index + by
    if (next >= 0 && next < total) openPicture(next)
  }
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isField(event.target)) return
    const key = event.key.toLowerCase()
    if (key === 'arrowleft') go(-1)
    else if (key === 'arrowright') go(1)
    else if (key === 'escape') openPicture(undefined)
    else if (key === 'f' && picture) void setFavourite(picture, !picture.favourite)
    else if (key === 'i') useGallery.setState({ panel: !panel })
    else if (key === 'c') compareChosen()
    else if (key === 'delete' || key === 'backspace') void removeChosen()
    else return
    event.preventDefault()
  }
  return (
    <section
      ref={section}
      tabIndex={-1}
      aria-label={picture?.name ?? gallery.grid}
      onKeyDown={onKeyDown}
      className={cx(
        'grid h-full outline-none',
        panel ? 'grid-cols-[minmax(0,1fr)_clamp(15rem,26vw,21rem)]' : 'grid-cols-[minmax(0,1fr)]',
      )}
    >
      <div className="relative flex min-h-0 flex-col bg-stage">
        <header className="z-10 flex h-12 shrink-0 items-center gap-1 bg-panel px-2">
          <Button tone="plain" onClick={() => openPicture(undefined)}>
            <ArrowLeft className="size-4" aria-hidden />
            {app.gallery}
          </Button>
          <p className="numeric min-w-0 grow truncate text-center text-xs text-faint">
            {gallery.position(index + 1, total)}
          </p>
          {picture && <Actions picture={picture} infotext={details?.infotext} />}
        </header>
        <div className="relative min-h-0 grow">
          {picture && <Shown key={picture.id} picture={picture} />}
          {index > 0 && (
            <IconButton
              label={gallery.previous}
              keys="←"
              className="absolute top-1/2 left-2 -translate-y-1/2 bg-panel"
              onClick={() => go(-1)}
            >
              <ChevronLeft aria-hidden />
            </IconButton>
          )}
          {index < total - 1 && (
            <IconButton
              label={gallery.next}
              keys="→"
              className="absolute top-1/2 right-2 -translate-y-1/2 bg-panel"
              onClick={() => go(1)}
            >
              <ChevronRight aria-hidden />
            </IconButton>
          )}
        </div>
      </div>
      {panel && picture && <Panel picture={picture} details={details} />}
    </section>
  )
}

function Shown({ picture }: { readonly picture: HostPicture }) {
  const { gallery } = useStrings()
  if (picture.missing) {
    return (
      <div className="grid size-full place-content-center justify-items-center gap-2 p-8 text-center">
        <FileX2 className="size-6 text-faint" aria-hidden />
        <h2 className="text-base font-semibold">{gallery.missing}</h2>
        <p className="max-w-80 text-soft">{gallery.missingBody}</p>
      </div>
    )
  }
  return (
    <ZoomPicture
      url={pictureUrl(picture.id)}
      preview={thumbnailUrl(picture.id, picture.key)}
      alt={altOf(picture)}
      width={picture.width || 512}
      height={picture.height || 512}
    />
  )
}

function Actions({
  picture,
  infotext,
}: {
  readonly picture: HostPicture
  readonly infotext: string | undefined
}) {
  const { gallery, inputs } = useStrings()
  const panel = useGallery(state => state.panel)
  return (
    <div className="flex shrink-0 items-center">
      <IconButton
        label={picture.favourite ? gallery.unfavourite : gallery.favourite}
        keys="F"
        pressed={picture.favourite}
        onClick={() => void setFavourite(picture, !picture.favourite)}
      >
        <Heart className={cx(picture.favourite && 'fill-current')} aria-hidden />
      </IconButton>
      <IconButton
        label={inputs.useThis}
        disabled={picture.missing}
        onClick={() => void takeGalleryPicture(picture.id, picture.name)}
      >
        <ImagePlus aria-hidden />
      </IconButton>
      <IconButton label={gallery.compareTwo} keys="C" onClick={compareChosen}>
        <Columns2 aria-hidden />
      </IconButton>
      <IconButton label={gallery.copyInfotext} onClick={() => void copyInfotext(picture.id, infotext)}>
        <FileText aria-hidden />
      </IconButton>
      <IconButton label={gallery.reveal} onClick={() => void revealPicture(picture.id)}>
        <FolderOpen aria-hidden />
      </IconButton>
      <IconButton label={gallery.remove} keys="Delete" onClick={() => void removeChosen()}>
        <Trash2 aria-hidden />
      </IconButton>
      <IconButton
        label={gallery.panel}
        keys="I"
        pressed={panel}
        onClick={() => useGallery.setState({ panel: !panel })}
      >
        <PanelRight aria-hidden />
      </IconButton>
    </div>
  )
}

function Panel({
  picture,
  details,
}: {
  readonly picture: HostPicture
  readonly details: Details | undefined
}) {
  const { gallery } = useStrings()
  const { recipe } = details ?? {}
  const isAsDrawn = recipe?.width === picture.width && recipe.height === picture.height
  const file = [
    { key: 'name', label: gallery.fileName, value: picture.name },
    { key: 'folder', label: gallery.folder, value: picture.folder },
    // The recipe says it too, unless somebody resized the picture.
    { key: 'size', label: gallery.size, value: isAsDrawn ? '' : `${picture.width} × ${picture.height}` },
    { key: 'created', label: gallery.created, value: formatDate(picture.created) },
    { key: 'bytes', label: gallery.bytes, value: formatBytes(picture.bytes) },
  ].filter(({ value }) => value !== '')
  return (
    <aside aria-label={gallery.recipe} className="flex min-h-0 flex-col border-l border-line bg-panel">
      <div tabIndex={0} className="min-h-0 grow overflow-y-auto p-4">
        {recipe ? (
          <>
            <p className="mb-4 text-xs text-faint">{gallery.madeWith(recipe.toolName)}</p>
            <RecipeView recipe={recipe} record={details?.record} />
          </>
        ) : (
          details && (
            <div className="rounded-md bg-raised p-3">
              <h3 className="font-semibold">{gallery.noRecipeTitle}</h3>
              <p className="mt-1 text-xs text-soft">{picture.problem ?? gallery.noRecipeBody}</p>
            </div>
          )
        )}
        <h3 className="label mt-6">{gallery.file}</h3>
        <Facts facts={file} />
      </div>
      {recipe && details && (
        <footer className="flex flex-wrap gap-2 border-t border-line p-3">
          <h3 className="label w-full">{gallery.reuseOf}</h3>
          <Button tone="loud" className="grow" onClick={() => reuse(details, 'all')}>
            {gallery.reuseAll}
          </Button>
          <Button className="grow" onClick={() => reuse(details, 'prompt')}>
            {gallery.prompt}
          </Button>
          <Button className="grow" onClick={() => reuse(details, 'seed')}>
            {gallery.seed}
          </Button>
        </footer>
      )}
    </aside>
  )
}

/** The recipe of what is shown; quick presses of an arrow key ask only for the last. */
function useDetails(picture: HostPicture | undefined): Details | undefined {
  const [details, setDetails] = useState<Details>()
  const id = picture?.id
  useEffect(() => {
    if (id === undefined) return
    let isCurrent = true
    const timer = setTimeout(() => {
      callHost('gallery.get', { id }).then(found => isCurrent && setDetails(found), reportError)
    }, 60)
    return () => {
      isCurrent = false
      clearTimeout(timer)
    }
  }, [id])
  return details?.picture.id === id ? details : undefined
}

export function isField(target: EventTarget): boolean {
  return target instanceof HTMLElement && target.matches('input, textarea, select, [role=slider]')
}
