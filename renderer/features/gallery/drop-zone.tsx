/** Over the whole window: the sign that a picture can be dropped, and the card of the one that was. */
import { ImageDown, ImagePlus } from 'lucide-react'
import { useEffect, useRef } from 'react'
import { useStrings } from '../../strings/index.ts'
import { Button } from '../../ui/button.tsx'
import { Dialog } from '../../ui/dialog.tsx'
import { closeDropped, type Dropped, listenToDrops, useDropped } from './drop-state.ts'
import { showScreen } from '../../state/ui.ts'
import { takeSourceFile } from '../source/source-actions.ts'
import { formatBytes } from './format.ts'
import { copyInfotext, reuse } from './gallery-actions.ts'
import { RecipeView } from './recipe-panel.tsx'
import type { ReusePart } from './reuse.ts'

export function DropZone() {
  const { gallery } = useStrings()
  const { dropped, isOver } = useDropped()
  useEffect(listenToDrops, [])
  return (
    <>
      {isOver && (
        <div className="pointer-events-none fixed inset-0 z-50 grid place-items-center bg-black/60 p-6">
          <div className="glow-in grid place-items-center gap-2 rounded-2xl bg-panel px-12 py-10 text-center shadow-[0_0_0_2px_var(--accent)]">
            <ImageDown className="size-8 text-accent" aria-hidden />
            <p className="text-lg font-semibold">{gallery.dropHere}</p>
            <p className="max-w-80 text-soft">{gallery.dropHint}</p>
          </div>
        </div>
      )}
      <Dialog
        open={dropped !== undefined}
        onClose={closeDropped}
        title={dropped?.name ?? gallery.droppedTitle}
        className="w-[min(52rem,calc(100vw-2rem))]!"
      >
        {dropped && <Card dropped={dropped} />}
      </Dialog>
    </>
  )
}

function Card({ dropped }: { readonly dropped: Dropped }) {
  const { gallery, inputs } = useStrings()
  const { url, state, reading, error, file } = dropped
  const recipe = reading?.recipe
  const content = useRef<HTMLDivElement>(null)
  // Not the closing button, whose tooltip would take the first Escape.
  useEffect(() => content.current?.focus(), [])
  const take = (part: ReusePart) => {
    if (!reading) return
    reuse(reading, part)
    closeDropped()
  }
  return (
    <>
      <div className="grid min-h-0 grow grid-cols-[minmax(0,2fr)_minmax(0,3fr)]">
        <div className="grid min-h-0 place-items-center overflow-hidden rounded-bl-xl bg-stage p-4">
          <img src={url} alt="" className="max-h-full max-w-full rounded-sm object-contain" />
        </div>
        <div ref={content} tabIndex={0} className="max-h-[60vh] min-h-72 overflow-y-auto p-5 outline-none">
          {state === 'reading' && (
            <p role="status" className="text-soft">
              {gallery.reading}
            </p>
          )}
          {state === 'failed' && (
            <div role="alert">
              <h3 className="text-base font-semibold">{gallery.readFailed}</h3>
              <p className="mt-1 text-soft">{error?.message}</p>
              {error?.remedy && <p className="text-soft">{error.remedy}</p>}
            </div>
          )}
          {reading && recipe && (
            <>
              <p className="mb-4 text-xs text-faint">{gallery.madeWith(recipe.toolName)}</p>
              <RecipeView recipe={recipe} record={reading.record} messages={reading.messages} />
            </>
          )}
          {reading && !recipe && (
            <div>
              <h3 className="text-base font-semibold">{gallery.noRecipeTitle}</h3>
              <p className="mt-1 max-w-96 text-soft">{gallery.noRecipeBody}</p>
              {reading.messages.map(message => (
                <p key={message} className="selectable mt-2 text-xs text-faint">
                  {message}
                </p>
              ))}
              <p className="numeric mt-4 text-xs text-faint">{formatBytes(file.size)}</p>
            </div>
          )}
        </div>
      </div>
      {state !== 'failed' && (
        <footer className="flex flex-wrap items-center justify-end gap-2 border-t border-line p-3">
          <Button
            onClick={() => {
              closeDropped()
              void takeSourceFile(file, dropped.name).then(isTaken => isTaken && showScreen('create'))
            }}
          >
            <ImagePlus className="size-4" aria-hidden />
            {inputs.useThis}
          </Button>
          {recipe && <Reuse recipe={recipe} onTake={take} />}
        </footer>
      )}
    </>
  )
}

function Reuse({
  recipe,
  onTake,
}: {
  readonly recipe: NonNullable<NonNullable<Dropped['reading']>['recipe']>
  onTake(part: ReusePart): void
}) {
  const { gallery } = useStrings()
  return (
    <>
      <Button tone="plain" onClick={() => void copyInfotext(undefined, infotextLike(recipe))}>
        {gallery.copyInfotext}
      </Button>
      <span className="grow" />
      <span className="label">{gallery.reuseOf}</span>
      <Button onClick={() => onTake('seed')}>{gallery.seed}</Button>
      <Button onClick={() => onTake('prompt')}>{gallery.prompt}</Button>
      <Button tone="loud" onClick={() => onTake('all')}>
        {gallery.reuseAll}
      </Button>
    </>
  )
}

/** A1111's text of a picture that is not in the gallery, from what was understood of it. */
export function infotextLike(recipe: NonNullable<NonNullable<Dropped['reading']>['recipe']>): string {
  const { prompt, negativePrompt, steps, samplerName, sampler, guidanceScale, seed, width, height, model } =
    recipe
  const settings = [
    ['Steps', steps],
    ['Sampler', samplerName ?? sampler],
    ['CFG scale', guidanceScale],
    ['Seed', seed],
    ['Size', width && height ? `${width}x${height}` : undefined],
    ['Model hash', model?.hash],
    ['Model', model?.name],
  ].flatMap(([key, value]) => (value === undefined ? [] : [`${key}: ${value}`]))
  return [
    prompt,
    ...(negativePrompt === '' ? [] : [`Negative prompt: ${negativePrompt}`]),
    settings.join(', '),
  ]
    .filter(Boolean)
    .join('\n')
}
