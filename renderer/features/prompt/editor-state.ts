/**
 * What the prompt editor knows of its text: words with weights, problems, and what the model's tokenizer said. Computed
 * with every change, so that marks never lag behind the typing; the tokenizer's part follows a little later.
 */
import { type EditorState, RangeSetBuilder, StateEffect, StateField } from '@codemirror/state'
import { Decoration, type DecorationSet, EditorView, WidgetType } from '@codemirror/view'
import type { PromptDialect } from '../../../model/contract/prompt.ts'
import type { PromptExplanation } from '../../engine/session.ts'
import { type PromptProblem, type PromptWord, readPrompt } from '../../engine/words.ts'
import { isSameWord, type WordKey } from '../../state/words.ts'
import { strings } from '../../strings/index.ts'

export interface Reading {
  readonly dialect: PromptDialect
  readonly words: readonly PromptWord[]
  readonly problems: readonly PromptProblem[]
  /** Of the tokenizer; its places are kept in step with the text. */
  readonly pieces: readonly { readonly from: number; readonly to: number; readonly text: string }[]
  readonly chunks: readonly { readonly at: number; readonly index: number }[]
  readonly hot: WordKey | undefined
  readonly marks: DecorationSet
}

export const setDialect = StateEffect.define<PromptDialect>()
export const setExplanation = StateEffect.define<PromptExplanation | undefined>()
export const setHotWord = StateEffect.define<WordKey | undefined>()

export const reading = StateField.define<Reading>({
  create: state => read(state, 'a1111', [], [], undefined),
  update(value, transaction) {
    let { dialect, pieces, chunks, hot } = value
    let changed = transaction.docChanged
    if (transaction.docChanged) {
      const { changes } = transaction
      pieces = pieces
        .filter(({ from, to }) => !changes.touchesRange(from, to))
        .map(each => ({ ...each, from: changes.mapPos(each.from, 1), to: changes.mapPos(each.to, -1) }))
      chunks = chunks.map(each => ({ ...each, at: changes.mapPos(each.at, 1) }))
    }
    for (const effect of transaction.effects) {
      if (effect.is(setDialect)) dialect = effect.value
      else if (effect.is(setHotWord)) hot = effect.value
      else if (effect.is(setExplanation)) ({ pieces, chunks } = placesOf(effect.value, transaction.state))
      else continue
      changed = true
    }
    return changed ? read(transaction.state, dialect, pieces, chunks, hot) : value
  },
  provide: field => EditorView.decorations.from(field, ({ marks }) => marks),
})

/** Where the tokenizer breaks words and where chunks begin, if it speaks of the present text. */
function placesOf(
  explanation: PromptExplanation | undefined,
  state: EditorState,
): Pick<Reading, 'pieces' | 'chunks'> {
  if (!explanation || explanation.source !== state.doc.toString()) return { pieces: [], chunks: [] }
  const pieces: { from: number; to: number; text: string }[] = []
  const chunks: { at: number; index: number }[] = []
  const text = explanation.parts[0]?.states[0]?.texts[0]
  for (const word of text?.words ?? []) {
    if (!word.isInPieces) continue
    const parts = word.tokens.map(index => text?.tokens[index]?.text ?? '')
    pieces.push({ from: word.span.start, to: word.span.end, text: parts.join(' · ') })
  }
  for (const token of text?.tokens ?? []) {
    if (token.chunk > chunks.length) chunks.push({ at: token.span.start, index: token.chunk + 1 })
  }
  return { pieces, chunks }
}

function read(
  state: EditorState,
  dialect: PromptDialect,
  pieces: Reading['pieces'],
  chunks: Reading['chunks'],
  hot: WordKey | undefined,
): Reading {
  const text = state.doc.toString()
  const { words, problems } = readPrompt(text, dialect)
  const marks = marksOf(text, { words, problems, pieces, chunks, hot })
  return { dialect, words, problems, pieces, chunks, hot, marks }
}

const syntaxPattern = /\\?[()[\]|]|:\s*[+-]?\d*\.?\d+(?=\s*[)\]])|(?<=\))\d*\.?\d+/g

function marksOf(
  text: string,
  { words, problems, pieces, chunks, hot }: Omit<Reading, 'dialect' | 'marks'>,
): DecorationSet {
  const all: { from: number; to: number; mark: Decoration }[] = []
  const { prompt } = strings()
  for (const word of words) {
    const classes = ['cm-word']
    if (word.weight > 1.001) classes.push('cm-heavier')
    if (word.weight < 0.999) classes.push('cm-lighter')
    if (hot && isSameWord(hot, word)) classes.push('cm-hot')
    // How far from 1, as a share of what people use.
    const force = Math.min(1, Math.abs(word.weight - 1) / 0.6)
    const style = `--force:${force.toFixed(2)}`
    all.push({
      from: word.start,
      to: word.end,
      mark: Decoration.mark({ class: classes.join(' '), attributes: { style } }),
    })
  }
  for (const { from, to, text: shown } of pieces) {
    const title = prompt.inPieces(text.slice(from, to), shown)
    if (to > from)
      all.push({ from, to, mark: Decoration.mark({ class: 'cm-pieces', attributes: { title } }) })
  }
  for (const match of text.matchAll(syntaxPattern)) {
    const mark = Decoration.mark({ class: 'cm-syntax' })
    all.push({ from: match.index, to: match.index + match[0].length, mark })
  }
  for (const { span, level, message, remedy } of problems) {
    const [from, to] = [Math.min(span.start, text.length), Math.min(span.end, text.length)]
    const mark = Decoration.mark({
      class: `cm-problem cm-problem-${level}`,
      attributes: { title: `${message} ${remedy}` },
    })
    if (to > from) all.push({ from, to, mark })
  }
  for (const { at, index } of chunks) {
    all.push({ from: at, to: at, mark: Decoration.widget({ widget: new ChunkBorder(index), side: -1 }) })
  }
  const builder = new RangeSetBuilder<Decoration>()
  all.sort((a, b) => a.from - b.from || a.mark.startSide - b.mark.startSide)
  for (const { from, to, mark } of all) builder.add(from, to, mark)
  return builder.finish()
}

/** A quiet bar where the text encoder begins anew. */
class ChunkBorder extends WidgetType {
  readonly index: number

  constructor(index: number) {
    super()
    this.index = index
  }

  override eq(other: ChunkBorder): boolean {
    return other.index === this.index
  }

  override toDOM(): HTMLElement {
    const bar = document.createElement('span')
    bar.className = 'cm-chunk'
    bar.textContent = String(this.index)
    bar.title = strings().prompt.chunk(this.index)
    return bar
  }
}
