/** What can be done with the chosen pictures: floats over the grid while some are chosen. */
import { Columns2, FolderOpen, Heart, Maximize2, Trash2, X } from 'lucide-react'
import { useStrings } from '../../strings/index.ts'
import { Button, IconButton } from '../../ui/button.tsx'
import { compareChosen, removeChosen, revealPicture, toggleFavourites } from './gallery-actions.ts'
import { openPicture, useGallery } from './gallery-state.ts'
import { ReuseMenu } from './reuse-menu.tsx'
import { selectNone } from './selection.ts'

export function SelectionBar() {
  const { gallery } = useStrings()
  const selected = useGallery(state => state.selected)
  const active = useGallery(state => state.active)
  const [only] = selected.size === 1 ? selected : []
  if (selected.size === 0) return null
  return (
    <div
      role="toolbar"
      aria-label={gallery.selected(selected.size)}
      className="glow-in absolute bottom-4 left-1/2 flex max-w-[calc(100%-2rem)] -translate-x-1/2 items-center gap-1 rounded-xl bg-raised p-1 pl-4 shadow-pop"
    >
      <span className="numeric mr-2 text-sm whitespace-nowrap text-soft">
        {gallery.selected(selected.size)}
      </span>
      {only !== undefined && <ReuseMenu id={only} />}
      {selected.size === 2 && (
        <Button tone="plain" onClick={compareChosen}>
          <Columns2 className="size-4" aria-hidden />
          {gallery.compare}
        </Button>
      )}
      {only !== undefined && (
        <>
          <IconButton label={gallery.open} keys="Enter" side="top" onClick={() => openPicture(active)}>
            <Maximize2 aria-hidden />
          </IconButton>
          <IconButton label={gallery.reveal} side="top" onClick={() => void revealPicture(only)}>
            <FolderOpen aria-hidden />
          </IconButton>
        </>
      )}
      <IconButton label={gallery.favourite} keys="F" side="top" onClick={toggleFavourites}>
        <Heart aria-hidden />
      </IconButton>
      <IconButton label={gallery.remove} keys="Delete" side="top" onClick={() => void removeChosen()}>
        <Trash2 aria-hidden />
      </IconButton>
      <IconButton label={gallery.clearSelection} keys="Escape" side="top" onClick={selectNone}>
        <X aria-hidden />
      </IconButton>
    </div>
  )
}
