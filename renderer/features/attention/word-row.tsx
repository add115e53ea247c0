/** A word: its map in small, its weight, how strongly and widely it was looked at, and what stands out. */
import { Brush, ChartSpline, ChevronRight, Eclipse } from 'lucide-react'
import { memo, useCallback, useState } from 'react'
import { isJoiningWord, sameWord, type WordReport } from '../../engine/attention.ts'
import { thumbnailOf, tintOf } from '../../engine/heat.ts'
import { formatWeight, type PromptWord, weightRange, weightStep, weighWord } from '../../engine/words.ts'
import { selectedPicture, shownMaps, usePictures } from '../../state/pictures.ts'
import { changeRequest, draft, useRequest } from '../../state/request.ts'
import { hoverWord, isSameWord, togglePin, useWords } from '../../state/words.ts'
import { tell } from '../../state/ui.ts'
import { currentLanguage, strings, useStrings } from '../../strings/index.ts'
import { IconButton } from '../../ui/button.tsx'
import { cx } from '../../ui/class-names.ts'
import { PixelCanvas } from '../../ui/pixel-canvas.tsx'
import { Slider } from '../../ui/slider.tsx'
import { Tip } from '../../ui/tooltip.tsx'
import { maskFromWord } from '../inpaint/inpaint-state.ts'
import { paintWord } from '../stage/paint-layer.tsx'
import { addCurve } from '../timeline/request-rows.ts'
import { LayerGrid } from './layer-grid.tsx'

const thumbnailSide = 40

/** One a language: making one takes longer than a row of the list. */
const shareFormats = new Map<string, Intl.NumberFormat>()

/** A share as people read it: `12 %`, `0.4 %`. */
export function percent(share: number): string {
  const language = currentLanguage()
  const format =
    shareFormats.get(language) ?? new Intl.NumberFormat(language, { maximumSignificantDigits: 2 })
  shareFormats.set(language, format)
  return `${format.format(100 * share)} %`
}

