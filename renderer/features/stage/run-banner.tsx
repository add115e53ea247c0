/** What the person should know about the run or the engine, over the stage: failures with what to do, notices. */
import { CircleAlert, CircleStop, Cpu, Info } from 'lucide-react'
import { recover } from '../../app/actions.ts'
import { useEngine } from '../../state/engine.ts'
import { useRun } from '../../state/run.ts'
import { useStrings } from '../../strings/index.ts'
import { Button } from '../../ui/button.tsx'

export function RunBanner() {
  const { app, create } = useStrings()
  const { error, stoppedAt, notices, phase, step } = useRun()
  const engine = useEngine()
  const failure = engine.phase === 'failed' ? engine.error : error
  if (failure) {
    const isLost = failure.code === 'device-lost'
    const title = engine.phase === 'failed' ? app.engineFailed : isLost ? app.deviceLost : create.failedTitle
    return (
      <div
        role="alert"
        className="glow-in absolute top-4 left-1/2 flex w-[min(32rem,calc(100%-2rem))] -translate-x-1/2 gap-3 rounded-lg bg-panel p-4 shadow-pop"
      >
        <CircleAlert className="mt-0.5 size-5 shrink-0 text-danger" aria-hidden />
        <div className="selectable min-w-0 grow">
          <h2 className="font-semibold">{title}</h2>
          <p className="break-words text-soft">{isLost ? app.deviceLostBody : failure.message}</p>
          {failure.remedy && !isLost && <p className="text-soft">{failure.remedy}</p>}
          <Button className="mt-3" onClick={() => void recover()}>
            {engine.phase === 'failed' ? app.retry : create.drawAgain}
          </Button>
        </div>
      </div>
    )
  }
  const text =
    phase === 'idle' && stoppedAt !== undefined
      ? create.stopped(stoppedAt)
      : phase === 'idle'
        ? ''
        : step < 2
          ? notices.at(-1)
          : ''
  if (!text) return null
  const Icon = phase === 'idle' ? CircleStop : /processor|WebAssembly|GPU/i.test(text) ? Cpu : Info
  return (
    <div className="glow-in pointer-events-none absolute top-3 left-1/2 flex max-w-[calc(100%-2rem)] -translate-x-1/2 items-start gap-2 rounded-lg bg-panel px-3 py-2 text-xs text-soft shadow-pop">
      <Icon className="mt-px size-3.5 shrink-0" aria-hidden />
      <span>{text}</span>
    </div>
  )
}
