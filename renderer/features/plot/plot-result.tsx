/** The pictures of a plot in a table with its labels; they come as the queue draws them. */
import { CircleAlert, Download, Square, Trash2 } from 'lucide-react'
import { useState } from 'react'
import type { HostJob } from '../../../model/contract/host-api.ts'
import { pictureUrl } from '../../host/client.ts'
import { reportError, tell } from '../../state/ui.ts'
import { type Strings, strings, useStrings } from '../../strings/index.ts'
import { Button, IconButton } from '../../ui/button.tsx'
import { Segmented } from '../../ui/segmented.tsx'
import { Select } from '../../ui/select.tsx'
import { showPicture } from '../gallery/gallery-actions.ts'
import { samplerNames } from '../generate/settings-panel.tsx'
import { saveFile } from '../presets/transfer.tsx'
import { useQueue } from '../queue/queue-state.ts'
import { drawSheet } from './contact-sheet.ts'
import { type AxisName, clearPlot, type Plot, type PlotCell, stopPlot, usePlot } from './plot-state.ts'

/** `Guidance 4`, `“sky” 1.4`: a value with what it is of. */
export function labelOf(
  plot: Plot,
  name: AxisName,
  at: number,
  { plot: words }: Pick<Strings, 'plot'>,
): string {
  const { axis, labels } = plot.axes[name]
  const value = labels[at]
  if (!axis || value === undefined) return ''
  if (axis.kind === 'replace') return value
  if (axis.kind === 'sampler') return samplerNames[value as keyof typeof samplerNames] ?? value
  const what = axis.kind === 'weight' ? words.weightOf(axis.word ?? '') : words[axis.kind]
  return words.of(what, value)
}