export const WordRow = memo(function WordRow({
  word,
  isFirst,
}: {
  readonly word: PromptWord
  readonly isFirst: boolean
}) {
  const { attention, inputs, prompt, timeline } = useStrings()
  const [open, setOpen] = useState(false)
  const key = { text: word.text, occurrence: word.occurrence }
  const isHot = useWords(state => isSameWord(state.hovered, key))
  const pin = useWords(state => state.pinned.findIndex(each => isSameWord(each, key)))
  const pins = useWords(state => state.pinned.length)
  const colormap = useWords(state => state.colormap)
  const picture = usePictures(state => selectedPicture(state))
  const replay = usePictures(state => state.replay)
  const isPlain = useRequest(state => state.draft.dialect === 'plain')
  const hasCurve = useRequest(state =>
    state.draft.weightCurves.some(({ phrase }) => phrase.toLowerCase() === word.text.toLowerCase()),
  )
  const index = picture?.maps && sameWord(picture.maps.words, word.text, word.occurrence)
  const facts = index === undefined ? undefined : picture?.report?.words.find(each => each.index === index)
  const data = useCallback(() => {
    const map = index === undefined ? undefined : shownMaps()?.maps[index]
    return map && thumbnailOf(map, thumbnailSide, colormap)
  }, [index, picture, replay, colormap])
  const isPinned = pin >= 0
  return (
    <li
      onPointerEnter={() => hoverWord(key)}
      onPointerLeave={() => hoverWord(undefined)}
      onFocus={() => hoverWord(key)}
      onBlur={() => hoverWord(undefined)}
      className={cx('group rounded-lg px-1.5 py-1 transition-colors', isHot && 'bg-raised')}
    >
      <div className="flex items-center gap-2.5">
        <button
          type="button"
          data-focus={isFirst ? 'words' : undefined}
          aria-pressed={isPinned}
          aria-label={isPinned ? attention.unpin(word.text) : attention.pin(word.text)}
          onClick={() => togglePin(key)}
          style={isPinned && pins > 1 ? { boxShadow: `0 0 0 2px ${tintOf(pin)}` } : {}}
          className={cx(
            'size-10 shrink-0 overflow-hidden rounded-md bg-field',
            isPinned && pins === 1 && 'shadow-[0_0_0_2px_var(--accent)]',
            index === undefined && 'border border-dashed border-line-strong',
          )}
        >
          {index !== undefined && <PixelCanvas data={data} className="size-full" />}
        </button>
        <div className="min-w-0 grow">
          <div className="flex h-5 items-center gap-1.5">
            <span
              className={cx(
                'truncate text-sm',
                index === undefined && picture
                  ? 'text-faint'
                  : isJoiningWord(word.text)
                    ? 'text-soft'
                    : 'font-medium',
              )}
              title={index === undefined && picture ? attention.notDrawn : undefined}
            >
              {word.text}
            </span>
            <Badges word={word.text} facts={facts} />
            <span className="grow" />
            {!isPlain && (
              <IconButton
                label={timeline.addCurve(word.text)}
                size="small"
                disabled={hasCurve}
                onClick={() => addCurve(word.text)}
                className="hidden! size-5! group-focus-within:inline-grid! group-hover:inline-grid!"
              >
                <ChartSpline aria-hidden />
              </IconButton>
            )}
            <span
              className={cx(
                'numeric min-w-6 text-right text-xs',
                word.weight > 1.001 ? 'text-accent' : word.weight < 0.999 ? 'text-cool' : 'text-faint',
              )}
            >
              {formatWeight(Number(word.weight.toFixed(2)))}
            </span>
          </div>
          <div className="flex items-center gap-3">
            <Slider
              label={prompt.weight(word.text)}
              value={word.weight}
              min={weightRange.least}
              max={weightRange.most}
              step={weightStep}
              origin={1}
              disabled={isPlain}
              quiet
              className="h-4!"
              onChange={weight => weighByList(word, weight)}
            />
            {picture && (
              <span
                className={cx('flex h-4 shrink-0 items-center justify-end', picture.report ? 'w-19' : 'w-6')}
              >
                {facts && (
                  <span
                    className="numeric shrink-0 group-focus-within:hidden group-hover:hidden text-2xs text-faint"
                    title={`${attention.peak} ${percent(facts.peak)} · ${attention.area} ${percent(facts.coveredArea)}`}
                  >
                    <span className="sr-only">
                      {attention.facts(word.text, percent(facts.peak), percent(facts.coveredArea))}
                    </span>
                    <span aria-hidden>
                      {percent(facts.peak)} · {percent(facts.coveredArea)}
                    </span>
                  </span>
                )}
                <span
                  className={cx(
                    'hidden h-4 items-center gap-0.5 group-focus-within:flex group-hover:flex',
                    open && 'flex!',
                  )}
                >
                  <IconButton
                    label={attention.paint(word.text)}
                    size="small"
                    onClick={() => paintWord(word.text)}
                  >
                    <Brush aria-hidden />
                  </IconButton>
                  {index !== undefined && (
                    <IconButton
                      label={inputs.maskOfWord(word.text)}
                      size="small"
                      onClick={() => void maskFromWord(key)}
                    >
                      <Eclipse aria-hidden />
                    </IconButton>
                  )}
                  {picture?.attention && index !== undefined && (
                    <IconButton
                      label={attention.details(word.text)}
                      size="small"
                      aria-expanded={open}
                      onClick={() => setOpen(!open)}
                    >
                      <ChevronRight className={cx('transition-transform', open && 'rotate-90')} aria-hidden />
                    </IconButton>
                  )}
                </span>
              </span>
            )}
          </div>
        </div>
      </div>
      {open && picture?.attention && index !== undefined && (
        <LayerGrid captured={picture.attention} word={index} />
      )}
    </li>
  )
})

function weighByList(word: PromptWord, weight: number): void {
  const { prompt, dialect } = draft()
  const edit = weighWord(prompt, dialect, word, Number(weight.toFixed(2)))
  if (edit) changeRequest({ prompt: edit.text }, `weigh ${word.text} ${word.occurrence}`)
  else tell({ tone: 'info', text: strings().prompt.cannotWeigh })
}

function Badges({ word, facts }: { readonly word: string; readonly facts: WordReport | undefined }) {
  const { attention } = useStrings()
  if (!facts) return null
  const others = facts.leaksInto.flatMap(
    index => facts.overlaps.find(overlap => overlap.index === index)?.word ?? [],
  )
  const list = others.map(other => `“${other}”`).join(', ')
  return (
    <>
      {facts.neglected && <Badge text={attention.neglected} why={attention.neglectedWhy(word)} />}
      {list && <Badge text={attention.leaks(others.join(', '))} why={attention.leaksWhy(word, list)} />}
    </>
  )
}

function Badge({ text, why }: { readonly text: string; readonly why: string }) {
  return (
    <Tip text={why} side="left">
      <span
        tabIndex={0}
        className="min-w-0 truncate rounded bg-warning-wash px-1.5 text-2xs leading-4 font-medium text-warning"
      >
        {text}
      </span>
    </Tip>
  )
}
