/** On the stage, while the mask is painted: the source as it will be drawn over, and the mask on it. */
import { useEffect, useMemo, useState } from 'react'
import { fittedPixels } from '../../engine/inputs.ts'
import { imageDataOf, type Pixels } from '../../engine/pixels.ts'
import { pixelsOf, type SourceDraft } from '../../state/inputs.ts'
import { useRequest } from '../../state/request.ts'
import { useRun } from '../../state/run.ts'
import { reportError } from '../../state/ui.ts'
import { useWords } from '../../state/words.ts'
import { useStrings } from '../../strings/index.ts'
import { BrushCanvas } from '../../ui/brush-canvas.tsx'
import { PixelCanvas } from '../../ui/pixel-canvas.tsx'
import { useDrawnSize } from '../source/source-card.tsx'
import { stageView } from '../stage/stage-view.ts'
import { leaveMask, maskColour, maskFor, paintMask, useInpaint } from './inpaint-state.ts'

export function InpaintLayer() {
  const isOpen = useWords(state => state.tool.kind === 'inpaint')
  const source = useRequest(state => state.draft.source)
  const isRunning = useRun(state => state.phase !== 'idle')
  // A source that goes takes its mask with it, and a picture that forms is to be seen.
  useEffect(() => {
    if (isOpen && (!source || isRunning)) leaveMask()
  }, [isOpen, source, isRunning])
  return isOpen && source && !isRunning ? <Editor source={source} /> : null
}

/** Above the picture: the bar of the brush. */
const barHeight = 56

function Editor({ source }: { readonly source: SourceDraft }) {
  const { inputs } = useStrings()
  const { width, height } = useDrawnSize()
  const mask = useRequest(state => state.draft.inpaint?.mask)
  const brush = useInpaint(state => state.brush)
  const shown = useFitted(source, width, height)
  const painted = useMemo(() => maskFor({ width, height }), [mask, width, height])
  const data = useMemo(() => () => shown && imageDataOf(shown), [shown])
  useEffect(() => {
    stageView.setSize(width, height)
    stageView.keepFree(barHeight)
    return () => stageView.keepFree(0)
  }, [width, height])
  return (
    <div className="absolute inset-0">
      <PixelCanvas data={data} className="absolute inset-0 size-full" />
      <BrushCanvas
        label={inputs.brushHelp}
        surface={stageView}
        mask={painted}
        brush={brush}
        colour={maskColour}
        opacity={0.55}
        hasOutline
        onBrush={patch => useInpaint.setState(state => ({ brush: { ...state.brush, ...patch } }))}
        onStroke={paintMask}
        onLeave={() => {
          leaveMask()
          document.querySelector<HTMLElement>("[data-focus='picture']")?.focus()
        }}
      />
    </div>
  )
}

/** The source at the drawing's size. */
function useFitted(source: SourceDraft, width: number, height: number): Pixels | undefined {
  const [shown, setShown] = useState<Pixels>()
  const { key, fit } = source
  useEffect(() => {
    let isCurrent = true
    pixelsOf(key).then(pixels => {
      if (isCurrent) setShown(fittedPixels(pixels, width, height, fit))
    }, reportError)
    return () => {
      isCurrent = false
    }
  }, [key, fit, width, height])
  return shown
}