export function PlotResult({ plot }: { readonly plot: Plot }) {
  const all = useStrings()
  const { plot: words } = all
  const { table, pictures } = usePlot()
  const jobs = useQueue(state => state.jobs)
  const byId = new Map(jobs.map(job => [job.id, job]))
  const { x, y, z } = plot.axes
  const columns = Math.max(1, x.labels.length)
  const rows = Math.max(1, y.labels.length)
  const done = plot.cells.filter(({ job }) => pictures[job] !== undefined).length
  const isWorking = plot.cells.some(({ job }) =>
    ['queued', 'running', 'paused'].includes(byId.get(job)?.state ?? ''),
  )
  const cellAt = (row: number, column: number) =>
    plot.cells.find(cell => cell.x === column && cell.y === row && cell.z === table)
  const tables = z.labels.map((_, at) => ({ value: String(at), label: labelOf(plot, 'z', at, all) }))
  return (
    <div className="flex h-full flex-col">
      <header className="flex min-h-12 flex-wrap items-center gap-2 bg-panel px-4 py-2">
        {tables.length > 0 &&
          (tables.length <= 5 ? (
            <Segmented
              label={words.z}
              value={String(table)}
              options={tables}
              onChange={value => usePlot.setState({ table: Number(value) })}
            />
          ) : (
            <Select
              label={words.z}
              value={String(table)}
              options={tables}
              className="w-44!"
              onChange={value => usePlot.setState({ table: Number(value) })}
            />
          ))}
        <p role="status" className="numeric grow text-xs text-soft">
          {words.progress(done, plot.cells.length)}
        </p>
        {isWorking && (
          <Button tone="plain" onClick={() => void stopPlot()}>
            <Square className="size-3 fill-current" aria-hidden />
            {words.cancelAll}
          </Button>
        )}
        <SaveSheet plot={plot} isReady={done > 0} />
        <IconButton label={words.clear} onClick={clearPlot}>
          <Trash2 aria-hidden />
        </IconButton>
      </header>
      <div tabIndex={0} aria-label={words.table} role="region" className="min-h-0 grow overflow-auto">
        <table className="mx-auto border-separate border-spacing-2 p-4">
          {x.labels.length > 0 && (
            <thead>
              <tr>
                {y.labels.length > 0 && <td />}
                {x.labels.map((label, at) => (
                  <th
                    key={label}
                    scope="col"
                    className="numeric sticky top-0 z-10 max-w-64 bg-stage px-1 py-2 text-xs font-medium break-words text-soft"
                  >
                    {labelOf(plot, 'x', at, all)}
                  </th>
                ))}
              </tr>
            </thead>
          )}
          <tbody>
            {Array.from({ length: rows }, (_, row) => (
              <tr key={row}>
                {y.labels.length > 0 && (
                  <th
                    scope="row"
                    className="numeric sticky left-0 z-10 max-w-32 bg-stage pr-2 text-right text-xs font-medium break-words text-soft"
                  >
                    {labelOf(plot, 'y', row, all)}
                  </th>
                )}
                {Array.from({ length: columns }, (_, column) => {
                  const cell = cellAt(row, column)
                  return (
                    <td key={column} className="p-0">
                      {cell && (
                        <Cell
                          plot={plot}
                          cell={cell}
                          job={byId.get(cell.job)}
                          picture={pictures[cell.job]}
                          columns={columns}
                        />
                      )}
                    </td>
                  )
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  )
}

function Cell({
  plot,
  cell,
  job,
  picture,
  columns,
}: {
  readonly plot: Plot
  readonly cell: PlotCell
  readonly job: HostJob | undefined
  readonly picture: number | undefined
  readonly columns: number
}) {
  const all = useStrings()
  const { plot: words } = all
  const labels = (['x', 'y', 'z'] as const).map(name => labelOf(plot, name, cell[name], all)).filter(Boolean)
  // As wide as lets the row fit, down to what can still be judged.
  const width = `clamp(6rem, calc((100vw - 34rem) / ${columns}), 16rem)`
  const box = { width, aspectRatio: `${plot.width ?? 1} / ${plot.height ?? 1}` }
  if (picture !== undefined) {
    return (
      <button
        type="button"
        aria-label={words.cellLabel(labels.join(', '))}
        title={labels.join(' · ')}
        onClick={() => void showPicture(picture)}
        className="block overflow-hidden rounded-md hover:brightness-110"
        style={box}
      >
        <img src={pictureUrl(picture)} alt="" className="size-full object-cover" />
      </button>
    )
  }
  const isFailed = job?.state === 'failed' || job?.state === 'cancelled'
  const share = job?.progress && job.progress.steps > 0 ? job.progress.step / job.progress.steps : 0
  return (
    <div
      style={box}
      title={job?.problem?.message ?? labels.join(' · ')}
      className="relative grid place-items-center overflow-hidden rounded-md bg-panel text-xs text-faint"
    >
      {isFailed ? (
        <span className="flex items-center gap-1 text-danger">
          <CircleAlert className="size-3.5" aria-hidden />
          {words.failedCell}
        </span>
      ) : (
        <span className={job?.state === 'running' ? 'text-soft' : undefined}>
          {job?.state === 'running' ? `${Math.round(100 * share)} %` : words.waitingCell}
        </span>
      )}
      {job?.state === 'running' && (
        <span className="absolute bottom-0 left-0 h-0.5 bg-accent" style={{ width: `${100 * share}%` }} />
      )}
    </div>
  )
}

function SaveSheet({ plot, isReady }: { readonly plot: Plot; readonly isReady: boolean }) {
  const { plot: words } = useStrings()
  const [isBusy, setBusy] = useState(false)
  const save = async () => {
    setBusy(true)
    try {
      const sheet = await drawSheet(
        plot,
        usePlot.getState().pictures,
        name => at => labelOf(plot, name, at, strings()),
      )
      saveFile('attune-plot.png', sheet)
      tell({ tone: 'good', text: words.sheetSaved })
    } catch (error) {
      reportError(error)
    } finally {
      setBusy(false)
    }
  }
  return (
    <Button disabled={!isReady || isBusy} onClick={() => void save()}>
      <Download className="size-4" aria-hidden />
      {words.saveSheet}
    </Button>
  )
}
