/**
 * Which word is looked at and which stay in view; how maps are coloured; what the tools on the picture do. A word is
 * known by its text and how many of the same stand before it, so that it is the same word in the editor, in the list
 * and in pictures drawn from an older prompt.
 */
import { create } from 'zustand'
import type { Colormap } from '../engine/heat.ts'

export interface WordKey {
  readonly text: string
  readonly occurrence: number
}

/** What a drag on the picture does. */
export type Tool =
  | { readonly kind: 'view' }
  | { readonly kind: 'paint'; readonly index: number; readonly erase: boolean; readonly size: number }
  /** Draws the rectangle of a new region. */
  | { readonly kind: 'region' }
  | { readonly kind: 'paint-region'; readonly index: number; readonly erase: boolean; readonly size: number }
  /** The mask of what is drawn anew: `features/inpaint`. */
  | { readonly kind: 'inpaint' }

interface WordsState {
  readonly hovered: WordKey | undefined
  readonly pinned: readonly WordKey[]
  readonly overlay: boolean
  readonly colormap: Colormap
  readonly strength: number
  /** Of one layer and head instead of all. */
  readonly source: { readonly path: string; readonly head: number | undefined } | undefined
  /** The maps' change against the picture before. */
  readonly difference: boolean
  readonly tool: Tool
  /** The words panel's tab. */
  readonly tab: 'words' | 'places'
}

export const useWords = create<WordsState>(() => ({
  hovered: undefined,
  pinned: [],
  overlay: true,
  colormap: 'viridis',
  strength: 0.85,
  source: undefined,
  difference: false,
  tool: { kind: 'view' },
  tab: 'words',
}))

export function isSameWord(a: WordKey | undefined, b: WordKey | undefined): boolean {
  return a?.occurrence === b?.occurrence && a?.text.toLowerCase() === b?.text.toLowerCase()
}

export function hoverWord(hovered: WordKey | undefined): void {
  if (!isSameWord(useWords.getState().hovered, hovered)) useWords.setState({ hovered, source: undefined })
}

export function togglePin(word: WordKey): void {
  useWords.setState(({ pinned }) => {
    const rest = pinned.filter(each => !isSameWord(each, word))
    return { pinned: rest.length < pinned.length ? rest : [...pinned, word] }
  })
}

/** Keys of a list of words, in its order. */
export function keysOf(words: readonly { readonly text: string }[]): WordKey[] {
  const counts = new Map<string, number>()
  return words.map(({ text }) => {
    const key = text.toLowerCase()
    const occurrence = counts.get(key) ?? 0
    counts.set(key, occurrence + 1)
    return { text, occurrence }
  })
}
