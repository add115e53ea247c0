/** The one loud button: draws, shows how far it is, stops. */
import { Square, WandSparkles } from 'lucide-react'
import { generate, stop } from '../../app/actions.ts'
import { changeRequest, useRequest } from '../../state/request.ts'
import { useRun } from '../../state/run.ts'
import { useStrings } from '../../strings/index.ts'
import { Button } from '../../ui/button.tsx'
import { DrawMenu } from '../queue/draw-menu.tsx'
import { Keys } from '../../ui/keys.tsx'
import { NumberField } from '../../ui/number-field.tsx'

export function GenerateButton() {
  const { create } = useStrings()
  const count = useRequest(state => state.draft.count)
  const phase = useRun(state => state.phase)
  return (
    <div className="@container flex gap-2 border-t border-line p-3">
      {phase === 'idle' ? (
        <>
          <NumberField
            label={create.count}
            prefix="×"
            value={count}
            min={1}
            max={64}
            step={1}
            className="h-10! w-16 shrink-0"
            onChange={value => changeRequest({ count: value }, 'count')}
          />
          <Button tone="loud" size="large" className="min-w-0 grow" onClick={() => void generate()}>
            <WandSparkles className="size-4" aria-hidden />
            {count > 1 ? create.generateMany(count) : create.generate}
            <span className="hidden @min-[20rem]:inline">
              <Keys keys="Mod+Enter" bare />
            </span>
          </Button>
          <DrawMenu />
        </>
      ) : (
        <Running />
      )}
    </div>
  )
}

function Running() {
  const { create } = useStrings()
  const { step, steps, index, count, stopping, secondsLeft, phase } = useRun()
  const share = steps > 0 ? (index * steps + step) / (count * steps) : 0
  const text = stopping
    ? create.stopping
    : phase === 'preparing'
      ? create.preparing
      : phase === 'finishing'
        ? create.finishing
        : secondsLeft === undefined
          ? create.of(step, steps)
          : create.secondsLeft(secondsLeft)
  return (
    <>
      <div
        role="progressbar"
        aria-label={create.generate}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(100 * share)}
        className="relative flex h-10 grow items-center justify-between overflow-hidden rounded-md bg-raised px-4"
      >
        <div
          className="absolute inset-y-0 left-0 bg-accent-wash transition-[width] duration-300"
          style={{ width: `${100 * share}%` }}
        />
        <div
          className="absolute bottom-0 left-0 h-0.5 bg-accent transition-[width] duration-300"
          style={{ width: `${100 * share}%` }}
        />
        <span className="numeric relative text-sm font-medium">{text}</span>
        {phase === 'drawing' && (
          <span className="numeric relative text-xs text-soft">{create.of(step, steps)}</span>
        )}
      </div>
      <Button size="large" onClick={stop} disabled={stopping} title="Esc">
        <Square className="size-3.5 fill-current" aria-hidden />
        {create.stop}
      </Button>
    </>
  )
}
