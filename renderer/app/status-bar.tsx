/** The bottom line: what the engine does, with which adapter and where it sits, and whether anything is kept. */
import { Cpu, HardDrive, TriangleAlert, Zap } from 'lucide-react'
import { hostKind } from '../host/client.ts'
import { useEngine } from '../state/engine.ts'
import { selectedPicture, usePictures } from '../state/pictures.ts'
import { useRun } from '../state/run.ts'
import { useStrings } from '../strings/index.ts'
import { Tip } from '../ui/tooltip.tsx'

export function StatusBar() {
  const { app } = useStrings()
  return (
    <footer
      aria-label={app.status}
      className="col-span-2 flex items-center gap-4 overflow-hidden bg-app px-4 text-xs whitespace-nowrap text-faint"
    >
      <Doing />
      <div className="grow" />
      {hostKind() === 'memory' && (
        <Tip text={app.memoryHost} side="top">
          <span tabIndex={0} className="flex items-center gap-1.5 rounded text-warning">
            <TriangleAlert className="size-3.5" aria-hidden />
            {app.memoryHostShort}
          </span>
        </Tip>
      )}
      <Adapter />
    </footer>
  )
}

function Doing() {
  const { app, create } = useStrings()
  const { phase, modelName } = useEngine()
  const run = useRun()
  if (phase === 'failed') return <span className="text-danger">{app.engineFailed}</span>
  if (run.phase !== 'idle') {
    const left = run.secondsLeft === undefined ? '' : ` · ${create.secondsLeft(run.secondsLeft)}`
    const text = run.phase === 'drawing' ? app.drawing(run.step, run.steps) + left : create.preparing
    return (
      <span className="numeric text-soft">
        {run.count > 1 ? `${create.of(run.index + 1, run.count)} · ` : ''}
        {text}
      </span>
    )
  }
  if (phase === 'starting') return <span>{app.starting}</span>
  if (phase === 'opening') return <span>{app.opening(modelName)}</span>
  return <span>{app.ready}</span>
}

function Adapter() {
  const { app } = useStrings()
  const { adapter, seat, withoutGraphics, phase } = useEngine()
  // What drew the last picture is surer than what was promised.
  const picture = usePictures(state => selectedPicture(state))
  const drewWith = picture?.isSample ? undefined : picture?.adapter
  const megabytes = Math.round((picture?.workingBytes ?? 0) / 2 ** 20)
  if (phase === 'starting') return null
  const where = seat === 'page' ? app.seatPage : app.seatHost
  const name = withoutGraphics ? app.processor : (adapter?.name ?? app.graphics)
  const Icon = withoutGraphics ? Cpu : seat === 'host' ? HardDrive : Zap
  const text = `${app.drawsWith(drewWith ?? name)} · ${where}`
  return (
    <Tip text={withoutGraphics ? app.processorHint : text} side="top">
      <span tabIndex={0} className="flex min-w-0 items-center gap-1.5 rounded">
        <Icon className="size-3.5 shrink-0" aria-hidden />
        <span className="truncate">
          {name} · {where}
          {megabytes > 0 && ` · ${app.workingMemory(megabytes)}`}
        </span>
      </span>
    </Tip>
  )
}
