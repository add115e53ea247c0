/** What a network will see of a guide's picture, made anew when picture, preprocessor or size change. */
import { useCallback, useEffect, useState } from 'react'
import { imageDataOf, type Pixels } from '../../engine/pixels.ts'
import { previewHint } from '../../engine/preprocess.ts'
import { type GuideDraft, pixelsOf } from '../../state/inputs.ts'
import { recordOf } from '../../state/ui.ts'
import { useStrings } from '../../strings/index.ts'
import { PixelCanvas } from '../../ui/pixel-canvas.tsx'
import { useDrawnSize } from '../source/source-card.tsx'

/** Quick changes of a slider ask once. */
const patience = 120

export function HintPreview({ guide }: { readonly guide: GuideDraft }) {
  const { inputs } = useStrings()
  const { picture, preprocessor, resize } = guide
  const { width, height } = useDrawnSize()
  const [shown, setShown] = useState<{ hint?: Pixels; problem?: string }>({})
  const key = picture?.key
  useEffect(() => {
    if (key === undefined) return setShown({})
    let isCurrent = true
    const timer = setTimeout(() => {
      pixelsOf(key)
        .then(pixels => previewHint(pixels, preprocessor, { width, height }, resize))
        .then(
          hint => isCurrent && setShown({ hint }),
          (error: unknown) => isCurrent && setShown({ problem: recordOf(error).message }),
        )
    }, patience)
    return () => {
      isCurrent = false
      clearTimeout(timer)
    }
  }, [key, preprocessor, width, height, resize])
  const { hint, problem } = shown
  const data = useCallback(() => hint && imageDataOf(hint), [hint])
  return (
    <div
      className="grid aspect-square w-full place-items-center overflow-hidden rounded-md bg-field"
      data-hint={hint ? 'shown' : problem ? 'failed' : 'none'}
    >
      {hint ? (
        <PixelCanvas data={data} label={inputs.hint} className="max-h-full max-w-full object-contain" />
      ) : (
        problem && (
          <p role="status" className="selectable px-2 text-center text-2xs text-warning">
            {problem}
          </p>
        )
      )}
    </div>
  )
}
