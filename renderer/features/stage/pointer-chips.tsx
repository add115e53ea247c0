/**
 * Over the picture: which words the place under the pointer listened to. The chips are written straight into the page,
 * once a frame; React only made them. With the keyboard, Enter on the picture brings a pointer out.
 */
import { useEffect, useRef } from 'react'
import { rankingAt } from '../../engine/attention.ts'
import { useWords } from '../../state/words.ts'
import { announce } from '../../state/ui.ts'
import { strings } from '../../strings/index.ts'
import { currentMaps } from './overlay.ts'
import { type StagePoint, stageView } from './stage-view.ts'

const shownWords = 3

export function PointerChips() {
  const chips = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const element = chips.current
    if (!element) return
    const spans = Array.from(element.children) as HTMLElement[]
    const show = (point: StagePoint | undefined) => {
      const set = useWords.getState().tool.kind === 'view' ? currentMaps() : undefined
      const ranking = point && set && rankingAt(set, stageView.size, point)
      element.style.visibility = ranking ? 'visible' : 'hidden'
      if (!ranking || !point) return ''
      const words = ranking.words.slice(0, shownWords)
      spans.forEach((span, index) => {
        const word = words[index]
        span.style.display = word ? '' : 'none'
        if (!word) return
        ;(span.children[0] as HTMLElement).textContent = word.word
        ;(span.children[1] as HTMLElement).textContent = `${Math.round(100 * word.share)} %`
        span.style.setProperty('--share', `${Math.round(100 * word.share)}%`)
      })
      const box = element.parentElement?.getBoundingClientRect()
      const place = stageView.clientOf(point)
      const x = Math.min((box?.width ?? 0) - element.offsetWidth - 8, place.x + 14)
      const y =
        place.y + 18 + element.offsetHeight > (box?.height ?? 0) - 56
          ? place.y - element.offsetHeight - 12
          : place.y + 18
      element.style.transform = `translate(${Math.max(8, x)}px, ${Math.max(8, y)}px)`
      return words.map(({ word, share }) => `${word} ${Math.round(100 * share)} %`).join(', ')
    }
    const end = stageView.onProbe(point => void show(point))
    const endKeys = probeByKeyboard(element, show)
    return () => {
      end()
      endKeys()
    }
  }, [])
  return (
    <div
      ref={chips}
      aria-hidden
      id="pointer-chips"
      style={{ visibility: 'hidden' }}
      className="pointer-events-none absolute top-0 left-0 flex w-40 flex-col gap-px rounded-lg bg-panel/95 p-1.5 text-xs shadow-pop"
    >
      {Array.from({ length: shownWords }, (_, index) => (
        <span
          key={index}
          className="relative flex justify-between gap-3 overflow-hidden rounded px-1.5 py-0.5 first:font-semibold before:absolute before:inset-y-0 before:left-0 before:w-(--share) before:bg-accent-wash"
        >
          <span className="relative truncate" />
          <span className="numeric relative text-soft" />
        </span>
      ))}
    </div>
  )
}

/** Enter on the picture: a pointer for arrow keys, spoken; Escape or Enter takes it away. */
function probeByKeyboard(
  chips: HTMLElement,
  show: (point: StagePoint | undefined) => string | undefined,
): () => void {
  const stage = document.querySelector<HTMLElement>("[data-focus='picture']")
  if (!stage) return () => undefined
  let place: { x: number; y: number } | undefined
  const end = () => {
    place = undefined
    chips.dataset['probing'] = 'false'
    show(undefined)
  }
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.target !== stage || useWords.getState().tool.kind !== 'view' || event.ctrlKey || event.metaKey)
      return
    const { width, height } = stageView.size
    if (event.key === 'Enter') {
      if (place) end()
      else place = { x: width / 2, y: height / 2 }
    } else if (!place) return
    else if (event.key === 'Escape') end()
    else if (event.key === 'ArrowLeft') place.x = Math.max(0, place.x - width / 16)
    else if (event.key === 'ArrowRight') place.x = Math.min(width - 1, place.x + width / 16)
    else if (event.key === 'ArrowUp') place.y = Math.max(0, place.y - height / 16)
    else if (event.key === 'ArrowDown') place.y = Math.min(height - 1, place.y + height / 16)
    else return
    event.preventDefault()
    event.stopPropagation()
    if (!place) return
    chips.dataset['probing'] = 'true'
    const text = show({ ...place, event })
    if (text) announce(strings().create.pointer(text))
  }
  stage.addEventListener('keydown', onKeyDown, true)
  stage.addEventListener('blur', end)
  return () => {
    stage.removeEventListener('keydown', onKeyDown, true)
    stage.removeEventListener('blur', end)
  }
}
