/**
 * Weighing in the editor: Ctrl and an arrow, a drag or the wheel with Alt, a drag on the handle above a word. All of it
 * is an edit of the text.
 */
import { EditorSelection, type Extension, StateEffect, StateField } from '@codemirror/state'
import { EditorView, keymap, showTooltip, type Tooltip } from '@codemirror/view'
import { formatWeight, type PromptWord, steppedWeight, weighWord, wordAt } from '../../engine/words.ts'
import { hoverWord, isSameWord, useWords, type WordKey } from '../../state/words.ts'
import { announce, tell } from '../../state/ui.ts'
import { strings } from '../../strings/index.ts'
import { reading } from './editor-state.ts'

/** Pixels of a drag that are one step. */
const dragStep = 8

/** Gives a word a weight. @returns where the word stands now, or undefined where it cannot be weighed */
export function weigh(
  view: EditorView,
  word: Pick<PromptWord, 'start' | 'end' | 'text'>,
  weight: number,
): { readonly start: number; readonly end: number } | undefined {
  const { dialect } = view.state.field(reading)
  const text = view.state.doc.toString()
  const edit = weighWord(text, dialect, word, weight)
  const { prompt } = strings()
  if (!edit) {
    tell({ tone: 'info', text: dialect === 'plain' ? prompt.plainCannotWeigh : prompt.cannotWeigh })
    return undefined
  }
  const caret = view.state.selection.main.head
  const offset = Math.max(0, Math.min(edit.word.end - edit.word.start, caret - word.start))
  const isInside = caret >= word.start && caret <= word.end
  view.dispatch({
    changes: smallestChange(text, edit.text),
    ...(isInside && { selection: EditorSelection.cursor(edit.word.start + offset) }),
    userEvent: 'input.weigh',
  })
  announce(prompt.weighed(word.text, formatWeight(weight)))
  return edit.word
}

/** What differs between two texts, so that marks and the caret stay where they are. */
export function smallestChange(before: string, after: string): { from: number; to: number; insert: string } {
  const most = Math.min(before.length, after.length)
  let from = 0
  while (from < most && before[from] === after[from]) from++
  let tail = 0
  while (tail < most - from && before.at(-1 - tail) === after.at(-1 - tail)) tail++
  return { from, to: before.length - tail, insert: after.slice(from, after.length - tail) }
}

function step(view: EditorView, by: number): boolean {
  const word = wordAt(view.state.field(reading).words, view.state.selection.main.head)
  if (word) weigh(view, word, steppedWeight(word.weight, by))
  return true
}

const showHandle = StateEffect.define<PromptWord | undefined>()

/** The handle above the word under the pointer. */
const handle = StateField.define<PromptWord | undefined>({
  create: () => undefined,
  update(value, { effects, docChanged, state }) {
    for (const effect of effects) if (effect.is(showHandle)) return effect.value
    if (!value || !docChanged) return value
    // The word went with the text; it is still the same one of its kind.
    return state
      .field(reading)
      .words.find(({ text, occurrence }) => text === value.text && occurrence === value.occurrence)
  },
  provide: field =>
    showTooltip.from(field, word =>
      word ? { pos: word.start, end: word.end, above: true, create: view => createHandle(view) } : null,
    ),
})

function createHandle(view: EditorView): {
  dom: HTMLElement
  update(): void
  offset: { x: number; y: number }
} {
  const dom = document.createElement('div')
  dom.className = 'cm-weigh'
  dom.title = strings().prompt.dragToWeigh
  const write = () => {
    const word = view.state.field(handle)
    dom.textContent = word ? `↕ ${formatWeight(Number(word.weight.toFixed(2)))}` : ''
  }
  write()
  dom.addEventListener('pointerdown', event => {
    const word = view.state.field(handle)
    if (word) startDrag(view, word, event, dom)
  })
  return { dom, update: write, offset: { x: 0, y: 2 } }
}

/** Follows the pointer until it is let go. */
function startDrag(view: EditorView, word: PromptWord, event: PointerEvent, on: HTMLElement): void {
  event.preventDefault()
  on.setPointerCapture(event.pointerId)
  const from = event.clientY
  let now: Pick<PromptWord, 'start' | 'end' | 'text'> = word
  let last = 0
  const move = (moved: PointerEvent) => {
    const steps = Math.round((from - moved.clientY) / dragStep)
    if (steps === last) return
    last = steps
    const placed = weigh(view, now, steppedWeight(word.weight, steps))
    if (placed) now = { ...placed, text: word.text }
  }
  const end = () => {
    on.removeEventListener('pointermove', move)
    on.removeEventListener('lostpointercapture', end)
  }
  on.addEventListener('pointermove', move)
  on.addEventListener('lostpointercapture', end)
}

function wordUnder(view: EditorView, event: MouseEvent): PromptWord | undefined {
  const at = view.posAtCoords({ x: event.clientX, y: event.clientY })
  return at === null
    ? undefined
    : view.state.field(reading).words.find(({ start, end }) => at >= start && at <= end)
}

/** The word that was pointed at in here. */
let own: WordKey | undefined
let dwell: ReturnType<typeof setTimeout> | undefined

const pointer = EditorView.domEventHandlers({
  keydown(_, view) {
    // In the way of typing.
    clearTimeout(dwell)
    if (own && isSameWord(useWords.getState().hovered, own)) hoverWord(undefined)
    own = undefined
    if (view.state.field(handle)) view.dispatch({ effects: showHandle.of(undefined) })
    return false
  },
  pointerdown(event, view) {
    const word = event.altKey ? wordUnder(view, event) : undefined
    if (!word) return false
    startDrag(view, word, event, view.contentDOM)
    return true
  },
  wheel(event, view) {
    const word = event.altKey ? wordUnder(view, event) : undefined
    if (!word) return false
    event.preventDefault()
    weigh(view, word, steppedWeight(word.weight, event.deltaY < 0 ? 1 : -1))
    return true
  },
  mousemove(event, view) {
    if (event.buttons !== 0) return false
    const word = wordUnder(view, event)
    const key = word && { text: word.text, occurrence: word.occurrence }
    if (key || isSameWord(useWords.getState().hovered, own)) hoverWord(key)
    own = key
    clearTimeout(dwell)
    const present = view.state.field(handle)
    if (word && present?.start !== word.start) {
      dwell = setTimeout(() => view.dispatch({ effects: showHandle.of(word) }), 180)
    } else if (!word && present) {
      // Time to get from the word to its handle.
      dwell = setTimeout(() => view.dispatch({ effects: showHandle.of(undefined) }), 500)
    }
    return false
  },
  mouseleave(event, view) {
    // The pointer may lie on a word of the list by now, which told so before this event.
    if (own && isSameWord(useWords.getState().hovered, own)) hoverWord(undefined)
    own = undefined
    clearTimeout(dwell)
    const into = event.relatedTarget
    if (into instanceof HTMLElement && into.closest('.cm-weigh')) return false
    dwell = setTimeout(() => view.dispatch({ effects: showHandle.of(undefined) }), 400)
    return false
  },
})

export const weighing: Extension = [
  handle,
  pointer,
  keymap.of([
    { key: 'Mod-ArrowUp', run: view => step(view, 1), preventDefault: true },
    { key: 'Mod-ArrowDown', run: view => step(view, -1), preventDefault: true },
  ]),
]

export type { Tooltip }
