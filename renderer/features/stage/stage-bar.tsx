/** The bar below the picture: zoom, word maps, replay of the steps, comparison. */
import {
  ArrowLeftToLine,
  Columns2,
  Copy,
  Layers2,
  Maximize,
  StepForward,
  ZoomIn,
  ZoomOut,
} from 'lucide-react'
import { type ReactNode, useEffect, useState } from 'react'
import { copyPicture, rerunFrom, takePictureRequest, toggleCompare } from '../../app/actions.ts'
import { type Colormap, offeredColormaps } from '../../engine/heat.ts'
import { selectedPicture, usePictures } from '../../state/pictures.ts'
import { useRun } from '../../state/run.ts'
import { useWords } from '../../state/words.ts'
import { useStrings } from '../../strings/index.ts'
import { Button, IconButton } from '../../ui/button.tsx'
import { Popover } from '../../ui/popover.tsx'
import { Segmented } from '../../ui/segmented.tsx'
import { Slider } from '../../ui/slider.tsx'
import { stageCommand, stageView } from './stage-view.ts'

export function StageBar() {
  const { app, create } = useStrings()
  const picture = usePictures(state => selectedPicture(state))
  const canCompare = usePictures(
    ({ pictures, selected }) => pictures.findIndex(({ id }) => id === selected) > 0,
  )
  const comparing = usePictures(state => state.comparing)
  const isRunning = useRun(state => state.phase !== 'idle')
  const [zoom, setZoom] = useState(1)
  useEffect(() => stageView.onZoom(setZoom), [])
  if (!picture && !isRunning) return null
  return (
    <div className="@container pointer-events-none absolute inset-x-0 bottom-3 px-3">
      <div className="flex flex-wrap items-end justify-center gap-2">
        {picture && !isRunning && picture.steps.length > 1 && <Replay />}
        <Group>
          <IconButton
            label={app.zoomOut}
            keys="-"
            side="top"
            className="hidden! @min-[34rem]:inline-grid!"
            onClick={() => stageCommand('zoomOut')}
          >
            <ZoomOut aria-hidden />
          </IconButton>
          <button
            type="button"
            onClick={() => stageCommand('actual')}
            aria-label={`${create.zoom}: ${Math.round(zoom * 100)} %`}
            className="numeric w-11 rounded text-center text-xs text-soft hover:text-text"
          >
            {Math.round(zoom * 100)} %
          </button>
          <IconButton
            label={app.zoomIn}
            keys="+"
            side="top"
            className="hidden! @min-[34rem]:inline-grid!"
            onClick={() => stageCommand('zoomIn')}
          >
            <ZoomIn aria-hidden />
          </IconButton>
          <IconButton label={app.zoomFit} keys="0" side="top" onClick={() => stageCommand('fit')}>
            <Maximize aria-hidden />
          </IconButton>
        </Group>
        <Group>
          <OverlayChoice />
          <IconButton
            label={app.comparePrevious}
            keys="C"
            side="top"
            pressed={comparing}
            disabled={!canCompare || isRunning}
            onClick={toggleCompare}
          >
            <Columns2 aria-hidden />
          </IconButton>
          <IconButton
            label={app.copyPicture}
            keys="Mod+Shift+C"
            side="top"
            disabled={!picture}
            onClick={() => void copyPicture()}
          >
            <Copy aria-hidden />
          </IconButton>
          <IconButton
            label={create.startAnew}
            side="top"
            disabled={!picture || isRunning}
            onClick={takePictureRequest}
          >
            <ArrowLeftToLine aria-hidden />
          </IconButton>
        </Group>
      </div>
    </div>
  )
}

function Group({ children }: { readonly children: ReactNode }) {
  return (
    <div className="pointer-events-auto flex items-center gap-0.5 rounded-lg bg-panel p-1 shadow-pop">
      {children}
    </div>
  )
}

function OverlayChoice() {
  const { create } = useStrings()
  const { overlay, colormap, strength } = useWords()
  return (
    <Popover
      label={create.overlay}
      side="top"
      align="center"
      trigger={
        <button
          type="button"
          aria-label={create.overlay}
          title={create.overlay}
          data-on={overlay}
          className="grid size-8 place-items-center rounded-md text-soft hover:bg-raised data-[on=true]:text-accent"
        >
          <Layers2 className="size-4" aria-hidden />
        </button>
      }
    >
      <div className="flex w-52 flex-col gap-3">
        <label className="flex items-center justify-between">
          {create.overlay}
          <input
            type="checkbox"
            checked={overlay}
            onChange={event => useWords.setState({ overlay: event.target.checked })}
            className="size-4 accent-(--accent)"
          />
        </label>
        <div>
          <span className="label">{create.colours}</span>
          <Segmented
            label={create.colours}
            value={colormap}
            options={offeredColormaps.map(value => ({ value, label: value }))}
            onChange={(value: Colormap) => useWords.setState({ colormap: value })}
          />
        </div>
        <div>
          <span className="label">{create.overlayStrength}</span>
          <Slider
            label={create.overlayStrength}
            value={strength}
            min={0.2}
            max={1}
            step={0.05}
            onChange={value => useWords.setState({ strength: value })}
          />
        </div>
      </div>
    </Popover>
  )
}

/** The steps of the picture, to look back at, and to draw on from. */
function Replay() {
  const { create, attention } = useStrings()
  const picture = usePictures(state => selectedPicture(state))
  const replay = usePictures(state => state.replay)
  const isNewest = usePictures(state => state.pictures.at(-1)?.id === state.selected)
  if (!picture) return null
  const last = picture.request.steps
  const shown = replay ?? last
  // The call behind the shown step; samplers such as Heun make two a step, but one in the last.
  const call = Math.ceil((shown * picture.kept.length) / last)
  const canRerun = isNewest && replay !== undefined && picture.kept.includes(call)
  return (
    <div className="pointer-events-auto flex h-10 items-center gap-2 rounded-lg bg-panel px-3 shadow-pop">
      <Slider
        label={create.replay}
        valueText={`${create.replayStep} ${create.of(shown, last)}`}
        value={shown}
        min={1}
        max={last}
        step={1}
        className="w-20! @min-[34rem]:w-28!"
        onChange={step => usePictures.setState({ replay: step >= last ? undefined : step })}
      />
      <span className="numeric min-w-9 text-xs whitespace-nowrap text-soft">{create.of(shown, last)}</span>
      {canRerun && (
        <>
          <Button
            size="small"
            tone="plain"
            className="hidden! @min-[44rem]:inline-flex!"
            title={attention.rerunHint(shown)}
            onClick={() => void rerunFrom(picture, shown, call)}
          >
            {attention.rerun}
          </Button>
          <IconButton
            label={attention.rerun}
            size="small"
            side="top"
            className="@min-[44rem]:hidden!"
            onClick={() => void rerunFrom(picture, shown, call)}
          >
            <StepForward aria-hidden />
          </IconButton>
        </>
      )}
    </div>
  )
}
