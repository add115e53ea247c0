/** The gallery without pictures to show: loading, none yet, none found, not readable. */
import { CircleAlert, Images, SearchX } from 'lucide-react'
import { showScreen } from '../../state/ui.ts'
import { useStrings } from '../../strings/index.ts'
import { Button } from '../../ui/button.tsx'
import { Empty } from '../../ui/empty.tsx'
import { changeFilter, reload, useGallery } from './gallery-state.ts'
import { isFiltered, noFilter } from './search.ts'

export function GalleryState() {
  const { gallery, app } = useStrings()
  const { phase, error, filter, indexing, found } = useGallery()
  if (phase === 'failed') {
    return (
      <Empty icon={<CircleAlert aria-hidden />} title={gallery.errorTitle}>
        <p role="alert">{error?.message}</p>
        {error?.remedy && <p>{error.remedy}</p>}
        <Button className="mt-4" onClick={reload}>
          {app.retry}
        </Button>
      </Empty>
    )
  }
  if (phase === 'loading' || indexing)
    return <Waiting text={indexing ? gallery.indexing(found) : gallery.loading} />
  if (isFiltered(filter)) {
    return (
      <Empty icon={<SearchX aria-hidden />} title={gallery.nothingTitle}>
        <p>{gallery.nothingBody}</p>
        <Button className="mt-4" onClick={() => changeFilter({ ...noFilter, sort: filter.sort })}>
          {gallery.clearFilters}
        </Button>
      </Empty>
    )
  }
  return (
    <Empty icon={<Images aria-hidden />} title={gallery.emptyTitle}>
      <p>{gallery.emptyBody}</p>
      <div className="mt-4 flex justify-center gap-2">
        <Button tone="loud" onClick={() => showScreen('create')}>
          {gallery.goCreate}
        </Button>
        <Button onClick={() => showScreen('settings')}>{gallery.addFolder}</Button>
      </div>
    </Empty>
  )
}

/** The grid's own shape, so that nothing jumps when the pictures come. */
function Waiting({ text }: { readonly text: string }) {
  return (
    <div role="status" className="flex h-full flex-col p-3">
      <div
        aria-hidden
        className="grid grow grid-cols-[repeat(auto-fill,minmax(10rem,1fr))] content-start gap-2 overflow-hidden opacity-60 [mask-image:linear-gradient(black,transparent)]"
      >
        {Array.from({ length: 24 }, (_, at) => (
          <div key={at} className="aspect-square animate-pulse rounded-md bg-panel" />
        ))}
      </div>
      <p className="py-4 text-center text-soft">{text}</p>
    </div>
  )
}
