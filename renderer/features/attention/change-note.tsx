/** While two pictures are compared: how much changed, where words moved, and what each control did. */
import { useMemo } from 'react'
import { visibleChange } from '../../engine/pixels.ts'
import { pictureBefore, selectedPicture, usePictures } from '../../state/pictures.ts'
import { useWords } from '../../state/words.ts'
import { useStrings } from '../../strings/index.ts'
import { percent } from './word-row.tsx'

/** Share of the pixels below which nobody sees a difference. */
const noticeable = 0.002
/** Of a control's change of the prediction: the command line's measure (docs/controls.md, "Does it do anything?"). */
const noticeableEffect = 0.001

export function ChangeNote() {
  const { attention } = useStrings()
  const picture = usePictures(state => selectedPicture(state))
  const before = usePictures(state => pictureBefore(state))
  const comparing = usePictures(state => state.comparing)
  const difference = useWords(state => state.difference)
  const share = useMemo(
    () => (comparing && picture && before ? visibleChange(before.pixels, picture.pixels) : undefined),
    [comparing, picture, before],
  )
  const effects = picture?.effects ?? []
  if (share === undefined && effects.length === 0) return null
  return (
    <div className="border-b border-line p-3 text-xs text-soft">
      {share !== undefined && (
        <>
          <p className="mb-2">
            {share < noticeable ? attention.samePicture : attention.changed(percent(share))}
          </p>
          <label
            className="flex items-center justify-between gap-2 text-text"
            title={attention.differenceHint}
          >
            {attention.difference}
            <input
              type="checkbox"
              checked={difference}
              onChange={event => useWords.setState({ difference: event.target.checked })}
              className="size-4 accent-(--accent)"
            />
          </label>
        </>
      )}
      {effects.length > 0 && (
        <ul className="mt-1">
          <li className="label">{attention.effects}</li>
          {effects.map(({ control, change }) => (
            <li key={control} className="numeric">
              {attention.effect(control, change < noticeableEffect ? attention.noEffect : percent(change))}
            </li>
          ))}
        </ul>
      )}
    </div>
  )
}
