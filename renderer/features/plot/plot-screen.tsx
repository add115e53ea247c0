/** X/Y/Z: what varies at the left, the pictures by their settings beside it. */
import { Grid3x3 } from 'lucide-react'
import { useEffect } from 'react'
import { useEngine } from '../../state/engine.ts'
import { useRequest } from '../../state/request.ts'
import { showScreen } from '../../state/ui.ts'
import { useStrings } from '../../strings/index.ts'
import { Button } from '../../ui/button.tsx'
import { Empty } from '../../ui/empty.tsx'
import { AxisEditor } from './axis-editor.tsx'
import { mostPictures } from './axes.ts'
import { PlotResult } from './plot-result.tsx'
import { axisNames, followPlot, readAxes, startPlot, usePlot } from './plot-state.ts'

export function PlotScreen() {
  const { plot: words } = useStrings()
  const plot = usePlot(state => state.plot)
  useEffect(followPlot, [])
  return (
    <div className="grid h-full grid-cols-[clamp(16.5rem,24vw,21rem)_minmax(0,1fr)] gap-px bg-line">
      <Setup />
      <section aria-label={words.table} className="min-h-0 min-w-0 bg-stage">
        {plot ? (
          <PlotResult plot={plot} />
        ) : (
          <Empty icon={<Grid3x3 aria-hidden />} title={words.emptyTitle}>
            {words.emptyBody}
          </Empty>
        )}
      </section>
    </div>
  )
}

function Setup() {
  const { plot: words } = useStrings()
  const { axes, isStarting } = usePlot()
  const prompt = useRequest(state => state.draft.prompt)
  // Its defaults stand where the request leaves something open.
  useEngine(state => state.model)
  const { problems, count } = readAxes(axes)
  const hasPrompt = prompt.trim() !== ''
  const isTooMany = count > mostPictures
  return (
    <section aria-label={words.title} className="flex min-h-0 flex-col bg-panel">
      <div className="flex min-h-0 grow flex-col gap-6 overflow-y-auto p-4">
        <p className="text-xs text-soft">{words.intro}</p>
        <div>
          <h2 className="label mb-1">{words.prompt}</h2>
          {hasPrompt ? (
            <button
              type="button"
              onClick={() => showScreen('create')}
              className="line-clamp-4 w-full rounded-md bg-raised px-3 py-2 text-left break-words hover:brightness-110"
            >
              {prompt}
            </button>
          ) : (
            <p className="text-soft">
              {words.noPrompt}{' '}
              <button
                type="button"
                className="text-accent hover:underline"
                onClick={() => showScreen('create')}
              >
                {words.goCreate}
              </button>
            </p>
          )}
        </div>
        {axisNames.map(name => (
          <AxisEditor key={name} name={name} axis={axes[name]} problem={problems[name]} />
        ))}
      </div>
      <footer className="border-t border-line p-3">
        {isTooMany && (
          <p role="alert" className="mb-2 text-xs text-danger">
            {words.tooMany(count, mostPictures)}
          </p>
        )}
        <Button
          tone="loud"
          size="large"
          className="w-full"
          disabled={!hasPrompt || count === 0 || isTooMany || isStarting || Object.keys(problems).length > 0}
          onClick={() => void startPlot()}
        >
          {count === 0 ? words.choose : words.draw(count)}
        </Button>
      </footer>
    </section>
  )
}
