/** The prompt: CodeMirror bound to the request. The request's history is the only one, so undo goes over everything. */
import { EditorState } from '@codemirror/state'
import { drawSelection, EditorView, keymap, placeholder, tooltips } from '@codemirror/view'
import { defaultKeymap } from '@codemirror/commands'
import { useEffect, useRef } from 'react'
import { generate } from '../../app/actions.ts'
import { useEngine } from '../../state/engine.ts'
import { changeRequest, draft, redoRequest, undoRequest, useRequest } from '../../state/request.ts'
import { useWords } from '../../state/words.ts'
import { useStrings } from '../../strings/index.ts'
import { completion, setVocabulary } from './completion.ts'
import { reading, setDialect, setExplanation, setHotWord } from './editor-state.ts'
import { editorTheme } from './editor-theme.ts'
import { useExplanation } from './explanation.ts'
import { smallestChange, weighing } from './weighing.ts'

let shown: EditorView | undefined

/** The editor on screen, for sliders that weigh its words. */
export function promptEditor(): EditorView | undefined {
  return shown
}

const ownHistory = keymap.of([
  { key: 'Mod-z', run: undoRequest, preventDefault: true },
  { key: 'Mod-Shift-z', run: redoRequest, preventDefault: true },
  { key: 'Mod-y', run: redoRequest, preventDefault: true },
  {
    key: 'Mod-Enter',
    run() {
      void generate()
      return true
    },
  },
])

export function PromptEditor() {
  const { prompt } = useStrings()
  const place = useRef<HTMLDivElement>(null)
  const vocabulary = useEngine(state => state.model?.vocabulary)

  useEffect(() => {
    if (!place.current) return
    const view = new EditorView({
      parent: place.current,
      state: EditorState.create({
        doc: draft().prompt,
        extensions: [
          reading,
          completion,
          weighing,
          ownHistory,
          keymap.of(defaultKeymap.filter(({ key }) => key !== 'Mod-Enter')),
          drawSelection({ cursorBlinkRate: 1000 }),
          EditorView.lineWrapping,
          placeholder(prompt.placeholder),
          // Over the panel's edge, not cut off by it.
          tooltips({ position: 'fixed', parent: document.body }),
          editorTheme,
          EditorView.contentAttributes.of({
            'aria-label': prompt.prompt,
            'aria-describedby': 'prompt-help',
            'data-focus': 'prompt',
            spellcheck: 'false',
            autocorrect: 'off',
          }),
          EditorView.updateListener.of(update => {
            if (!update.docChanged) return
            const text = update.state.doc.toString()
            if (text === draft().prompt) return
            const isWeighing = update.transactions.some(each => each.isUserEvent('input.weigh'))
            changeRequest({ prompt: text }, isWeighing ? 'weigh' : 'prompt')
          }),
        ],
      }),
    })
    view.dispatch({ effects: setDialect.of(draft().dialect) })
    shown = view
    const ends = [
      useRequest.subscribe(({ draft: next }, before) => {
        const text = view.state.doc.toString()
        if (next.prompt !== text) view.dispatch({ changes: smallestChange(text, next.prompt) })
        if (next.dialect !== before.draft.dialect) view.dispatch({ effects: setDialect.of(next.dialect) })
      }),
      useWords.subscribe(({ hovered }, before) => {
        if (hovered !== before.hovered) view.dispatch({ effects: setHotWord.of(hovered) })
      }),
      useExplanation.subscribe(({ explanation }) => {
        view.dispatch({ effects: setExplanation.of(explanation) })
      }),
    ]
    return () => {
      for (const end of ends) end()
      shown = undefined
      view.destroy()
    }
  }, [prompt])

  useEffect(() => {
    const words = [...new Set(Object.values(vocabulary ?? {}).flat())]
    shown?.dispatch({ effects: setVocabulary.of(words) })
  }, [vocabulary])

  return (
    <>
      <div
        ref={place}
        className="max-h-[36vh] min-h-28 cursor-text overflow-y-auto [&_.cm-editor]:min-h-28"
      />
      <p id="prompt-help" className="sr-only">
        {prompt.editorHelp}
      </p>
    </>
  )
}
