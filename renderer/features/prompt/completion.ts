/**
 * Suggestions while typing: words that the model was taught, where it tells them. Tab takes one; Enter only after an
 * arrow key, so that it otherwise stays a new line.
 */
import { type Extension, Prec, StateEffect, StateField } from '@codemirror/state'
import { EditorView, keymap, showTooltip } from '@codemirror/view'
import { strings } from '../../strings/index.ts'

export const setVocabulary = StateEffect.define<readonly string[]>()
const setList = StateEffect.define<Suggestions | undefined>()

interface Suggestions {
  readonly from: number
  readonly to: number
  readonly options: readonly string[]
  readonly chosen: number
  /** An arrow key was used. */
  readonly isSteered: boolean
}

const vocabulary = StateField.define<readonly string[]>({
  create: () => [],
  update(value, { effects }) {
    for (const effect of effects) if (effect.is(setVocabulary)) return effect.value
    return value
  },
})

const longestList = 7

/** What fits the letters before the caret: beginnings first, the shortest first. */
export function suggestionsFor(words: readonly string[], letters: string): string[] {
  const wanted = letters.toLowerCase()
  if (wanted === '') return []
  return words
    .filter(word => word !== wanted && word.startsWith(wanted))
    .sort((a, b) => a.length - b.length || a.localeCompare(b))
    .slice(0, longestList)
}

const list = StateField.define<Suggestions | undefined>({
  create: () => undefined,
  update(value, transaction) {
    for (const effect of transaction.effects) if (effect.is(setList)) return effect.value
    const { state } = transaction
    if (transaction.docChanged) {
      if (!transaction.isUserEvent('input.type') && !transaction.isUserEvent('delete')) return undefined
      const to = state.selection.main.head
      const before = /[\p{L}\p{N}-]+$/u.exec(state.doc.sliceString(Math.max(0, to - 40), to))?.[0] ?? ''
      const options = suggestionsFor(state.field(vocabulary), before)
      return options.length > 0
        ? { from: to - before.length, to, options, chosen: 0, isSteered: false }
        : undefined
    }
    return transaction.selection ? undefined : value
  },
  provide: field => [
    showTooltip.from(field, open =>
      open ? { pos: open.from, above: false, create: view => ({ dom: listOf(view) }) } : null,
    ),
    EditorView.contentAttributes.from(field, open => ({
      'aria-autocomplete': 'list',
      ...(open && {
        'aria-controls': 'prompt-suggestions',
        'aria-activedescendant': `suggestion-${open.chosen}`,
      }),
    })),
  ],
})

function listOf(view: EditorView): HTMLElement {
  const open = view.state.field(list)
  const dom = document.createElement('ul')
  dom.id = 'prompt-suggestions'
  dom.className = 'cm-suggestions'
  dom.setAttribute('role', 'listbox')
  dom.setAttribute('aria-label', strings().prompt.suggestions)
  open?.options.forEach((option, index) => {
    const item = document.createElement('li')
    item.id = `suggestion-${index}`
    item.setAttribute('role', 'option')
    item.setAttribute('aria-selected', String(index === open.chosen))
    const typed = open.to - open.from
    const bold = document.createElement('b')
    bold.textContent = option.slice(0, typed)
    item.append(bold, option.slice(typed))
    item.addEventListener('mousedown', event => {
      event.preventDefault()
      take(view, index)
    })
    dom.append(item)
  })
  return dom
}

function take(view: EditorView, index?: number): boolean {
  const open = view.state.field(list)
  const option = open?.options[index ?? open.chosen]
  if (!open || option === undefined) return false
  view.dispatch({
    changes: { from: open.from, to: open.to, insert: option },
    selection: { anchor: open.from + option.length },
    effects: setList.of(undefined),
    userEvent: 'input.complete',
  })
  return true
}

function move(view: EditorView, by: number): boolean {
  const open = view.state.field(list)
  if (!open) return false
  const chosen = (open.chosen + by + open.options.length) % open.options.length
  view.dispatch({ effects: setList.of({ ...open, chosen, isSteered: true }) })
  return true
}

function close(view: EditorView): boolean {
  if (!view.state.field(list)) return false
  view.dispatch({ effects: setList.of(undefined) })
  return true
}

export const completion: Extension = [
  vocabulary,
  list,
  EditorView.domEventHandlers({ blur: (_, view) => void setTimeout(() => close(view)) }),
  Prec.highest(
    keymap.of([
      { key: 'Tab', run: view => take(view) },
      { key: 'Enter', run: view => (view.state.field(list)?.isSteered ? take(view) : false) },
      { key: 'ArrowDown', run: view => move(view, 1) },
      { key: 'ArrowUp', run: view => move(view, -1) },
      { key: 'Escape', run: close, stopPropagation: true },
    ]),
  ),
]
