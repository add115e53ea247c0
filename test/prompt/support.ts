/** Short forms of parsed prompts for tests. */
import type { ParsedPrompt, Piece } from '../../model/prompt/types.ts'
import { textPieces } from '../../model/prompt/types.ts'

/** Text and weight of every piece. */
export function pieces(prompt: ParsedPrompt): [text: string, weight: number][] {
  return textPieces(prompt).map(({ text, weight }) => [text, weight])
}

/** Text and weight, with BREAK for breaks. */
export function short(list: readonly Piece[]): unknown[] {
  return list.map(piece => (piece.kind === 'text' ? [piece.text, piece.weight] : 'BREAK'))
}

/** `level column message`. */
export function messages(prompt: ParsedPrompt): string[] {
  return prompt.problems.map(({ level, column, message }) => `${level} ${column} ${message}`)
}
