/** One picture of the grid. Not focusable: the grid holds the focus and names the tile that it is at. */
import { FileX2, Heart, ImageOff } from 'lucide-react'
import { memo, useState } from 'react'
import type { HostPicture } from '../../../model/contract/host-api.ts'
import { thumbnailUrl } from '../../host/client.ts'
import { useStrings } from '../../strings/index.ts'
import { cx } from '../../ui/class-names.ts'
import { altOf } from './format.ts'

export interface TileProps {
  readonly picture: HostPicture | undefined
  readonly index: number
  readonly total: number
  readonly size: number
  readonly fill: boolean
  readonly isSelected: boolean
  readonly isActive: boolean
  onPick(index: number, event: { shiftKey: boolean; ctrlKey: boolean; metaKey: boolean }): void
  onOpen(index: number): void
  onFavourite(picture: HostPicture): void
  onDragOut(picture: HostPicture, data: DataTransfer): void
}

export const Tile = memo(function Tile(props: TileProps) {
  const { picture, index, total, size, fill, isSelected, isActive } = props
  const { gallery } = useStrings()
  const [failed, setFailed] = useState('')
  // Made when it is pointed at: while scrolling, every element of a tile costs.
  const [isPointedAt, setPointedAt] = useState(false)
  const box = { width: size, height: size }
  if (!picture) return <div aria-hidden style={box} className="shrink-0 rounded-md bg-panel" />
  const isBroken = failed === picture.key || (picture.problem !== undefined && picture.width === 0)
  const name = altOf(picture)
  return (
    <div
      id={`picture-${picture.id}`}
      role="option"
      aria-selected={isSelected}
      aria-setsize={total}
      aria-posinset={index + 1}
      aria-label={picture.missing ? `${name} (${gallery.missing})` : name}
      title={`${picture.name}\n${picture.prompt}`}
      draggable={!picture.missing}
      onDragStart={event => props.onDragOut(picture, event.dataTransfer)}
      onPointerEnter={() => setPointedAt(true)}
      onPointerLeave={() => setPointedAt(false)}
      onClick={event => props.onPick(index, event)}
      onDoubleClick={() => props.onOpen(index)}
      style={box}
      className={cx(
        'relative shrink-0 rounded-md bg-panel',
        isSelected && 'shadow-[0_0_0_2px_var(--stage),0_0_0_4px_var(--accent)]',
        isActive && 'outline-2 -outline-offset-2 outline-text',
      )}
    >
      {picture.missing || isBroken ? (
        <div className="grid size-full place-content-center justify-items-center gap-1 p-2 text-center text-xs text-faint">
          {picture.missing ? (
            <FileX2 className="size-5" aria-hidden />
          ) : (
            <ImageOff className="size-5" aria-hidden />
          )}
          <span>{picture.missing ? gallery.missing : gallery.unreadable}</span>
          <span className="line-clamp-2 max-w-full break-all opacity-80">{picture.name}</span>
        </div>
      ) : (
        <img
          src={thumbnailUrl(picture.id, picture.key)}
          alt=""
          draggable={false}
          decoding="async"
          width={size}
          height={size}
          onError={() => setFailed(picture.key)}
          className={cx('size-full rounded-md', fill ? 'object-cover' : 'object-contain')}
        />
      )}
      {(picture.favourite || isPointedAt) && (
        <span
          // The keyboard has F.
          aria-hidden
          onClick={event => {
            event.stopPropagation()
            props.onFavourite(picture)
          }}
          className="absolute right-1.5 bottom-1.5 grid size-6 place-items-center rounded-full bg-black/55 text-white"
        >
          <Heart className={cx('size-3.5', picture.favourite && 'fill-current')} />
        </span>
      )}
    </div>
  )
})
