/**
 * The first run: one sentence over the sample, and its words glowing one after the other until the person looks at one.
 * With reduced motion one word glows and stays.
 */
import { useEffect, useRef } from 'react'
import { isJoiningWord } from '../../engine/attention.ts'
import { selectedPicture, usePictures } from '../../state/pictures.ts'
import { hoverWord, keysOf, useWords } from '../../state/words.ts'
import { useStrings } from '../../strings/index.ts'
import { stageView } from './stage-view.ts'

const glowMilliseconds = 2200

export function Welcome() {
  const { create } = useStrings()
  const sentence = useRef<HTMLParagraphElement>(null)
  useEffect(showWordsInTurn, [])
  useEffect(() => {
    stageView.keepFree(sentence.current?.offsetHeight ?? 0)
    return () => stageView.keepFree(0)
  }, [])
  return (
    <p
      ref={sentence}
      className="glow-in pointer-events-none absolute top-4 left-1/2 w-max max-w-[calc(100%-2rem)] -translate-x-1/2 rounded-lg bg-panel px-4 py-2 text-center text-sm font-medium shadow-pop"
    >
      {create.welcome}
      <span className="block text-xs font-normal text-soft">{create.welcomeSample}</span>
    </p>
  )
}

function showWordsInTurn(): () => void {
  const words = selectedPicture(usePictures.getState())?.maps?.words ?? []
  const keys = keysOf(words).filter(({ text }) => !isJoiningWord(text))
  if (keys.length === 0) return () => undefined
  const root = document.documentElement
  const isCalm =
    root.dataset['motion'] === 'reduced' ||
    (root.dataset['motion'] !== 'full' && matchMedia('(prefers-reduced-motion: reduce)').matches)
  let index = Math.min(1, keys.length - 1)
  let own = keys[index]
  hoverWord(own)
  const timer = isCalm
    ? undefined
    : setInterval(() => {
        const { hovered, pinned } = useWords.getState()
        if ((hovered && hovered !== own) || pinned.length > 0) return
        index = (index + 1) % keys.length
        own = keys[index]
        hoverWord(own)
      }, glowMilliseconds)
  // Whoever points at words, or types, looks for themselves from now on.
  const off = new AbortController()
  const rest = (event: Event) => {
    if (!(event.target instanceof Element) || !event.target.closest('.cm-editor, [role=tabpanel]')) return
    off.abort()
    clearInterval(timer)
    if (useWords.getState().hovered === own) hoverWord(undefined)
  }
  for (const type of ['pointerover', 'keydown', 'focusin'] as const)
    window.addEventListener(type, rest, { capture: true, signal: off.signal })
  return () => {
    off.abort()
    clearInterval(timer)
    hoverWord(undefined)
  }
}
