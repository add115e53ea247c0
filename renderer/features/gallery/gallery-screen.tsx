/** The gallery: search above, pictures below; a picture large with its recipe, or two compared, in their place. */
import { useEffect } from 'react'
import { useStrings } from '../../strings/index.ts'
import { Compare } from './compare.tsx'
import { followGallery, useGallery } from './gallery-state.ts'
import { Grid } from './grid.tsx'
import { SelectionBar } from './selection-bar.tsx'
import { GalleryState } from './states.tsx'
import { Toolbar } from './toolbar.tsx'
import { Viewer } from './viewer.tsx'

export function GalleryScreen() {
  const { gallery } = useStrings()
  const open = useGallery(state => state.open)
  const comparing = useGallery(state => state.comparing)
  const total = useGallery(state => state.total)
  useEffect(followGallery, [])
  if (comparing) return <Compare pair={comparing} />
  if (open !== undefined) return <Viewer index={open} />
  return (
    <section aria-label={gallery.grid} className="flex h-full min-h-0 flex-col bg-stage">
      <Toolbar />
      <div className="relative min-h-0 grow">
        {total > 0 ? <Grid /> : <GalleryState />}
        <SelectionBar />
      </div>
    </section>
  )
}
