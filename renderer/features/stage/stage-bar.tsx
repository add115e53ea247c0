/** The bar below the picture: zoom, word maps, replay of the steps, comparison. */
import {
  ArrowLeftToLine,
  Columns2,
  Copy,
  ImagePlus,
  Layers2,
  Maximize,
  Replace,
  StepForward,
  ZoomIn,
  ZoomOut,
} from 'lucide-react'
import { type ReactNode, useEffect, useState } from 'react'
import { editSchema } from '../../../model/contract/controls.ts'
import { copyPicture, takePictureRequest, toggleCompare } from '../../app/actions.ts'
import { type Colormap, offeredColormaps } from '../../engine/heat.ts'
import { comparedPixels, selectedPicture, usePictures } from '../../state/pictures.ts'
import { useRun } from '../../state/run.ts'
import { useWords } from '../../state/words.ts'
import { focusOn } from '../../app/focus.ts'
import { changeRequest } from '../../state/request.ts'
import { tell } from '../../state/ui.ts'
import { strings, useStrings } from '../../strings/index.ts'
import { Button, IconButton } from '../../ui/button.tsx'
import { Popover } from '../../ui/popover.tsx'
import { Segmented } from '../../ui/segmented.tsx'
import { Slider } from '../../ui/slider.tsx'
import { type Replay, useReplay } from '../timeline/replay.ts'
import { useTimelineRows } from '../timeline/timeline.tsx'
import { takeShownPicture } from '../source/source-actions.ts'
import { stageCommand, stageView } from './stage-view.ts'

export function StageBar() {
  const { app, create, timeline, inputs } = useStrings()
  const picture = usePictures(state => selectedPicture(state))
  const canCompare = usePictures(state => comparedPixels(state) !== undefined)
  const comparing = usePictures(state => state.comparing)
  const isRunning = useRun(state => state.phase !== 'idle')
  const replay = useReplay()
  const hasTimeline = useTimelineRows().rows.length > 0
  const [zoom, setZoom] = useState(1)
  useEffect(() => stageView.onZoom(setZoom), [])
  if (!picture && !isRunning) return null
  return (
    <div className="@container pointer-events-none absolute inset-x-0 bottom-3 px-3">
      <div className="flex flex-wrap items-end justify-center gap-2">
        {replay && !hasTimeline && <ReplayBar replay={replay} />}
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
            label={timeline.keepLayout}
            side="top"
            disabled={!picture || isRunning || picture.isSample}
            onClick={keepLayout}
          >
            <Replace aria-hidden />
          </IconButton>
          <IconButton
            label={inputs.useThis}
            keys="I"
            side="top"
            disabled={!picture || isRunning}
            onClick={() => void takeShownPicture()}
          >
            <ImagePlus aria-hidden />
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

/** The next picture takes its places from the shown one: the request becomes an edit of it (prompt-to-prompt). */
function keepLayout(): void {
  const picture = selectedPicture()
  if (!picture) return
  const { prompt, seed, dialect } = picture.request
  const edit = editSchema.parse({ sourcePrompt: picture.request.controls?.edit?.sourcePrompt ?? prompt })
  // What was drawn from a template are the words whose places are kept.
  changeRequest({ ...picture.draft, prompt, seed, seedLocked: true, ...(dialect && { dialect }), edit })
  tell({ tone: 'info', text: strings().timeline.layoutKept })
  focusOn('prompt')
}

/** The steps of the picture, to look back at, and to draw on from; in the timeline where there is one. */
function ReplayBar({ replay }: { readonly replay: Replay }) {
  const { create, attention } = useStrings()
  const { shown, last, show, rerun } = replay
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
        onChange={show}
      />
      <span className="numeric min-w-9 text-xs whitespace-nowrap text-soft">{create.of(shown, last)}</span>
      {rerun && (
        <>
          <Button
            size="small"
            tone="plain"
            className="hidden! @min-[44rem]:inline-flex!"
            title={attention.rerunHint(shown)}
            onClick={rerun}
          >
            {attention.rerun}
          </Button>
          <IconButton
            label={attention.rerun}
            size="small"
            side="top"
            className="@min-[44rem]:hidden!"
            onClick={rerun}
          >
            <StepForward aria-hidden />
          </IconButton>
        </>
      )}
    </div>
  )
}
