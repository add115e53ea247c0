/** Above the picture while its mask is painted: the brush and what is done to the mask as a whole. */
import { Brush, Check, Contrast, Eraser, Trash2, Undo2 } from 'lucide-react'
import { invertMask, isEmpty } from '../../state/masks.ts'
import { useRequest } from '../../state/request.ts'
import { useRun } from '../../state/run.ts'
import { useWords } from '../../state/words.ts'
import { useStrings } from '../../strings/index.ts'
import { brushSizes } from '../../ui/brush-canvas.tsx'
import { Button, IconButton } from '../../ui/button.tsx'
import { Slider } from '../../ui/slider.tsx'
import { changeRequest } from '../../state/request.ts'
import {
  drawnSize,
  leaveMask,
  maskFor,
  paintMask,
  setThreshold,
  undoMask,
  useCanUndoMask,
  useInpaint,
} from './inpaint-state.ts'

export function InpaintBar() {
  const { inputs } = useStrings()
  const isOpen = useWords(state => state.tool.kind === 'inpaint')
  const hasSource = useRequest(state => state.draft.source !== undefined)
  const isRunning = useRun(state => state.phase !== 'idle')
  if (!isOpen || !hasSource || isRunning) return null
  return (
    <div className="@container pointer-events-none absolute inset-x-0 top-3 px-3">
      <div
        role="toolbar"
        aria-label={inputs.painting}
        className="pointer-events-auto mx-auto flex w-fit max-w-full flex-wrap items-center justify-center gap-x-3 gap-y-1 rounded-lg bg-panel p-1.5 shadow-pop"
      >
        <BrushChoice />
        <WholeMask />
        <Button size="small" tone="loud" onClick={leaveMask}>
          <Check className="size-3.5" aria-hidden />
          {inputs.done}
        </Button>
      </div>
      <Threshold />
    </div>
  )
}

function BrushChoice() {
  const { inputs } = useStrings()
  const brush = useInpaint(state => state.brush)
  const set = (patch: Partial<typeof brush>) => useInpaint.setState({ brush: { ...brush, ...patch } })
  return (
    <>
      <div className="flex gap-0.5">
        <IconButton
          label={inputs.paint}
          keys="X"
          pressed={!brush.erase}
          onClick={() => set({ erase: false })}
        >
          <Brush aria-hidden />
        </IconButton>
        <IconButton label={inputs.erase} keys="X" pressed={brush.erase} onClick={() => set({ erase: true })}>
          <Eraser aria-hidden />
        </IconButton>
      </div>
      <label className="flex items-center gap-2" title={`${inputs.size} [ ]`}>
        <span className="label">{inputs.size}</span>
        <Slider
          label={inputs.size}
          valueText={`${Math.round(brush.size * 100)} %`}
          // Felt as ratios: half of the way is a tenth of the largest.
          value={Math.log(brush.size / brushSizes.least) / Math.log(brushSizes.most / brushSizes.least)}
          min={0}
          max={1}
          step={0.02}
          className="w-24!"
          onChange={share => set({ size: brushSizes.least * (brushSizes.most / brushSizes.least) ** share })}
        />
      </label>
      <label className="hidden items-center gap-2 @min-[40rem]:flex">
        <span className="label">{inputs.softness}</span>
        <Slider
          label={inputs.softness}
          valueText={`${Math.round(brush.softness * 100)} %`}
          value={brush.softness}
          min={0}
          max={1}
          step={0.1}
          className="w-16!"
          onChange={softness => set({ softness })}
        />
      </label>
    </>
  )
}

function WholeMask() {
  const { inputs } = useStrings()
  const canUndo = useCanUndoMask()
  const hasMask = useRequest(({ draft }) => draft.inpaint !== undefined && !isEmpty(draft.inpaint.mask))
  return (
    <div className="flex gap-0.5">
      <IconButton label={inputs.undo} keys="Mod+Z" disabled={!canUndo} onClick={undoMask}>
        <Undo2 aria-hidden />
      </IconButton>
      <IconButton label={inputs.invert} onClick={() => paintMask(invertMask(maskFor(drawnSize())))}>
        <Contrast aria-hidden />
      </IconButton>
      <IconButton
        label={inputs.clear}
        disabled={!hasMask}
        onClick={() => {
          useInpaint.setState({ fromMap: undefined })
          changeRequest({ inpaint: undefined })
        }}
      >
        <Trash2 aria-hidden />
      </IconButton>
    </div>
  )
}

/** Of a mask that was made from a word's map. */
function Threshold() {
  const { inputs } = useStrings()
  const fromMap = useInpaint(state => state.fromMap)
  if (!fromMap) return null
  const share = Math.round(fromMap.threshold * 100)
  return (
    <div className="pointer-events-auto mx-auto mt-2 flex w-fit items-center gap-3 rounded-lg bg-panel px-3 py-1 shadow-pop">
      <span className="label">{inputs.threshold(fromMap.word)}</span>
      <Slider
        label={inputs.threshold(fromMap.word)}
        valueText={inputs.thresholdText(share)}
        value={fromMap.threshold}
        min={0.05}
        max={0.95}
        step={0.05}
        className="w-32!"
        onChange={threshold => setThreshold(Number(threshold.toFixed(2)))}
      />
      <span className="numeric text-xs text-soft">{inputs.thresholdText(share)}</span>
    </div>
  )
}
