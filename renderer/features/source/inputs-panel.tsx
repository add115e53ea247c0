/** Below the prompt: what the drawing takes in beside words. Two quiet buttons until there is something. */
import { ImagePlus, Waypoints } from 'lucide-react'
import { useRequest } from '../../state/request.ts'
import { useStrings } from '../../strings/index.ts'
import { Tip } from '../../ui/tooltip.tsx'
import { GuideCards } from '../guides/guide-cards.tsx'
import { addGuide } from '../guides/guide-state.ts'
import { PictureDrop } from './picture-drop.tsx'
import { SourceCard } from './source-card.tsx'
import { takeSourceFile } from './source-actions.ts'

const quiet =
  'flex h-8 min-w-0 items-center gap-1.5 rounded-md border border-dashed border-line-strong px-2.5 text-xs text-soft transition-colors hover:border-solid hover:bg-raised hover:text-text'

export function InputsPanel() {
  const { inputs } = useStrings()
  const source = useRequest(state => state.draft.source)
  return (
    <div className="flex flex-col gap-3">
      {source && <SourceCard source={source} />}
      <GuideCards />
      <div className="flex gap-2">
        {!source && (
          <PictureDrop
            label={inputs.addSourceHint}
            onPicture={file => void takeSourceFile(file, file.name)}
            className={`${quiet} grow`}
          >
            <ImagePlus className="size-3.5 shrink-0" aria-hidden />
            <span className="truncate">{inputs.addSource}</span>
          </PictureDrop>
        )}
        <Tip text={inputs.addGuideHint}>
          <button type="button" onClick={() => void addGuide()} className={quiet}>
            <Waypoints className="size-3.5 shrink-0" aria-hidden />
            {inputs.addGuide}
          </button>
        </Tip>
      </div>
    </div>
  )
}
