/** The picture in the middle: canvases, the states around them, and the bar of tools below. */
import { useEffect, useRef } from 'react'
import { pngOf } from '../../engine/pixels.ts'
import { pictureUrl } from '../../host/client.ts'
import { useEngine } from '../../state/engine.ts'
import { comparedPixels, selectedPicture, usePictures } from '../../state/pictures.ts'
import { useRun } from '../../state/run.ts'
import { useWords } from '../../state/words.ts'
import { useStrings } from '../../strings/index.ts'
import { cx } from '../../ui/class-names.ts'
import { InpaintBar } from '../inpaint/inpaint-bar.tsx'
import { InpaintLayer } from '../inpaint/inpaint-layer.tsx'
import { PaintLayer } from './paint-layer.tsx'
import { PointerChips } from './pointer-chips.tsx'
import { RunBanner } from './run-banner.tsx'
import { StageBar } from './stage-bar.tsx'
import { StageEmpty } from './stage-empty.tsx'
import { Timeline } from '../timeline/timeline.tsx'
import { startPainting } from './overlay.ts'
import { stageView } from './stage-view.ts'
import { Welcome } from './welcome.tsx'
import { Wipe } from './wipe.tsx'

export function Stage() {
  const { create } = useStrings()
  const viewport = useRef<HTMLDivElement>(null)
  const plane = useRef<HTMLDivElement>(null)
  const picture = useRef<HTMLCanvasElement>(null)
  const before = useRef<HTMLCanvasElement>(null)
  const overlay = useRef<HTMLCanvasElement>(null)
  const shown = usePictures(state => selectedPicture(state))
  const comparing = usePictures(state => state.comparing && comparedPixels(state) !== undefined)
  const isRunning = useRun(state => state.phase !== 'idle')
  const hasLive = useRun(state => state.phase !== 'idle' && state.step > 0)
  const engineFailed = useEngine(state => state.phase === 'failed')
  const runFailed = useRun(state => state.error !== undefined)
  const tool = useWords(state => state.tool.kind)

  useEffect(() => {
    const [view, moved] = [viewport.current, plane.current]
    const canvases = { picture: picture.current, before: before.current, overlay: overlay.current }
    if (!view || !moved || !canvases.picture || !canvases.before || !canvases.overlay) return
    const detach = stageView.attach({ viewport: view, plane: moved })
    const end = startPainting(canvases as Parameters<typeof startPainting>[0])
    return () => {
      end()
      detach()
    }
  }, [])

  const hasPicture = shown !== undefined || hasLive || tool === 'inpaint'
  return (
    <div className="flex min-h-0 min-w-0 flex-col gap-px">
      <section
        aria-label={create.picture}
        className="relative min-h-0 grow overflow-hidden bg-stage"
        // A dragged picture leaves as a file.
        draggable={false}
      >
        <div
          ref={viewport}
          data-focus="picture"
          tabIndex={0}
          role="group"
          aria-roledescription={create.picture}
          aria-label={shown ? create.pictureAlt(shown.request.prompt) : create.picture}
          aria-describedby="stage-help"
          onKeyDown={onKeyDown}
          className={cx(
            'absolute inset-0 touch-none outline-none focus-visible:shadow-[inset_0_0_0_2px_var(--accent)]',
            tool === 'view' ? 'cursor-grab active:cursor-grabbing' : 'cursor-crosshair',
          )}
        >
          <div
            ref={plane}
            className={cx(
              'absolute top-0 left-0 origin-top-left data-[close=true]:[&_canvas]:[image-rendering:pixelated]',
              !hasPicture && 'invisible',
            )}
          >
            <div className="absolute inset-0 shadow-[0_0_0_calc(1px*var(--unscale))_rgb(0_0_0/0.2),0_calc(12px*var(--unscale))_calc(40px*var(--unscale))_rgb(0_0_0/0.3)]" />
            <canvas ref={picture} aria-hidden className="absolute inset-0 size-full" />
            <canvas
              ref={before}
              aria-hidden
              id="stage-before"
              className={cx('absolute inset-0 size-full', !comparing && 'hidden')}
            />
            <canvas
              ref={overlay}
              aria-hidden
              id="stage-overlay"
              className={cx('pointer-events-none absolute inset-0 size-full', comparing && 'opacity-70')}
            />
            <PaintLayer />
            <InpaintLayer />
            {comparing && !isRunning && <Wipe />}
          </div>
        </div>
        <p id="stage-help" className="sr-only">
          {create.stageHelp}
        </p>
        {!hasPicture && !isRunning && <StageEmpty />}
        {shown?.isSample && tool !== 'inpaint' && !isRunning && !engineFailed && !runFailed && <Welcome />}
        <RunBanner />
        <PointerChips />
        {tool !== 'inpaint' && <StageBar />}
        <InpaintBar />
      </section>
      <Timeline />
    </div>
  )
}

const panStep = 48

function onKeyDown(event: React.KeyboardEvent): void {
  if (useWords.getState().tool.kind !== 'view' || event.ctrlKey || event.metaKey) return
  const moves: Readonly<Record<string, readonly [number, number]>> = {
    ArrowLeft: [panStep, 0],
    ArrowRight: [-panStep, 0],
    ArrowUp: [0, panStep],
    ArrowDown: [0, -panStep],
  }
  const move = moves[event.key]
  // While the pointer of the keyboard is out, arrows move it.
  if (!move || event.target !== event.currentTarget || document.querySelector('[data-probing=true]')) return
  event.preventDefault()
  stageView.pan(...move)
}

/** Lets a drag leave the window with the picture as a file. */
export async function dragData(transfer: DataTransfer): Promise<void> {
  const picture = selectedPicture()
  if (!picture) return
  const name = `attune-${picture.request.seed}.png`
  if (picture.saved !== undefined) {
    const url = new URL(pictureUrl(picture.saved), document.baseURI).href
    // Chromium writes the file itself from this.
    transfer.setData('DownloadURL', `image/png:${name}:${url}`)
    transfer.setData('text/uri-list', url)
    return
  }
  transfer.items.add(new File([await pngOf(picture.pixels)], name, { type: 'image/png' }))
}
