/** The pictures of this session, newest right; arrow keys go along them. */
import { type KeyboardEvent, useCallback, useEffect, useRef } from 'react'
import { imageDataOf } from '../../engine/pixels.ts'
import { type DrawnPicture, selectPicture, usePictures } from '../../state/pictures.ts'
import { useRun } from '../../state/run.ts'
import { useStrings } from '../../strings/index.ts'
import { cx } from '../../ui/class-names.ts'
import { PixelCanvas } from '../../ui/pixel-canvas.tsx'
import { dragData } from '../stage/stage.tsx'

export function FilmStrip() {
  const { create } = useStrings()
  const pictures = usePictures(state => state.pictures)
  const selected = usePictures(state => state.selected)
  const isRunning = useRun(state => state.phase !== 'idle')
  const list = useRef<HTMLDivElement>(null)
  const drawn = pictures.filter(({ isSample }) => !isSample)
  useEffect(() => {
    list.current
      ?.querySelector('[aria-selected=true]')
      ?.scrollIntoView({ block: 'nearest', inline: 'nearest' })
  }, [selected])
  const onKeyDown = (event: KeyboardEvent) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key]
    const at = pictures.findIndex(({ id }) => id === selected)
    const next = by === undefined ? undefined : pictures[at + by]
    if (!next) return
    event.preventDefault()
    selectPicture(next.id)
    requestAnimationFrame(() => list.current?.querySelector<HTMLElement>('[aria-selected=true]')?.focus())
  }
  return (
    <section aria-label={create.filmStrip} className="col-span-2 col-start-2 h-20 bg-panel">
      {drawn.length === 0 && !isRunning ? (
        <p className="grid h-full place-items-center text-xs text-faint">{create.filmEmpty}</p>
      ) : (
        <div
          ref={list}
          role="listbox"
          aria-label={create.filmStrip}
          aria-orientation="horizontal"
          onKeyDown={onKeyDown}
          className="flex h-full items-center gap-2 overflow-x-auto px-3"
        >
          {drawn.map((picture, index) => (
            <Frame key={picture.id} picture={picture} index={index} isSelected={picture.id === selected} />
          ))}
          {isRunning && (
            <div
              aria-hidden
              className="size-14 shrink-0 animate-pulse rounded-md bg-raised ring-1 ring-line ring-inset"
            />
          )}
        </div>
      )}
    </section>
  )
}

function Frame({
  picture,
  index,
  isSelected,
}: {
  readonly picture: DrawnPicture
  readonly index: number
  readonly isSelected: boolean
}) {
  const { create } = useStrings()
  const data = useCallback(() => imageDataOf(picture.pixels), [picture.pixels])
  const name = create.pictureNumber(index + 1, picture.request.prompt)
  const ratio = picture.pixels.width / picture.pixels.height
  return (
    <button
      type="button"
      role="option"
      aria-selected={isSelected}
      aria-label={name}
      title={`${picture.request.prompt}\n${create.tookSeconds(picture.seconds.toFixed(1))} · ${create.dragOut}`}
      tabIndex={isSelected ? 0 : -1}
      draggable
      onDragStart={event => {
        selectPicture(picture.id)
        void dragData(event.dataTransfer)
      }}
      onClick={() => selectPicture(picture.id)}
      className={cx(
        'h-14 shrink-0 overflow-hidden rounded-md transition-shadow',
        isSelected
          ? 'shadow-[0_0_0_2px_var(--panel),0_0_0_4px_var(--accent)]'
          : 'opacity-80 hover:opacity-100',
      )}
      style={{ width: `${Math.min(2, Math.max(0.5, ratio)) * 3.5}rem` }}
    >
      <PixelCanvas data={data} className="size-full object-cover" />
    </button>
  )
}
